package filtertest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/entente-dev/entente/gateway/filter"
)

// Meaning evaluates a filter on records, by its documented meaning: CEL's, and where CEL gives an error for null, false. It
// shares no code with package filter but the comparison of decimals: another parser, no normal form, no SQL.
type Meaning struct {
	root    ast.Expr
	program cel.Program
}

// NewMeaning parses a filter as CEL.
func NewMeaning(text string) (*Meaning, error) {
	opts := []cel.EnvOption{
		cel.Function("date", cel.Overload("date_string", []*cel.Type{cel.StringType}, cel.TimestampType,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				t, err := time.Parse(time.DateOnly, v.Value().(string))
				if err != nil {
					return types.NewErr("%v", err)
				}
				return types.Timestamp{Time: t}
			}))),
		cel.Function("decimal", cel.Overload("decimal_string", []*cel.Type{cel.StringType}, cel.IntType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.Int(hundredths(v.Value().(string))) }))),
	}
	nullary := func(name string, v ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(name, nil, cel.TimestampType, cel.FunctionBinding(func(...ref.Val) ref.Val { return v })))
	}
	ofText := func(name string, f func(string) string) cel.EnvOption {
		return cel.Function(name, cel.Overload(name, []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.String(f(v.Value().(string))) })))
	}
	opts = append(opts, nullary("now", types.Timestamp{Time: Clock}), nullary("today", types.Timestamp{Time: Clock.Truncate(24 * time.Hour)}),
		ofText("normal", filter.Normal), ofText("identifier", filter.Identifier),
		cel.Function("days", cel.Overload("days_int", []*cel.Type{cel.IntType}, cel.DurationType,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				return types.Duration{Duration: time.Duration(v.Value().(int64)) * 24 * time.Hour}
			}))))
	for _, f := range Schema.Fields {
		opts = append(opts, cel.Variable(f.Name, cel.DynType))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, err
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	program, err := env.Program(parsed)
	if err != nil {
		return nil, err
	}
	return &Meaning{root: parsed.NativeRep().Expr(), program: program}, nil
}

// Holds says whether the filter holds for the record. When CEL itself has an answer and it is another, that is an error.
func (m *Meaning) Holds(r Record) (bool, error) {
	got := truth(m.root, r)
	activation := map[string]any{}
	for _, f := range Schema.Fields {
		activation[f.Name] = celValue(f.Type, r[f.Name])
	}
	out, _, err := m.program.Eval(activation)
	if err != nil {
		return got, nil // null has no order in CEL, which has no calendar either
	}
	if want, ok := out.Value().(bool); ok && want != got {
		return got, fmt.Errorf("CEL says %v, the documented meaning %v", want, got)
	}
	return got, nil
}

// hundredths makes an integer of a decimal with at most two digits after the point, which CEL can compare.
func hundredths(s string) (n int64) {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	for _, c := range whole + (fraction + "00")[:2] {
		n = n*10 + int64(c-'0')
	}
	if strings.HasPrefix(s, "-") {
		n = -n
	}
	return n
}

func celValue(kind string, v any) any {
	s, isText := v.(string)
	if !isText {
		if v == nil {
			return types.NullValue
		}
		return v
	}
	switch kind {
	case "decimal":
		return hundredths(s)
	case "date":
		t, _ := time.Parse(time.DateOnly, s)
		return t
	case "timestamp":
		t, _ := time.Parse(time.RFC3339Nano, s)
		return t
	default:
		return s
	}
}

func truth(e ast.Expr, r Record) bool {
	if e.Kind() == ast.IdentKind {
		return r[e.AsIdent()] == true
	}
	c := e.AsCall()
	switch c.FunctionName() {
	case operators.LogicalAnd:
		for _, a := range c.Args() {
			if !truth(a, r) {
				return false
			}
		}
		return true
	case operators.LogicalOr:
		for _, a := range c.Args() {
			if truth(a, r) {
				return true
			}
		}
		return false
	case operators.LogicalNot:
		return !truth(c.Args()[0], r)
	case "startsWith", "contains":
		s, ok := operand(c.Target(), r).(string)
		part := operand(c.Args()[0], r).(string)
		if c.FunctionName() == "contains" {
			return ok && strings.Contains(s, part)
		}
		return ok && strings.HasPrefix(s, part)
	case operators.In:
		v := operand(c.Args()[0], r)
		for _, el := range c.Args()[1].AsList().Elements() {
			if v != nil && compare(kindOf(c.Args()[0]), v, operand(el, r)) == 0 {
				return true
			}
		}
		return false
	}
	a, b := operand(c.Args()[0], r), operand(c.Args()[1], r)
	kind := kindOf(c.Args()...)
	null := a == nil || b == nil
	switch c.FunctionName() {
	case operators.Equals:
		return a == nil && b == nil || !null && compare(kind, a, b) == 0
	case operators.NotEquals:
		return !(a == nil && b == nil || !null && compare(kind, a, b) == 0)
	case operators.Less:
		return !null && compare(kind, a, b) < 0
	case operators.LessEquals:
		return !null && compare(kind, a, b) <= 0
	case operators.Greater:
		return !null && compare(kind, a, b) > 0
	case operators.GreaterEquals:
		return !null && compare(kind, a, b) >= 0
	}
	panic("filtertest: " + c.FunctionName())
}

