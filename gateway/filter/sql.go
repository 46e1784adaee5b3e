package filter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/entente-dev/entente/gateway/route"
)

// Dialect is a source's SQL: PostgreSQL, SQLite or Trino, each of which is one file.
type Dialect interface {
	// quote makes an identifier of a column's name.
	quote(column string) string
	// operand is a column as a value of the field's type.
	operand(f *route.Field, column string) string
	// compare writes column op bound value, which may be unknown for a null column. negated is its complement, which is
	// true for a null column.
	compare(b *builder, f *route.Field, column string, o op, v value)
	// notEqual writes that a column does not have a value: true for a null column.
	notEqual(b *builder, f *route.Field, column string, v value)
	// compareFields writes a op b, which may be unknown if one is null, unless op is equal: then two nulls are equal.
	compareFields(b *builder, f *route.Field, x string, o op, y string, not bool)
	// in writes that a column has one of the values; unknown for a null column.
	in(b *builder, f *route.Field, column string, values []value)
	// holds writes that a repeated field's column, a list, has the value: unknown for a null column, and only for one.
	holds(b *builder, f *route.Field, column string, v value)
	// match writes that a column starts with or contains text; unknown for a null column.
	match(b *builder, column string, contains bool, text string)
	// form is normal(operand) or identifier(operand), of a string.
	form(form, operand string) string
	// similar writes that the similarity of a column to text is least or more, unknown for a null column; false: the source has
	// no similarity.
	similar(b *builder, column, text, least string) bool
	// truth writes a bool column: wanted or, with not, anything else (null too).
	truth(b *builder, column string, wanted, not bool)
}

// SQL writes the filter as a condition for WHERE, in parentheses unless it is one comparison. Every literal is bound:
// args, followed by the filter's own, is what the statement is run with, so that conditions can be chained. column names
// the column of a field; it is quoted here. An error is a field that column does not know, a function that the source does not
// have, a number that it cannot hold, or a clock to which the filter was not bound (see At).
func (f *Filter) SQL(d Dialect, column func(field string) (string, bool), args []any) (sql string, newArgs []any, err error) {
	b := &builder{dialect: d, column: column, args: args}
	b.filter(f)
	if b.err != nil {
		return "", args, b.err
	}
	return b.text.String(), b.args, nil
}

// QualifiedSQL is SQL with every column written as one of that table, a name in the dialect's own quotes: in a subquery a column that
// its table lacks would otherwise be taken from the query around it.
func (f *Filter) QualifiedSQL(d Dialect, table string, column func(field string) (string, bool), args []any) (sql string, newArgs []any, err error) {
	b := &builder{dialect: d, column: column, args: args, qualifier: table + "."}
	b.filter(f)
	if b.err != nil {
		return "", args, b.err
	}
	return b.text.String(), b.args, nil
}

// builder collects the text of a condition and its arguments.
type builder struct {
	dialect Dialect
	column  func(string) (string, bool)
	text    strings.Builder
	args    []any
	err     error
	// qualifier stands before each column.
	qualifier string
}

func (b *builder) write(parts ...string) {
	for _, p := range parts {
		b.text.WriteString(p)
	}
}

// operand is a field's column, or the form of it.
func (b *builder) operand(f *route.Field, form, quoted string) string {
	if form == "" {
		return quoted
	}
	return b.dialect.form(form, b.dialect.operand(f, quoted))
}

func (b *builder) quoted(f *route.Field) string {
	name, ok := b.column(f.Name)
	if !ok {
		if b.err == nil {
			b.err = fmt.Errorf("filter: field '%s' has no column", f.Name)
		}
		return ""
	}
	return b.qualifier + b.dialect.quote(name)
}

func (b *builder) filter(f *Filter) {
	if f.clocked {
		b.err = errors.New("filter: today() or now() is not bound to a clock")
		return
	}
	b.node(f.root)
}

var errSimilarity = errors.New("filter: the source has no similarity")

func (b *builder) node(n node) {
	switch n := n.(type) {
	case *logic:
		sep := " AND "
		if n.or {
			sep = " OR "
		}
		b.write("(")
		for i, t := range n.terms {
			if i > 0 {
				b.write(sep)
			}
			b.node(t)
		}
		b.write(")")
	case *compare:
		c := b.quoted(n.field)
		x := b.operand(n.field, n.form, c)
		switch {
		case n.field.Type == "bool":
			b.dialect.truth(b, c, n.value.boolean, n.not)
		case n.not && n.op == equal:
			b.dialect.notEqual(b, n.field, x, n.value)
		default:
			b.complement(n.not, func() { b.dialect.compare(b, n.field, x, n.op, n.value) }, c)
		}
	case *compareFields:
		x, y := b.quoted(n.a), b.quoted(n.b)
		if n.op == equal {
			b.dialect.compareFields(b, n.a, b.operand(n.a, n.form, x), n.op, b.operand(n.b, n.form, y), n.not)
			return
		}
		b.complement(n.not, func() { b.dialect.compareFields(b, n.a, x, n.op, y, false) }, x, y)
	case *in:
		c := b.quoted(n.field)
		b.complement(n.not, func() { b.dialect.in(b, n.field, b.operand(n.field, n.form, c), n.values) }, c)
	case *holds:
		c := b.quoted(n.field)
		b.complement(n.not, func() { b.dialect.holds(b, n.field, c, n.value) }, c)
	case *isNull:
		if n.not {
			b.write(b.quoted(n.field), " IS NOT NULL")
		} else {
			b.write(b.quoted(n.field), " IS NULL")
		}
	case *match:
		c := b.quoted(n.field)
		b.complement(n.not, func() { b.dialect.match(b, b.operand(n.field, n.form, c), n.contains, n.text) }, c)
	case *similar:
		c := b.quoted(n.field)
		b.complement(n.not, func() {
			if !b.dialect.similar(b, c, n.text, n.least) && b.err == nil {
				b.err = errSimilarity
			}
		}, c)
	}
}

// complement writes a condition that is unknown exactly when one of the columns is null, or what it leaves out.
func (b *builder) complement(not bool, condition func(), columns ...string) {
	if !not {
		condition()
		return
	}
	b.write("(")
	for _, c := range columns {
		b.write(c, " IS NULL OR ")
	}
	b.write("NOT (")
	condition()
	b.write("))")
}
