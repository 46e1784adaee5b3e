package filter

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/entente-dev/entente/gateway/route"
)

// lowering type-checks the parsed filter and turns it into nodes. Its recursion is bounded by the parser's depth.
type lowering struct {
	schema     *route.Schema
	text       string
	info       *ast.SourceInfo
	literals   int
	predicates int
	places     map[node]place
}

// place is where a leaf stands in the text of its filter: 1-based, as in Error.
type place struct{ line, column int }

func (l *lowering) place(e ast.Expr) place {
	at := l.info.GetStartLocation(e.ID())
	if at.Line() < 1 {
		return place{1, 1}
	}
	return place{at.Line(), at.Column() + 1}
}

// fail is an error at the position of an expression.
func (l *lowering) fail(e ast.Expr, format string, args ...any) error {
	at := l.place(e)
	return errorf(at.line, at.column, format, args...)
}

// predicate lowers an expression that is true or false.
func (l *lowering) predicate(e ast.Expr) (node, error) { return l.signed(e, false) }

// signed lowers e, or its negation when not is true, pushing the negation down to the leaves.
func (l *lowering) signed(e ast.Expr, not bool) (node, error) {
	if e.Kind() == ast.CallKind {
		c := e.AsCall()
		switch name := c.FunctionName(); name {
		case operators.LogicalAnd, operators.LogicalOr:
			terms := make([]node, 0, len(c.Args()))
			for _, a := range c.Args() {
				t, err := l.signed(a, not)
				if err != nil {
					return nil, err
				}
				terms = append(terms, t)
			}
			return join((name == operators.LogicalOr) != not, terms), nil
		case operators.LogicalNot:
			return l.signed(c.Args()[0], !not)
		}
	}
	if l.predicates++; l.predicates > MaxPredicates {
		return nil, l.fail(e, "more than %d comparisons", MaxPredicates)
	}
	leaf, err := l.leaf(e, not)
	if err == nil {
		l.stand(leaf, l.place(e))
	}
	return leaf, err
}

// stand remembers where a leaf, or what became of it, stands.
func (l *lowering) stand(n node, at place) {
	if all, ok := n.(*logic); ok {
		for _, t := range all.terms {
			l.stand(t, at)
		}
		return
	}
	if l.places == nil {
		l.places = map[node]place{}
	}
	l.places[n] = at
}

// leaf lowers what is neither a logical operation nor a negation.
func (l *lowering) leaf(e ast.Expr, not bool) (node, error) {
	switch e.Kind() {
	case ast.CallKind:
		return l.call(e, not)
	case ast.IdentKind, ast.SelectKind:
		if !isPath(e) {
			return nil, l.unsupported(e)
		}
		f, err := l.field(e)
		if err != nil {
			return nil, err
		}
		if f.Type != "bool" {
			return nil, l.fail(e, "field '%s' is of type %s: compare it with something", f.Name, f.Type)
		}
		return &compare{field: f, op: equal, value: value{kind: "bool", boolean: true}, not: not}, nil
	case ast.LiteralKind:
		return nil, l.fail(e, "a literal is not a condition: compare a field with it")
	default:
		return nil, l.unsupported(e)
	}
}

// call lowers a comparison or a test.
func (l *lowering) call(e ast.Expr, not bool) (node, error) {
	c := e.AsCall()
	switch name := c.FunctionName(); name {
	case operators.Equals:
		return l.comparison(e, equal, not)
	case operators.NotEquals:
		return l.comparison(e, equal, !not)
	case operators.Less:
		return l.comparison(e, less, not)
	case operators.LessEquals:
		return l.comparison(e, lessEqual, not)
	case operators.Greater:
		return l.comparison(e, greater, not)
	case operators.GreaterEquals:
		return l.comparison(e, greaterEqual, not)
	case operators.In:
		return l.membership(e, not)
	case "startsWith", "contains":
		return l.match(e, not)
	default:
		return nil, l.unsupported(e)
	}
}

