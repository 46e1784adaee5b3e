package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/internal/filtertest"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/sqlite"
)

func open(t testing.TB, o sqlite.Options) *sqlite.Source {
	s := sqlite.New(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestMeaning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	declared := map[string]string{"string": "TEXT COLLATE NOCASE", "int": "INTEGER", "bool": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMP", "code": "TEXT", "decimal": ""}
	var columns, marks []string
	for _, f := range filtertest.Schema.Fields {
		columns = append(columns, "c_"+f.Name+" "+declared[f.Type])
		marks = append(marks, "?")
	}
	if _, err := db.Exec("CREATE TABLE person (" + strings.Join(columns, ", ") + ")"); err != nil {
		t.Fatal(err)
	}
	records := filtertest.Records(rand.New(rand.NewPCG(1, 1)), 150)
	for n, r := range records {
		args := make([]any, len(filtertest.Schema.Fields))
		for i, f := range filtertest.Schema.Fields {
			args[i] = r[f.Name]
			if s, ok := r[f.Name].(string); ok && f.Type == "decimal" && n%2 == 0 {
				var number float64 // half of the decimals are stored as REAL
				if _, err := fmt.Sscan(s, &number); err != nil {
					t.Fatal(err)
				}
				args[i] = number
			}
		}
		if _, err := db.Exec("INSERT INTO person VALUES ("+strings.Join(marks, ", ")+")", args...); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, sqlite.Options{BaseDir: filepath.Dir(path)})
	d := &route.Dataset{Name: "people", Relation: "person", Columns: filtertest.Columns(), SubjectKey: "id", SQLite: &route.SQLite{Path: "records.db"}}
	filters := 1500
	if testing.Short() {
		filters = 200
	}
	filtertest.Compare(t, s, d, records, 3, filters)
	filtertest.CompareOrder(t, s, d, 4, filters/10)
}

var schema = &route.Schema{Name: "s", Version: 1, Digest: "sha256:s", Fields: []route.Field{
	{Name: "id", Type: "int"}, {Name: "name", Type: "string"}, {Name: "sex", Type: "code", Codes: []string{"F", "M"}},
	{Name: "wage", Type: "decimal"}, {Name: "born", Type: "date"}, {Name: "seen", Type: "timestamp"}, {Name: "active", Type: "bool"},
}}

func dataset(path string) *route.Dataset {
	d := &route.Dataset{Name: "people", Relation: "t", Columns: map[string]string{}, SQLite: &route.SQLite{Path: path}}
	for _, f := range schema.Fields {
		d.Columns[f.Name] = f.Name
	}
	return d
}

func compile(t testing.TB, text string) *filter.Filter {
	t.Helper()
	f, err := filter.Compile(schema, text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ids(t testing.TB, s source.Source, q source.Query) (out []int64, more bool) {
	t.Helper()
	more, err := s.Records(context.Background(), q, func(r *gatewayv1.Record) error {
		out = append(out, r.Values[0].GetInteger())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, more
}

const table = `CREATE TABLE t (id INTEGER, name TEXT, sex TEXT, wage, born TEXT, seen TEXT, active INTEGER)`

func TestRecords(t *testing.T) {
	path := plainFile(t, table, `INSERT INTO t (id, name) VALUES (3, 'c'), (1, 'a'), (2, 'b'), (4, 'd')`)
	s := open(t, sqlite.Options{})
	q := source.Query{Agreement: "a", Dataset: dataset(path), Schema: schema, Fields: []string{"id"}, Limit: 4}
	if got, more := ids(t, s, q); !slices.Equal(got, []int64{1, 2, 3, 4}) || more {
		t.Errorf("all: %v, more %v", got, more)
	}
	q.Limit = 3
	if got, more := ids(t, s, q); !slices.Equal(got, []int64{1, 2, 3}) || !more {
		t.Errorf("limit 3: %v, more %v", got, more)
	}
	q.Filter, q.RowFilter = compile(t, `id > 1`), compile(t, `name != "c"`)
	if got, more := ids(t, s, q); !slices.Equal(got, []int64{2, 4}) || more {
		t.Errorf("both filters: %v, more %v", got, more)
	}
	q.Fields, q.Dataset.SubjectKey = []string{"id", "name"}, "name"
	stop := errors.New("stop")
	if _, err := s.Records(context.Background(), q, func(*gatewayv1.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of yield: %v", err)
	}
	for name, change := range map[string]func(*source.Query){
		"no fields":             func(q *source.Query) { q.Fields = nil },
		"no limit":              func(q *source.Query) { q.Limit = 0 },
		"no column":             func(q *source.Query) { q.Dataset = dataset(path); delete(q.Dataset.Columns, "name") },
		"other source":          func(q *source.Query) { q.Dataset = &route.Dataset{Name: "x"} },
		"column is not there":   func(q *source.Query) { q.Dataset = dataset(path); q.Dataset.Columns["name"] = "nosuch" },
		"relation is not there": func(q *source.Query) { q.Dataset = dataset(path); q.Dataset.Relation = "nosuch" },
	} {
		bad := q
		change(&bad)
		if _, err := s.Records(context.Background(), bad, func(*gatewayv1.Record) error { return nil }); err == nil || errors.Is(err, source.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// plainFile makes a file by statements.
func plainFile(t testing.TB, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestStoredValuesThatDoNotFit(t *testing.T) {
	for field, insert := range map[string]string{
		"sex":    `INSERT INTO t (sex) VALUES ('Secret')`,
		"wage":   `INSERT INTO t (wage) VALUES ('Secret')`,
		"born":   `INSERT INTO t (born) VALUES ('Secret')`,
		"seen":   `INSERT INTO t (seen) VALUES ('Secret')`,
		"active": `INSERT INTO t (active) VALUES (2)`,
		"id":     `INSERT INTO t (id) VALUES ('Secret')`,
		"name":   `INSERT INTO t (name) VALUES (x'00ff')`,
	} {
		s := open(t, sqlite.Options{})
		q := source.Query{Agreement: "a", Dataset: dataset(plainFile(t, table, insert)), Schema: schema, Fields: []string{field}, Limit: 1}
		_, err := s.Records(context.Background(), q, func(*gatewayv1.Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "field "+field) || !strings.Contains(err.Error(), "dataset people") || strings.Contains(err.Error(), "Secret") {
			t.Errorf("%s: %v", field, err)
		}
	}
	// Compared, not read.
	s := open(t, sqlite.Options{})
	q := source.Query{Agreement: "a", Dataset: dataset(plainFile(t, table, `INSERT INTO t (wage, seen) VALUES ('Secret', 'Secret')`)), Schema: schema}
	for _, text := range []string{`wage > 1`, `seen > timestamp("2001-01-01T00:00:00Z")`} {
		q.Filter = compile(t, text)
		if _, err := s.Count(context.Background(), q); err == nil || strings.Contains(err.Error(), "Secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPathIsEscaped(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "a?mode=rwc&b#c%20 d.db")
	if err := os.Rename(plainFile(t, table), odd); err != nil {
		t.Fatal(err)
	}
	s := open(t, sqlite.Options{BaseDir: dir})
	q := source.Query{Agreement: "a", Dataset: dataset(filepath.Base(odd)), Schema: schema}
	if n, err := s.Count(context.Background(), q); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, sqlite.Options{BaseDir: dir})
	q := source.Query{Agreement: "a", Dataset: dataset("nosuch.db"), Schema: schema}
	if _, err := s.Exists(context.Background(), q); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("no file: %v", err)
	}
	if matches, _ := filepath.Glob(filepath.Join(dir, "*")); len(matches) > 0 {
		t.Errorf("reading made %v", matches)
	}
}

func TestInterrupt(t *testing.T) {
	// A view that takes minutes.
	path := plainFile(t, table, `CREATE VIEW slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT i AS id FROM n`)
	s := open(t, sqlite.Options{})
	d := dataset(path)
	d.Relation, d.Columns = "slow", map[string]string{"id": "id"}
	q := source.Query{Agreement: "mine", Dataset: d, Schema: schema, Filter: compile(t, `id < 0`)}

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Count(ctx, q); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := s.Count(ctx, q); !errors.Is(err, context.Canceled) || errors.Is(err, source.ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { s.Revoke("other"); s.Revoke("mine") })
	if _, err := s.Count(context.Background(), q); !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("revoked: %v", err)
	}
	if d := time.Since(began); d > time.Minute { // of each it would be several
		t.Errorf("it took %v", d)
	}
	d.Relation = "t"
	if _, err := s.Count(context.Background(), q); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	path := plainFile(t, table)
	s := open(t, sqlite.Options{})
	d := dataset(path)
	d.Relation = "t` WHERE 1; DELETE FROM `t"
	if _, err := s.Count(context.Background(), source.Query{Agreement: "a", Dataset: d, Schema: schema}); err == nil {
		t.Error("a relation's name was taken for SQL")
	}
}

func TestColumns(t *testing.T) {
	path := plainFile(t, table)
	got, err := sqlite.Columns(context.Background(), path, "t")
	if want := []string{"id", "name", "sex", "wage", "born", "seen", "active"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := sqlite.Columns(context.Background(), path, "nosuch"); !errors.Is(err, source.ErrNoRelation) {
		t.Errorf("no relation: %v", err)
	}
	if _, err := sqlite.Columns(context.Background(), path+"x", "t"); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("no file: %v", err)
	}
}

func BenchmarkExists(b *testing.B) {
	path := plainFile(b, table, `CREATE INDEX i ON t (name)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO t (id, name) SELECT i, 'name' || i FROM n`)
	s := open(b, sqlite.Options{})
	q := source.Query{Agreement: "a", Dataset: dataset(path), Schema: schema, Filter: compile(b, `name == "name77777"`)}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := s.Exists(context.Background(), q); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func TestOrderedDecimals(t *testing.T) {
	s := open(t, sqlite.Options{})
	q := source.Query{Agreement: "a", Schema: schema, Fields: []string{"wage"}, Order: []source.Order{{Field: "wage"}}, Limit: 100, Dataset: dataset(plainFile(t, table,
		`INSERT INTO t (wage) VALUES ('-0.5'), (-12), (-12.5), ('-12.05'), ('-120'), (0), ('0.05'), (0.5), ('0.50'), (3), (20), ('3.1'), (1e15), ('999'), (NULL), ('-12.500')`))}
	var got []string
	for _, descending := range []bool{false, true} {
		q.Order[0].Descending = descending
		if _, err := s.Records(context.Background(), q, func(r *gatewayv1.Record) error {
			got = append(got, r.Values[0].GetText())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	want := "-120 -12.5 -12.500 -12.05 -12 -0.5 0 0.05 0.5 0.50 3 3.1 20 999 1000000000000000  1000000000000000 999 20 3.1 3 0.5 0.50 0.05 0 -0.5 -12 -12.05 -12.5 -12.500 -120 "
	if strings.Join(got, " ") != want {
		t.Errorf("%q", got)
	}
}

// TestPersonsByTheirBytes: persons whose keys differ in case are two, whatever collation the columns were declared with: the consent of
// one is none of the other's, and both are counted.
func TestPersonsByTheirBytes(t *testing.T) {
	path := plainFile(t, `CREATE TABLE r (person TEXT COLLATE NOCASE)`, `CREATE TABLE k (person TEXT COLLATE NOCASE)`,
		`INSERT INTO r VALUES ('p1'), ('P1'), ('P1'), ('p2')`, `INSERT INTO k VALUES ('P1')`)
	s := open(t, sqlite.Options{})
	persons := route.Schema{Name: "persons", Version: 1, Fields: []route.Field{{Name: "person", Type: "string"}}}
	columns := map[string]string{"person": "person"}
	q := source.Query{Agreement: "a", Schema: &persons, Fields: []string{"person"}, Limit: 10, Dataset: &route.Dataset{
		Name: "d", Relation: "r", SubjectKey: "person", Columns: columns, SQLite: &route.SQLite{Path: path},
	}}
	q.Persons = true
	if n, err := s.Count(t.Context(), q); err != nil || n != 3 {
		t.Errorf("%d persons, %v", n, err)
	}
	q.Dataset.Consent, q.Consent = &route.Consent{Relation: "k", Subject: "person", Columns: columns, Schema: persons}, &source.Consent{}
	var got []string
	if _, err := s.Records(t.Context(), q, func(r *gatewayv1.Record) error {
		got = append(got, r.GetValues()[0].GetText())
		return nil
	}); err != nil || !slices.Equal(got, []string{"P1", "P1"}) {
		t.Errorf("%v, %v", got, err)
	}
}
