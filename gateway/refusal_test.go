package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/receipt"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

func TestRefusedByThisGateway(t *testing.T) {
	src, rec := pair(t, options{})
	c := rec.client("alice")
	for _, tt := range []struct {
		name, body, reason, message string
		code                        int
	}{
		{"purpose", strings.Replace(q(`person_number == "P000042"`), purpose, "entente:curiosity", 1), "purpose", "entente:curiosity", 403},
		{"case reference", strings.Replace(q(`person_number == "P000042"`), "SP-2026-1", "because", 1), "case-reference", "agreed form", 403},
		{"field", q(`person_number == "P000042"`, `"fields":["given_name"]`), "fields", "given_name", 403},
		{"unknown field", q(`person_number == "P000042"`, `"fields":["shoe_size"]`), "fields", "shoe_size", 400},
		{"hidden filter field", q(`person_number == "P000042" && region == "north"`), "filter-fields", "region", 403},
		{"fishing", q(`age > 20`), "selectors", "person_number", 403},
		{"no filter", strings.Replace(q(``), `"filter":"",`, "", 1), "selectors", "person_number", 403},
		{"syntax", q(`person_number ==`), "filter", "", 400},
		{"type", q(`age == "old"`), "filter", "", 400},
		{"unknown schema", strings.Replace(q(`person_number == "P000042"`), `"person"`, `"vessel"`, 1), "NoAgreement", "vessel", 403},
		{"agency without an agreement", q(`person_number == "P000042"`, `"agencies":["coast-guard"]`), "NoAgreement", "coast-guard", 403},
		{"no purpose", strings.Replace(q(`person_number == "P000042"`), purpose, "", 1), "request", "purpose is empty", 400},
		{"negative limit", q(`person_number == "P000042"`, `"limit":-1`), "request", "limit", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(rec.records())
			code, a := rec.query(t, c, tt.body)
			message := a.Detail
			if len(a.Sources) > 0 {
				message = a.Sources[0].Message
				if !a.Sources[0].RefusedLocally || a.Sources[0].Outcome != "DENIED" {
					t.Errorf("source %+v", a.Sources[0])
				}
			}
			if code != tt.code || a.Reason != tt.reason || !strings.Contains(message, tt.message) {
				t.Errorf("%d %s: %s", code, a.Reason, message)
			}
			if tt.name == "syntax" && (a.Position == nil || a.Position.Line != 1 || a.Position.Column < 1) {
				t.Errorf("position %+v", a.Position)
			}
			log := rec.records()[before:]
			if len(log) != 1 || log[0].Kind != audit.Denial || log[0].Reason != tt.reason || log[0].LocalUser != "certificate:alice" {
				t.Errorf("log %+v", log)
			}
		})
	}
	if n := len(src.records()); n != 0 {
		t.Errorf("the source was asked %d times", n)
	}
}

