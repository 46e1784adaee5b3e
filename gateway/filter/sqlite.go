package filter

import (
	"strings"
	"unicode/utf8"

	"github.com/entente-dev/entente/gateway/route"
)

// SQLite writes ? in order. Strings, codes and dates (YYYY-MM-DD) are stored as text, ints as integers, bools as 0 and 1:
// all these compare as stored, so that indexes serve. Timestamps (RFC 3339 text) and decimals (text or a number) have many
// spellings, so they are compared by functions that whoever runs the SQL has to register:
//
//   - SQLiteTimestampFunction(x): microseconds since 1970 as an integer; null for null;
//   - SQLiteDecimalFunction(x, y): -1, 0 or 1 as x is less than, equal to, or greater than y; null if one is null;
//   - SQLiteNormalFunction(x) and SQLiteIdentifierFunction(x): Normal and Identifier; null for null.
//   - SQLiteListFunction(type, x, y): 1 or 0 as the list x, JSON text with values of a field's type, has the value y; null for null.
var SQLite Dialect = sqLite{}

// Names of the functions that the SQL of dialect SQLite calls.
const (
	SQLiteTimestampFunction = "entente_timestamp"
	SQLiteDecimalFunction   = "entente_decimal_cmp"

	SQLiteNormalFunction     = "entente_normal"
	SQLiteIdentifierFunction = "entente_identifier"
	SQLiteListFunction       = "entente_list_has"
)

type sqLite struct{}

// quote uses backticks: SQLite takes "name" for a string when there is no such column.
func (sqLite) quote(column string) string {
	return "`" + strings.ReplaceAll(column, "`", "``") + "`"
}

func (sqLite) operand(f *route.Field, column string) string {
	switch f.Type {
	case "string", "code", "date":
		// A column may have been declared to ignore case.
		return column + " COLLATE BINARY"
	case "timestamp":
		return SQLiteTimestampFunction + "(" + column + ")"
	default:
		return column
	}
}

// value binds v and gives its placeholder.
func (sqLite) value(b *builder, v value) string {
	if v.kind == "int" {
		b.args = append(b.args, v.integer)
	} else {
		b.args = append(b.args, v.text)
	}
	if v.kind == "timestamp" {
		return SQLiteTimestampFunction + "(?)"
	}
	return "?"
}

func (d sqLite) compare(b *builder, f *route.Field, column string, o op, v value) {
	if f.Type == "decimal" {
		b.write(SQLiteDecimalFunction, "(", column, ", ", d.value(b, v), ") ", o.sql(), " 0")
		return
	}
	b.write(d.operand(f, column), " ", o.sql(), " ", d.value(b, v))
}

func (d sqLite) notEqual(b *builder, f *route.Field, column string, v value) {
	if f.Type == "decimal" {
		b.write(SQLiteDecimalFunction, "(", column, ", ", d.value(b, v), ") IS NOT 0")
		return
	}
	b.write(d.operand(f, column), " IS NOT ", d.value(b, v))
}

func (d sqLite) compareFields(b *builder, f *route.Field, x string, o op, y string, not bool) {
	left, right := d.operand(f, x), d.operand(f, y)
	if f.Type == "decimal" {
		left, right = SQLiteDecimalFunction+"("+x+", "+y+")", "0"
	}
	if o != equal {
		b.write(left, " ", o.sql(), " ", right)
		return
	}
	// IS alone would find two null decimals unequal, since their comparison is null.
	switch {
	case f.Type == "decimal" && not:
		b.write("NOT (", left, " IS 0 OR (", x, " IS NULL AND ", y, " IS NULL))")
	case f.Type == "decimal":
		b.write("(", left, " IS 0 OR (", x, " IS NULL AND ", y, " IS NULL))")
	case not:
		b.write(left, " IS NOT ", right)
	default:
		b.write(left, " IS ", right)
	}
}

func (d sqLite) in(b *builder, f *route.Field, column string, values []value) {
	if f.Type == "decimal" {
		b.write("(")
		for i, v := range values {
			if i > 0 {
				b.write(" OR ")
			}
			d.compare(b, f, column, equal, v)
		}
		b.write(")")
		return
	}
	b.write(d.operand(f, column), " IN (")
	for i, v := range values {
		if i > 0 {
			b.write(", ")
		}
		b.write(d.value(b, v))
	}
	b.write(")")
}

// holds reads the list as answers do, so that both find the same values.
func (sqLite) holds(b *builder, f *route.Field, column string, v value) {
	if v.kind == "int" {
		b.args = append(b.args, v.integer)
	} else {
		b.args = append(b.args, v.text)
	}
	b.write(SQLiteListFunction, "('", typeWord(f), "', ", column, ", ?) = 1")
}

// typeWord is the field's type where it goes into SQL: one of few words.
func typeWord(f *route.Field) string {
	switch f.Type {
	case "int", "decimal", "date", "timestamp":
		return f.Type
	default:
		return "string"
	}
}

// match writes a prefix as a range, which an index can serve. LIKE would ignore case.
func (d sqLite) match(b *builder, column string, contains bool, text string) {
	if contains {
		b.args = append(b.args, text)
		b.write("instr(", column, ", ?) > 0")
		return
	}
	b.args = append(b.args, text)
	b.write("(", column, " COLLATE BINARY >= ?")
	if end, ok := prefixEnd(text); ok {
		b.args = append(b.args, end)
		b.write(" AND ", column, " COLLATE BINARY < ?")
	}
	b.write(")")
}

// prefixEnd is the least string, in code point order, that is greater than every string with the prefix; not ok: there is
// none.
func prefixEnd(prefix string) (string, bool) {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch {
		case r == 0xD7FF:
			return prefix + "\uE000", true // past the surrogates, which are no characters
		case r < utf8.MaxRune:
			return prefix + string(r+1), true
		}
	}
	return "", false
}

func (sqLite) truth(b *builder, column string, wanted, not bool) {
	writeTruth(b, column, wanted, not)
}

func (sqLite) form(form, operand string) string {
	if form == "identifier" {
		return SQLiteIdentifierFunction + "(" + operand + ")"
	}
	return SQLiteNormalFunction + "(" + operand + ")"
}

func (sqLite) similar(*builder, string, string, string) bool { return false }