// comparison lowers a op b.
func (l *lowering) comparison(e ast.Expr, o op, not bool) (node, error) {
	a, b := e.AsCall().Args()[0], e.AsCall().Args()[1]
	if functionOf(a) == "" && functionOf(b) != "" || !isPath(a) && functionOf(a) == "" && isPath(b) {
		a, b, o = b, a, o.mirrored()
	}
	switch function := functionOf(a); function {
	case "normal", "identifier":
		return l.comparisonOfForms(e, function, a, o, b, not)
	case "similarity":
		return l.similarity(e, a, o, b, not)
	case "getFullYear":
		return l.year(e, a, o, b, not)
	}
	if !isPath(a) {
		if l.isLiteral(a) && l.isLiteral(b) {
			return nil, l.fail(e, "a comparison needs a field of the schema")
		}
		if l.isLiteral(a) {
			a = b
		}
		return nil, l.unsupported(a)
	}
	f, err := l.field(a)
	if err != nil {
		return nil, err
	}
	if isPath(b) {
		g, err := l.field(b)
		if err != nil {
			return nil, err
		}
		if f.Type != g.Type {
			return nil, l.fail(e, "field '%s' is of type %s and field '%s' of type %s: only fields of one type can be compared", f.Name, f.Type, g.Name, g.Type)
		}
		if err := l.ordered(e, f, o); err != nil {
			return nil, err
		}
		// Which side a field stands on makes no difference to the canonical form.
		if g.Name < f.Name {
			f, g, o = g, f, o.mirrored()
		}
		return &compareFields{a: f, b: g, op: o, not: not}, nil
	}
	if b.Kind() == ast.LiteralKind && b.AsLiteral().Type() == types.NullType {
		if o != equal {
			return nil, l.fail(e, "null has no order: use == null or != null")
		}
		return &isNull{field: f, not: not}, nil
	}
	if err := l.ordered(e, f, o); err != nil {
		return nil, err
	}
	v, err := l.literal(f, b)
	if err != nil {
		return nil, err
	}
	return &compare{field: f, op: o, value: v, not: not}, nil
}

// ordered refuses < and its kin where there is no order.
func (l *lowering) ordered(e ast.Expr, f *route.Field, o op) error {
	if f.Type == "bool" && o != equal {
		return l.fail(e, "field '%s' is of type bool, which has no order: use it alone, with !, == or !=", f.Name)
	}
	return nil
}