// TestRefusedBySource has the recipient hold more to be permitted than the source does: the source decides.
func TestRefusedBySource(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 100}), startAgency(t, "state-police", options{})
	at := func(change func(*route.Clause)) {
		c := clause("persons", src, rec)
		rec.apply("agr", nil, c)
		c = clause("persons", src, rec)
		change(&c)
		src.apply("agr", nil, c)
	}
	client := rec.client("alice")
	for _, tt := range []struct {
		reason string
		change func(*route.Clause)
	}{
		{"purpose", func(c *route.Clause) { c.Purposes = []string{"entente:other"} }},
		{"clause", func(c *route.Clause) { c.Name = "other" }},
		{"clause", func(c *route.Clause) { c.Recipients[0].Agency = "coast-guard" }},
		{"clause", func(c *route.Clause) {
			c.Recipients[0].TrustDomain = "elsewhere.example"
			c.Recipients = c.Recipients[:0]
		}},
		{"task-force", func(c *route.Clause) {
			c.Recipients[0].TaskForce, c.Recipients[0].NotBefore, c.Recipients[0].NotAfter = "harbor.v1", time.Now().Add(-time.Hour), time.Now()
		}},
		{"fields", func(c *route.Clause) { c.Fields = c.Fields[:1] }},
		{"selectors", func(c *route.Clause) { c.RequireSelectors = [][]string{{"birth_date"}} }},
		{"filter-fields", func(c *route.Clause) { c.FilterFields = []string{"family_name"} }},
		{"granularity", func(c *route.Clause) { c.Granularity = "Existence" }},
		{"case-reference", func(c *route.Clause) { c.CaseReference = "X-.*" }},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			at(tt.change)
			before := len(src.records())
			code, a := rec.query(t, client, q(`person_number == "P000042"`, `"fields":["person_number","age"]`))
			if code != 403 || len(a.Sources) != 1 || a.Sources[0].Reason != tt.reason || a.Sources[0].RefusedLocally || len(a.Records) != 0 {
				t.Errorf("%d %+v", code, a)
			}
			log := src.records()[before:]
			if len(log) != 1 || log[0].Kind != audit.Denial || log[0].Reason != tt.reason || log[0].Recipient != "state-police" {
				t.Errorf("log %+v", log)
			}
		})
	}
}

func TestRowFilterAndDatasets(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 1000}), startAgency(t, "state-police", options{})
	c := clause("persons", src, rec)
	c.RowFilter = `region == "north"`
	second := c.Datasets[0]
	second.Name = "archive"
	c.Datasets = append(c.Datasets, second)
	agree("agr", []route.Clause{c}, src, rec)
	client := rec.client("alice")
	_, a := rec.query(t, client, q(`family_name == "f3"`))
	if len(a.Records) != 100 || a.Records[0].Source.Dataset != "archive" || a.Records[99].Source.Dataset != "people" {
		t.Errorf("%d records of two datasets: %+v", len(a.Records), a.Sources)
	}
	_, a = rec.query(t, client, q(`family_name == "f3"`, `"limit":50`))
	if len(a.Records) != 50 || a.Sources[0].Outcome != "PARTIAL" {
		t.Errorf("%d records, %+v", len(a.Records), a.Sources)
	}
	_, a = rec.query(t, client, q(`family_name == "f3"`, `"granularity":"Count"`))
	if *a.Sources[0].Count != 100 {
		t.Errorf("count %d", *a.Sources[0].Count)
	}
}

