// Package mapping is how a dataset computes a field of its schema from columns: expressions, translations of codes, dates in other
// formats, text that is divided into values, members of JSON. It is a small typed language that becomes SQL and nothing else, with
// every constant bound, and that means the same in PostgreSQL and in SQLite. It is pure: no network, no clock.
//
// # Language of expressions
//
// An expression is CEL over the columns that the dataset declares, with their types:
//
//	a + b   a - b   a * b   -a             of int and decimal, exactly
//	a / 100                                by a constant that divides every decimal exactly: 10, 100, 4, not 3 or 60
//	a + " " + b                            of strings; null if one is null
//	coalesce(a, b, …)                      the first that is not null, of one type
//	lower(a)   upper(a)   trim(a)          of strings: the letters A to Z, and spaces at both ends
//	part(a, ", ", 1)                       the first piece of a string that a separator divides; null if it is empty or not there
//	string(a)   int(a)   decimal(a)        of strings, ints and decimals; string also of bool and date
//	date(a)   date(a, "DD.MM.YYYY")        of strings, and of timestamps (the day in UTC)
//	timestamp(a)                           of strings in RFC 3339
//	"text"   12   12.50   decimal("0.5")   true   false   date("2001-02-03")
//
// int, decimal, date and timestamp of a string, codes, formats and members of JSON are partial: what is no number, no date, no code
// that is listed is a value that cannot be translated.
package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Mapping is how one field, or one member of a record, is computed. Exactly one of Column and Expression is given.
type Mapping struct {
	// Column that is read.
	Column string `json:"column,omitempty"`
	// Expression over Types' columns.
	Expression string `json:"expression,omitempty"`
	// Types of the columns that are read; a Column without one is text.
	Types map[string]string `json:"types,omitempty"`
	// Codes by the source's values.
	Codes map[string]string `json:"codes,omitempty"`
	// Format of a date that is text.
	Format string `json:"format,omitempty"`
	// Delimiter of text that is a list.
	Delimiter string `json:"delimiter,omitempty"`
	// Member of the JSON object in Column.
	Member string `json:"member,omitempty"`
	// AsNull: what cannot be translated is null; otherwise it is refused.
	AsNull bool `json:"asNull,omitempty"`
}

// Target is the field of the schema.
type Target struct {
	// Type: string, int, decimal, bool, date, timestamp or code.
	Type     string
	Codes    []string
	Repeated bool
}

// Expression is a compiled mapping. It is immutable and safe for concurrent use.
type Expression struct {
	root     node
	partials []partial
	asNull   bool
	columns  []string
	inverse  *inverse
}

// Columns that are read, sorted. The slice is not to be changed.
func (e *Expression) Columns() []string { return e.columns }

// Refuses says whether there are values that cannot be translated and are refused.
func (e *Expression) Refuses() bool { return len(e.partials) > 0 && !e.asNull }

// Compile compiles a mapping for a field. Errors say what is wrong and where; they quote names, and no constants.
func Compile(m *Mapping, target Target) (*Expression, error) {
	c := &compiler{types: m.Types, used: map[string]bool{}}
	root, err := c.mapping(m, target)
	if err != nil {
		return nil, err
	}
	if conversions(root) > maxConversions {
		return nil, fmt.Errorf("more than %d conversions stand inside each other", maxConversions)
	}
	return &Expression{root: root, partials: c.partials, asNull: m.AsNull, columns: slices.Sorted(maps.Keys(c.used)), inverse: c.inverse}, nil
}

// Columns gives the columns that a mapping reads, as far as it can be read, sorted.
func Columns(m *Mapping) []string {
	c := &compiler{types: m.Types, used: map[string]bool{}}
	if m.Expression == "" {
		return []string{m.Column}
	}
	_, _ = c.expression(m.Expression)
	return slices.Sorted(maps.Keys(c.used))
}

// maxConversions bounds the SQL: a conversion writes what it converts several times.
const maxConversions = 3

// conversions gives how many conversions stand inside each other at most.
func conversions(n node) int {
	switch n := n.(type) {
	case toInt:
		return 1 + conversions(n.of)
	case toDecimal:
		return 1 + conversions(n.of)
	case toDate:
		return 1 + conversions(n.of)
	case toMoment:
		return 1 + conversions(n.of)
	case plain:
		return conversions(n.of)
	case concat:
		return max(conversions(n.a), conversions(n.b))
	case arithmetic:
		return max(conversions(n.a), conversions(n.b))
	case coalesce:
		most := 0
		for _, v := range n.values {
			most = max(most, conversions(v))
		}
		return most
	case textual:
		return conversions(n.of)
	case part:
		return conversions(n.of)
	case toText:
		return conversions(n.of)
	case dayOf:
		return conversions(n.of)
	case translate:
		return conversions(n.of)
	case split:
		return conversions(n.of)
	}
	return 0
}

// partial is what may have no value although what it is made of has one.
type partial struct{ of, value node }

// inverse says which values of a column have a value of the field.
type inverse struct {
	column column
	codes  map[string]string
	format format
}

