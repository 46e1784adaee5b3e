package audit

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Length is how many bytes a text has as the log writes it: some characters take six for one.
func Length(s string) int {
	n := 0
	for i := 0; i < len(s); {
		size, width := written(s[i:])
		i += size
		n += width
	}
	return n
}

// Cut shortens a text to at most so many bytes as the log writes it, and says that it did: what a caller sends must not make a record
// too large to be logged.
func Cut(s string, most int) string {
	if 6*len(s) <= most {
		return s
	}
	n := 0
	for i := 0; i < len(s); {
		size, width := written(s[i:])
		if n += width; n > most {
			return strings.ToValidUTF8(s[:i], "") + fmt.Sprintf("… (%d bytes)", len(s))
		}
		i += size
	}
	return s
}

// written is how many bytes the first character of s has, and how many of appendString's.
func written(s string) (size, width int) {
	switch c := s[0]; {
	case c == '"' || c == '\\' || c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t':
		return 1, 2
	case c < ' ':
		return 1, 6
	case c < utf8.RuneSelf:
		return 1, 1
	}
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
		return size, 6
	}
	return size, size
}
