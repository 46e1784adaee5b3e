package mapping

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync"

	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"

	"github.com/entente-dev/entente/gateway/decimal"
)

// Limits of an expression.
const (
	MaxTextBytes = 1000
	maxDepth     = 32
)

var celParser = sync.OnceValues(func() (*parser.Parser, error) {
	return parser.NewParser(
		parser.EnablePrattParser(true),
		parser.EnableIdentEscapeSyntax(false),
		parser.MaxRecursionDepth(maxDepth),
		parser.ExpressionSizeCodePointLimit(MaxTextBytes),
		parser.MaxExpressionNodeCount(MaxTextBytes),
		parser.ErrorRecoveryLimit(1),
		parser.ErrorReportingLimit(1),
	)
})

type compiler struct {
	types    map[string]string
	used     map[string]bool
	info     *ast.SourceInfo
	partials []partial
	inverse  *inverse
}

// Kinds are the types of columns.
var Kinds = []string{"string", "int", "decimal", "bool", "date", "timestamp"}

func isKind(s string) bool {
	for _, k := range Kinds {
		if k == s {
			return true
		}
	}
	return false
}

func (c *compiler) expression(text string) (node, error) {
	if len(text) > MaxTextBytes || strings.ContainsRune(text, 0) || text != strings.ToValidUTF8(text, "") {
		return nil, fmt.Errorf("the expression is longer than %d bytes, or no text", MaxTextBytes)
	}
	p, err := celParser()
	if err != nil {
		return nil, err
	}
	parsed, errs := p.Parse(common.NewTextSource(text))
	if errs != nil && len(errs.GetErrors()) > 0 {
		at := 1
		if e := errs.GetErrors()[0]; e.Location != nil && e.Location.Column() >= 0 {
			at = e.Location.Column() + 1
		}
		return nil, fmt.Errorf("column %d: the expression does not parse here", at)
	}
	c.info = parsed.SourceInfo()
	return c.lower(parsed.Expr())
}

func (c *compiler) fail(e ast.Expr, format string, args ...any) error {
	at := c.info.GetStartLocation(e.ID())
	return fmt.Errorf("column %d: "+format, append([]any{at.Column() + 1}, args...)...)
}

func (c *compiler) lower(e ast.Expr) (node, error) {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		kind := c.types[name]
		if !isKind(kind) {
			return nil, c.fail(e, "column %s is not declared with a type: add it to the dataset's columns", shorten(name))
		}
		c.used[name] = true
		return column{name, kind}, nil
	case ast.LiteralKind:
		return c.literal(e)
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			return nil, c.fail(e, "write %s(…)", shorten(e.AsCall().FunctionName()))
		}
		return c.call(e)
	default:
		return nil, c.fail(e, "this is not part of the language: columns, constants, + - * / and functions are")
	}
}

func (c *compiler) literal(e ast.Expr) (node, error) {
	switch v := e.AsLiteral().(type) {
	case types.String:
		if strings.ContainsRune(string(v), 0) || string(v) != strings.ToValidUTF8(string(v), "") {
			return nil, c.fail(e, "the constant is no text")
		}
		return constant{"string", string(v)}, nil
	case types.Int:
		return constant{"int", strconv.FormatInt(int64(v), 10)}, nil
	case types.Bool:
		return constant{"bool", strconv.FormatBool(bool(v))}, nil
	case types.Double:
		// The shortest decimal that is this number is the one that was written, up to 15 digits.
		text := strconv.FormatFloat(float64(v), 'f', -1, 64)
		if len(strings.Trim(strings.ReplaceAll(text, ".", ""), "0-")) <= 15 {
			if d, ok := canonical(text); ok {
				return constant{"decimal", d}, nil
			}
		}
		return nil, c.fail(e, `write the number as decimal("12.50")`)
	}
	return nil, c.fail(e, "a constant of this type is not part of the language")
}

func (c *compiler) args(e ast.Expr) ([]node, error) {
	out := make([]node, len(e.AsCall().Args()))
	for i, a := range e.AsCall().Args() {
		n, err := c.lower(a)
		if err != nil {
			return nil, err
		}
		out[i] = n
	}
	return out, nil
}

