// Package filter compiles the filters of queries and of clauses: a small, decidable part of CEL over the fields of an
// exchange schema, which becomes parameterised SQL and nothing else. It is pure: no network, no clock.
//
// # Language
//
//	a == b   a != b   a < b   a <= b   a > b   a >= b     of a field and a literal, or two fields of one type
//	field in [literal, …]                                 at most MaxListElements
//	literal in field                                      of a repeated field, a list of values
//	field == null   field != null
//	field.startsWith("…")   field.contains("…")           of strings and codes
//	field                                                 of type bool
//	record.member                                         is a field like any other, unless the record stands in a list
//	field.getFullYear() == 1980                           of dates and timestamps (UTC); also != < <= > >= and in
//	normal(field) == normal("…")                          of strings, as are identifier(…), !=, in, startsWith and contains
//	normal(a) == normal(b)                                of two string fields, and !=
//	similarity(field, "…") >= 0.5                         of strings, 0.3 to 1, where the source has it
//	p && q   p || q   !p   (p)
//
// Literals: "text", 12, -12, 12.50, true, false, date("2001-02-03"), timestamp("2001-02-03T04:05:06Z") (at most
// microseconds), decimal("12.50"). A field takes only literals of its own type; a decimal field also takes integers and
// plain decimal fractions, exactly as written. A code literal must be in the field's list. Everything else of CEL
// (other arithmetic, macros, conditionals, indexing, maps, other functions) is refused with its position.
//
// Where a date literal stands, today() may stand too, and now() where a timestamp does: the day, and the instant, of the clock
// to which At binds the filter, in UTC. To each of them days(n), months(n) and years(n) may be added or subtracted, at most
// MaxSteps in all, n a whole number of at most 500 years; to a timestamp duration("36h30m") too. A month without such a day
// ends with its last (date("2024-02-29") + years(1) is 2025-02-28), at each step anew. What leaves the years 1 to 9999 is an
// error.
//
// normal and identifier are the functions Normal and Identifier. similarity is the source's own, and its meaning is the source's:
// that of PostgreSQL's pg_trgm.
//
// # Meaning
//
// A filter is true or false of a record, never unknown. A null field equals only null: field == literal, <, <=, >, >=, in,
// literal in field, startsWith, contains and a bare bool field are false for it, field != literal is true, two null fields are equal, and
// ! is plain negation, so !(field < 5) is true for null. Strings and codes are ordered by code point, false before true
// has no order, decimals compare by their exact value, timestamps as instants. The SQL of every dialect means exactly
// this.
package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/entente-dev/entente/gateway/route"
)

// Filter is a compiled filter. It is immutable and safe for concurrent use.
type Filter struct {
	text     string
	fields   []string
	equality []string
	fixed    []constant // one for each of equality
	root     node
	places   map[node]place // of the leaves; nil: they were compiled directly
	schema   *route.Schema  // of what was compiled directly
	clocked  bool           // it asks for the clock
}

// Error says what is wrong with a filter, and where. It never quotes a literal of the filter, because a literal may be
// personal data; it does quote names of fields and functions.
type Error struct {
	// Line and Column are 1-based; Column counts code points.
	Line, Column int
	// Message says what is wrong and, where that is known, what to write instead.
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("filter, line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// Compile parses and type-checks a filter over the schema. Every error is an *Error. A caller that has no filter does not
// call Compile: an empty text is an error, so that a filter that got lost is not a permission.
func Compile(schema *route.Schema, text string) (*Filter, error) {
	if f := direct(schema, text); f != nil {
		return f, nil
	}
	return compile(schema, text)
}

func compile(schema *route.Schema, text string) (*Filter, error) {
	if err := scan(text); err != nil {
		return nil, err
	}
	parsed, err := parse(text)
	if err != nil {
		return nil, err
	}
	l := &lowering{schema: schema, text: text, info: parsed.SourceInfo()}
	root, err := l.predicate(parsed.Expr())
	if err != nil {
		return nil, err
	}
	f := newFilter(text, root)
	f.places, f.clocked = l.places, isClocked(root)
	return f, nil
}

func newFilter(text string, root node) *Filter {
	f := &Filter{text: text, root: root, fields: fieldsOf(root), fixed: fixed(root)}
	if len(f.fields) == 1 && len(f.fixed) == 1 {
		f.equality = f.fields
		return f
	}
	for _, c := range f.fixed {
		f.equality = append(f.equality, c.field)
	}
	slices.Sort(f.equality)
	return f
}

// Text is the filter as it was written.
func (f *Filter) Text() string { return f.text }

// Canonical is the filter in a normal form, for digests: spelling (white space, comments, parentheses, quotes, the side a
// literal stands on, double negation) makes no difference. It compiles, and is its own canonical form. It holds the
// filter's literals, so it is as confidential as Text. It is made at each call.
func (f *Filter) Canonical() string { return canonical(f.root) }

// Shape is Canonical with the placeholders $from, $from+1, … in the place of its literals, of which it holds none. next is the number
// after the last.
func (f *Filter) Shape(from int) (text string, next int) {
	var b strings.Builder
	next = from
	writeCanonical(&b, f.root, func(value) string {
		next++
		return "$" + strconv.Itoa(next-1)
	})
	return b.String(), next
}

// Fields are the fields that the filter names, sorted. The slice is not to be changed.
func (f *Filter) Fields() []string { return f.fields }

// EqualityFields are the fields that the filter fixes, by equality, to one constant for every record that can match,
// sorted: conjunctions add up, an `in` counts when its list has one value, a disjunction counts a field when every branch
// fixes it to the same constant (several constants are several look-ups, whichever way they are written). Null is no
// constant here: the records that lack an identifier are many. The slice is not to be changed.
func (f *Filter) EqualityFields() []string { return f.equality }
