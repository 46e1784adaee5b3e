package filter

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/entente-dev/entente/gateway/route"
)

// isLiteral says whether e has the form of a literal, without checking it.
func (l *lowering) isLiteral(e ast.Expr) bool {
	switch e.Kind() {
	case ast.LiteralKind:
		return true
	case ast.CallKind:
		c := e.AsCall()
		switch c.FunctionName() {
		case "date", "timestamp", "decimal", "today", "now":
			return !c.IsMemberFunction()
		case operators.Add, operators.Subtract:
			return l.isMoment(e)
		case operators.Negate:
			return l.isLiteral(c.Args()[0])
		}
	}
	return false
}

// literal is a literal that field f may be compared with.
func (l *lowering) literal(f *route.Field, e ast.Expr) (value, error) {
	if !l.isLiteral(e) {
		return value{}, l.unsupported(e)
	}
	if e.Kind() == ast.LiteralKind && e.AsLiteral().Type() == types.NullType {
		return value{}, l.fail(e, "null does not go into a list: write %s == null", f.Name)
	}
	switch f.Type {
	case "string", "code":
		s, ok, err := l.stringLiteral(e)
		if err != nil {
			return value{}, err
		}
		if !ok {
			return value{}, l.wrongType(e, f, `a string, "…"`)
		}
		if f.Type == "code" && !slices.Contains(f.Codes, s) {
			return value{}, l.fail(e, "field '%s' has no such code; its codes are %s", f.Name, nameList(f.Codes, 32))
		}
		return value{kind: "string", text: s}, nil
	case "int":
		n, ok, err := l.intLiteral(e)
		if err != nil {
			return value{}, err
		}
		if !ok {
			return value{}, l.wrongType(e, f, "a whole number")
		}
		return value{kind: "int", integer: n}, nil
	case "bool":
		if e.Kind() == ast.LiteralKind {
			if b, ok := e.AsLiteral().(types.Bool); ok {
				return value{kind: "bool", boolean: bool(b)}, l.count(e)
			}
		}
		return value{}, l.wrongType(e, f, "true or false")
	case "date", "timestamp":
		return l.moment(f, e)
	case "decimal":
		return l.decimalLiteral(f, e)
	default:
		return value{}, l.fail(e, "field '%s' is of a type that filters do not know", f.Name)
	}
}

func (l *lowering) wrongType(e ast.Expr, f *route.Field, want string) error {
	return l.fail(e, "field '%s' is of type %s: compare it with %s", f.Name, f.Type, want)
}

// count counts a literal.
func (l *lowering) count(e ast.Expr) error {
	if l.literals++; l.literals > MaxLiterals {
		return l.fail(e, "more than %d literals", MaxLiterals)
	}
	return nil
}

// stringLiteral gives the string; not ok: e is another literal.
func (l *lowering) stringLiteral(e ast.Expr) (s string, ok bool, err error) {
	if e.Kind() != ast.LiteralKind {
		return "", false, nil
	}
	lit, ok := e.AsLiteral().(types.String)
	if !ok {
		return "", false, nil
	}
	s = string(lit)
	// Escapes can make what the text itself cannot hold: NUL, and code points that are not characters.
	if strings.IndexByte(s, 0) >= 0 {
		return "", false, l.fail(e, "the string has a NUL character")
	}
	if s != strings.ToValidUTF8(s, "") {
		return "", false, l.fail(e, "the string is not valid UTF-8")
	}
	return s, true, l.count(e)
}

// wrapped gives the string s of name(s).
func (l *lowering) wrapped(e ast.Expr, name string) (s string, ok bool, err error) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != name {
		return "", false, nil
	}
	args := e.AsCall().Args()
	if len(args) == 1 {
		if s, ok, err = l.stringLiteral(args[0]); ok || err != nil {
			return s, ok, err
		}
	}
	return "", false, l.fail(e, "%s(…) takes one string literal", name)
}

// intLiteral gives the integer, negated as written.
func (l *lowering) intLiteral(e ast.Expr) (n int64, ok bool, err error) {
	switch e.Kind() {
	case ast.LiteralKind:
		i, ok := e.AsLiteral().(types.Int)
		if !ok {
			return 0, false, nil
		}
		return int64(i), true, l.count(e)
	case ast.CallKind:
		if c := e.AsCall(); c.FunctionName() == operators.Negate {
			n, ok, err = l.intLiteral(c.Args()[0])
			if ok && n == math.MinInt64 {
				return 0, false, l.fail(e, "the number does not fit 64 bits")
			}
			return -n, ok, err
		}
	}
	return 0, false, nil
}

func (l *lowering) decimalLiteral(f *route.Field, e ast.Expr) (value, error) {
	if n, ok, err := l.intLiteral(e); ok || err != nil {
		return value{kind: "decimal", text: strconv.FormatInt(n, 10)}, err
	}
	if s, ok, err := l.wrapped(e, "decimal"); err != nil {
		return value{}, err
	} else if ok {
		text, ok := CanonicalDecimal(s)
		if !ok {
			return value{}, l.fail(e, `not a decimal of at most %d digits: write decimal("12.50")`, MaxDecimalDigits)
		}
		return value{kind: "decimal", text: text}, nil
	}
	return l.fraction(f, e)
}

// fraction takes a literal such as -12.50 from the text, because the parser has made a binary fraction of it.
func (l *lowering) fraction(f *route.Field, e ast.Expr) (value, error) {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Negate {
		v, err := l.fraction(f, e.AsCall().Args()[0])
		if err != nil {
			return value{}, err
		}
		v.text, _ = CanonicalDecimal(negated(v.text))
		return v, nil
	}
	var d types.Double
	ok := e.Kind() == ast.LiteralKind
	if ok {
		d, ok = e.AsLiteral().(types.Double)
	}
	if !ok {
		return value{}, l.wrongType(e, f, `a number or decimal("12.50")`)
	}
	if err := l.count(e); err != nil {
		return value{}, err
	}
	at := l.info.GetStartLocation(e.ID())
	rest := l.text[offsetOf(l.text, at.Line(), at.Column()+1):]
	sign := ""
	if strings.HasPrefix(rest, "-") {
		sign, rest = "-", strings.TrimLeft(rest[1:], " \t\r\n\f")
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(rest)
	}
	text, ok := CanonicalDecimal(sign + rest[:end])
	// What was cut from the text has to be what the parser read: an exponent, say, is not cut off.
	if v, err := strconv.ParseFloat(text, 64); !ok || err != nil || v != float64(d) {
		return value{}, l.fail(e, `write the number as decimal("12.50")`)
	}
	return value{kind: "decimal", text: text}, nil
}

func negated(decimal string) string {
	if s, ok := strings.CutPrefix(decimal, "-"); ok {
		return s
	}
	return "-" + decimal
}

// CanonicalTimestamp gives an RFC 3339 timestamp in UTC without trailing zeros: 2001-02-03T04:05:06.5Z. Not ok: it is no
// timestamp of the years 1 to 9999, or finer than microseconds, which is all that sources keep.
func CanonicalTimestamp(s string) (string, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Nanosecond()%1000 != 0 {
		return "", false
	}
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return "", false
	}
	return t.Format(time.RFC3339Nano), true
}