// membership lowers field in [literals], and literal in field.
func (l *lowering) membership(e ast.Expr, not bool) (node, error) {
	args := e.AsCall().Args()
	if isPath(args[1]) && !isPath(args[0]) && functionOf(args[0]) == "" {
		return l.holds(e, not)
	}
	subject, form := args[0], functionOf(args[0])
	switch {
	case form == "getFullYear":
		return l.yearIn(e, not)
	case form == "normal" || form == "identifier":
		subject = args[0].AsCall().Args()[0]
	case !isPath(args[0]):
		return nil, l.fail(e, "the left side of in is a field of the schema")
	}
	f, err := l.fieldFor(form, subject)
	if err != nil {
		return nil, err
	}
	if args[1].Kind() != ast.ListKind {
		return nil, l.fail(e, "the right side of in is a list of literals: %s in […]", f.Name)
	}
	if f.Type == "bool" {
		return nil, l.fail(e, "field '%s' is of type bool: use it alone, with !, == or !=", f.Name)
	}
	list := args[1].AsList()
	switch n := list.Size(); {
	case n == 0:
		return nil, l.fail(args[1], "the list is empty: nothing would match")
	case n > MaxListElements:
		return nil, l.fail(args[1], "the list has %d elements; at most %d are allowed", n, MaxListElements)
	}
	var values []value
	for _, el := range list.Elements() {
		v, err := l.literalOf(form, f, el)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	if len(values) == 1 {
		return &compare{field: f, form: form, op: equal, value: values[0], not: not}, nil
	}
	return &in{field: f, form: form, values: values, not: not}, nil
}

// holds lowers literal in field, of a repeated field.
func (l *lowering) holds(e ast.Expr, not bool) (node, error) {
	literal, of := e.AsCall().Args()[0], e.AsCall().Args()[1]
	f := l.declared(of)
	switch {
	case f == nil || of.Kind() != ast.IdentKind:
		_, err := l.field(of)
		if err == nil {
			err = l.fail(e, "field '%s' has one value: write %s == …", pathOf(of), pathOf(of))
		}
		return nil, err
	case f.Type == "record":
		_, err := l.single(of, f)
		return nil, err
	case !f.Repeated:
		return nil, l.fail(e, "field '%s' has one value: write %s == …", f.Name, f.Name)
	case f.Type == "bool":
		return nil, l.fail(of, "field '%s' is a list of true and false, which filters do not look into", f.Name)
	}
	v, err := l.literal(f, literal)
	if err != nil {
		return nil, err
	}
	return &holds{field: f, value: v, not: not}, nil
}

// match lowers field.startsWith("…") and field.contains("…").
func (l *lowering) match(e ast.Expr, not bool) (node, error) {
	c := e.AsCall()
	form := ""
	if c.IsMemberFunction() {
		form = functionOf(c.Target())
	}
	if !c.IsMemberFunction() || !isPath(c.Target()) && forms[form] == nil || len(c.Args()) != 1 {
		return nil, l.fail(e, "write field.%s(\"…\")", c.FunctionName())
	}
	subject := c.Target()
	if form != "" {
		subject = subject.AsCall().Args()[0]
	}
	f, err := l.fieldFor(form, subject)
	if err != nil {
		return nil, err
	}
	if form != "" {
		v, err := l.literalOf(form, f, c.Args()[0])
		return &match{field: f, form: form, contains: c.FunctionName() == "contains", text: v.text, not: not}, err
	}
	if f.Type != "string" && f.Type != "code" {
		return nil, l.fail(e, "field '%s' is of type %s: %s is for strings and codes", f.Name, f.Type, c.FunctionName())
	}
	s, ok, err := l.stringLiteral(c.Args()[0])
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, l.fail(c.Args()[0], "%s takes a string literal", c.FunctionName())
	}
	return &match{field: f, contains: c.FunctionName() == "contains", text: s, not: not}, nil
}

// isPath says whether e has the form of a field, or of a member of one.
func isPath(e ast.Expr) bool {
	if e.Kind() == ast.SelectKind {
		s := e.AsSelect()
		return !s.IsTestOnly() && s.Operand().Kind() == ast.IdentKind
	}
	return e.Kind() == ast.IdentKind
}

// pathOf writes a path as schemas do.
func pathOf(e ast.Expr) string {
	if e.Kind() == ast.SelectKind {
		return shorten(e.AsSelect().Operand().AsIdent()) + "." + shorten(e.AsSelect().FieldName())
	}
	return shorten(e.AsIdent())
}

// declared gives the field of the schema that a path begins with; nil: there is none.
func (l *lowering) declared(e ast.Expr) *route.Field {
	name := ""
	if e.Kind() == ast.SelectKind {
		name = e.AsSelect().Operand().AsIdent()
	} else {
		name = e.AsIdent()
	}
	for i := range l.schema.Fields {
		if l.schema.Fields[i].Name == name {
			return &l.schema.Fields[i]
		}
	}
	return nil
}

// field resolves a path to what has one value in each record. The name of a member is its path.
func (l *lowering) field(e ast.Expr) (*route.Field, error) {
	if f := l.declared(e); f != nil {
		return l.single(e, f)
	}
	names := make([]string, len(l.schema.Fields))
	for i := range l.schema.Fields {
		names[i] = l.schema.Fields[i].Name
	}
	name, _, _ := strings.Cut(pathOf(e), ".")
	return nil, l.fail(e, "field '%s' is not in schema %s.v%d; fields are %s", name, l.schema.Name, l.schema.Version, nameList(names, 32))
}

