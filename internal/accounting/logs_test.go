package accounting

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/disclosure"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// replica is a gateway's state folder with a log that a test writes.
type replica struct {
	t        testing.TB
	dir      string
	log      *audit.Log
	subjects *disclosure.Subjects
	now      time.Time
	n        int
}

var start = time.Date(2026, 10, 1, 9, 0, 0, 0, time.UTC)

func newReplica(t testing.TB, name string) *replica {
	t.Helper()
	r := &replica{t: t, dir: filepath.Join(t.TempDir(), name), now: start}
	var err error
	r.subjects, err = disclosure.OpenSubjects(r.dir)
	must(t, err)
	r.log, err = audit.Open(r.logDir(), audit.Options{Origin: "labor.example.gov/" + name, Now: func() time.Time { return r.now }})
	must(t, err)
	t.Cleanup(func() { _ = r.log.Close() })
	return r
}

func (r *replica) logDir() string { return filepath.Join(r.dir, "log") }

func (r *replica) token(number string) string {
	return r.subjects.Token("person", "document_number", number)
}

func (r *replica) tokens(numbers ...string) []string {
	var out []string
	for _, n := range numbers {
		out = append(out, r.token(n))
	}
	return out
}

func (r *replica) add(rec audit.Record) {
	r.t.Helper()
	receipt, err := r.log.Append(r.t.Context(), rec)
	must(r.t, err)
	must(r.t, receipt.Wait(r.t.Context()))
}

// base is a record of a disclosure to the police under the agreement anvil.
func (r *replica) base(kind audit.Kind) audit.Record {
	return audit.Record{
		Disclosure: fmt.Sprintf("%s-%d", filepath.Base(r.dir), r.n), Kind: kind, Side: audit.Source, Operation: audit.Consultation,
		Agreement: "anvil", Version: 1, Clause: "wages", Purpose: "entente:benefits", Source: "labor-inspectorate", Recipient: "state-police",
		RecipientAddress: "1 Capitol Road", Granularity: "Records", Fields: []string{"family_name", "monthly_wage"}, User: "pseudonym",
		QueryDigest: "sha256:query", ResponseDigest: "sha256:answer", Claims: []byte(`{"email":"eve@police.example.gov"}`), Justification: audit.Justification{CaseReference: "TF-2026-001"}, Filter: `family_name == "Castellanos"`,
	}
}

// disclose logs an intent and an outcome, a minute after the last one; edit changes both.
func (r *replica) disclose(edit func(*audit.Record)) string {
	r.t.Helper()
	r.n++
	r.now = r.now.Add(time.Minute)
	intent, outcome := r.base(audit.Intent), r.base(audit.Outcome)
	outcome.Outcome, outcome.ElapsedMicros = "OK", 2000
	edit(&intent)
	edit(&outcome)
	intent.Outcome, intent.Records, intent.SubjectTokens, intent.Hit, intent.ElapsedMicros, intent.Reason = "", 0, nil, false, 0, ""
	r.add(intent)
	r.add(outcome)
	return outcome.Disclosure
}

func (r *replica) open() Log {
	r.t.Helper()
	logs, err := OpenLogs([]string{r.logDir()})
	must(r.t, err)
	return logs[0]
}

func person(numbers ...string) []Identifier {
	var out []Identifier
	for _, n := range numbers {
		out = append(out, Identifier{"person", "document_number", n})
	}
	return out
}

func TestReadIdentifiers(t *testing.T) {
	got, err := ReadIdentifiers(strings.NewReader("# a comment\n\n person.document_number = X 1 \nperson.document_number=X=2\n"))
	if err == nil {
		t.Errorf("blanks around the name are taken: %+v", got)
	}
	got, err = ReadIdentifiers(strings.NewReader("# a comment\n\nperson.document_number= X 1 \r\nperson.document_number=X=2\n"))
	must(t, err)
	if want := person("X 1", "X=2"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for name, text := range map[string]string{
		"nothing":       "\n# only a comment\n",
		"no field":      "person=SECRET",
		"no value":      "person.document_number=",
		"a long line":   "person.document_number=" + strings.Repeat("SECRET", 20_000),
		"too many":      strings.Repeat("person.document_number=SECRET\n", maxIdentifiers+1),
		"an odd schema": "../person.x=SECRET",
	} {
		_, err := ReadIdentifiers(strings.NewReader(text))
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenLogsRefuses(t *testing.T) {
	a, b := newReplica(t, "gateway-0"), newReplica(t, "gateway-1")
	if _, err := OpenLogs([]string{a.logDir(), b.logDir()}); err != nil {
		t.Error(err)
	}
	link := filepath.Join(t.TempDir(), "again")
	must(t, os.Symlink(a.logDir(), link))
	if _, err := OpenLogs([]string{a.logDir(), link}); err == nil || !strings.Contains(err.Error(), "same log") {
		t.Errorf("the same log twice: %v", err)
	}
	if _, err := OpenLogs([]string{t.TempDir()}); err == nil || !strings.Contains(err.Error(), "not a gateway's log") {
		t.Errorf("no log: %v", err)
	}
}

// Damage ends every answer: half an accounting must not look like a whole one.
func TestDamage(t *testing.T) {
	r := newReplica(t, "gateway-0")
	for range 3 {
		r.disclose(func(rec *audit.Record) { rec.Hit, rec.Records, rec.SubjectTokens = true, 1, r.tokens("X1") })
	}
	must(t, r.log.Close())
	files, err := filepath.Glob(filepath.Join(r.logDir(), "*.payload"))
	must(t, err)
	b, err := os.ReadFile(files[0])
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(files[0], b, 0o600))
	logs := []Log{r.open()}
	if _, err := Disclosures(t.Context(), Question{Logs: logs, Identifiers: person("X1")}); err == nil {
		t.Error("an accounting of a damaged log")
	}
	if _, err := NewReport(t.Context(), Scope{Logs: logs, By: "agreement"}); err == nil {
		t.Error("a report of a damaged log")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewReport(ctx, Scope{Logs: logs, By: "agreement"}); err == nil {
		t.Error("goes on after it was stopped")
	}
}
