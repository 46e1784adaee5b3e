// Package datasetcheck holds a dataset against the live source that it names: the relation, its columns and their types, an index for each
// selector, and how many rows there are. It reads catalogues, and no record.
package datasetcheck

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// Severities of findings.
const (
	Error   = "Error"
	Warning = "Warning"
)

// Finding is one thing that does not fit.
type Finding struct {
	Severity string `json:"severity"`
	// Path is a field, a selector or the relation.
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Report of a dataset.
type Report struct {
	Dataset  string `json:"dataset"`
	Relation string `json:"relation"`
	// Rows as the source estimates (PostgreSQL) or counts (SQLite) them; negative: it does not know.
	Rows     int64     `json:"rows"`
	Findings []Finding `json:"findings"`
}

// Failed says whether the dataset cannot be read as it stands.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == Error })
}

// catalogue is what a source says of a relation.
type catalogue struct {
	types   map[string]string // by column; "": of any type
	array   map[string]bool
	indexes [][]string // columns in order
	rows    int64
	// trino: names are in lower case there, whatever case they are asked for in; nothing is computed, values are cast, and there are no indexes.
	trino bool
	// own is what the source itself calls a type; without one, the name in types.
	own map[string]string
}

func (r *Report) add(severity, path, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{severity, path, fmt.Sprintf(format, args...)})
}

// check holds the dataset against the catalogue.
func check(d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema, c *catalogue) *Report {
	r := &Report{Dataset: d.Name, Relation: d.Spec.Relation, Rows: c.rows, Findings: []Finding{}}
	declared := map[string]string{}
	for _, col := range d.Spec.Columns {
		declared[col.Name] = col.Type
	}
	sought := map[string]string{}
	for _, read := range compile.Reads(d, s) {
		sought[read.Path] = read.Sought
		for _, name := range read.Columns {
			at := name
			if c.trino {
				at = strings.ToLower(name)
			}
			have, there := c.types[at]
			if !there {
				r.add(Error, read.Path, "relation %s has no column %s: correct the mapping, or add the column", d.Spec.Relation, name)
				continue
			}
			want := string(read.Type)
			switch {
			case read.Record:
				want = "json"
			case !read.Plain:
				if want = declared[name]; want == "" {
					want = "string"
				}
			case read.Repeated:
				want += "[]"
			}
			severity, why := fits(want, have, c.array[at])
			if c.trino && severity == Error && (want == "date" || want == "timestamp") && slices.Contains(kinds["string"], have) {
				severity, why = Warning, "it is cast to "+want+": a value that is none ends the query that reads it, and no connector takes a filter on it over"
			}
			if severity != "" {
				r.add(severity, read.Path, "column %s is of type %s: %s", name, cmp.Or(c.own[at], have), why)
			}
		}
	}
	if c.trino {
		return r
	}
	for _, set := range d.Spec.Selectors {
		columns := make([]string, 0, len(set))
		for _, path := range set {
			if sought[path] != "" {
				columns = append(columns, sought[path])
			}
		}
		path := "selectors[" + strings.Join(set, ", ") + "]"
		switch {
		case len(columns) == 0:
			r.add(Warning, path, "all its fields are computed: no index on a column serves it; see docs/datasets.md")
		case !slices.ContainsFunc(c.indexes, func(index []string) bool { return len(index) > 0 && slices.Contains(columns, index[0]) }):
			r.add(Warning, path, "no index begins with one of its columns: CREATE INDEX ON %s (%s)", d.Spec.Relation, strings.Join(columns, ", "))
		}
	}
	return r
}

var kinds = map[string][]string{
	"int": {"int2", "int4", "int8"}, "decimal": {"numeric", "int2", "int4", "int8"}, "bool": {"bool"}, "date": {"date"}, "timestamp": {"timestamptz"},
	"json": {"json", "jsonb", "text"}, "string": {"text", "varchar", "bpchar", "citext", "uuid", "name"},
}

// fits says what is wrong with a column of a type for what it is read as; "" for nothing.
func fits(want, have string, array bool) (severity, why string) {
	if have == "" {
		return "", ""
	}
	element, list := strings.CutSuffix(want, "[]")
	if element == "code" {
		element = "string"
	}
	switch {
	case list != array:
		return Error, map[bool]string{true: "the field is a list, in an array or in text with a delimiter", false: "it is an array, and the field has one value"}[list]
	case slices.Contains(kinds[element], have) || element == "string" && !strings.HasPrefix(have, "float"):
		return "", ""
	case element == "timestamp" && have == "timestamp":
		return Warning, "it has no time zone, and is read as UTC"
	case element == "decimal" && strings.HasPrefix(have, "float"):
		return Error, "floating-point numbers are not exact: give a numeric column"
	case element == "date" && strings.HasPrefix(have, "timestamp"):
		return Warning, "its day in UTC is read; no index on it serves"
	case slices.Contains(kinds["string"], have):
		return Error, fmt.Sprintf("what is read is of type %s: map it with codes, a format or an expression", element)
	}
	return Error, fmt.Sprintf("what is read is of type %s", element)
}

