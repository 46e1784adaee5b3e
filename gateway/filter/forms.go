package filter

import (
	"cel.dev/cel-go/common/ast"

	"github.com/entente-dev/entente/gateway/route"
)

// functionOf is the name of the function that a comparison may be of, in the place of a field: normal or identifier of a field,
// similarity, getFullYear; empty: e is none of them.
func functionOf(e ast.Expr) string {
	if e.Kind() != ast.CallKind {
		return ""
	}
	c := e.AsCall()
	switch name := c.FunctionName(); name {
	case "normal", "identifier":
		if !c.IsMemberFunction() && len(c.Args()) == 1 && isPath(c.Args()[0]) {
			return name
		}
	case "similarity", "getFullYear":
		return name
	}
	return ""
}

// fieldFor resolves the field that a form, if there is one, is of.
func (l *lowering) fieldFor(form string, e ast.Expr) (*route.Field, error) {
	f, err := l.field(e)
	if err == nil && form != "" && f.Type != "string" {
		err = l.fail(e, "field '%s' is of type %s: %s is for strings", f.Name, f.Type, form)
	}
	return f, err
}

// literalOf is a literal of the field, or form("…").
func (l *lowering) literalOf(form string, f *route.Field, e ast.Expr) (value, error) {
	if form == "" {
		return l.literal(f, e)
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == form && !e.AsCall().IsMemberFunction() && len(e.AsCall().Args()) == 1 {
		s, ok, err := l.stringLiteral(e.AsCall().Args()[0])
		if ok || err != nil {
			return value{kind: "string", text: forms[form](s)}, err
		}
	}
	return value{}, l.fail(e, "%s(%s) is compared with %s(\"…\")", form, f.Name, form)
}

// comparisonOfForms lowers form(field) == form("…") and form(a) == form(b).
func (l *lowering) comparisonOfForms(e ast.Expr, form string, a ast.Expr, o op, b ast.Expr, not bool) (node, error) {
	f, err := l.fieldFor(form, a.AsCall().Args()[0])
	if err != nil {
		return nil, err
	}
	if o != equal {
		return nil, l.fail(e, "%s(…) has no order: use ==, !=, in, startsWith or contains", form)
	}
	if functionOf(b) == form {
		g, err := l.fieldFor(form, b.AsCall().Args()[0])
		if err != nil {
			return nil, err
		}
		if g.Name < f.Name {
			f, g = g, f
		}
		return &compareFields{a: f, b: g, form: form, op: o, not: not}, nil
	}
	v, err := l.literalOf(form, f, b)
	if err != nil {
		return nil, err
	}
	return &compare{field: f, form: form, op: o, value: v, not: not}, nil
}

// MinSimilarity is the least similarity that a filter may ask for: PostgreSQL's index finds no less.
const MinSimilarity = "0.3"

// similarity lowers similarity(field, "…") >= 0.5.
func (l *lowering) similarity(e, a ast.Expr, o op, b ast.Expr, not bool) (node, error) {
	c := a.AsCall()
	if c.IsMemberFunction() || len(c.Args()) != 2 || !isPath(c.Args()[0]) {
		return nil, l.fail(a, "write similarity(field, \"…\") >= 0.5")
	}
	f, err := l.fieldFor("similarity", c.Args()[0])
	if err != nil {
		return nil, err
	}
	text, ok, err := l.stringLiteral(c.Args()[1])
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, l.fail(c.Args()[1], "similarity takes a string literal: similarity(%s, \"…\")", f.Name)
	}
	if o != greaterEqual {
		return nil, l.fail(e, "similarity has no other comparison than >=")
	}
	if !l.isLiteral(b) {
		return nil, l.unsupported(b)
	}
	least, err := l.decimalLiteral(&route.Field{Name: f.Name, Type: "decimal"}, b)
	if err != nil {
		return nil, err
	}
	if CompareDecimals(least.text, MinSimilarity) < 0 || CompareDecimals(least.text, "1") > 0 || len(least.text) > 5 {
		return nil, l.fail(b, "a similarity is from %s to 1, with at most three digits after the point", MinSimilarity)
	}
	return &similar{field: f, text: text, least: least.text, not: not}, nil
}

// Needs are the functions of the filter that not every source has, sorted: similarity, or none.
func (f *Filter) Needs() []string {
	if hasSimilar(f.root) {
		return []string{"similarity"}
	}
	return nil
}

func hasSimilar(n node) bool {
	switch n := n.(type) {
	case *logic:
		for _, t := range n.terms {
			if hasSimilar(t) {
				return true
			}
		}
	case *similar:
		return true
	}
	return false
}
