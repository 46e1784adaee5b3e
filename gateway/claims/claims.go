// Package claims evaluates what a clause asks of the user who makes a query: a CEL expression over the claims that the
// recipient's gateway verified. It is pure: no network, no clock.
//
// The expression sees one variable, claims, and names each claim that it reads: claims.sworn, claims["gfipm:2.0:user:EmployerORI"],
// has(claims.sworn), "sworn" in claims. So it is known what has to cross to the source, and nothing else does. A claim that the user
// does not have is an error of the evaluation, and an error is not a permission; has() asks whether it is there.
package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// Bounds of an expression and of the claims that it reads.
const (
	MaxText  = 2000
	MaxNames = 16
	// MaxBytes is the most that the claims of one query have in their JSON form.
	MaxBytes    = 4 << 10
	maxName     = 128
	maxElements = 64
	maxDepth    = 64
	// maxCost bounds an evaluation in CEL's units, of which a comparison takes a few. It needs no clock, so both sides stop at
	// the same point.
	maxCost = 50_000
)

const variable = "claims"

// Expression is a compiled condition. It is immutable and safe for concurrent use.
type Expression struct {
	text    string
	names   []string
	program cel.Program
}

var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewCustomEnv(
		cel.StdLib(),
		cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserExpressionSizeLimit(MaxText),
		cel.Variable(variable, cel.MapType(cel.StringType, cel.DynType)),
	)
})

// compiled remembers expressions by their text: many agreements ask for the same. It is emptied when it is full.
var compiled = struct {
	sync.Mutex
	by map[string]*Expression
}{by: map[string]*Expression{}}

const maxCompiled = 1024

// Compile parses and type-checks an expression, and finds the claims that it reads. Errors give the position.
func Compile(text string) (*Expression, error) {
	compiled.Lock()
	x := compiled.by[text]
	compiled.Unlock()
	if x != nil {
		return x, nil
	}
	x, err := compile(text)
	if err != nil {
		return nil, err
	}
	compiled.Lock()
	defer compiled.Unlock()
	if len(compiled.by) >= maxCompiled {
		clear(compiled.by)
	}
	compiled.by[text] = x
	return x, nil
}

func compile(text string) (*Expression, error) {
	if text == "" || len(text) > MaxText {
		return nil, fmt.Errorf("%d bytes; 1 to %d are possible", len(text), MaxText)
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, fmt.Errorf("line %d, column %d: %s", first.Location.Line(), first.Location.Column()+1, first.Message)
	}
	if t := checked.OutputType(); t != cel.BoolType && t != cel.DynType {
		return nil, fmt.Errorf("it is of type %s, not bool", t)
	}
	names, err := read(checked.NativeRep())
	if err != nil {
		return nil, err
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	return &Expression{text: text, names: names, program: program}, nil
}

// read lists the claims that an expression reads, and refuses one that reads them in a way that does not tell which.
func read(a *ast.AST) ([]string, error) {
	names := map[string]bool{}
	all, named := 0, 0
	var first ast.Expr
	isClaims := func(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == variable }
	add := func(name string) {
		names[name] = true
		named++
	}
	ast.PreOrderVisit(ast.NavigateAST(a), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			if isClaims(e) {
				all++
				if first == nil {
					first = e
				}
			}
		case ast.SelectKind:
			if s := e.AsSelect(); isClaims(s.Operand()) {
				add(s.FieldName())
			}
		case ast.CallKind:
			c := e.AsCall()
			var key ast.Expr
			switch args := c.Args(); {
			case c.FunctionName() == operators.Index && len(args) == 2 && isClaims(args[0]):
				key = args[1]
			case c.FunctionName() == operators.In && len(args) == 2 && isClaims(args[1]):
				key = args[0]
			default:
				return
			}
			if name, ok := literal(key); ok {
				add(name)
			}
		}
	}))
	switch {
	case all != named:
		at := a.SourceInfo().GetStartLocation(first.ID())
		return nil, fmt.Errorf("line %d, column %d: name each claim that is read: claims.sworn, claims[\"EmployerORI\"]", at.Line(), at.Column()+1)
	case len(names) == 0:
		return nil, errors.New("it reads no claim of the user")
	case len(names) > MaxNames:
		return nil, fmt.Errorf("it reads %d claims; at most %d are possible", len(names), MaxNames)
	}
	for name := range names {
		if name == "" || len(name) > maxName {
			return nil, fmt.Errorf("the name of a claim has %d bytes; 1 to %d are possible", len(name), maxName)
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// Text is the expression as it was written.
func (x *Expression) Text() string { return x.text }

// Names of the claims that the expression reads, sorted. The slice is not to be changed.
func (x *Expression) Names() []string { return x.names }

// Select gives those of the claims that the expression reads, and refuses values that are not plain: true or false, a number, a
// text, or a list of such.
func (x *Expression) Select(all map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(x.names))
	for _, name := range x.names {
		value, ok := all[name]
		if !ok {
			continue
		}
		if !plain(value) {
			return nil, fmt.Errorf("claim %s is not true or false, a number, a text, or a list of at most %d such", name, maxElements)
		}
		out[name] = value
	}
	if _, err := JSON(out); err != nil {
		return nil, err
	}
	return out, nil
}

// Foreign is the first, by name, of the claims that the expression does not read; "" for none.
func (x *Expression) Foreign(all map[string]any) string {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(x.names, name) {
			return name
		}
	}
	return ""
}

func plain(v any) bool {
	list, ok := v.([]any)
	if !ok {
		return scalar(v)
	}
	return len(list) <= maxElements && !slices.ContainsFunc(list, func(e any) bool { return !scalar(e) })
}

func scalar(v any) bool {
	switch v := v.(type) {
	case bool:
		return true
	case string:
		return utf8.ValidString(v)
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return false
}

// Satisfied says whether claims that Select gave satisfy the expression. An error says what kept it from being evaluated, and
// repeats no value.
func (x *Expression) Satisfied(selected map[string]any) (bool, error) {
	value, _, err := x.program.Eval(map[string]any{variable: selected})
	if err != nil {
		// CEL's own words may repeat values.
		for _, name := range x.names {
			if _, ok := selected[name]; !ok {
				return false, fmt.Errorf("the user has no claim %s", name)
			}
		}
		return false, errors.New("the claims do not have the types, or the size, that it needs")
	}
	return value == types.True, nil
}

// JSON is the form in which claims are logged: an object with sorted members, or nil for none.
func JSON(selected map[string]any) ([]byte, error) {
	if len(selected) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(selected); err != nil {
		return nil, errors.New("the claims cannot be written as JSON")
	}
	if b.Len() > MaxBytes {
		return nil, fmt.Errorf("the claims have %d bytes; at most %d are possible", b.Len(), MaxBytes)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
