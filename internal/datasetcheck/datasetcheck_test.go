package datasetcheck

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/testenv"
)

const schema = `
metadata: {name: p.v1}
spec:
  name: p
  version: 1
  fields:
  - {name: id, type: int}
  - {name: wage, type: decimal}
  - {name: born, type: date}
  - {name: seen, type: timestamp}
  - {name: aliases, type: string, repeated: true}
  - {name: address, type: record, fields: [{name: city, type: string}]}
  - {name: cents, type: decimal}
  - {name: gone, type: string}
  - {name: day, type: date}
`

const dataset = `
metadata: {name: people}
spec:
  schema: {name: p, version: 1}
  relation: people
  columns: [{name: cents, type: int}]
  fields:
  - {field: id, column: id}
  - {field: wage, column: wage}
  - {field: born, column: born}
  - {field: seen, column: seen}
  - {field: aliases, column: aliases}
  - {field: address, column: address}
  - {field: cents, expression: cents / 100}
  - {field: gone, column: gone}
  - {field: day, column: day, format: DD.MM.YYYY}
  selectors: [[id], [day], [cents], [born]]
`

func load(t *testing.T) (*v1alpha1.Dataset, *v1alpha1.ExchangeSchema) {
	t.Helper()
	var d v1alpha1.Dataset
	var s v1alpha1.ExchangeSchema
	if err := yaml.Unmarshal([]byte(dataset), &d); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(schema), &s); err != nil {
		t.Fatal(err)
	}
	return &d, &s
}

func expect(t *testing.T, r *Report, err error, wants ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Severity+" "+f.Path+": "+f.Message)
	}
	if len(got) != len(wants) {
		t.Fatalf("findings\n%s", strings.Join(got, "\n"))
	}
	for i, want := range wants {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("got  %s\nwant %s", got[i], want)
		}
	}
}

func TestPostgreSQL(t *testing.T) {
	p := testenv.RequirePostgres(t, testenv.PostgresOptions{NoSync: true})
	if err := p.Exec(t.Context(), "postgres", `CREATE TABLE people (id int PRIMARY KEY, wage float8, born text, seen timestamp, aliases text, address jsonb, cents text, day text);
		INSERT INTO people (id) SELECT generate_series(1, 1000); CREATE INDEX ON people (day); ANALYZE people`); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), p.AdminURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	d, s := load(t)
	r, err := PostgreSQL(t.Context(), conn, d, s)
	expect(t, r, err,
		"Error wage: column wage is of type float8: floating-point", "Error born: column born is of type text: what is read is of type date: map it",
		"Warning seen: column seen is of type timestamp: it has no time zone", "Error aliases: column aliases is of type text: the field is a list",
		"Error cents: column cents is of type text: what is read is of type int", "Error gone: relation people has no column gone",
		"Warning selectors[cents]: all its fields are computed", "Warning selectors[born]: no index begins with one of its columns: CREATE INDEX ON people (born)")
	if r.Rows != 1000 || !r.Failed() {
		t.Errorf("%d rows", r.Rows)
	}
	d.Spec.Relation = "nothing"
	if _, err := PostgreSQL(t.Context(), conn, d, s); err == nil {
		t.Error("a relation that is not there")
	}
}

func TestSQLite(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`CREATE TABLE people (id INTEGER PRIMARY KEY, wage, born, seen, aliases, address, cents, day); INSERT INTO people (id) VALUES (1), (2); CREATE INDEX d ON people (day, born)`); err != nil {
		t.Fatal(err)
	}
	d, s := load(t)
	r, err := SQLite(t.Context(), db, d, s)
	expect(t, r, err, "Error gone: relation people has no column gone", "Warning selectors[cents]", "Warning selectors[born]: no index begins")
	if r.Rows != 2 {
		t.Errorf("%d rows", r.Rows)
	}
}
