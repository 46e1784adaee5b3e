package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// step is one scene: what is shown and why, and what must come out.
type step struct {
	title, why string
	run        func(ctx context.Context, s *stage) error
}

// play plays the scenes in order. What comes out otherwise than expected is counted and does not stop it; what cannot be
// done at all does.
func (s *stage) play(ctx context.Context, script []step) error {
	for i, scene := range script {
		s.out.step(i+1, scene.title, scene.why)
		if err := scene.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", scene.title, err)
		}
	}
	return nil
}

// exitIncomplete is the exit code of `entente query` when some source refused.
const exitIncomplete = 3

// query asks by `entente query`, as the analyst of an agency.
func (s *stage) query(ctx context.Context, who string, q question) (*answer, error) {
	a := &answer{}
	return a, s.queryCommand(ctx, who, "query", q, a)
}

// explain asks by `entente explain`.
func (s *stage) explain(ctx context.Context, who string, q question) (*explanation, error) {
	e := &explanation{}
	return e, s.queryCommand(ctx, who, "explain", q, e)
}

func (s *stage) queryCommand(ctx context.Context, who, verb string, q question, into any) error {
	text, err := s.commandAs(ctx, s.people[who], append([]string{verb}, append(q.args(), "-o", "json")...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitIncomplete {
		err = nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// logDir is the folder of an agency's log.
func (s *stage) logDir(name string) string {
	return filepath.Join(s.agency(name).dir, ".entente", "gateway", "log")
}

// short says how a source ended, in a cell.
func (a source) short() string {
	switch {
	case a.Outcome != "OK":
		return a.Outcome
	case a.Suppressed:
		return "suppressed: too few, or none"
	case a.Count != nil:
		return fmt.Sprintf("%d persons or more", *a.Count)
	case a.Exists != nil && *a.Exists:
		return "hit"
	case a.Exists != nil:
		return "no hit"
	}
	return fmt.Sprintf("%d record(s)", a.Records)
}

// endings prints how each source ended.
func (s *stage) endings(a *answer) {
	for _, src := range a.Sources {
		switch src.Outcome {
		case "OK":
			s.out.line("     %s  %s", src.Agency, src.short())
		default:
			s.out.refusal(fmt.Sprintf("%s  %s by check %q", src.Agency, src.Outcome, src.Reason), src.Message)
		}
	}
}

// refused says whether every source refused at home, by a check, with a term that ends so.
func refused(a *answer, check, term string) bool {
	for _, src := range a.Sources {
		if src.Outcome != "DENIED" || src.Reason != check || !src.RefusedLocally || !strings.Contains(src.Message, term) {
			return false
		}
	}
	return len(a.Sources) > 0 && len(a.Records) == 0
}
