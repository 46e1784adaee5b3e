package filter

import (
	"errors"
	"strings"

	"github.com/entente-dev/entente/gateway/route"
)

// Trino writes ? in order. Its arguments are int64, string and TrinoLiteral. Strings, codes and dates are cast to the type of their
// field, which costs nothing where the column has it; ints, decimals, bools and timestamps are compared as they are, so that what
// Trino pushes down to its connectors it can push down. Text is ordered by code point, as Trino does. A session that runs the SQL
// has the time zone UTC, in which timestamps without one are.
var Trino Dialect = trino{}

// TrinoLiteral is an argument that is written as a typed literal: DATE '2001-02-03'.
type TrinoLiteral struct {
	// Type: DATE, DECIMAL or TIMESTAMP.
	Type string
	// Text inside the quotes; it has none.
	Text string
}

// trinoDigits is the most digits of a decimal in Trino.
const trinoDigits = 38

type trino struct{}

func (trino) quote(column string) string { return postgreSQL{}.quote(column) }

func (trino) operand(f *route.Field, column string) string {
	switch f.Type {
	case "string", "code":
		return "CAST(" + column + " AS varchar)"
	case "date":
		return "CAST(" + column + " AS date)"
	default:
		return column
	}
}

// value binds v and gives its placeholder.
func (trino) value(b *builder, v value) string {
	var arg any = v.text
	switch v.kind {
	case "int":
		arg = v.integer
	case "date":
		arg = TrinoLiteral{"DATE", v.text}
	case "decimal":
		if len(strings.NewReplacer("-", "", ".", "").Replace(v.text)) > trinoDigits && b.err == nil {
			b.err = errors.New("filter: the source has no decimals of more than 38 digits")
		}
		arg = TrinoLiteral{"DECIMAL", v.text}
	case "timestamp":
		arg = TrinoLiteral{"TIMESTAMP", strings.Replace(strings.TrimSuffix(v.text, "Z"), "T", " ", 1) + " UTC"}
	}
	b.args = append(b.args, arg)
	return "?"
}

func (d trino) compare(b *builder, f *route.Field, column string, o op, v value) {
	b.write(d.operand(f, column), " ", o.sql(), " ", d.value(b, v))
}

func (d trino) notEqual(b *builder, f *route.Field, column string, v value) {
	b.write(d.operand(f, column), " IS DISTINCT FROM ", d.value(b, v))
}

func (d trino) compareFields(b *builder, f *route.Field, x string, o op, y string, not bool) {
	word := " " + o.sql() + " "
	if o == equal {
		word = " IS NOT DISTINCT FROM "
		if not {
			word = " IS DISTINCT FROM "
		}
	}
	b.write(d.operand(f, x), word, d.operand(f, y))
}

func (d trino) in(b *builder, f *route.Field, column string, values []value) {
	b.write(d.operand(f, column), " IN (")
	for i, v := range values {
		if i > 0 {
			b.write(", ")
		}
		b.write(d.value(b, v))
	}
	b.write(")")
}

// holds: this source does not read lists.
func (trino) holds(b *builder, f *route.Field, _ string, _ value) {
	if b.err == nil {
		b.err = errors.New("filter: the source of field '" + f.Name + "' does not look into lists")
	}
}

func (d trino) match(b *builder, column string, contains bool, text string) {
	b.args = append(b.args, text)
	if contains {
		b.write("strpos(CAST(", column, " AS varchar), ?) > 0")
	} else {
		b.write("starts_with(CAST(", column, " AS varchar), ?)")
	}
}

// truth: Trino has no IS TRUE.
func (trino) truth(b *builder, column string, wanted, not bool) {
	word := " IS NOT DISTINCT FROM "
	if not {
		word = " IS DISTINCT FROM "
	}
	if wanted {
		b.write(column, word, "TRUE")
	} else {
		b.write(column, word, "FALSE")
	}
}

func (trino) form(form, operand string) string { return writeForm(form, operand, "") }

func (trino) similar(*builder, string, string, string) bool { return false }