// single refuses what has no one value to compare: lists, and records as wholes.
func (l *lowering) single(e ast.Expr, f *route.Field) (*route.Field, error) {
	members := make([]string, len(f.Fields))
	for i := range f.Fields {
		members[i] = f.Name + "." + f.Fields[i].Name
	}
	switch nested := e.Kind() == ast.SelectKind; {
	case f.Type == "record" && f.Repeated:
		return nil, l.fail(e, "field '%s' is a list of records, which filters do not look into", f.Name)
	case f.Repeated:
		return nil, l.fail(e, "field '%s' has many values: write \"…\" in %s", f.Name, f.Name)
	case f.Type == "record" && !nested:
		return nil, l.fail(e, "field '%s' is a record: name one of %s", f.Name, nameList(members, 32))
	case !nested:
		return f, nil
	case f.Type != "record":
		return nil, l.fail(e, "field '%s' is of type %s and has no parts", f.Name, f.Type)
	}
	for i := range f.Fields {
		if f.Fields[i].Name == e.AsSelect().FieldName() {
			member := f.Fields[i]
			member.Name = members[i]
			return &member, nil
		}
	}
	return nil, l.fail(e, "record '%s' has no member '%s'; its members are %s", f.Name, shorten(e.AsSelect().FieldName()), nameList(members, 32))
}

// unsupported says of an expression outside the language what it is.
func (l *lowering) unsupported(e ast.Expr) error {
	switch e.Kind() {
	case ast.CallKind:
		c := e.AsCall()
		switch name := c.FunctionName(); name {
		case operators.Conditional:
			return l.fail(e, "? : is not supported in filters: use && and ||")
		case operators.Index, operators.OptIndex, operators.OptSelect:
			return l.fail(e, "indexing is not supported in filters: fields are single values")
		case operators.Add, operators.Subtract:
			return l.fail(e, "arithmetic is not supported here: only days(n), months(n), years(n) and duration(\"…\") are added to date(…), today(), timestamp(…) or now(), on the side without the field")
		case operators.Multiply, operators.Divide, operators.Modulo, operators.Negate:
			return l.fail(e, "arithmetic is not supported in filters: write the result as a literal")
		case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater,
			operators.GreaterEquals, operators.In, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot,
			"startsWith", "contains":
			return l.fail(e, "a condition is not a value: join conditions with && and ||")
		case "date", "timestamp", "decimal", "today", "now":
			return l.fail(e, "%s(…) is a literal here: compare a field with it", name)
		case "days", "months", "years", "duration":
			return l.fail(e, "%s(…) is added to date(…), today(), timestamp(…) or now()", name)
		case "normal", "identifier":
			return l.fail(e, "%s(…) is of one field: %s(field) == %s(\"…\")", name, name, name)
		case "similarity":
			return l.fail(e, "write similarity(field, \"…\") >= 0.5")
		case "getFullYear":
			return l.fail(e, "write field.getFullYear() == 1980")
		case "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds":
			return l.fail(e, "%s() is not supported in filters, getFullYear() is: no index serves it; compare with dates or timestamps", name)
		default:
			return l.fail(e, "function '%s' is not supported in filters; startsWith, contains, getFullYear, normal, identifier, similarity, date, timestamp, decimal, today, now, days, months, years and duration are", shorten(name))
		}
	case ast.SelectKind:
		return l.fail(e, "'.' stands only between a record and one of its members, for example address.city")
	case ast.ListKind:
		return l.fail(e, "a list stands only to the right of in")
	case ast.MapKind, ast.StructKind:
		return l.fail(e, "maps and messages are not supported in filters")
	case ast.LiteralKind:
		return l.fail(e, "a literal is not expected here")
	case ast.IdentKind:
		return l.fail(e, "a field is not expected here")
	default:
		return l.fail(e, "this is not supported in filters")
	}
}

// nameList joins names for a message, no more than most of them.
func nameList(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// shorten bounds a name for a message.
func shorten(name string) string {
	if r := []rune(name); len(r) > 63 {
		return string(r[:63]) + "…"
	}
	return name
}
