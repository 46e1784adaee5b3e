package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/route"
)

type answerJSON struct {
	Records []struct {
		Source struct {
			Agency, Dataset, Agreement, Clause, DisclosureID string
			Obligations                                      struct {
				RetentionDays int64
				Redisclosure  string
			}
		}
		Record map[string]any
	}
	Sources []struct {
		Agency, Outcome, Reason, Message, Granularity string
		Exists                                        *bool
		Count                                         *int64
		Records                                       int64
		RefusedLocally                                bool
	}
	Summary struct {
		Sources, OK, Records int64
		Complete             bool
	}
	Reason, Detail, Term string
	Status               int
	Position             *struct{ Line, Column int }
}

func (a *agency) query(t testing.TB, c *http.Client, body string) (int, answerJSON) {
	t.Helper()
	code, _, text := a.post(c, "/v1/query", body)
	var out answerJSON
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%d %s: %v", code, text, err)
	}
	return code, out
}

// q writes a query; extra members come after the usual ones.
func q(filter string, extra ...string) string {
	f, _ := json.Marshal(filter)
	return fmt.Sprintf(`{"schema":"person","filter":%s,"purpose":%q,"justification":{"caseReference":"SP-2026-1"}%s}`, f, purpose, strings.Join(append([]string{""}, extra...), ","))
}

// pair is a source and a recipient with one agreement in force.
func pair(t testing.TB, o options) (src, rec *agency) {
	if o.people == 0 {
		o.people = 1000
	}
	src, rec = startAgency(t, "border-service", o), startAgency(t, "state-police", o)
	agree("agr", []route.Clause{clause("persons", src, rec)}, src, rec)
	return src, rec
}

func TestRecordsWithProvenance(t *testing.T) {
	src, rec := pair(t, options{})
	code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`, `"fields":["person_number","birth_date","age","wanted"]`))
	if code != 200 || len(a.Records) != 1 {
		t.Fatalf("%d %+v", code, a)
	}
	r := a.Records[0]
	if r.Source.Agency != "border-service" || r.Source.Dataset != "people" || r.Source.Agreement != "agr.v1" || r.Source.Obligations.RetentionDays != 30 {
		t.Errorf("provenance %+v", r.Source)
	}
	want := map[string]any{"person_number": "P000042", "birth_date": "1950-02-12", "age": 62.0, "wanted": false}
	if fmt.Sprint(r.Record) != fmt.Sprint(want) {
		t.Errorf("record %v, want %v", r.Record, want)
	}
	if !a.Summary.Complete || a.Summary.OK != 1 || a.Summary.Records != 1 {
		t.Errorf("summary %+v", a.Summary)
	}

	// Both logs have the disclosure, and agree on what was asked and answered.
	both := [][]audit.Record{src.records(), rec.records()}
	for i, records := range both {
		if len(records) != 2 || records[0].Kind != audit.Intent || records[1].Kind != audit.Outcome {
			t.Fatalf("log %d: %+v", i, records)
		}
		o := records[1]
		if o.Disclosure != r.Source.DisclosureID || o.Outcome != "OK" || o.Records != 1 || o.Purpose != purpose || o.Justification.CaseReference != "SP-2026-1" {
			t.Errorf("log %d: %+v", i, o)
		}
	}
	s, p := both[0][1], both[1][1]
	if s.QueryDigest != p.QueryDigest || s.ResponseDigest != p.ResponseDigest || s.ResponseDigest == "" {
		t.Errorf("digests differ: %s %s, %s %s", s.QueryDigest, p.QueryDigest, s.ResponseDigest, p.ResponseDigest)
	}
	if s.User == "" || s.User != p.User || s.LocalUser != "" || p.LocalUser != "certificate:alice" || strings.Contains(s.User, "alice") {
		t.Errorf("users: source %q %q, recipient %q %q", s.User, s.LocalUser, p.User, p.LocalUser)
	}
	if s.SubjectToken == "" || strings.Contains(s.SubjectToken, "P000042") {
		t.Errorf("subject token %q", s.SubjectToken)
	}
}

func TestGranularities(t *testing.T) {
	_, rec := pair(t, options{})
	c := rec.client("alice")
	_, a := rec.query(t, c, q(`person_number == "P000042"`, `"granularity":"Existence"`))
	if len(a.Records) != 0 || len(a.Sources) != 1 || a.Sources[0].Exists == nil || !*a.Sources[0].Exists {
		t.Errorf("hit: %+v", a)
	}
	_, a = rec.query(t, c, q(`person_number == "nobody"`, `"granularity":"GRANULARITY_EXISTENCE"`))
	if len(a.Sources) != 1 || a.Sources[0].Exists == nil || *a.Sources[0].Exists || a.Sources[0].Outcome != "OK" {
		t.Errorf("no hit: %+v", a)
	}
	_, a = rec.query(t, c, q(`family_name == "f3"`, `"granularity":"count"`))
	if len(a.Sources) != 1 || a.Sources[0].Count == nil || *a.Sources[0].Count != 100 || len(a.Records) != 0 {
		t.Errorf("count: %+v", a)
	}
	_, a = rec.query(t, c, q(`family_name == "f3" && age > 50`))
	if len(a.Records) == 0 || len(a.Records[0].Record) != 5 || a.Sources[0].Granularity != "Records" {
		t.Errorf("records: %d, %+v", len(a.Records), a.Sources)
	}
	_, a = rec.query(t, c, q(`family_name == "f3"`, `"limit":7`))
	if len(a.Records) != 7 || a.Sources[0].Outcome != "PARTIAL" || a.Sources[0].Reason != "Limit" || a.Summary.Complete {
		t.Errorf("limit: %d %+v", len(a.Records), a.Sources)
	}
}

// TestStream has an answer of many frames.
func TestStream(t *testing.T) {
	src, rec := pair(t, options{people: 20000})
	_, a := rec.query(t, rec.client("alice"), q(`family_name == "f1"`))
	if len(a.Records) != 2000 || !a.Summary.Complete {
		t.Fatalf("%d records, %+v", len(a.Records), a.Sources)
	}
	seen := map[any]bool{}
	for _, r := range a.Records {
		seen[r.Record["person_number"]] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d different records", len(seen))
	}
	atSource, atRecipient := src.records(), rec.records()
	s, p := atSource[len(atSource)-1], atRecipient[len(atRecipient)-1]
	if s.Records != 2000 || s.ResponseDigest != p.ResponseDigest {
		t.Errorf("logs: %d records, digest %s; %d, %s", s.Records, s.ResponseDigest, p.Records, p.ResponseDigest)
	}
}
