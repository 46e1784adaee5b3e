package filter

import (
	"slices"
	"strconv"
	"strings"

	"github.com/entente-dev/entente/gateway/route"
)

// node is a filter in negation normal form: negations stand at the leaves only. Above the leaves everything is monotone,
// so a leaf that is SQL's unknown where it means false cannot make the whole true, and plain `column = $1` is exact.
type node interface{ isNode() }

// logic joins at least two terms; no term is a logic of the same kind.
type logic struct {
	or    bool
	terms []node
}

// compare is field op constant. not turns the truth value round, so that it is true for null.
type compare struct {
	field *route.Field
	form  string // normal, identifier, or none: what is applied to the field first
	op    op
	value value
	not   bool
}

// compareFields is a op b, of two fields of one type.
type compareFields struct {
	a, b *route.Field
	form string // of both
	op   op
	not  bool
}

// in is field in [values]; the values are distinct and at least one.
type in struct {
	field  *route.Field
	form   string
	values []value
	not    bool
}

// holds is value in field, of a repeated field.
type holds struct {
	field *route.Field
	value value
	not   bool
}

// isNull is field == null.
type isNull struct {
	field *route.Field
	not   bool
}

// match is field.startsWith(text) or field.contains(text).
type match struct {
	field    *route.Field
	form     string
	contains bool
	text     string
	not      bool
}

// similar is similarity(field, text) >= least.
type similar struct {
	field *route.Field
	text  string
	least string // canonical decimal
	not   bool
}

func (*logic) isNode()         {}
func (*compare) isNode()       {}
func (*compareFields) isNode() {}
func (*in) isNode()            {}
func (*holds) isNode()         {}
func (*isNull) isNode()        {}
func (*match) isNode()         {}
func (*similar) isNode()       {}

// op is a comparison; inequality is the negation of equality.
type op string

const (
	equal        op = "=="
	less         op = "<"
	lessEqual    op = "<="
	greater      op = ">"
	greaterEqual op = ">="
)

// mirrored is the comparison with its sides exchanged.
func (o op) mirrored() op {
	switch o {
	case less:
		return greater
	case lessEqual:
		return greaterEqual
	case greater:
		return less
	case greaterEqual:
		return lessEqual
	default:
		return o
	}
}

// sql is the comparison in every dialect.
func (o op) sql() string {
	if o == equal {
		return "="
	}
	return string(o)
}

// value is a literal of a field's type, or a moment that the clock decides. Exactly one of text, integer, boolean and clock is used.
type value struct {
	kind    string // string, int, decimal, bool, date or timestamp; a code is a string
	text    string // string; decimal, date and timestamp in their canonical forms
	integer int64
	boolean bool
	clock   *clock
}

// cel writes the value as CEL.
func (v value) cel() string {
	switch v.kind {
	case "int":
		return strconv.FormatInt(v.integer, 10)
	case "bool":
		return strconv.FormatBool(v.boolean)
	case "string":
		return quoteCEL(v.text)
	default:
		if v.clock != nil {
			return v.clock.cel(v.kind)
		}
		return v.kind + "(" + quoteCEL(v.text) + ")"
	}
}

var celEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// quoteCEL escapes only what has to be: the two languages' other escapes differ.
func quoteCEL(s string) string {
	return `"` + celEscaper.Replace(s) + `"`
}

// join makes a conjunction or a disjunction, flat.
func join(or bool, terms []node) node {
	var flat []node
	for _, t := range terms {
		if l, ok := t.(*logic); ok && l.or == or {
			flat = append(flat, l.terms...)
		} else {
			flat = append(flat, t)
		}
	}
	if len(flat) == 1 {
		return flat[0]
	}
	return &logic{or: or, terms: flat}
}

func canonical(n node) string {
	var b strings.Builder
	writeCanonical(&b, n, value.cel)
	return b.String()
}

