package charts

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/hack/testenv"
	"github.com/entente-dev/entente/internal/demo/data"
)

// checkProcessLogs: after traffic, refusals and faults, each line of each process is one JSON object with its time, level and message, and
// none has anything of a person, a user, a case or a filter.
func checkProcessLogs(t *testing.T, s *stack.Stack) {
	police, labor := s.Agency(stack.Police), s.Agency(stack.Labor)
	p := data.Marisol()
	q := stack.Question{
		Schema: "person", Filter: fmt.Sprintf("document_number == %q", p.Document), Purpose: "entente:trafficking-investigation",
		Justification: stack.Justification{CaseReference: "HTF-2026-0417", SubjectRole: "victim"}, Agencies: []string{stack.Labor},
	}
	ask := func() {
		t.Helper()
		if _, err := police.Analyst.Ask(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	ask()                            // the agreement is suspended by now: refused
	q.Filter = "document_number == " // not CEL
	ask()
	if err := labor.Gateway.Stop(time.Minute); err != nil { // a source that is away
		t.Fatal(err)
	}
	ask()
	lines := 0
	for _, a := range s.Agencies {
		for name, process := range map[string]*testenv.Program{"operator": a.Operator, "gateway": a.Gateway} {
			text := read(t, process.LogFile)
			for line := range strings.Lines(text) {
				lines++
				var entry map[string]any
				if err := json.Unmarshal([]byte(line), &entry); err != nil {
					t.Errorf("%s, %s: %v: %s", a.Name, name, err, line)
					continue
				}
				if entry["time"] == nil || entry["level"] == nil || entry["msg"] == nil || entry["agency"] != a.Name {
					t.Errorf("%s, %s: %s", a.Name, name, line)
				}
			}
			for _, word := range []string{p.Document, p.Family, p.Given, p.Job.Employer, "HTF-2026-0417", "document_number", "412.50", "trafficking"} {
				if i := strings.Index(text, word); word != "" && i >= 0 {
					t.Errorf("%s, %s has %q: %.300s", a.Name, name, word, text[max(0, i-150):])
				}
			}
		}
	}
	if lines < 20 {
		t.Errorf("only %d lines", lines)
	}
}
