package disclosure

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

var (
	labor  = route.Party{Agency: "labor", TrustDomain: "labor.example"}
	police = route.Party{Agency: "police", TrustDomain: "police.example"}
)

// asked is a source that says whether anybody asked it.
type asked struct {
	source.Source
	times int
}

func (a *asked) Exists(context.Context, source.Query) (bool, error) {
	a.times++
	return true, nil
}

// serve signs a route of one clause and puts it into the table.
func serve(t *testing.T, table *route.Table, sequence int64, tombstone *route.Tombstone) {
	t.Helper()
	r := &route.Route{Format: route.Format, Agreement: "agr", Sequence: sequence, Self: labor, Tombstone: tombstone}
	if tombstone == nil {
		r.Versions = []route.Version{{Version: 1, Digest: "sha256:x", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), Clauses: []route.Clause{{
			Name: "persons", Source: route.Peer{Party: labor}, Recipients: []route.Recipient{{Party: police}}, Purposes: []string{"entente:test"}, Granularity: "Existence",
			Schema:       route.Schema{Name: "person", Version: 1, Fields: []route.Field{{Name: "nr", Type: "string"}}},
			FilterFields: []string{"nr"}, Datasets: []route.Dataset{{Name: "people", Relation: "people", SQLite: &route.SQLite{Path: "/x"}, Columns: map[string]string{"nr": "nr"}}},
		}}}}
	}
	payload, err := route.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	verified, err := route.Verify(route.Signed{Payload: payload, KeyID: "k", Signature: ed25519.Sign(key, route.SigningInput(payload))},
		map[string]ed25519.PublicKey{"k": key.Public().(ed25519.PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Put(verified); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, core *Core, id string) *gatewayv1.SourceStatus {
	t.Helper()
	var result *gatewayv1.SourceStatus
	err := core.Retrieve(context.Background(), Caller{Recipient: "police", Agreement: "agr", NotAfter: time.Now().Add(time.Hour)}, &gatewayv1.RetrieveRequest{
		DisclosureId: id, Agreement: "agr", Clause: "persons", Schema: "person", Filter: `nr == "1"`, Purpose: "entente:test",
	}, func(f *gatewayv1.RetrieveResponse) error {
		result = f.GetResult()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func newCore(t *testing.T) (*Core, *asked) {
	t.Helper()
	log, err := audit.Open(t.TempDir()+"/log", audit.Options{Origin: "labor.example/gateway-0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	subjects, err := OpenSubjects(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &asked{}
	core := New(Config{
		Table: route.NewTable(labor), Log: log, Sources: s, Subjects: subjects, Compile: filter.Compile, Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler),
	})
	serve(t, core.Table, 1, nil)
	return core, s
}

// TestEndWhileDeciding: an agreement that ends between the look at its route and the reading is not read under.
func TestEndWhileDeciding(t *testing.T) {
	core, s := newCore(t)
	core.Compile = func(schema *route.Schema, text string) (*filter.Filter, error) {
		serve(t, core.Table, 2, &route.Tombstone{Reason: "Terminated"})
		return filter.Compile(schema, text)
	}
	if r := ask(t, core, uuid.Must(uuid.NewV7()).String()); r.GetOutcome() != gatewayv1.Outcome_OUTCOME_DENIED || r.GetReason() != "agreement" {
		t.Errorf("%v", r)
	}
	if s.times > 0 {
		t.Errorf("the source was asked %d times", s.times)
	}
}

// TestSpellingOfID: in capital letters an id sorts away from its date, and would be out of sight when logs are compared.
func TestSpellingOfID(t *testing.T) {
	core, s := newCore(t)
	id := uuid.Must(uuid.NewV7()).String()
	id = id[:35] + "a"
	if r := ask(t, core, strings.ToUpper(id)); r.GetReason() != "request" || s.times > 0 {
		t.Errorf("%v", r)
	}
	if r := ask(t, core, id); r.GetOutcome() != gatewayv1.Outcome_OUTCOME_OK || s.times != 1 {
		t.Errorf("%v", r)
	}
}

// TestRefusalOfAnyTextIsLogged: what JSON writes in six bytes for one does not make a refusal too large for the log.
func TestRefusalOfAnyTextIsLogged(t *testing.T) {
	core, _ := newCore(t)
	for name, text := range map[string]string{"control characters": "\x01", "quotes": `"`, "line separators": "\u2028", "letters": "x"} {
		fields := make([]string, 300)
		for i := range fields {
			fields[i] = strings.Repeat(text, 64/len(text))
		}
		var result *gatewayv1.SourceStatus
		long := strings.Repeat(text, 40_000/len(text))
		err := core.Retrieve(context.Background(), Caller{Recipient: "police", Agreement: "agr", NotAfter: time.Now().Add(time.Hour)}, &gatewayv1.RetrieveRequest{
			DisclosureId: uuid.Must(uuid.NewV7()).String(), Agreement: long, Clause: long, Schema: long, Filter: long, Purpose: long, Fields: fields, User: long,
			Justification: &gatewayv1.Justification{CaseReference: long, SubjectRole: long, Aim: long, Jurisdiction: long},
		}, func(f *gatewayv1.RetrieveResponse) error {
			result = f.GetResult()
			return nil
		})
		if err != nil || result.GetOutcome() != gatewayv1.Outcome_OUTCOME_DENIED {
			t.Errorf("%s: %s %s, %v", name, result.GetOutcome(), result.GetReason(), err)
		}
	}
}