// writeCanonical writes a filter in its normal form, with its values as literal writes them.
func writeCanonical(b *strings.Builder, n node, literal func(value) string) {
	negate := func(not bool, s string) {
		if not {
			s = "!(" + s + ")"
		}
		b.WriteString(s)
	}
	switch n := n.(type) {
	case *logic:
		sep := " && "
		if n.or {
			sep = " || "
		}
		for i, t := range n.terms {
			if i > 0 {
				b.WriteString(sep)
			}
			if _, nested := t.(*logic); nested {
				b.WriteByte('(')
				writeCanonical(b, t, literal)
				b.WriteByte(')')
			} else {
				writeCanonical(b, t, literal)
			}
		}
	case *compare:
		left, right := formed(n.form, n.field.Name), formed(n.form, literal(n.value))
		if n.op == equal && n.not {
			b.WriteString(left + " != " + right)
		} else {
			negate(n.not, left+" "+string(n.op)+" "+right)
		}
	case *compareFields:
		left, right := formed(n.form, n.a.Name), formed(n.form, n.b.Name)
		if n.op == equal && n.not {
			b.WriteString(left + " != " + right)
		} else {
			negate(n.not, left+" "+string(n.op)+" "+right)
		}
	case *in:
		list := make([]string, len(n.values))
		for i, v := range n.values {
			list[i] = formed(n.form, literal(v))
		}
		negate(n.not, formed(n.form, n.field.Name)+" in ["+strings.Join(list, ", ")+"]")
	case *holds:
		negate(n.not, literal(n.value)+" in "+n.field.Name)
	case *isNull:
		if n.not {
			b.WriteString(n.field.Name + " != null")
		} else {
			b.WriteString(n.field.Name + " == null")
		}
	case *match:
		method := ".startsWith("
		if n.contains {
			method = ".contains("
		}
		negate(n.not, formed(n.form, n.field.Name)+method+formed(n.form, literal(value{kind: "string", text: n.text}))+")")
	case *similar:
		negate(n.not, "similarity("+n.field.Name+", "+literal(value{kind: "string", text: n.text})+") >= "+literal(value{kind: "decimal", text: n.least}))
	}
}

// formed writes form(x).
func formed(form, x string) string {
	if form == "" {
		return x
	}
	return form + "(" + x + ")"
}

func fieldsOf(n node) []string {
	if c, ok := n.(*compare); ok {
		return []string{c.field.Name}
	}
	var seen []string
	var visit func(node)
	visit = func(n node) {
		switch n := n.(type) {
		case *logic:
			for _, t := range n.terms {
				visit(t)
			}
		case *compare:
			seen = append(seen, n.field.Name)
		case *compareFields:
			seen = append(seen, n.a.Name, n.b.Name)
		case *in:
			seen = append(seen, n.field.Name)
		case *holds:
			seen = append(seen, n.field.Name)
		case *isNull:
			seen = append(seen, n.field.Name)
		case *match:
			seen = append(seen, n.field.Name)
		case *similar:
			seen = append(seen, n.field.Name)
		}
	}
	visit(n)
	slices.Sort(seen)
	return slices.Compact(seen)
}

// constant is what a field is fixed to.
type constant struct {
	field string
	value value
}

// fixed gives the constant of each field that has just one in every record that matches. A field that is fixed but for its
// spelling (normal, identifier) has several.
func fixed(n node) []constant {
	switch n := n.(type) {
	case *compare:
		if n.op == equal && !n.not && n.form == "" {
			return []constant{{n.field.Name, n.value}}
		}
	case *in:
		if !n.not && len(n.values) == 1 && n.form == "" {
			return []constant{{n.field.Name, n.values[0]}}
		}
	case *logic:
		var out []constant
		for i, t := range n.terms {
			branch := fixed(t)
			switch {
			case !n.or:
				// Two constants for one field match nothing, so either will do.
				for _, c := range branch {
					if i := slices.IndexFunc(out, func(o constant) bool { return o.field == c.field }); i >= 0 {
						out[i] = c
					} else {
						out = append(out, c)
					}
				}
			case i == 0:
				out = branch
			default:
				out = slices.DeleteFunc(out, func(c constant) bool { return !slices.Contains(branch, c) })
			}
		}
		return out
	}
	return nil
}
