package sqlite_test

import (
	"strings"
	"testing"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/internal/shapetest"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/sqlite"
)

func TestShape(t *testing.T) {
	path := plainFile(t, shapetest.SQLite, `CREATE TABLE bad (id INTEGER, aliases TEXT, years TEXT, sexes TEXT, jobs TEXT);
		INSERT INTO bad VALUES (1, 'Secret', '["Secret"]', '["Secret"]', '[{"wage": true}]')`)
	s := open(t, sqlite.Options{})
	shapetest.Check(t, s, &route.Dataset{Name: "d", Relation: "shaped", Columns: shapetest.Columns(), SQLite: &route.SQLite{Path: path}})
	bad := &route.Dataset{Name: "d", Relation: "bad", Columns: shapetest.Columns(), SQLite: &route.SQLite{Path: path}}
	for _, field := range []string{"aliases", "years", "sexes", "jobs.wage"} {
		_, err := s.Records(t.Context(), source.Query{Dataset: bad, Schema: shapetest.Schema, Fields: []string{"id", field}, Limit: 1}, func(*gatewayv1.Record) error { return nil })
		if name, _, _ := strings.Cut(field, "."); err == nil || !strings.Contains(err.Error(), "field "+name) || strings.Contains(err.Error(), "Secret") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestMapped(t *testing.T) {
	d := shapetest.Mapped()
	d.SQLite = &route.SQLite{Path: plainFile(t, shapetest.MappedSQLite)}
	shapetest.CheckMapped(t, open(t, sqlite.Options{}), d)
}
