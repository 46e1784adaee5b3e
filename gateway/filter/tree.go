package filter

import "strconv"

// TermKind is what a term of a filter says.
type TermKind string

const (
	TermAnd        TermKind = "And"        // every one of Terms
	TermOr         TermKind = "Or"         // one of Terms, at least
	TermCompare    TermKind = "Compare"    // Field Operator Values[0]
	TermFields     TermKind = "Fields"     // Field Operator Other
	TermIn         TermKind = "In"         // Field is one of Values
	TermHolds      TermKind = "Holds"      // Field, a list, has Values[0]
	TermNull       TermKind = "Null"       // Field is null
	TermStartsWith TermKind = "StartsWith" // Field starts with Values[0]
	TermContains   TermKind = "Contains"   // Field contains Values[0]
	TermSimilar    TermKind = "Similar"    // Field is similar to Values[0], by at least the decimal Values[1]
)

// Term is a compiled filter as a tree, for sources that do not speak SQL. Negations stand at the leaves only: And and Or are
// never negated. Whoever walks it refuses each TermKind that it does not know and each term that has a Function that it does
// not know, because a term that is left out lets more through than was asked for.
type Term struct {
	Kind TermKind
	// Terms of And and Or: at least two.
	Terms []Term
	// Negated turns a leaf round. Every leaf is false for a null field (Null, and Fields with ==, excepted), so its negation is
	// true for it.
	Negated bool
	// Field that a leaf is about, and Type of it as in the schema.
	Field, Type string
	// Function, normal or identifier, that is applied to the field, and to the other field, before anything else; empty: none.
	// Values are in that form already.
	Function string
	// Operator of Compare and Fields: == < <= > or >=.
	Operator string
	// Values are literals of the field's type, written as Constant writes them; distinct.
	Values []string
	// Other is the other field, of the same type.
	Other string
	// Line and Column at which a leaf stands in the filter's text, as in Error.
	Line, Column int
}

// Tree is the filter as a tree. It is made at each call and is the caller's to keep. A filter that asks for the clock is bound to
// one first, see At; values that are not are written as in the canonical form, and are no values.
func (f *Filter) Tree() Term {
	if f.places == nil { // the parser knows where the leaves stand, and makes the same ones
		if placed, err := compile(f.schema, f.text); err == nil {
			f = placed
		}
	}
	t := tree(f.root)
	f.locate(&t, f.root)
	return t
}

// locate fills in where the leaves of t stand, which is the tree of n.
func (f *Filter) locate(t *Term, n node) {
	if l, ok := n.(*logic); ok {
		for i, c := range l.terms {
			f.locate(&t.Terms[i], c)
		}
		return
	}
	at := f.places[n]
	t.Line, t.Column = at.line, at.column
}

func tree(n node) Term {
	switch n := n.(type) {
	case *logic:
		t := Term{Kind: TermAnd, Terms: make([]Term, len(n.terms))}
		if n.or {
			t.Kind = TermOr
		}
		for i, c := range n.terms {
			t.Terms[i] = tree(c)
		}
		return t
	case *compare:
		return Term{Kind: TermCompare, Negated: n.not, Field: n.field.Name, Type: n.field.Type, Function: n.form, Operator: string(n.op), Values: []string{n.value.plain()}}
	case *compareFields:
		return Term{Kind: TermFields, Negated: n.not, Field: n.a.Name, Type: n.a.Type, Function: n.form, Operator: string(n.op), Other: n.b.Name}
	case *in:
		t := Term{Kind: TermIn, Negated: n.not, Field: n.field.Name, Type: n.field.Type, Function: n.form, Values: make([]string, len(n.values))}
		for i, v := range n.values {
			t.Values[i] = v.plain()
		}
		return t
	case *holds:
		return Term{Kind: TermHolds, Negated: n.not, Field: n.field.Name, Type: n.field.Type, Values: []string{n.value.plain()}}
	case *isNull:
		return Term{Kind: TermNull, Negated: n.not, Field: n.field.Name, Type: n.field.Type}
	case *match:
		t := Term{Kind: TermStartsWith, Negated: n.not, Field: n.field.Name, Type: n.field.Type, Function: n.form, Values: []string{n.text}}
		if n.contains {
			t.Kind = TermContains
		}
		return t
	case *similar:
		return Term{Kind: TermSimilar, Negated: n.not, Field: n.field.Name, Type: n.field.Type, Values: []string{n.text, n.least}}
	default:
		return Term{} // of no kind, which every walker refuses
	}
}

// plain writes the value as the values of records are written.
func (v value) plain() string {
	switch v.kind {
	case "int":
		return strconv.FormatInt(v.integer, 10)
	case "bool":
		return strconv.FormatBool(v.boolean)
	default:
		if v.clock != nil {
			return v.cel()
		}
		return v.text
	}
}
