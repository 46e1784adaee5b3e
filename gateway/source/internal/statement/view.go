package statement

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/mapping"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// view is the relation that a statement reads: the dataset's own or, when it computes fields, a subquery that has each field as a
// column of its name. Databases pull such a subquery up into the statement, so that indexes serve as they would without it; and all
// that filters, orders and counts sees columns and nothing else.
type view struct {
	relation string
	// alias under which the relation is read; empty: its own name.
	alias       string
	columns     map[string]string
	expressions map[string]*mapping.Expression
	// filters of the statement, by which rows are sought that are stored in other words.
	filters []*filter.Filter
}

// open gives the query over the dataset's view.
func open(d Dialect, q source.Query) (source.Query, *view, error) {
	v := &view{relation: q.Dataset.Relation, columns: q.Dataset.Columns, filters: []*filter.Filter{q.RowFilter, q.Filter}}
	if len(q.Dataset.Mappings) == 0 {
		return q, v, nil
	}
	expressions, err := q.Dataset.Expressions(q.Schema)
	if err == nil && d.Mapping == 0 {
		err = fmt.Errorf("its source does not compute fields")
	}
	if err != nil {
		return q, nil, fmt.Errorf("source: dataset %s: %w", q.Dataset.Name, err)
	}
	v.alias, v.expressions = "entente_records", expressions
	seen := *q.Dataset
	seen.Columns = v.names()
	q.Dataset = &seen
	return q, v, nil
}

// openConsent gives the consents to a dataset's rows over their view.
func openConsent(d Dialect, of *route.Dataset) (*route.Consent, *view, error) {
	k := of.Consent
	v := &view{relation: k.Relation, alias: "entente_consent", columns: k.Columns}
	if len(k.Mappings) == 0 {
		return k, v, nil
	}
	expressions, err := k.Expressions()
	if err == nil && d.Mapping == 0 {
		err = fmt.Errorf("its source does not compute fields")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("source: dataset %s: consent: %w", of.Name, err)
	}
	v.expressions = expressions
	seen := *k
	seen.Columns = v.names()
	return &seen, v, nil
}

// names are the view's columns, which are called as the fields are.
func (v *view) names() map[string]string {
	out := make(map[string]string, len(v.columns)+len(v.expressions))
	for path := range v.columns {
		out[path] = viewName(path)
	}
	for path := range v.expressions {
		out[path] = viewName(path)
	}
	return out
}

// maxName leaves room for what knownName puts before a name: PostgreSQL cuts names after 63 bytes, and two may then be one.
const maxName = 62

// viewName is the column of the view that a field is: its path, or as much of it as a name holds with its digest.
func viewName(path string) string {
	if len(path) <= maxName {
		return path
	}
	sum := sha256.Sum256([]byte(path))
	return path[:maxName-17] + "#" + hex.EncodeToString(sum[:8])
}

func (v *view) refuses(path string) bool {
	e := v.expressions[path]
	return e != nil && e.Refuses()
}

// knownName is the column that says whether a field's value could be translated.
func knownName(path string) string { return "?" + viewName(path) }

// name is the relation in the statement.
func (v *view) name(d Dialect) string {
	if v.alias != "" {
		return d.Quote(v.alias)
	}
	return d.relation(v.relation)
}

// write writes the relation as it stands after FROM.
func (v *view) write(b *strings.Builder, d Dialect, args []any) []any {
	switch {
	case v.alias == "":
		b.WriteString(d.relation(v.relation))
		return args
	case len(v.expressions) == 0:
		b.WriteString(d.relation(v.relation) + " AS " + d.Quote(v.alias))
		return args
	}
	word := "(SELECT "
	column := func(sql, name string) {
		b.WriteString(word + sql + " AS " + d.Quote(name))
		word = ", "
	}
	for _, path := range slices.Sorted(maps.Keys(v.columns)) {
		column(d.Quote(v.columns[path]), viewName(path))
	}
	for _, path := range slices.Sorted(maps.Keys(v.expressions)) {
		e := v.expressions[path]
		var sql string
		sql, args = e.SQL(d.Mapping, d.Quote, args)
		column(sql, viewName(path))
		if e.Refuses() {
			sql, args = e.Known(d.Mapping, d.Quote, args)
			column(sql, knownName(path))
		}
	}
	b.WriteString(" FROM " + d.relation(v.relation))
	args = v.sought(b, d, args)
	b.WriteString(") AS " + d.Quote(v.alias))
	return args
}

// sought narrows the view to rows that can have the constant to which a filter fixes a translated field: in the source's own words,
// which an index on the column serves. It lets through all that the filter does.
func (v *view) sought(b *strings.Builder, d Dialect, args []any) []any {
	word := " WHERE "
	for _, f := range v.filters {
		if f == nil {
			continue
		}
		for _, path := range f.EqualityFields() {
			constant, fixed := f.Constant(path)
			e := v.expressions[path]
			if e == nil || !fixed {
				continue
			}
			name, kind, values, ok := e.Inverse(constant)
			if !ok {
				continue
			}
			b.WriteString(word)
			args = isOneOf(b, d, d.Quote(name), kind, values, args)
			word = " AND "
		}
	}
	return args
}

func isOneOf(b *strings.Builder, d Dialect, column, kind string, values, args []any) []any {
	if d.Mapping == mapping.SQLite {
		if kind == "string" {
			column += " COLLATE BINARY"
		}
		b.WriteString(column + " IN (")
		for i, v := range values {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("?")
			args = append(args, v)
		}
		b.WriteString(")")
		return args
	}
	if kind == "int" {
		list := make([]int64, len(values))
		for i, v := range values {
			list[i], _ = v.(int64)
		}
		args = append(args, list)
		b.WriteString(column + " = ANY($" + strconv.Itoa(len(args)) + "::int8[])")
		return args
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i], _ = v.(string)
	}
	args = append(args, list)
	b.WriteString(column + "::text = ANY($" + strconv.Itoa(len(args)) + "::text[])")
	return args
}

// untranslated tells the first of the fields whose value could not be translated, as Selection has it.
func untranslated(d Dialect, checked []string) string {
	var b strings.Builder
	b.WriteString("CASE")
	for i, path := range checked {
		b.WriteString(" WHEN NOT " + d.Quote(knownName(path)) + " THEN " + strconv.Itoa(i+1))
	}
	b.WriteString(" END")
	if d.Mapping == mapping.PostgreSQL {
		return "(" + b.String() + ")::int8"
	}
	return b.String()
}
