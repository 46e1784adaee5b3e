package filter

import (
	"strings"
	"unicode/utf8"
)

// Limits of a filter. They are checked before or while compiling, so that a hostile filter costs little.
const (
	MaxTextBytes    = 16 << 10
	MaxDepth        = 64  // of brackets and of signs or negations in a row
	MaxLiterals     = 256 // in the whole filter
	MaxListElements = 256
	MaxPredicates   = 256 // comparisons and tests
)

// scan refuses in one pass over the bytes, without recursion or allocation, what the parser should not even see. It is a
// guard, not a lexer: the parser has limits of its own behind it.
func scan(text string) error {
	if len(text) > MaxTextBytes {
		return errorf(1, 1, "the filter is longer than %d bytes", MaxTextBytes)
	}
	if !utf8.ValidString(text) {
		return errorf(1, 1, "the filter is not valid UTF-8")
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return errorAt(text, i, "the filter has a NUL character")
	}
	if strings.TrimSpace(text) == "" {
		return errorf(1, 1, "the filter is empty")
	}
	depth, signs := 0, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case '(', '[', '{':
			if depth++; depth > MaxDepth {
				return errorAt(text, i, "nested more than %d deep", MaxDepth)
			}
		case ')', ']', '}':
			depth = max(depth-1, 0)
		case '!', '-':
			if signs++; signs > MaxDepth {
				return errorAt(text, i, "more than %d signs or negations in a row", MaxDepth)
			}
			continue
		case ' ', '\t', '\n', '\r', '\f':
			continue
		case '"', '\'':
			raw := i > 0 && (text[i-1] == 'r' || text[i-1] == 'R')
			i = skipString(text, i, raw)
		case '/':
			if strings.HasPrefix(text[i:], "//") {
				if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
					i += n
				} else {
					i = len(text)
				}
				continue
			}
		}
		signs = 0
	}
	return nil
}

// skipString gives the index of the last byte of the string literal whose quote is at i, or of the text.
func skipString(text string, i int, raw bool) int {
	end := text[i : i+1]
	if triple := strings.Repeat(end, 3); strings.HasPrefix(text[i:], triple) {
		end = triple
	}
	for i += len(end); i < len(text); i++ {
		switch {
		case text[i] == '\\' && !raw:
			i++
		case strings.HasPrefix(text[i:], end):
			return i + len(end) - 1
		}
	}
	return len(text) - 1
}
