package filter

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/entente-dev/entente/gateway/route"
)

// maxDirect is how many comparisons the direct way takes at most.
const maxDirect = 8

// direct compiles what nearly every look-up is, field == "literal" or field == date("literal") joined by &&, without CEL's
// parser: each look-up has another literal, so that no cache helps. It takes only what is beyond doubt and leaves the rest, errors
// included, to Compile, whose result it gives (TestDirect); nil: it leaves it.
func direct(schema *route.Schema, text string) *Filter {
	if len(text) > MaxTextBytes || !utf8.ValidString(text) {
		return nil
	}
	var terms [maxDirect]node
	n := 0
	for rest := strings.Trim(text, " "); ; n++ {
		if n == maxDirect {
			return nil
		}
		c, after := directTerm(schema, rest)
		if c == nil {
			return nil
		}
		terms[n] = c
		if rest = strings.TrimLeft(after, " "); rest == "" {
			n++
			break
		}
		var ok bool
		if rest, ok = strings.CutPrefix(rest, "&&"); !ok {
			return nil
		}
		rest = strings.TrimLeft(rest, " ")
	}
	root := terms[0]
	if n > 1 {
		root = &logic{terms: slices.Clone(terms[:n])}
	}
	f := newFilter(text, root)
	f.schema = schema
	return f
}

// directTerm compiles the comparison that the text begins with; nil: it is left to Compile.
func directTerm(schema *route.Schema, text string) (c *compare, rest string) {
	end := 0
	for end < len(text) && isIdentifier(text[end], end) {
		end++
	}
	name, rest := text[:end], text[end:]
	if reserved[name] {
		return nil, ""
	}
	i := slices.IndexFunc(schema.Fields, func(f route.Field) bool { return f.Name == name })
	if i < 0 || schema.Fields[i].Repeated {
		return nil, ""
	}
	f := &schema.Fields[i]
	rest, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), "==")
	if !ok {
		return nil, ""
	}
	rest = strings.TrimLeft(rest, " ")
	kind := "string"
	switch f.Type {
	case "string", "code":
	case "date":
		kind = "date"
		if rest, ok = strings.CutPrefix(rest, "date("); !ok {
			return nil, ""
		}
	default:
		return nil, ""
	}
	literal, rest, ok := directString(rest)
	if !ok {
		return nil, ""
	}
	switch f.Type {
	case "code":
		if !slices.Contains(f.Codes, literal) {
			return nil, ""
		}
	case "date":
		if rest, ok = strings.CutPrefix(rest, ")"); !ok {
			return nil, ""
		}
		if t, err := time.Parse(time.DateOnly, literal); err != nil || t.Year() < 1 {
			return nil, ""
		}
	}
	return &compare{field: f, op: equal, value: value{kind: kind, text: literal}}, rest
}

// directString takes a literal in double quotes that has no escapes and no control characters.
func directString(text string) (literal, rest string, ok bool) {
	if text == "" || text[0] != '"' {
		return "", "", false
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			rest = text[i+1:]
			// An empty literal and a quote are the beginning of one with three quotes.
			return text[1:i], rest, rest == "" || rest[0] != '"'
		case c == '\\' || c < ' ' || c == 0x7f:
			return "", "", false
		}
	}
	return "", "", false
}

func isIdentifier(c byte, at int) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || at > 0 && c >= '0' && c <= '9'
}

// reserved words of CEL are no identifiers, whatever a schema calls its fields.
var reserved = map[string]bool{
	"true": true, "false": true, "null": true, "in": true, "as": true, "break": true, "const": true, "continue": true, "else": true,
	"for": true, "function": true, "if": true, "import": true, "let": true, "loop": true, "package": true, "namespace": true,
	"return": true, "var": true, "void": true, "while": true,
}
