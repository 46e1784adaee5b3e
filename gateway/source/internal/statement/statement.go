// Package statement writes the SELECTs of sources that speak SQL. Every value in them is bound.
package statement

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/mapping"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// Dialect is what differs between databases besides the filter.
type Dialect struct {
	Filter filter.Dialect
	// Quote makes an identifier of a name.
	Quote func(name string) string
	// DefaultSchema qualifies a relation that is given without schema; empty: it stays so.
	DefaultSchema string
	// Select gives the expression that reads a field from its quoted column: a repeated one as a list, of records as JSON text.
	Select func(f *route.Field, column string) string
	// Same gives the expression by which two values of a field are one, whatever the collation of its column; nil: Select.
	Same func(f *route.Field, column string) string
	// Order gives the expression that orders by a field. It has to give the same order on every server.
	Order func(f *route.Field, column string) string
	// Placeholder gives the n-th placeholder, from 1.
	Placeholder func(n int) string
	// Key gives the expression by whose value a field is ordered and compared, exactly as package order does: of its quoted column, or
	// of a bound value's placeholder.
	Key func(f *route.Field, expression string) string
	// Spelling tells equal values of a field apart that are written differently; "": there are none.
	Spelling func(f *route.Field, column string) string
	// Bound gives the n-th placeholder for a value of the field.
	Bound func(f *route.Field, n int) string
	// Argument is a value of the field as the driver takes it; nil: as it is.
	Argument func(f *route.Field, value any) any
	// Mapping is the dialect of computed fields; 0: it has none.
	Mapping mapping.Dialect
}

// Selection is what a statement for records selects.
type Selection struct {
	Columns []route.Column
	// Checked are the fields of which a value may be there that cannot be translated. The row then has one value more, the last: null,
	// or the number, from 1, of the field that has one.
	Checked []string
}

// Untranslated is the error of a row whose last value is n.
func (s *Selection) Untranslated(n int64) error {
	if n < 1 || n > int64(len(s.Checked)) {
		return errors.New("a value of the source cannot be translated")
	}
	return fmt.Errorf("field %s: a value of the source cannot be translated: add it to the dataset's codes, or let unknownCode be AsNull", s.Checked[n-1])
}

