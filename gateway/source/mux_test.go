package source_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// fake says what it was called for.
type fake struct {
	name  string
	calls *[]string
}

func (f fake) call(what string) { *f.calls = append(*f.calls, f.name+" "+what) }

func (f fake) Records(context.Context, source.Query, func(*gatewayv1.Record) error) (bool, error) {
	f.call("records")
	return true, nil
}
func (f fake) Count(context.Context, source.Query) (int64, error) { f.call("count"); return 7, nil }
func (f fake) Exists(context.Context, source.Query) (bool, error) { f.call("exists"); return true, nil }
func (f fake) Revoke(agreement string)                            { f.call("revoke " + agreement) }
func (f fake) Close() error                                       { f.call("close"); return errors.New(f.name + " broke") }

func TestMux(t *testing.T) {
	var calls []string
	m := source.Mux{PostgreSQL: fake{"pg", &calls}, SQLite: fake{"lite", &calls}}
	pg := source.Query{Dataset: &route.Dataset{PostgreSQL: &route.PostgreSQL{}}}
	lite := source.Query{Dataset: &route.Dataset{SQLite: &route.SQLite{}}}
	if more, err := m.Records(context.Background(), pg, nil); !more || err != nil {
		t.Error(more, err)
	}
	if n, err := m.Count(context.Background(), lite); n != 7 || err != nil {
		t.Error(n, err)
	}
	if ok, err := m.Exists(context.Background(), pg); !ok || err != nil {
		t.Error(ok, err)
	}
	m.Revoke("a")
	if err := m.Close(); err == nil || err.Error() != "pg broke\nlite broke" {
		t.Error(err)
	}
	if want := []string{"pg records", "lite count", "pg exists", "pg revoke a", "lite revoke a", "pg close", "lite close"}; !slices.Equal(calls, want) {
		t.Errorf("calls %v", calls)
	}

	trino := source.Query{Dataset: &route.Dataset{Trino: &route.Trino{}}}
	if ok, err := (source.Mux{Trino: fake{"trino", &calls}}).Exists(context.Background(), trino); !ok || err != nil || calls[len(calls)-1] != "trino exists" {
		t.Error(ok, err, calls)
	}

	none := source.Mux{SQLite: fake{"lite", &calls}}
	none.Revoke("a")
	for name, q := range map[string]source.Query{
		"kind that is not read": pg,
		"no dataset":            {},
		"no system":             {Dataset: &route.Dataset{}},
		"two systems":           {Dataset: &route.Dataset{PostgreSQL: &route.PostgreSQL{}, SQLite: &route.SQLite{}}},
	} {
		if _, err := none.Exists(context.Background(), q); err == nil || errors.Is(err, source.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