func (c *compiler) mapping(m *Mapping, target Target) (node, error) {
	if (m.Column == "") == (m.Expression == "") {
		return nil, fmt.Errorf("exactly one of column and expression is given")
	}
	if m.Member != "" {
		if m.Column == "" || len(m.Codes) > 0 || m.Format != "" || m.Delimiter != "" || target.Repeated {
			return nil, fmt.Errorf("a member of JSON is read as it stands: map the members of the record one by one to translate them")
		}
		c.used[m.Column] = true
		object := column{m.Column, "json"}
		return c.partial(member{object, m.Member, "any"}, member{object, m.Member, target.Type}), nil
	}
	var root node
	if m.Column != "" {
		kind := m.Types[m.Column]
		if kind == "" {
			kind = "string"
		}
		if !isKind(kind) {
			return nil, fmt.Errorf("column %s is declared with a type that is none", m.Column)
		}
		c.used[m.Column] = true
		root = column{m.Column, kind}
	} else {
		var err error
		if root, err = c.expression(m.Expression); err != nil {
			return nil, err
		}
	}
	switch {
	case more(len(m.Codes) > 0, m.Format != "", m.Delimiter != ""):
		return nil, fmt.Errorf("no more than one of codes, format and delimiter is given")
	case m.Delimiter != "":
		return c.split(root, m.Delimiter, target)
	case target.Repeated:
		return nil, fmt.Errorf("a list comes from a column that has lists, or from text with a delimiter")
	case len(m.Codes) > 0:
		return c.codes(root, m.Codes, target)
	case m.Format != "":
		return c.dateOf(root, m.Format, target)
	}
	return c.fit(root, target)
}

func more(given ...bool) bool {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	return n > 1
}

func (c *compiler) split(root node, delimiter string, target Target) (node, error) {
	switch {
	case !target.Repeated || target.Type != "string" && target.Type != "code":
		return nil, fmt.Errorf("a delimiter divides text into a list of strings or codes; the field is none")
	case root.kind() != "string":
		return nil, fmt.Errorf("a delimiter divides text; what it would divide is of type %s", root.kind())
	case len(delimiter) != 1 || !strings.Contains(Delimiters, delimiter):
		return nil, fmt.Errorf("the delimiter is none of %s", strings.Join(strings.Split(Delimiters, ""), " "))
	}
	return split{root, delimiter}, nil
}

// Delimiters that may divide text.
const Delimiters = ";,|/"

func (c *compiler) codes(root node, codes map[string]string, target Target) (node, error) {
	for _, code := range codes {
		switch {
		case target.Type == "code" && !slices.Contains(target.Codes, code):
			return nil, fmt.Errorf("codes: %q is no code of the field; its codes are %s", code, strings.Join(target.Codes[:min(32, len(target.Codes))], ", "))
		case target.Type == "bool" && code != "true" && code != "false":
			return nil, fmt.Errorf("codes: a field of type bool is true or false, not %q", code)
		case target.Type != "code" && target.Type != "bool" && target.Type != "string":
			return nil, fmt.Errorf("codes are for fields of type code, bool and string; the field is of type %s", target.Type)
		}
	}
	text := root
	switch root.kind() {
	case "string":
	case "int", "bool":
		text = toText{root}
	default:
		return nil, fmt.Errorf("codes translate text, ints and bools; what they would translate is of type %s", root.kind())
	}
	if col, direct := root.(column); direct && col.of != "bool" {
		c.inverse = &inverse{column: col, codes: codes}
	}
	kind := "string"
	if target.Type == "bool" {
		kind = "bool"
	}
	return c.partial(text, translate{text, codes, kind}), nil
}

func (c *compiler) dateOf(root node, text string, target Target) (node, error) {
	f, ok := parseFormat(text)
	switch {
	case !ok:
		return nil, fmt.Errorf("format: write YYYY, MM and DD once each, with one of . / - or nothing between them")
	case target.Type != "date":
		return nil, fmt.Errorf("a format is for fields of type date; the field is of type %s", target.Type)
	case root.kind() != "string":
		return nil, fmt.Errorf("a format is of text; what it would read is of type %s", root.kind())
	}
	if col, direct := root.(column); direct {
		c.inverse = &inverse{column: col, format: f}
	}
	return c.partial(root, toDate{root, f}), nil
}

// fit makes a value of the field's type of an expression.
func (c *compiler) fit(root node, target Target) (node, error) {
	want := target.Type
	if want == "code" {
		want = "string"
	}
	switch have := root.kind(); {
	case want == "decimal" && have == "int":
		return toDecimal{root}, nil
	case want == "decimal" && have == "decimal":
		return plain{root}, nil
	case want == "int" && have == "int":
		if _, direct := root.(column); direct {
			return root, nil
		}
		return c.partial(root, toInt{root}), nil
	case want == have:
		return root, nil
	default:
		return nil, fmt.Errorf("the expression is of type %s, the field of type %s: convert it, for example with %s(…)", have, target.Type, want)
	}
}

func (c *compiler) partial(of, value node) node {
	c.partials = append(c.partials, partial{of, value})
	return value
}

// Inverse gives the column whose values alone make the field have the value (written as records write it), and those values: int64 or
// string, as the column is. ok is false when there is no such column. An index on the column serves what is asked with it.
func (e *Expression) Inverse(value string) (column, kind string, values []any, ok bool) {
	if e.inverse == nil {
		return "", "", nil, false
	}
	i := e.inverse
	if i.codes == nil {
		text, ok := i.format.write(value)
		return i.column.name, i.column.of, []any{text}, ok
	}
	for _, source := range slices.Sorted(maps.Keys(i.codes)) {
		if i.codes[source] != value {
			continue
		}
		if i.column.of != "int" {
			values = append(values, source)
		} else if n, ok := parseInt(source); ok {
			values = append(values, n)
		}
	}
	return i.column.name, i.column.of, values, true
}
