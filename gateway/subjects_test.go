package gateway_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/disclosure"
)

// The accounting that a person is entitled to needs to know whose records were in an answer, whatever the query named, and
// before a frame of them is released.
func TestSubjectsOfRecords(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 6000}), startAgency(t, "state-police", options{people: 1})
	c := clause("persons", src, rec)
	c.Addresses = map[string]string{"state-police": "1 Capitol Road"}
	agree("agr", persons(src, rec), rec)
	src.apply("agr", nil, c)
	code, a := rec.query(t, rec.client("alice"), q(`family_name == "f3"`, `"fields":["family_name"]`))
	if code != 200 || len(a.Records) != 600 {
		t.Fatalf("%d, %d records", code, len(a.Records))
	}
	if len(a.Records[0].Record) != 1 {
		t.Fatalf("more than the field that was asked for: %v", a.Records[0].Record)
	}
	src.stop()
	subjects, err := disclosure.ReadSubjects(filepath.Join(src.stateDir, "subject.key"))
	must(t, err)
	var kinds []audit.Kind
	var tokens []string
	var frames int64
	for _, r := range src.records() {
		kinds = append(kinds, r.Kind)
		tokens = append(tokens, r.SubjectTokens...)
		if r.Kind == audit.Release {
			if frames += r.Records; int(r.Records) != len(r.SubjectTokens) {
				t.Errorf("a frame of %d records names %d persons", r.Records, len(r.SubjectTokens))
			}
		}
		if r.RecipientAddress != "1 Capitol Road" {
			t.Errorf("%s: recipient's address %q", r.Kind, r.RecipientAddress)
		}
		if r.Kind == audit.Outcome && (r.Records != 600 || !r.Hit || r.ElapsedMicros <= 0 || len(r.SubjectTokens) != int(600-frames)) {
			t.Errorf("outcome: %d records, %d persons, hit %v, %d µs", r.Records, len(r.SubjectTokens), r.Hit, r.ElapsedMicros)
		}
	}
	if want := []audit.Kind{audit.Intent, audit.Release, audit.Release, audit.Outcome}; !slices.Equal(kinds, want) {
		t.Errorf("%v, want %v", kinds, want)
	}
	if !slices.Contains(tokens, subjects.Token("person", "person_number", "P000003")) || slices.Contains(tokens, subjects.Token("person", "person_number", "P000004")) {
		t.Error("the log names other persons than the answer")
	}
	for _, r := range rec.records() {
		if len(r.SubjectTokens) > 0 {
			t.Error("the recipient's log has tokens, which only the source can make")
		}
		if r.Kind == audit.Outcome && (!r.Hit || r.ElapsedMicros <= 0) {
			t.Errorf("recipient: hit %v, %d µs", r.Hit, r.ElapsedMicros)
		}
	}
}