func TestWindow(t *testing.T) {
	src, rec := pair(t, options{})
	_ = src
	r := *rec.table.Get("agr")
	r.Sequence = 100
	r.Versions = append([]route.Version(nil), r.Versions...)
	r.Versions[0].NotAfter = time.Now().Add(-time.Second)
	rec.put(&r)
	code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`, `"agencies":["border-service"]`))
	if code != 403 || a.Sources[0].Reason != "agreement" {
		t.Errorf("%d %+v", code, a)
	}
}

// TestTaskForceWindow: an agency that may ask as a member of a task force may ask while its window is open, and is told why when it
// is not; what it is offered ends with the window.
func TestTaskForceWindow(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 100}), startAgency(t, "state-police", options{})
	client := rec.client("alice")
	through := func(from, until time.Duration) {
		c := clause("persons", src, rec)
		c.Recipients[0].TaskForce, c.Recipients[0].NotBefore, c.Recipients[0].NotAfter = "harbor.v1", time.Now().Add(from), time.Now().Add(until)
		agree("agr", []route.Clause{c}, src, rec)
	}
	offered := func() string {
		_, body := getWith(t, client, "https://"+rec.addrs.REST+"/v1/datasets")
		return body
	}
	through(-time.Hour, time.Hour)
	if code, a := rec.query(t, client, q(`person_number == "P000042"`)); code != 200 || len(a.Records) != 1 {
		t.Errorf("inside the window: %d %+v", code, a)
	}
	if got := offered(); !strings.Contains(got, time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:")) {
		t.Errorf("offered %s", got)
	}
	for name, window := range map[string][2]time.Duration{"before": {time.Minute, time.Hour}, "after": {-time.Hour, 0}} {
		through(window[0], window[1])
		code, a := rec.query(t, client, q(`person_number == "P000042"`))
		if code != 403 || len(a.Sources) != 1 || a.Sources[0].Reason != "task-force" || !strings.Contains(a.Sources[0].Message, "harbor.v1") {
			t.Errorf("%s: %d %+v", name, code, a)
		}
		if got := offered(); strings.Contains(got, "border-service") {
			t.Errorf("%s: offered %s", name, got)
		}
	}
}

func TestSuspended(t *testing.T) {
	src, rec := pair(t, options{})
	third := startAgency(t, "labor-inspectorate", options{people: 100})
	agree("agr-2", []route.Clause{clause("workers", third, rec)}, third, rec)
	c := rec.client("alice")
	if _, a := rec.query(t, c, q(`person_number == "P000042"`)); len(a.Records) != 2 || !a.Summary.Complete {
		t.Fatalf("before: %+v", a)
	}
	// Only the source knows: it refuses, the other answers.
	src.apply("agr", &route.Tombstone{Reason: "Suspended", At: time.Now()})
	code, a := rec.query(t, c, q(`person_number == "P000042"`))
	if code != 200 || len(a.Records) != 1 || a.Records[0].Source.Agency != "labor-inspectorate" || a.Summary.Complete {
		t.Fatalf("after: %d %+v", code, a)
	}
	if s := a.Sources[0]; s.Agency != "border-service" && a.Sources[1].Agency != "border-service" {
		t.Errorf("%+v", s)
	}
	if _, ok := src.sources.revoked.Load("agr"); !ok {
		t.Error("the source's credential was not revoked")
	}
	// The recipient knows too: it does not ask, and still says why.
	rec.apply("agr", &route.Tombstone{Reason: "Suspended", At: time.Now()})
	_, a = rec.query(t, c, q(`person_number == "P000042"`))
	for _, s := range a.Sources {
		if s.Agency == "border-service" && (s.Outcome != "DENIED" || s.Reason != "agreement" || !s.RefusedLocally || !strings.Contains(s.Message, "Suspended")) {
			t.Errorf("%+v", s)
		}
	}
	if len(a.Sources) != 2 || len(a.Records) != 1 {
		t.Errorf("%+v", a)
	}
}

// TestEndedWhileAnswering: an agreement that ends at the recipient while the source answers ends this answer, and no other.
func TestEndedWhileAnswering(t *testing.T) {
	end := map[string]func(src, rec *agency){
		"task force": func(src, rec *agency) {
			c := clause("persons", src, rec)
			c.Recipients[0].TaskForce, c.Recipients[0].NotBefore, c.Recipients[0].NotAfter = "harbor.v1", time.Now().Add(-time.Hour), time.Now()
			rec.apply("agr", nil, c)
		},
		"suspended": func(_, rec *agency) { rec.apply("agr", &route.Tombstone{Reason: "Suspended", At: time.Now()}) },
		"superseded": func(src, rec *agency) {
			rec.sequence++
			now := time.Now()
			rec.put(&route.Route{Format: route.Format, Agreement: "agr", Sequence: rec.sequence, Self: rec.party, Versions: []route.Version{{
				Version: 2, Digest: "sha256:agr-2", NotBefore: now.Add(-time.Second), NotAfter: now.Add(time.Hour), Clauses: persons(src, rec),
			}}})
		},
	}
	for _, c := range [][2]string{{"suspended", "Records"}, {"suspended", "Existence"}, {"superseded", "Records"}, {"superseded", "Existence"}, {"task force", "Records"}, {"task force", "Existence"}} {
		how, granularity := c[0], c[1]
		t.Run(how+" "+granularity, func(t *testing.T) {
			src, rec := pair(t, options{})
			third := startAgency(t, "labor-inspectorate", options{people: 100})
			agree("agr-2", []route.Clause{clause("workers", third, rec)}, third, rec)
			var once sync.Once
			src.sources.hook(func(context.Context) error {
				once.Do(func() { end[how](src, rec) })
				return nil
			})
			code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`, fmt.Sprintf(`"granularity":%q`, granularity)))
			if code != 200 || len(a.Sources) != 2 {
				t.Fatalf("%d %+v", code, a)
			}
			for _, s := range a.Sources {
				ended := s.Agency == src.party.Agency
				if want := map[bool]string{true: "DENIED", false: "OK"}[ended]; s.Outcome != want || ended && (s.Reason != "agreement" || s.Exists != nil) {
					t.Errorf("%+v", s)
				}
			}
			for _, r := range a.Records {
				if r.Source.Agency == src.party.Agency {
					t.Errorf("released: %+v", r)
				}
			}
			for _, r := range rec.records() {
				if r.Source == src.party.Agency && r.Kind == audit.Outcome && (r.Outcome != "DENIED" || r.Records != 0) {
					t.Errorf("the recipient's log: %+v", r)
				}
			}
		})
	}
}

