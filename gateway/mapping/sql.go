package mapping

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Dialect is the SQL that is written.
type Dialect int

// Dialects. SQLite's calls Functions, which whoever runs it has to register.
const (
	PostgreSQL Dialect = iota + 1
	SQLite
)

// node is a typed expression. Its SQL is null when it has no value, and never fails but for sums beyond all reason.
type node interface {
	kind() string
	sql(*writer)
}

type writer struct {
	dialect Dialect
	quote   func(string) string
	text    strings.Builder
	args    []any
}

func (w *writer) write(parts ...any) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			w.text.WriteString(p)
		case node:
			p.sql(w)
		}
	}
}

// bind writes a placeholder; cast is PostgreSQL's.
func (w *writer) bind(arg any, cast string) {
	w.args = append(w.args, arg)
	if w.dialect == SQLite {
		w.write("?")
		return
	}
	w.write("$", strconv.Itoa(len(w.args)), "::", cast)
}

// SQL writes the value, with columns quoted by quote; args, followed by the constants, is what the statement is run with. SQLite's
// placeholders stand in the order of the arguments.
func (e *Expression) SQL(d Dialect, quote func(string) string, args []any) (string, []any) {
	w := &writer{dialect: d, quote: quote, args: args}
	e.root.sql(w)
	return w.text.String(), w.args
}

// Known writes whether everything in it could be translated: true or false.
func (e *Expression) Known(d Dialect, quote func(string) string, args []any) (string, []any) {
	w := &writer{dialect: d, quote: quote, args: args}
	w.write("(")
	for i, p := range e.partials {
		if i > 0 {
			w.write(" AND ")
		}
		w.write("(", p.of, " IS NULL OR ", p.value, " IS NOT NULL)")
	}
	w.write(")")
	return w.text.String(), w.args
}

type column struct{ name, of string }

func (n column) kind() string { return n.of }
func (n column) sql(w *writer) {
	quoted := w.quote(n.name)
	if w.dialect == SQLite {
		w.write("entente_column('", n.of, "', ", quoted, ")")
		return
	}
	w.write(quoted, "::", map[string]string{
		"string": "text", "int": "int8", "decimal": "numeric", "bool": "boolean", "date": "date", "timestamp": "timestamptz", "json": "jsonb",
	}[n.of])
}

type constant struct{ of, text string }

func (n constant) kind() string { return n.of }
func (n constant) sql(w *writer) {
	switch n.of {
	case "int":
		i, _ := strconv.ParseInt(n.text, 10, 64) // the parser has read it
		w.bind(i, "int8")
	case "bool":
		if w.dialect == SQLite {
			w.bind(map[string]int64{"true": 1}[n.text], "")
		} else {
			w.bind(n.text == "true", "boolean")
		}
	case "decimal":
		w.bind(n.text, "numeric")
	case "date":
		w.bind(n.text, "date")
	default:
		w.bind(n.text, "text")
	}
}

// plain is a decimal without superfluous zeros.
type plain struct{ of node }

func (plain) kind() string { return "decimal" }
func (n plain) sql(w *writer) {
	if w.dialect == SQLite {
		w.write("entente_decimal(", n.of, ")")
	} else {
		w.write("trim_scale(", n.of, ")")
	}
}

type concat struct{ a, b node }

func (concat) kind() string    { return "string" }
func (n concat) sql(w *writer) { w.write("(", n.a, " || ", n.b, ")") }

type arithmetic struct {
	op   string
	a, b node
}

func (n arithmetic) kind() string {
	if n.a.kind() == "int" && n.b.kind() == "int" {
		return "int"
	}
	return "decimal"
}

func (n arithmetic) sql(w *writer) {
	if w.dialect == SQLite {
		w.write("entente_arithmetic('", n.op, "', ", n.a, ", ", n.b, ")")
		return
	}
	// numeric is exact, and does not overflow.
	w.write("(", n.a, "::numeric ", n.op, " ", n.b, "::numeric)")
}

type coalesce struct {
	values []node
	of     string
}

func (n coalesce) kind() string { return n.of }
func (n coalesce) sql(w *writer) {
	w.write("coalesce(")
	for i, v := range n.values {
		if i > 0 {
			w.write(", ")
		}
		w.write(v)
	}
	w.write(")")
}

// textual is lower, upper or trim.
type textual struct {
	function string
	of       node
}