func (c *compiler) call(e ast.Expr) (node, error) {
	name := e.AsCall().FunctionName()
	args, err := c.args(e)
	if err != nil {
		return nil, err
	}
	kinds := make([]string, len(args))
	for i, a := range args {
		kinds[i] = a.kind()
	}
	is := func(want ...string) bool {
		if len(kinds) != len(want) {
			return false
		}
		for i, w := range want {
			if w != kinds[i] && !(w == "number" && (kinds[i] == "int" || kinds[i] == "decimal")) {
				return false
			}
		}
		return true
	}
	var first node // nil: there are no arguments
	if len(args) > 0 {
		first = args[0]
	}
	given := func() string {
		if len(kinds) == 0 {
			return "nothing"
		}
		return strings.Join(kinds, " and ")
	}
	constantText := func(i int) (string, bool) {
		k, ok := args[i].(constant)
		return k.text, ok && k.of == "string"
	}
	switch name {
	case operators.Add:
		switch {
		case is("string", "string"):
			return concat{args[0], args[1]}, nil
		case is("number", "number"):
			return arithmetic{"+", args[0], args[1]}, nil
		}
		return nil, c.fail(e, "+ is of two numbers or of two strings, not of %s: convert one, for example with string(…)", given())
	case operators.Subtract, operators.Multiply:
		op := map[string]string{operators.Subtract: "-", operators.Multiply: "*"}[name]
		if is("number", "number") {
			return arithmetic{op, args[0], args[1]}, nil
		}
		return nil, c.fail(e, "%s is of two numbers, not of %s", op, given())
	case operators.Negate:
		if is("number") {
			return arithmetic{"*", args[0], constant{"int", "-1"}}, nil
		}
		return nil, c.fail(e, "- is of a number, not of %s", given())
	case operators.Divide:
		if !is("number", "number") {
			return nil, c.fail(e, "/ is of two numbers, not of %s", given())
		}
		by, ok := args[1].(constant)
		if !ok {
			return nil, c.fail(e, "/ is by a constant: a quotient of two columns has no exact decimal")
		}
		r, ok := reciprocal(by.text)
		if !ok {
			return nil, c.fail(e, "a division by this constant is not exact in decimals: give the source's unit, or one that 10, 100 or 4 divides")
		}
		return arithmetic{"*", args[0], constant{"decimal", r}}, nil
	case "coalesce":
		if len(args) < 2 {
			return nil, c.fail(e, "coalesce is of two values or more")
		}
		kind := kinds[0]
		for i, k := range kinds {
			switch {
			case k == kind:
			case (k == "int" || k == "decimal") && (kind == "int" || kind == "decimal"):
				kind = "decimal"
			default:
				return nil, c.fail(e.AsCall().Args()[i], "coalesce is of values of one type, not of %s", given())
			}
		}
		for i, a := range args {
			if kind == "decimal" && a.kind() == "int" {
				args[i] = toDecimal{a}
			}
		}
		return coalesce{args, kind}, nil
	case "lower", "upper", "trim":
		if is("string") {
			return textual{name, args[0]}, nil
		}
		return nil, c.fail(e, "%s is of a string, not of %s", name, given())
	case "part":
		if is("string", "string", "int") {
			separator, ok := constantText(1)
			n, isConstant := args[2].(constant)
			if at, err := strconv.Atoi(n.text); ok && isConstant && err == nil && separator != "" && at >= 1 && at <= 99 {
				return part{args[0], separator, at}, nil
			}
		}
		return nil, c.fail(e, `write part(column, ", ", 1): a string, a constant separator, and which piece, from 1`)
	case "string":
		if is("string") {
			return args[0], nil
		}
		if is("number") || is("bool") || is("date") {
			return toText{args[0]}, nil
		}
		return nil, c.fail(e, "string is of an int, a decimal, a bool or a date, not of %s", given())
	case "int":
		if is("string") || is("decimal") {
			return c.partial(args[0], toInt{args[0]}), nil
		}
		if is("int") {
			return args[0], nil
		}
		return nil, c.fail(e, "int is of a string or a decimal, not of %s", given())
	case "decimal":
		switch k, isConstant := first.(constant); {
		case is("string") && isConstant:
			if d, ok := canonical(k.text); ok {
				return constant{"decimal", d}, nil
			}
			return nil, c.fail(e, `not a decimal: write decimal("12.50")`)
		case is("string"):
			return c.partial(args[0], toDecimal{args[0]}), nil
		case is("int"):
			return toDecimal{args[0]}, nil
		case is("decimal"):
			return args[0], nil
		}
		return nil, c.fail(e, "decimal is of a string or an int, not of %s", given())
	case "date":
		f, _ := parseFormat("YYYY-MM-DD")
		if len(args) == 2 {
			text, isText := constantText(1)
			var ok bool
			if f, ok = parseFormat(text); !isText || !ok {
				return nil, c.fail(e.AsCall().Args()[1], "a format has YYYY, MM and DD once each, with one of . / - or nothing between them")
			}
			args, kinds = args[:1], kinds[:1]
		}
		switch k, isConstant := first.(constant); {
		case is("string") && isConstant:
			if day, ok := f.read(k.text); ok {
				return constant{"date", day}, nil
			}
			return nil, c.fail(e, `not a date: write date("2001-02-03")`)
		case is("string"):
			return c.partial(args[0], toDate{args[0], f}), nil
		case is("timestamp"):
			return dayOf{args[0]}, nil
		}
		return nil, c.fail(e, "date is of a string or a timestamp, not of %s", given())
	case "timestamp":
		if is("string") {
			return c.partial(args[0], toMoment{args[0]}), nil
		}
		return nil, c.fail(e, "timestamp is of a string, not of %s", given())
	}
	return nil, c.fail(e, "%s is not part of the language: + - * /, coalesce, lower, upper, trim, part, string, int, decimal, date and timestamp are", describe(name))
}

func describe(function string) string {
	if strings.HasPrefix(function, "_") || strings.HasPrefix(function, "@") || strings.HasPrefix(function, "!") {
		return "this operator"
	}
	return "function " + shorten(function)
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 63 {
		return string(r[:63]) + "…"
	}
	return s
}

// reciprocal gives the exact decimal of 1/x; not ok: it has none.
func reciprocal(x string) (string, bool) {
	r, ok := new(big.Rat).SetString(x)
	if !ok || r.Sign() == 0 {
		return "", false
	}
	r.Inv(r)
	rest := new(big.Int).Set(r.Denom())
	for _, p := range []int64{2, 5} {
		for new(big.Int).Rem(rest, big.NewInt(p)).Sign() == 0 {
			rest.Quo(rest, big.NewInt(p))
		}
	}
	if rest.Cmp(big.NewInt(1)) != 0 {
		return "", false
	}
	return canonical(r.FloatString(len(r.Denom().String()) * 4))
}

// canonical gives a decimal without superfluous zeros; not ok: it is none, or has too many digits without them.
func canonical(s string) (string, bool) {
	if c, _, kept, ok := decimal.Canonical(s); ok && kept <= decimal.MaxDigits {
		return c, true
	}
	return "", false
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// parseInt takes an int as the conversion does: at most 18 digits.
func parseInt(s string) (int64, bool) {
	rest := strings.TrimPrefix(s, "-")
	if rest == "" || len(rest) > 18 || !digits(rest) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
