package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/internal/demo/data"
)

const (
	support1 = "victim-support.v1"
	support2 = "victim-support.v2"
)

// life takes a second agreement from a proposal to its end.
func life(ctx context.Context, s *stage) error {
	source, recipient := s.agency(labor), s.agency(police)
	parties := []*agency{recipient, source}
	q := about(data.Marisol())
	q.Purpose, q.Agencies = "entente:victim-support", []string{labor}

	// Proposed: both have the file, and nobody has decided.
	if err := s.propose(parties, map[string]string{"Version": "1", "Supersedes": "", "Fields": "employer, trade"}); err != nil {
		return err
	}
	for _, a := range parties {
		if err := s.state(ctx, a, support1, v1alpha1.StateProposed); err != nil {
			return err
		}
	}
	a, err := s.query(ctx, police, q)
	if err != nil {
		return err
	}
	s.out.expect(refused(a, "purpose", ".purposes"), "proposed: both have the same file, and nothing is permitted")

	// Two roles, two people.
	if err := s.decide(ctx, source, support1, "accept", "privacy-officer"); err != nil {
		return err
	}
	waits, err := s.waiting(ctx, source, support1, "system-owner")
	if err != nil {
		return err
	}
	s.out.line("     %s", s.out.paint(dim, waits))
	s.out.expect(strings.Contains(waits, "system-owner"), "one of two roles accepted: %s does not sign", labor)
	if err := s.accepted(ctx, support1, source, recipient); err != nil {
		return err
	}
	s.out.expect(true, "the system owner and the police accepted: both sign")
	s.out.command(police, "entente agreement signature export "+support1+" --config "+labor+" | \\\n  entente agreement signature import "+support1+" -f - --config "+police)
	if err := s.exchangeSignaturesOn(ctx, support1, parties); err != nil {
		return err
	}
	if err := s.seen(ctx, support1, q, "employer", "trade"); err != nil {
		return err
	}

	// Amended.
	if err := s.propose(parties, map[string]string{"Version": "2", "Supersedes": "\n    supersedes: 1", "Fields": "employer, monthly_wage"}); err != nil {
		return err
	}
	if err := s.state(ctx, source, support2, v1alpha1.StateProposed); err != nil {
		return err
	}
	s.out.command(labor, "entente agreement diff "+support2+" --config "+labor)
	text, err := s.command(ctx, "agreement", "diff", support2, "--config", source.dir)
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) { // 1: they differ
		return err
	}
	changes, _, _ := strings.Cut(string(text), "\nTerm by term")
	for l := range strings.Lines(changes) {
		s.out.line("     %s", strings.TrimRight(l, "\n"))
	}
	becomes, ceases, _ := strings.Cut(changes, "Ceases to be visible")
	s.out.expect(strings.Contains(becomes, "monthly_wage") && strings.Contains(ceases, "trade"), "the amendment in words: monthly_wage becomes visible, trade ceases to be")
	if err := s.decide(ctx, source, support2, "accept", "privacy-officer"); err != nil {
		return err
	}
	if err := s.accepted(ctx, support2, source, recipient); err != nil {
		return err
	}
	if err := s.exchangeSignaturesOn(ctx, support2, parties); err != nil {
		return err
	}
	if err := s.seen(ctx, support2, q, "employer", "monthly_wage"); err != nil {
		return err
	}
	if err := s.state(ctx, source, support1, v1alpha1.StateSuperseded); err != nil {
		return err
	}
	s.out.expect(true, "%s is superseded", support1)

	// Ended, by one party alone.
	if err := s.decide(ctx, source, support2, "terminate", "privacy-officer"); err != nil {
		return err
	}
	if err := s.state(ctx, source, support2, v1alpha1.StateTerminated); err != nil {
		return err
	}
	if err := s.until(ctx, func() (err error) {
		if a, err = s.people[police].ask(ctx, q); err == nil && a.of(labor).Outcome != "DENIED" {
			err = fmt.Errorf("%s answers %s", labor, a.of(labor).Outcome)
		}
		return err
	}); err != nil {
		return err
	}
	s.endings(a)
	s.out.expect(!a.of(labor).RefusedLocally && len(a.Records) == 0, "terminated: %s refuses, and nothing brings %s back", labor, support2)
	return nil
}

// propose writes the terms into the folders of the parties, as their platform teams would.
func (s *stage) propose(parties []*agency, values map[string]string) error {
	digest, err := schemaDigest()
	if err != nil {
		return err
	}
	maps.Copy(values, window(time.Now()))
	values["SchemaDigest"] = digest
	for _, a := range parties {
		values["Parties"] += fmt.Sprintf("\n      - {agency: %s, trustDomain: %s}", a.Name, a.TrustDomain)
	}
	file := "victim-support.v" + values["Version"] + ".yaml"
	for _, a := range parties {
		if err := render("victim-support.yaml.tmpl", filepath.Join(a.dir, file), values); err != nil {
			return err
		}
	}
	return nil
}

// decide has somebody decide in a role.
func (s *stage) decide(ctx context.Context, a *agency, name, decision, role string) error {
	args := []string{"agreement", "decide", name, "--" + decision, "--role", role, "--decided-by", role + "@" + a.TrustDomain, "--config"}
	s.out.command(a.Name, "entente "+strings.Join(args, " ")+" "+a.Name)
	_, err := s.command(ctx, append(args, a.dir)...)
	return err
}

// accepted has the other role of the source, and the recipient, accept, and returns when both have signed.
func (s *stage) accepted(ctx context.Context, name string, source, recipient *agency) error {
	if err := s.decide(ctx, source, name, "accept", "system-owner"); err != nil {
		return err
	}
	if err := s.decide(ctx, recipient, name, "accept", "privacy-officer"); err != nil {
		return err
	}
	return errors.Join(s.state(ctx, source, name, v1alpha1.StateSigned), s.state(ctx, recipient, name, v1alpha1.StateSigned))
}

// waiting says what an agreement waits for, once that is a decision in the role.
func (s *stage) waiting(ctx context.Context, a *agency, name, role string) (message string, err error) {
	return message, s.until(ctx, func() error {
		status, err := a.folder().Status(name)
		if err != nil {
			return err
		}
		for _, c := range status.Status.Conditions {
			if c.Type == v1alpha1.ConditionSigned && strings.Contains(c.Message, "role "+role) && len(status.Status.Decisions) == 1 {
				message = c.Message
				return nil
			}
		}
		return fmt.Errorf("%s does not wait for the %s", name, role)
	})
}

// seen waits until the agreement is in force at both parties, and asks what the police see now.
func (s *stage) seen(ctx context.Context, name string, q question, fields ...string) error {
	for _, a := range []string{labor, police} {
		if err := s.state(ctx, s.agency(a), name, v1alpha1.StateInForce); err != nil {
			return err
		}
	}
	var a *answer
	if err := s.until(ctx, func() (err error) {
		if a, err = s.people[police].ask(ctx, q); err == nil && (len(a.Records) != 1 || a.Records[0].Source.Agreement != name) {
			err = fmt.Errorf("under %s: %+v", name, a)
		}
		return err
	}); err != nil {
		return err
	}
	got := slices.Sorted(maps.Keys(a.Records[0].Record))
	s.out.expect(slices.Equal(got, fields), "%s in force: the police see %s, and nothing else", name, strings.Join(got, " and "))
	return nil
}