// Records selects q.Fields, one record more than q.Limit, so that the caller sees whether there are more.
//
// The order is by the subject key, if it is disclosed, and then by the fields in their order: the same query gives
// the same records, whatever the database's plan, and records that compare equal are equal. Fields that are not disclosed
// do not order, since their order would tell of them. Sorting costs little: answers are bounded by the limit, so the
// database keeps only that many while it reads; fields that a filter fixes are left out.
//
// A record inside a record is selected member by member, a list as one value. With q.Order the order is that, and nothing else.
func Records(d Dialect, q source.Query) (sql string, args []any, out Selection, err error) {
	if len(q.Fields) == 0 || q.Limit < 1 {
		return "", nil, out, fmt.Errorf("source: dataset %s: a query for records needs fields and a limit", q.Dataset.Name)
	}
	for _, path := range q.Fields {
		if !q.Schema.Has(path) {
			return "", nil, out, fmt.Errorf("source: dataset %s: field %s is not in the schema", q.Dataset.Name, path)
		}
	}
	q, v, err := open(d, q)
	if err != nil {
		return "", nil, out, err
	}
	out.Columns = q.Schema.Layout(q.Fields)
	var b strings.Builder
	b.WriteString("SELECT ")
	b.Grow(64 * len(q.Fields)) // most of what it becomes, so that it grows once or twice
	order := make([]string, 0, len(q.Fields))
	selected := 0
	read := func(f *route.Field, path string) error {
		column, ok := q.Dataset.Columns[path]
		if !ok {
			return fmt.Errorf("source: dataset %s: field %s has no column", q.Dataset.Name, path)
		}
		if selected++; selected > 1 {
			b.WriteString(", ")
		}
		quoted := d.Quote(column)
		b.WriteString(d.Select(f, quoted))
		if v.refuses(path) {
			out.Checked = append(out.Checked, path)
		}
		switch {
		case len(q.Order) > 0:
		case isFixed(q.Filter, path) || isFixed(q.RowFilter, path):
		case path == q.Dataset.SubjectKey && q.HiddenKey:
		case path == q.Dataset.SubjectKey:
			order = slices.Insert(order, 0, d.Order(f, quoted))
		default:
			order = append(order, d.Order(f, quoted))
		}
		return nil
	}
	for _, c := range out.Columns {
		switch {
		case len(c.Members) == 0:
			err = read(c.Field, c.Field.Name)
		case c.Field.Repeated:
			err = read(c.Field, c.Field.Name+"."+c.Members[0].Name) // they are in one column
		default:
			for _, m := range c.Members {
				if err = read(m, c.Field.Name+"."+m.Name); err != nil {
					break
				}
			}
		}
		if err != nil {
			return "", nil, out, err
		}
	}
	if len(out.Checked) > 0 {
		b.WriteString(", " + untranslated(d, out.Checked))
	}
	args, err = from(&b, d, q, v)
	if err != nil {
		return "", nil, out, err
	}
	if len(q.Order) > 0 {
		if order, args, err = ordered(&b, d, q, args); err != nil {
			return "", nil, out, err
		}
	}
	args = append(args, q.Limit+1)
	for i, by := range order {
		if i == 0 {
			b.WriteString(" ORDER BY ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(by)
	}
	b.WriteString(" LIMIT ")
	b.WriteString(d.Placeholder(len(args)))
	return b.String(), args, out, nil
}

// isFixed says that the filter lets one value of the field through, which orders nothing.
func isFixed(f *filter.Filter, field string) bool {
	return f != nil && slices.Contains(f.EqualityFields(), field)
}

// Count counts the records.
func Count(d Dialect, q source.Query) (sql string, args []any, err error) {
	q, v, err := open(d, q)
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	if !q.Persons {
		b.WriteString("SELECT count(*)")
	} else {
		at := slices.IndexFunc(q.Schema.Fields, func(f route.Field) bool { return f.Name == q.Dataset.SubjectKey })
		column, ok := q.Dataset.Columns[q.Dataset.SubjectKey]
		if at < 0 || !ok {
			return "", nil, fmt.Errorf("source: dataset %s: persons cannot be counted without a subject key", q.Dataset.Name)
		}
		b.WriteString("SELECT count(DISTINCT " + d.same(&q.Schema.Fields[at], d.Quote(column)) + ")")
	}
	args, err = from(&b, d, q, v)
	return b.String(), args, err
}

// Exists tells whether there is a record.
func Exists(d Dialect, q source.Query) (sql string, args []any, err error) {
	q, v, err := open(d, q)
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	b.WriteString("SELECT EXISTS (SELECT 1")
	args, err = from(&b, d, q, v)
	b.WriteString(")")
	return b.String(), args, err
}

// Describe writes the statement that a method runs, by the functions that write it when it is run.
func Describe(d Dialect, q source.Query, m source.Method) (sql string, err error) {
	switch m {
	case source.MethodRecords:
		sql, _, _, err = Records(d, q)
	case source.MethodCount:
		sql, _, err = Count(d, q)
	default:
		sql, _, err = Exists(d, q)
	}
	return sql, err
}

// from writes the relation and the conditions.
func from(b *strings.Builder, d Dialect, q source.Query, v *view) (args []any, err error) {
	b.WriteString(" FROM ")
	args = v.write(b, d, nil)
	column := func(field string) (string, bool) {
		c, ok := q.Dataset.Columns[field]
		return c, ok
	}
	word := " WHERE "
	for _, f := range []*filter.Filter{q.RowFilter, q.Filter} {
		if f == nil {
			continue
		}
		var condition string
		if condition, args, err = f.SQL(d.Filter, column, args); err != nil {
			return nil, fmt.Errorf("source: dataset %s: %w", q.Dataset.Name, err)
		}
		b.WriteString(word)
		b.WriteString(condition)
		word = " AND "
		for _, path := range f.Fields() {
			if v.refuses(path) {
				b.WriteString(" AND " + d.Quote(knownName(path)))
			}
		}
	}
	if q.Dataset.Consent == nil {
		return args, nil
	}
	b.WriteString(word)
	return consent(b, d, q, v, args)
}

// consent writes that the row's person gave a consent that meets the condition: a semi-join, which no row without one passes. A row
// without a subject key names nobody who could have.
func consent(b *strings.Builder, d Dialect, q source.Query, v *view, args []any) ([]any, error) {
	k, of, err := openConsent(d, q.Dataset)
	if err != nil {
		return nil, err
	}
	key, hasKey := q.Dataset.Columns[q.Dataset.SubjectKey]
	subject, hasSubject := k.Columns[k.Subject]
	outer := slices.IndexFunc(q.Schema.Fields, func(f route.Field) bool { return f.Name == q.Dataset.SubjectKey })
	inner := slices.IndexFunc(k.Schema.Fields, func(f route.Field) bool { return f.Name == k.Subject })
	if k.Service != nil || q.Consent == nil || !hasKey || !hasSubject || outer < 0 || inner < 0 || q.Schema.Fields[outer].Type != k.Schema.Fields[inner].Type {
		return nil, fmt.Errorf("source: dataset %s: its rows cannot be held against consents", q.Dataset.Name)
	}
	table := d.Quote("entente_consent")
	b.WriteString("EXISTS (SELECT 1 FROM ")
	args = of.write(b, d, args)
	fmt.Fprintf(b, " WHERE %s = %s",
		d.same(&k.Schema.Fields[inner], table+"."+d.Quote(subject)), d.same(&q.Schema.Fields[outer], v.name(d)+"."+d.Quote(key)))
	if of.refuses(k.Subject) {
		b.WriteString(" AND " + table + "." + d.Quote(knownName(k.Subject)))
	}
	if q.Consent.Condition != nil {
		condition, more, err := q.Consent.Condition.QualifiedSQL(d.Filter, table, func(field string) (string, bool) { c, ok := k.Columns[field]; return c, ok }, args)
		if err != nil {
			return nil, fmt.Errorf("source: dataset %s: consent: %w", q.Dataset.Name, err)
		}
		args = more
		b.WriteString(" AND " + condition)
		for _, path := range q.Consent.Condition.Fields() {
			if of.refuses(path) {
				b.WriteString(" AND " + table + "." + d.Quote(knownName(path)))
			}
		}
	}
	b.WriteString(")")
	return args, nil
}

func (d Dialect) same(f *route.Field, column string) string {
	if d.Same != nil {
		return d.Same(f, column)
	}
	return d.Select(f, column)
}

// relation quotes NAME or SCHEMA.NAME.
func (d Dialect) relation(name string) string {
	schema, table, ok := strings.Cut(name, ".")
	switch {
	case ok:
		return d.Quote(schema) + "." + d.Quote(table)
	case d.DefaultSchema != "":
		return d.Quote(d.DefaultSchema) + "." + d.Quote(name)
	default:
		return d.Quote(name)
	}
}
