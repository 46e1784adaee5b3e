package filter

import (
	"strconv"
	"strings"

	"github.com/entente-dev/entente/gateway/route"
)

// PostgreSQL writes $1, $2, … Columns are cast to the type of their field, which costs nothing and keeps indexes usable
// where the column has that type already, and makes enum, uuid and similar columns work where it has not. Order and
// prefixes of text are by code point, whatever the collation of the database; equality is plain, and exact under every
// deterministic collation. A session that runs the SQL has TimeZone UTC.
var PostgreSQL Dialect = postgreSQL{}

// PostgreSQLWithTrigrams is PostgreSQL with similarity: the extension pg_trgm is installed in that schema. A session that runs the
// SQL has pg_trgm.similarity_threshold = MinSimilarity.
func PostgreSQLWithTrigrams(schema string) Dialect { return postgreSQL{trigrams: schema} }

type postgreSQL struct {
	// trigrams is the schema of pg_trgm; empty: there is none.
	trigrams string
}

// castOf is the type of a field; an int column stays as it is, so that an index on any integer type serves.
func castOf(f *route.Field) string {
	switch f.Type {
	case "string", "code":
		return "text"
	case "int":
		return "int8"
	case "decimal":
		return "numeric"
	case "bool":
		return "boolean"
	case "date":
		return "date"
	default:
		return "timestamptz"
	}
}

func (postgreSQL) quote(column string) string {
	return `"` + strings.ReplaceAll(column, `"`, `""`) + `"`
}

func (postgreSQL) operand(f *route.Field, column string) string {
	if f.Type == "int" {
		return column
	}
	return column + "::" + castOf(f)
}

// ordered is an operand whose order is by code point.
func (d postgreSQL) ordered(f *route.Field, column string) string {
	if castOf(f) == "text" {
		return d.operand(f, column) + ` COLLATE "C"`
	}
	return d.operand(f, column)
}

// bind adds an argument and gives its placeholder.
func (postgreSQL) bind(b *builder, arg any, cast string) string {
	b.args = append(b.args, arg)
	return "$" + strconv.Itoa(len(b.args)) + "::" + cast
}

func (d postgreSQL) value(b *builder, f *route.Field, v value) string {
	if v.kind == "int" {
		return d.bind(b, v.integer, castOf(f))
	}
	return d.bind(b, v.text, castOf(f))
}

func (d postgreSQL) compare(b *builder, f *route.Field, column string, o op, v value) {
	left := d.operand(f, column)
	if o != equal {
		left = d.ordered(f, column)
	}
	b.write(left, " ", o.sql(), " ", d.value(b, f, v))
}

func (d postgreSQL) notEqual(b *builder, f *route.Field, column string, v value) {
	b.write(d.operand(f, column), " IS DISTINCT FROM ", d.value(b, f, v))
}

func (d postgreSQL) compareFields(b *builder, f *route.Field, x string, o op, y string, not bool) {
	word := " " + o.sql() + " "
	if o == equal {
		word = " IS NOT DISTINCT FROM "
		if not {
			word = " IS DISTINCT FROM "
		}
	}
	b.write(d.ordered(f, x), word, d.ordered(f, y))
}

// in binds one array, so that lists of all lengths are one prepared statement. Its elements travel as text, which every
// type can be read from exactly.
func (d postgreSQL) in(b *builder, f *route.Field, column string, values []value) {
	if f.Type == "int" {
		list := make([]int64, len(values))
		for i, v := range values {
			list[i] = v.integer
		}
		b.write(column, " = ANY(", d.bind(b, list, "int8[]"), ")")
		return
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = v.text
	}
	array := d.bind(b, list, "text[]")
	if cast := castOf(f); cast != "text" {
		array += "::" + cast + "[]"
	}
	b.write(d.operand(f, column), " = ANY(", array, ")")
}

// holds asks whether one array contains another, which a GIN index can serve. It finds nothing in nulls, and is true or false of any
// array.
func (d postgreSQL) holds(b *builder, f *route.Field, column string, v value) {
	b.write(column, "::", castOf(f), "[] @> ARRAY[", d.value(b, f, v), "]")
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// match uses LIKE, which indexes with text_pattern_ops and trigrams can serve. Backslash is its escape by default.
func (d postgreSQL) match(b *builder, column string, contains bool, text string) {
	pattern := likeEscaper.Replace(text) + "%"
	if contains {
		pattern = "%" + pattern
	}
	b.write(column, "::text LIKE ", d.bind(b, pattern, "text"))
}

func (postgreSQL) truth(b *builder, column string, wanted, not bool) {
	writeTruth(b, column+"::boolean", wanted, not)
}

// writeTruth is the same in both dialects.
func writeTruth(b *builder, operand string, wanted, not bool) {
	word := " IS "
	if not {
		word = " IS NOT "
	}
	if wanted {
		b.write(operand, word, "TRUE")
	} else {
		b.write(operand, word, "FALSE")
	}
}

// form has a short way for text that is all ASCII, which is as long in bytes as in characters: most names are, and translate looks
// at the whole table for each character. (A database in another encoding than UTF-8 refuses the statement, which has Greek in it.)
func (postgreSQL) form(form, operand string) string {
	short := writeSpaces(form, "translate("+operand+", "+sqlText(asciiFrom)+", "+sqlText(asciiTo)+")", ", 'g'")
	return "CASE WHEN octet_length(" + operand + ") = char_length(" + operand + ") THEN " + short + " ELSE " + writeForm(form, operand, ", 'g'") + " END"
}

// What Normal does to ASCII.
const (
	asciiFrom = "ABCDEFGHIJKLMNOPQRSTUVWXYZ`\t\n\v\f\r"
	asciiTo   = "abcdefghijklmnopqrstuvwxyz'     "
)

// similar uses the operator as well, which a trigram index serves; the function has the exact bound.
func (d postgreSQL) similar(b *builder, column, text, least string) bool {
	if d.trigrams == "" {
		return false
	}
	schema := d.quote(d.trigrams)
	placeholder := d.bind(b, text, "text")
	b.write("(", column, "::text OPERATOR(", schema, ".%) ", placeholder, " AND ", schema, ".similarity(", column, "::text, ", placeholder, ") >= ", d.bind(b, least, "real"), ")")
	return true
}
