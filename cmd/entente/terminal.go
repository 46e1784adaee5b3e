package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// isTerminal says whether somebody watches a stream, or types into it.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// sanitize keeps another agency's text from steering the terminal.
func sanitize(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
}

// sanitizeLines is sanitize for text that may have lines.
func sanitizeLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = sanitize(lines[i])
	}
	return strings.Join(lines, "\n")
}

// terminal is a stream for JSON and YAML: on a terminal, what could steer it is written as the escape that those have for it. In a
// file or a pipe everything stays as it is.
func terminal(w io.Writer) io.Writer {
	if isTerminal(w) {
		return &escaping{w: w}
	}
	return w
}

// escaping writes \uXXXX for what is not printable. JSON has such characters in strings only, where that means the same.
type escaping struct {
	w    io.Writer
	held []byte // the start of a character whose rest is to come
}

func (e *escaping) Write(p []byte) (int, error) {
	text := append(e.held, p...)
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size < 2 && !utf8.FullRune(text) {
			break
		}
		switch {
		case r == '\n' || strconv.IsPrint(r):
			out = append(out, text[:size]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	e.held = append([]byte(nil), text...)
	if _, err := e.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