func (textual) kind() string { return "string" }
func (n textual) sql(w *writer) {
	switch {
	case n.function == "trim":
		w.write(map[Dialect]string{PostgreSQL: "btrim", SQLite: "trim"}[w.dialect], "(", n.of, ", ' ')")
	case w.dialect == SQLite:
		w.write(n.function, "(", n.of, ")")
	default:
		// The collation keeps it to A to Z, whatever the database's is: what else would change differs between servers.
		w.write(n.function, "(", n.of, ` COLLATE "C")`)
	}
}

type part struct {
	of        node
	separator string
	n         int
}

func (part) kind() string { return "string" }
func (n part) sql(w *writer) {
	if w.dialect == SQLite {
		w.write("entente_part(", n.of, ", ")
		w.bind(n.separator, "")
		w.write(", ", strconv.Itoa(n.n), ")")
		return
	}
	w.write("nullif(split_part(", n.of, ", ")
	w.bind(n.separator, "text")
	w.write(", ", strconv.Itoa(n.n), "), '')")
}

type toText struct{ of node }

func (toText) kind() string { return "string" }
func (n toText) sql(w *writer) {
	switch kind := n.of.kind(); {
	case w.dialect == SQLite:
		w.write("entente_text('", kind, "', ", n.of, ")")
	case kind == "date":
		w.write("to_char(", n.of, ", 'YYYY-MM-DD')")
	case kind == "decimal":
		w.write("trim_scale(", n.of, ")::text")
	default:
		w.write("(", n.of, ")::text")
	}
}

// toInt is of text, of a decimal, or of a sum of ints: null for what is no whole number of at most 18 digits.
type toInt struct{ of node }

func (toInt) kind() string { return "int" }
func (n toInt) sql(w *writer) {
	switch {
	case w.dialect == SQLite:
		w.write("entente_int(", n.of, ")")
	case n.of.kind() == "string":
		w.write("CASE WHEN ", n.of, " ~ '^-?[0-9]{1,18}$' THEN (", n.of, ")::int8 END")
	default:
		w.write("CASE WHEN ", n.of, " = trunc(", n.of, ") AND abs(", n.of, ") < 1000000000000000000 THEN (", n.of, ")::int8 END")
	}
}

// toDecimal is of text, null for what is no number, or of an int.
type toDecimal struct{ of node }

func (toDecimal) kind() string { return "decimal" }
func (n toDecimal) sql(w *writer) {
	switch {
	case w.dialect == SQLite:
		w.write("entente_decimal(", n.of, ")")
	case n.of.kind() == "string":
		w.decimal(n.of)
	default:
		w.write("(", n.of, ")::numeric")
	}
}

// decimal writes the number that text is.
func (w *writer) decimal(text node) {
	w.write("CASE WHEN ", text, ` ~ '^-?[0-9]+([.][0-9]+)?$' AND length(trim_scale(abs(CASE WHEN length(`, text, `) <= 200 AND `, text, ` ~ '^-?[0-9]+([.][0-9]+)?$' THEN (`, text,
		`)::numeric ELSE 1e99 END))::text) <= 65 THEN trim_scale((`, text, ")::numeric) END")
}

type toDate struct {
	of     node
	format format
}

func (toDate) kind() string    { return "date" }
func (n toDate) sql(w *writer) { w.date(n.of, n.format) }

// date writes the date that text is; null for none of the calendar.
func (w *writer) date(text node, f format) {
	if w.dialect == SQLite {
		w.write("entente_date(", text, ", ")
		w.bind(formatOf(f), "")
		w.write(")")
		return
	}
	digits := func(at, n int) {
		w.write("substr(", text, ", ", strconv.Itoa(at+1), ", ", strconv.Itoa(n), ")")
	}
	number := func(at, n int) { digits(at, n); w.write("::int") }
	w.write("CASE WHEN ", text, " ~ ")
	w.bind(f.pattern, "text")
	w.write(" AND ")
	digits(f.year, 4)
	w.write(" <> '0000' THEN CASE WHEN ")
	number(f.day, 2)
	w.write(" <= date_part('day', make_date(")
	number(f.year, 4)
	w.write(", ")
	number(f.month, 2)
	w.write(", 1) + interval '1 month - 1 day') THEN make_date(")
	number(f.year, 4)
	w.write(", ")
	number(f.month, 2)
	w.write(", ")
	number(f.day, 2)
	w.write(") END END")
}

// formatOf writes a format as datasets do.
func formatOf(f format) string {
	return strings.NewReplacer("2006", "YYYY", "01", "MM", "02", "DD").Replace(f.layout)
}

// dayOf is the day of a timestamp, in UTC.
type dayOf struct{ of node }

func (dayOf) kind() string { return "date" }
func (n dayOf) sql(w *writer) {
	if w.dialect == SQLite {
		w.write("substr(", n.of, ", 1, 10)")
	} else {
		w.write("(", n.of, " AT TIME ZONE 'UTC')::date")
	}
}

