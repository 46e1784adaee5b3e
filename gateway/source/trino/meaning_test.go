package trino_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/internal/filtertest"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source/trino/trinotest"
	"github.com/entente-dev/entente/hack/testenv"
)

// postgresEngine carries out Trino's SQL with PostgreSQL, which has all of it that the dialect writes but for regexp_replace, which
// replaces all in Trino. Its database compares text by code point, as Trino does.
type postgresEngine struct{ pool *pgxpool.Pool }

func (e postgresEngine) Query(ctx context.Context, sql string) (*trinotest.Result, error) {
	rows, err := e.pool.Query(ctx, sql)
	if err != nil {
		return nil, asTrino(err)
	}
	defer rows.Close()
	out := &trinotest.Result{}
	for _, f := range rows.FieldDescriptions() {
		kind := map[uint32]string{
			pgtype.Int8OID: "bigint", pgtype.BoolOID: "boolean", pgtype.DateOID: "date", pgtype.VarcharOID: "varchar", pgtype.TextOID: "varchar",
			pgtype.TimestampOID: "timestamp(12) with time zone",
		}[f.DataTypeOID]
		if kind == "" {
			return nil, fmt.Errorf("PostgreSQL gives type %d", f.DataTypeOID)
		}
		out.Types = append(out.Types, kind)
	}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			if t, ok := v.(time.Time); ok {
				if values[i] = t.Format(time.DateOnly); out.Types[i] != "date" {
					values[i] = t.Format("2006-01-02 15:04:05.000000000000") + " UTC"
				}
			}
		}
		out.Rows = append(out.Rows, values)
	}
	return out, asTrino(rows.Err())
}

func asTrino(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	name := map[string]string{"42703": "COLUMN_NOT_FOUND", "42P01": "TABLE_NOT_FOUND", "42501": "PERMISSION_DENIED", "22P02": "INVALID_CAST_ARGUMENT"}[e.Code]
	if name == "" {
		return err
	}
	return &trinotest.Error{Name: name, Type: "USER_ERROR", Message: e.Message}
}

func newPostgresEngine(t *testing.T) postgresEngine {
	t.Helper()
	ctx := context.Background()
	p := testenv.RequirePostgres(t, testenv.PostgresOptions{NoSync: true})
	if err := p.Exec(ctx, "postgres", "CREATE DATABASE trino TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"); err != nil {
		t.Fatal(err)
	}
	if err := p.Exec(ctx, "trino", `CREATE SCHEMA trino; CREATE SCHEMA hr;
		CREATE FUNCTION trino.regexp_replace(text, text, text) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT pg_catalog.regexp_replace($1, $2, $3, 'g') $$`); err != nil {
		t.Fatal(err)
	}
	config, err := pgxpool.ParseConfig(p.AdminURL("trino"))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["search_path"] = "trino, pg_catalog"
	config.ConnConfig.RuntimeParams["TimeZone"] = "UTC"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return postgresEngine{pool}
}

// TestMeaning compares what Trino's SQL finds with CEL, and the normal form of each character with Go's.
func TestMeaning(t *testing.T) {
	ctx := context.Background()
	e := newPostgresEngine(t)
	kinds := map[string]string{"string": "varchar", "code": "varchar(8)", "int": "bigint", "decimal": "numeric(20,2)", "bool": "boolean", "date": "date", "timestamp": "timestamptz"}
	var defs, names []string
	for _, f := range filtertest.Schema.Fields {
		kind := kinds[f.Type]
		switch f.Name { // a column may be of another type than its field
		case "given_name":
			kind = "varchar(50)"
		case "left_at":
			kind = "timestamp"
		case "weight":
			kind = "bigint"
		}
		defs, names = append(defs, "c_"+f.Name+" "+kind), append(names, "c_"+f.Name)
	}
	if _, err := e.pool.Exec(ctx, "CREATE TABLE hr.person ("+strings.Join(defs, ", ")+")"); err != nil {
		t.Fatal(err)
	}
	all := filtertest.Records(rand.New(rand.NewPCG(1, 1)), 150)
	for _, r := range all {
		args, marks := make([]any, len(names)), make([]string, len(names))
		for i, f := range filtertest.Schema.Fields {
			args[i], marks[i] = r[f.Name], fmt.Sprintf("$%d", i+1)
		}
		if _, err := e.pool.Exec(ctx, "INSERT INTO hr.person VALUES ("+strings.Join(marks, ", ")+")", args...); err != nil {
			t.Fatal(err)
		}
	}
	server := trinotest.Start(t, e)
	d := dataset(server)
	d.Columns, d.SubjectKey = filtertest.Columns(), "id"
	filtertest.Compare(t, open(t, server), d, all, 5, 250)
	filtertest.CompareOrder(t, open(t, server), d, 6, 60)

	expression, ok := filter.FormExpression(filter.Trino, "identifier", "name")
	if !ok {
		t.Fatal("no form")
	}
	rows, err := e.pool.Query(ctx, `SELECT name, `+expression+` FROM (SELECT ' a ' || chr(i) || ' - B.' AS name FROM generate_series(1, 65535) i WHERE i NOT BETWEEN 55296 AND 57343) AS t`)
	if err != nil {
		t.Fatal(err)
	}
	var in, got string
	if _, err := pgx.ForEachRow(rows, []any{&in, &got}, func() error {
		if got != filter.Identifier(in) {
			t.Errorf("%+q is %+q, want %+q", in, got, filter.Identifier(in))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func dataset(server *trinotest.Server) *route.Dataset {
	return &route.Dataset{Name: "people", Relation: "hr.person", Columns: map[string]string{}, Trino: &route.Trino{
		Host: "127.0.0.1", Port: server.Port(), Catalog: "hive",
		HTTPAccess: route.HTTPAccess{Authentication: []string{"Basic"}, CABundle: server.CABundle(), TimeoutSeconds: 10},
	}}
}