// PostgreSQL checks a dataset over a connection to its database.
func PostgreSQL(ctx context.Context, conn *pgx.Conn, d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema) (*Report, error) {
	namespace, table, ok := strings.Cut(d.Spec.Relation, ".")
	if !ok {
		namespace, table = "public", d.Spec.Relation
	}
	c := &catalogue{types: map[string]string{}, array: map[string]bool{}, rows: -1}
	rows, err := conn.Query(ctx, `SELECT a.attname::text, coalesce(e.typname, CASE WHEN t.typtype = 'e' THEN 'text' ELSE t.typname END)::text, t.typcategory = 'A', c.reltuples::int8
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped`, namespace, table)
	if err != nil {
		return nil, err
	}
	var name, kind string
	var array bool
	if _, err := pgx.ForEachRow(rows, []any{&name, &kind, &array, &c.rows}, func() error {
		c.types[name], c.array[name] = kind, array
		return nil
	}); err != nil {
		return nil, err
	}
	if len(c.types) == 0 {
		return nil, fmt.Errorf("there is no relation %s", d.Spec.Relation)
	}
	indexes, err := conn.Query(ctx, `SELECT array(SELECT coalesce(a.attname::text, '') FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(n, at) LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n ORDER BY k.at)
		FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND i.indisvalid AND i.indpred IS NULL`, namespace, table)
	if err != nil {
		return nil, err
	}
	c.indexes, err = pgx.CollectRows(indexes, pgx.RowTo[[]string])
	if err != nil {
		return nil, err
	}
	return check(d, s, c), nil
}

// SQLite checks a dataset in a file that db has open. Its columns hold anything, so that their types are not held against the fields.
func SQLite(ctx context.Context, db *sql.DB, d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema) (*Report, error) {
	namespace, table, ok := strings.Cut(d.Spec.Relation, ".")
	if !ok {
		namespace, table = "main", d.Spec.Relation
	}
	c := &catalogue{types: map[string]string{}, rows: -1}
	list := func(query string, args ...any) (out []string, err error) {
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var v sql.NullString
			if err := rows.Scan(&v); err != nil {
				return nil, err
			}
			out = append(out, v.String)
		}
		return out, rows.Err()
	}
	columns, err := list("SELECT name FROM pragma_table_info(?, ?)", table, namespace)
	if err != nil || len(columns) == 0 {
		return nil, errors.Join(fmt.Errorf("there is no relation %s", d.Spec.Relation), err)
	}
	for _, name := range columns {
		c.types[name] = ""
	}
	names, err := list("SELECT name FROM pragma_index_list(?, ?) WHERE NOT partial", table, namespace)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		index, err := list("SELECT name FROM pragma_index_info(?, ?) ORDER BY seqno", name, namespace)
		if err != nil {
			return nil, err
		}
		c.indexes = append(c.indexes, index)
	}
	keys, err := list("SELECT name FROM pragma_table_info(?, ?) WHERE pk = 1", table, namespace)
	if err != nil {
		return nil, err
	}
	c.indexes = append(c.indexes, keys)
	quoted := func(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+quoted(namespace)+"."+quoted(table)).Scan(&c.rows); err != nil {
		return nil, err
	}
	return check(d, s, c), nil
}

// trinoKinds are Trino's types by the names that PostgreSQL has for them.
var trinoKinds = map[string]string{
	"tinyint": "int2", "smallint": "int2", "integer": "int4", "bigint": "int8", "decimal": "numeric", "boolean": "bool", "date": "date", "timestamp": "timestamp",
	"timestamp with time zone": "timestamptz", "real": "float4", "double": "float8", "varchar": "varchar", "char": "bpchar", "uuid": "uuid", "json": "json",
}

var parameters = regexp.MustCompile(`\(.*\)`)

// Trino checks a dataset against the columns that its relation has in Trino, by their names and types as Trino writes them. Trino has no indexes, and
// its statistics, which quote values, are not asked for.
func Trino(columns map[string]string, d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema) (*Report, error) {
	if len(columns) == 0 {
		return nil, fmt.Errorf("there is no relation %s, or this login may not see it", d.Spec.Relation)
	}
	c := &catalogue{types: map[string]string{}, array: map[string]bool{}, own: map[string]string{}, rows: -1, trino: true}
	for name, own := range columns {
		base := strings.TrimSpace(parameters.ReplaceAllString(own, ""))
		c.types[name], c.own[name], c.array[name] = cmp.Or(trinoKinds[base], base), own, base == "array"
	}
	return check(d, s, c), nil
}