// TestSuspendedMidStream suspends the agreement when the first records are out.
func TestSuspendedMidStream(t *testing.T) {
	src, rec := pair(t, options{people: 50000})
	reached, gate := make(chan struct{}), make(chan struct{})
	src.sources.Source = &gated{Source: src.sources.Source, after: 1000, reached: reached, gate: gate}
	go func() {
		<-reached
		src.apply("agr", &route.Tombstone{Reason: "Terminated", At: time.Now()})
		close(gate)
	}()
	_, a := rec.query(t, rec.client("alice"), q(`family_name == "f1"`))
	if len(a.Sources) != 1 || a.Sources[0].Outcome != "DENIED" || a.Sources[0].Reason != "agreement" || !strings.Contains(a.Sources[0].Message, "Terminated") {
		t.Errorf("%+v", a.Sources)
	}
	if n := len(a.Records); n == 0 || n > 1000 {
		t.Errorf("%d records released", n)
	}
	log := src.records()
	last := log[len(log)-1]
	if last.Outcome != "DENIED" || last.Records == 0 || last.Records > 1000 {
		t.Errorf("the source's log: %+v", last)
	}
}

func TestSourceDown(t *testing.T) {
	src, rec := pair(t, options{})
	src.sources.hook(func(context.Context) error {
		return errors.Join(source.ErrUnavailable, errors.New("connection refused"))
	})
	code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`))
	if code != 200 || a.Sources[0].Outcome != "UNAVAILABLE" || a.Sources[0].Reason != "SourceSystem" || strings.Contains(a.Sources[0].Message, "refused") {
		t.Errorf("%d %+v", code, a)
	}
	if log := src.records(); log[len(log)-1].Outcome != "UNAVAILABLE" {
		t.Errorf("log %+v", log)
	}
}

// TestSlowAndDead has one slow and one dead source beside a good one.
func TestSlowAndDead(t *testing.T) {
	t.Parallel() // it mostly waits
	rec := startAgency(t, "state-police", options{timeout: 5 * time.Second})
	good, slow, dead := startAgency(t, "a-good", options{people: 100}), startAgency(t, "b-slow", options{people: 100}), startAgency(t, "c-dead", options{people: 100})
	agree("agr-a", []route.Clause{clause("x", good, rec)}, good, rec)
	agree("agr-b", []route.Clause{clause("x", slow, rec)}, slow, rec)
	agree("agr-c", []route.Clause{clause("x", dead, rec)}, dead, rec)
	slow.sources.hook(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	c := rec.client("alice")
	rec.query(t, c, q(`person_number == "P000042"`)) // the credential of the dead one is there
	dead.stop()

	started := time.Now()
	code, a := rec.query(t, c, q(`person_number == "P000042"`))
	if took := time.Since(started); took > 25*time.Second { // the slow source would be given 30
		t.Errorf("took %v", took)
	}
	got := map[string]string{}
	for _, s := range a.Sources {
		got[s.Agency] = s.Outcome
	}
	if code != 200 || len(a.Records) != 1 || got["a-good"] != "OK" || got["b-slow"] != "TIMEOUT" || got["c-dead"] != "UNAVAILABLE" {
		t.Errorf("%d %v", code, got)
	}

	code, a = rec.query(t, c, q(`person_number == "P000042"`, `"requireAll":true`))
	if code != 503 || len(a.Records) != 0 || a.Reason != "RequireAll" || len(a.Sources) != 3 {
		t.Errorf("require_all: %d %+v", code, a)
	}
}

// TestEndedWhileHeld: what an all-or-nothing query holds back until the last source has answered is not released under an agreement that
// has ended meanwhile.
func TestEndedWhileHeld(t *testing.T) {
	for _, granularity := range []string{"Records", "Existence"} {
		rec := startAgency(t, "state-police", options{})
		quick, slow := startAgency(t, "a-quick", options{people: 100}), startAgency(t, "b-slow", options{people: 100})
		agree("agr-a", []route.Clause{clause("x", quick, rec)}, quick, rec)
		agree("agr-b", []route.Clause{clause("x", slow, rec)}, slow, rec)
		slow.sources.hook(func(ctx context.Context) error {
			// The other's answer is here: its outcome is in the log.
			for ctx.Err() == nil {
				for _, r := range rec.records() {
					if r.Kind == audit.Outcome && r.Source == "a-quick" {
						time.Sleep(50 * time.Millisecond) // and it is held
						rec.apply("agr-a", &route.Tombstone{Reason: "Terminated", At: time.Now()})
						return nil
					}
				}
				time.Sleep(5 * time.Millisecond)
			}
			return ctx.Err()
		})
		code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`, `"requireAll":true`, `"granularity":"`+granularity+`"`))
		if code != 403 || len(a.Records) != 0 || a.Reason != "RequireAll" || a.Sources[0].Outcome != "DENIED" || a.Sources[0].Reason != "agreement" || a.Sources[0].Exists != nil {
			t.Errorf("%s: %d %+v", granularity, code, a)
		}
	}
}