// momentPattern is RFC 3339 of at most microseconds.
const momentPattern = `^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$`

type toMoment struct{ of node }

func (toMoment) kind() string { return "timestamp" }
func (n toMoment) sql(w *writer) {
	if w.dialect == SQLite {
		w.write("entente_moment(", n.of, ")")
		return
	}
	w.write("CASE WHEN ", n.of, " ~ '", momentPattern, "' THEN CASE WHEN ")
	day, _ := parseFormat("YYYY-MM-DD")
	w.date(leading(n), day)
	w.write(" IS NOT NULL THEN (", n.of, ")::timestamptz END END")
}

// leading is the day of a timestamp that is text; PostgreSQL only.
type leading struct{ of node }

func (leading) kind() string    { return "string" }
func (n leading) sql(w *writer) { w.write("substr(", n.of, ", 1, 10)") }

// translate is the code of a value; null for one that is not listed.
type translate struct {
	of    node
	codes map[string]string
	as    string
}

func (n translate) kind() string { return n.as }
func (n translate) sql(w *writer) {
	sources := slices.Sorted(maps.Keys(n.codes))
	if w.dialect == SQLite {
		w.write("CASE ", n.of, " COLLATE BINARY")
		for _, source := range sources {
			w.write(" WHEN ")
			w.bind(source, "")
			w.write(" THEN ")
			if n.as == "bool" {
				w.bind(map[string]int64{"true": 1}[n.codes[source]], "")
			} else {
				w.bind(n.codes[source], "")
			}
		}
		w.write(" END")
		return
	}
	// Two lists are one statement, however long they are.
	codes, cast := make([]string, len(sources)), "text[]"
	for i, source := range sources {
		codes[i] = n.codes[source]
	}
	w.write("(")
	w.bind(codes, cast)
	w.write(")[array_position(")
	w.bind(sources, "text[]")
	w.write(", ", n.of, ")]")
	if n.as == "bool" {
		w.write("::boolean")
	}
}

// split is the list that text is.
type split struct {
	of        node
	delimiter string
}

func (split) kind() string { return "list" }
func (n split) sql(w *writer) {
	if w.dialect == SQLite {
		w.write("entente_split(", n.of, ", ")
		w.bind(n.delimiter, "")
		w.write(")")
		return
	}
	w.write("array_remove(regexp_split_to_array(btrim(", n.of, ", ' '), ")
	w.bind(` *[`+n.delimiter+`] *`, "text")
	w.write("), '')")
}

// member is what a JSON object has under a name; as "any": whatever it is, but null.
type member struct {
	object column
	name   string
	as     string
}

func (n member) kind() string { return n.as }
func (n member) sql(w *writer) {
	if w.dialect == SQLite {
		w.write("entente_member(", w.quote(n.object.name), ", ")
		w.bind(n.name, "")
		w.write(", '", typeWord(n.as), "')")
		return
	}
	raw, text := jsonPart{n, false}, jsonPart{n, true}
	day, _ := parseFormat("YYYY-MM-DD")
	switch n.as {
	case "any":
		w.write("nullif(", raw, ", 'null'::jsonb)")
	case "int":
		w.write("CASE WHEN jsonb_typeof(", raw, ") = 'number' THEN ", toInt{text}, " END")
	case "decimal":
		w.write("CASE WHEN jsonb_typeof(", raw, ") IN ('number', 'string') THEN ")
		w.decimal(text)
		w.write(" END")
	case "bool":
		w.write("CASE WHEN jsonb_typeof(", raw, ") = 'boolean' THEN ", text, "::boolean END")
	case "date":
		w.write("CASE WHEN jsonb_typeof(", raw, ") = 'string' THEN ", toDate{text, day}, " END")
	case "timestamp":
		w.write("CASE WHEN jsonb_typeof(", raw, ") = 'string' THEN ", toMoment{text}, " END")
	default:
		w.write("CASE WHEN jsonb_typeof(", raw, ") = 'string' THEN ", text, " END")
	}
}

func typeWord(kind string) string {
	if kind == "code" {
		return "string"
	}
	return kind
}

// jsonPart is a member as JSON or as text; PostgreSQL only.
type jsonPart struct {
	of     member
	asText bool
}

func (jsonPart) kind() string { return "string" }
func (n jsonPart) sql(w *writer) {
	arrow := " -> "
	if n.asText {
		arrow = " ->> "
	}
	w.write("(", n.of.object, arrow)
	w.bind(n.of.name, "text")
	w.write(")")
}