// operand is a field's value or a literal's.
func operand(e ast.Expr, r Record) any {
	switch e.Kind() {
	case ast.IdentKind:
		return r[e.AsIdent()]
	case ast.CallKind:
		return callOperand(e.AsCall(), r)
	default:
		if e.AsLiteral() == types.NullValue {
			return nil
		}
		return e.AsLiteral().Value()
	}
}

func callOperand(c ast.CallExpr, r Record) any {
	switch name := c.FunctionName(); name {
	case "normal", "identifier":
		s, ok := operand(c.Args()[0], r).(string)
		switch {
		case !ok:
			return nil
		case name == "normal":
			return filter.Normal(s)
		default:
			return filter.Identifier(s)
		}
	case "getFullYear":
		s, ok := operand(c.Target(), r).(string)
		if !ok {
			return nil
		}
		n, _ := strconv.ParseInt(s[:4], 10, 64)
		return n
	case "today":
		return Clock.Format(time.DateOnly)
	case "now":
		return Clock.Format(time.RFC3339Nano)
	case operators.Add, operators.Subtract:
		sign := 1
		if c.FunctionName() == operators.Subtract {
			sign = -1
		}
		return added(operand(c.Args()[0], r).(string), sign, c.Args()[1].AsCall())
	default: // date("…") and its kind
		return c.Args()[0].AsLiteral().Value()
	}
}

// added adds to a date or a timestamp, day by day where months are not.
func added(s string, sign int, step ast.CallExpr) string {
	format := time.RFC3339Nano
	if len(s) == len(time.DateOnly) {
		format = time.DateOnly
	}
	t, _ := time.Parse(format, s)
	arg := step.Args()[0].AsLiteral().Value()
	n, _ := arg.(int64)
	switch step.FunctionName() {
	case "duration":
		d, _ := time.ParseDuration(arg.(string))
		t = t.Add(time.Duration(sign) * d)
	case "days":
		t = t.Add(time.Duration(sign) * time.Duration(n) * 24 * time.Hour)
	default:
		if step.FunctionName() == "years" {
			n *= 12
		}
		month := t.Year()*12 + int(t.Month()) - 1 + sign*int(n)
		u := time.Date(month/12, time.Month(month%12+1), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
		for u.Year()*12+int(u.Month())-1 != month { // there is no such day
			u = u.Add(-24 * time.Hour)
		}
		t = u
	}
	return t.Format(format)
}

// kindOf is the type of the field among the expressions, or of what a function makes of it.
func kindOf(es ...ast.Expr) string {
	for _, e := range es {
		if e.Kind() == ast.CallKind {
			switch e.AsCall().FunctionName() {
			case "getFullYear":
				return "int"
			case "normal", "identifier":
				return "string"
			}
		}
		if e.Kind() != ast.IdentKind {
			continue
		}
		for _, f := range Schema.Fields {
			if f.Name == e.AsIdent() {
				return f.Type
			}
		}
	}
	return ""
}

func compare(kind string, a, b any) int {
	switch kind {
	case "int":
		switch x, y := a.(int64), b.(int64); {
		case x < y:
			return -1
		case x > y:
			return 1
		default:
			return 0
		}
	case "bool":
		if a == b {
			return 0
		}
		return 1
	case "decimal":
		return filter.CompareDecimals(a.(string), b.(string))
	case "timestamp":
		x, _ := time.Parse(time.RFC3339Nano, a.(string))
		y, _ := time.Parse(time.RFC3339Nano, b.(string))
		return x.Compare(y)
	default:
		return strings.Compare(a.(string), b.(string))
	}
}
