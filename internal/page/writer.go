package page

import (
	"fmt"
	"html"
	"strings"
)

// Text of the program itself: since the type has no name outside, only a constant of the source can be one, and never what somebody wrote
// into an agreement.
type text string

// Writer puts a page together from text of the program and from values, which are escaped. Values belong where text may stand, between tags
// or within a quoted attribute: not into scripts, of which there are none, and only such as cannot begin with a scheme into addresses.
//
// It does what html/template would do for pages like these. With that package, and with text/template, the linker has to keep every exported
// method of every type in the binary, since a template may call any: a quarter of it.
type Writer struct{ b strings.Builder }

// Put writes text whose verbs (%s, %d, %v) stand for values.
func (w *Writer) Put(format text, values ...any) {
	for i, v := range values {
		switch v.(type) {
		case int, int64, float64:
		default:
			values[i] = html.EscapeString(fmt.Sprint(v))
		}
	}
	fmt.Fprintf(&w.b, string(format), values...)
}

// Joined writes so many parts with text between them.
func (w *Writer) Joined(parts int, between text, part func(int)) {
	for i := range parts {
		if i > 0 {
			w.b.WriteString(string(between))
		}
		part(i)
	}
}

// Styled writes the style sheet as an element.
func (w *Writer) Styled() { w.b.WriteString("<style>\n" + Style + "</style>\n") }

// Bytes of the page.
func (w *Writer) Bytes() []byte { return []byte(w.b.String()) }
