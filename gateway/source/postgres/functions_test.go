package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source/postgres"
)

// explained is the plan of the records that a filter finds, with an index if there is one that serves.
func (s *server) explained(t *testing.T, conn *pgx.Conn, relation, text string, d filter.Dialect) string {
	t.Helper()
	f := compile(t, text)
	sql, args, err := f.SQL(d, func(field string) (string, bool) { return field, true }, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(context.Background(), "EXPLAIN SELECT id FROM "+relation+" WHERE "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// testNormal compares the form that PostgreSQL makes of every character with filter's, and looks whether an index serves.
func (s *server) testNormal(t *testing.T) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.AdminURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for form, want := range map[string]func(string) string{"normal": filter.Normal, "identifier": filter.Identifier} {
		expression, ok := filter.FormExpression(filter.PostgreSQL, form, "name")
		if !ok {
			t.Fatal(form)
		}
		rows, err := conn.Query(ctx, `SELECT name, `+expression+` FROM (SELECT ' a ' || chr(i) || ' - B.' AS name FROM generate_series(1, 131071) i WHERE i NOT BETWEEN 55296 AND 57343) AS t`)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		var in, got string
		_, err = pgx.ForEachRow(rows, []any{&in, &got}, func() error {
			n++
			if got != want(in) {
				t.Errorf("%s(%+q) is %+q in PostgreSQL, %+q here", form, in, got, want(in))
			}
			return nil
		})
		if err != nil || n != 131071-2048 {
			t.Fatalf("%d rows, %v", n, err)
		}
		s.exec(t, "CREATE INDEX ON person (("+expression+"))")
	}
	s.exec(t, "ANALYZE person")
	for _, text := range []string{`normal(name) == normal("Näme5 ")`, `identifier(name) in [identifier("NAME-5"), identifier("n.ame 6")] && active`} {
		if plan := s.explained(t, conn, "person", text, filter.PostgreSQL); !strings.Contains(plan, "Index Scan") {
			t.Errorf("%s has no use of its index:\n%s", text, plan)
		}
	}
	q := s.query("person")
	q.Filter = compile(t, `normal(name) == normal(" NÄME5")`)
	got, _, err := records(open(t, postgres.Options{Credentials: always("reader")}), q)
	if err != nil || len(got) != 1 || got[0].Values[0].GetInteger() != 5 {
		t.Errorf("%v %v", got, err)
	}
}

func (s *server) testSimilarity(t *testing.T) {
	ctx := context.Background()
	s.exec(t, `CREATE SCHEMA ext; CREATE EXTENSION pg_trgm SCHEMA ext; GRANT USAGE ON SCHEMA ext TO reader;
		CREATE TABLE people (id bigint, name text); GRANT SELECT ON people TO reader;
		INSERT INTO people VALUES (1, 'Katarina Novakova'), (2, 'Katarína Nováková'), (3, 'Katerina Novak'), (4, 'Peter Smith'), (5, NULL);
		INSERT INTO people SELECT i, md5(i::text) FROM generate_series(6, 20000) i;
		CREATE INDEX ON people USING gin (name ext.gin_trgm_ops); ANALYZE people;
		ALTER ROLE reader SET pg_trgm.similarity_threshold = 0.9`)
	q := s.query("people")
	q.Dataset.Columns = map[string]string{"id": "id", "name": "name"}
	q.Dataset.PostgreSQL.TrigramSchema = "ext"
	src := open(t, postgres.Options{Credentials: always("reader")})
	ids := func(text string) (out []int64) {
		t.Helper()
		q.Filter = compile(t, text)
		got, _, err := records(src, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			out = append(out, r.Values[0].GetInteger())
		}
		return out
	}
	if got := ids(`similarity(name, "katarina novakova") >= 0.3`); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("0.3: %v", got)
	}
	if got := ids(`similarity(name, "katarina novakova") >= 0.95`); !slices.Equal(got, []int64{1}) {
		t.Errorf("0.95: %v", got)
	}
	if got := ids(`!(similarity(name, "katarina novakova") >= 0.3) && id < 8`); !slices.Equal(got, []int64{4, 5, 6, 7}) {
		t.Errorf("not: %v", got)
	}
	conn, err := pgx.Connect(ctx, s.AdminURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if plan := s.explained(t, conn, "people", `similarity(name, "Katarina") >= 0.5`, filter.PostgreSQLWithTrigrams("ext")); !strings.Contains(plan, "Bitmap Index Scan") {
		t.Errorf("no use of the index:\n%s", plan)
	}
	// Where the dataset does not say that there is similarity, there is none.
	q.Dataset.PostgreSQL = new(route.PostgreSQL)
	*q.Dataset.PostgreSQL = s.target()
	if _, _, err := records(src, q); err == nil || !strings.Contains(err.Error(), "no similarity") {
		t.Errorf("undeclared: %v", err)
	}
}