// breaking is a source that breaks after some records.
type breaking struct {
	source.Source
	after int
}

func (b *breaking) Records(ctx context.Context, q source.Query, yield func(*gatewayv1.Record) error) (bool, error) {
	n := 0
	return b.Source.Records(ctx, q, func(r *gatewayv1.Record) error {
		if n++; n > b.after {
			return source.ErrUnavailable
		}
		return yield(r)
	})
}

// TestBrokenAnswerMatches: an answer whose source system broke on the way is one in both logs, and nobody's fault when they are compared.
func TestBrokenAnswerMatches(t *testing.T) {
	src, rec := pair(t, options{people: 10_000})
	src.sources.Source = &breaking{src.sources.Source, 700} // two frames, and a part
	code, a := rec.query(t, rec.client("alice"), q(`family_name == "f3"`))
	if code != 200 || len(a.Records) == 0 || len(a.Records) >= 700 || a.Sources[0].Outcome != "PARTIAL" {
		t.Fatalf("%d, %d records, %+v", code, len(a.Records), a.Sources)
	}
	w := receipt.Window{Since: time.Now().Add(-time.Minute), Until: time.Now().Add(time.Minute)}
	ctx := context.Background()
	n := 0
	for f, err := range receipt.Compare(receipt.All(ctx, receipt.Log{Read: src.log.ReadSince}, "state-police", w), receipt.All(ctx, receipt.Log{Read: rec.log.ReadSince}, "border-service", w)) {
		if n++; err != nil || f.Result.Faulty() {
			t.Errorf("%+v, %v", f, err)
		}
	}
	if n != 1 {
		t.Errorf("%d disclosures", n)
	}
}
