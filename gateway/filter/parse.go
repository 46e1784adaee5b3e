package filter

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/parser"
)

// celParser has no macros: what they expand to could not become SQL, and unexpanded they are functions with a name and a
// position to report. Type checking is this package's own, since the types of a filter are the schema's (codes, exact
// decimals, dates), not CEL's.
var celParser = sync.OnceValues(func() (*parser.Parser, error) {
	return parser.NewParser(
		parser.EnablePrattParser(true),
		parser.EnableVariadicOperatorASTs(true),
		parser.EnableIdentEscapeSyntax(false),
		parser.MaxRecursionDepth(MaxDepth+1),
		parser.ExpressionSizeCodePointLimit(MaxTextBytes),
		parser.MaxExpressionNodeCount(MaxTextBytes),
		parser.ErrorRecoveryLimit(1),
		parser.ErrorReportingLimit(1),
	)
})

func parse(text string) (*ast.AST, error) {
	p, err := celParser()
	if err != nil {
		return nil, errorf(1, 1, "the filter cannot be parsed by this build")
	}
	parsed, errs := p.Parse(common.NewTextSource(text))
	if errs != nil && len(errs.GetErrors()) > 0 {
		return nil, syntaxError(text, errs.GetErrors()[0])
	}
	return parsed, nil
}

// syntaxError keeps the parser's position and drops its message, which quotes the text.
func syntaxError(text string, e *common.Error) error {
	line, column := 1, 1
	if e.Location != nil && e.Location.Line() > 0 {
		line, column = e.Location.Line(), e.Location.Column()+1
	}
	switch {
	case strings.Contains(e.Message, "recursion limit"):
		return errorf(line, column, "nested more than %d deep", MaxDepth)
	case offsetOf(text, line, column) >= len(strings.TrimRight(text, " \t\r\n")):
		return errorf(line, column, "the filter ends too early")
	default:
		return errorf(line, column, "does not parse here; write comparisons such as family_name == \"…\" joined with && and ||")
	}
}

func errorf(line, column int, format string, args ...any) *Error {
	return &Error{Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// errorAt is an error at a byte offset of the text.
func errorAt(text string, offset int, format string, args ...any) *Error {
	before := text[:offset]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return errorf(line, column, format, args...)
}

// offsetOf is the byte offset of a 1-based line and column; the end of the text if it is beyond.
func offsetOf(text string, line, column int) int {
	offset := 0
	for ; line > 1; line-- {
		n := strings.IndexByte(text[offset:], '\n')
		if n < 0 {
			return len(text)
		}
		offset += n + 1
	}
	for ; column > 1 && offset < len(text); column-- {
		_, n := utf8.DecodeRuneInString(text[offset:])
		offset += n
	}
	return offset
}
