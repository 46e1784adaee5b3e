package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/route"
)

// TestMaintenance: a source in maintenance answers nobody and says why and until when; one that is off says so through what it
// announced; explain shows it, before it begins, too; and nothing of it outlasts its end.
func TestMaintenance(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 10}), startAgency(t, "state-police", options{people: 1})
	c := rec.client("alice")
	ask := func(from, until time.Time, at ...*agency) (outcome, reason, message string) {
		t.Helper()
		cl := clause("persons", src, rec)
		cl.Maintenance = &route.Maintenance{From: from, Until: until.UTC(), Reason: "new storage"}
		agree("agr", []route.Clause{cl}, at...)
		_, a := rec.query(t, c, q(`person_number == "P000001"`))
		if len(a.Sources) != 1 || len(a.Records) > 0 && a.Sources[0].Outcome != "OK" {
			t.Fatalf("%+v", a)
		}
		return a.Sources[0].Outcome, a.Sources[0].Reason, a.Sources[0].Message
	}
	explained := func() string {
		t.Helper()
		_, _, body := rec.post(c, "/v1/query:explain", q(`person_number == "P000001"`))
		return body
	}
	now := time.Now()
	notice := "border-service is in maintenance until " + now.Add(time.Hour).UTC().Format(time.RFC3339) + ": new storage"

	agree("agr", persons(src, rec), src, rec)
	if body := explained(); strings.Contains(body, "maintenance") {
		t.Errorf("none is announced: %s", body)
	}
	if o, _, _ := ask(now.Add(30*time.Minute), now.Add(time.Hour), src, rec); o != "OK" {
		t.Errorf("before it begins: %s", o)
	}
	if body := explained(); !strings.Contains(body, `"reason":"new storage"`) || !strings.Contains(body, `"from":"`+now.Add(30*time.Minute).UTC().Format(time.RFC3339)) {
		t.Errorf("explain, before it begins: %s", body)
	}
	if o, r, m := ask(time.Time{}, now.Add(time.Hour), src); o != "UNAVAILABLE" || r != "Maintenance" || m != notice {
		t.Errorf("of the source: %s %s %q", o, r, m)
	}
	if log := src.records(); log[len(log)-1].Outcome != "UNAVAILABLE" {
		t.Errorf("the source's log: %+v", log[len(log)-1])
	}
	if o, _, _ := ask(now.Add(-time.Hour), now.Add(-time.Minute), src, rec); o != "OK" {
		t.Errorf("after its end: %s", o)
	}
	if body := explained(); strings.Contains(body, "maintenance") {
		t.Errorf("explain, after its end: %s", body)
	}
	src.stop()
	if o, r, m := ask(time.Time{}, now.Add(time.Hour), rec); o != "UNAVAILABLE" || r != "Maintenance" || m != notice {
		t.Errorf("of a source that is off: %s %s %q", o, r, m)
	}
	if o, r, _ := ask(now.Add(-time.Hour), now.Add(-time.Minute), rec); o != "UNAVAILABLE" || r == "Maintenance" {
		t.Errorf("of a source that is off after its end: %s %s", o, r)
	}
}
