package mapping

import (
	"regexp"
	"strings"
	"time"
)

// format is a way to write dates: where year, month and day stand, and the expression that all of it matches.
type format struct {
	layout           string // of package time
	year, month, day int    // bytes, from 0
	pattern          string
	expression       *regexp.Regexp
}

var formatForm = regexp.MustCompile(`^(YYYY|MM|DD)([./-]?)(YYYY|MM|DD)([./-]?)(YYYY|MM|DD)$`)

func parseFormat(text string) (f format, ok bool) {
	m := formatForm.FindStringSubmatch(text)
	if m == nil {
		return f, false
	}
	f.pattern = "^"
	seen := map[string]int{}
	at := 0
	for _, token := range m[1:] {
		switch token {
		case "YYYY":
			f.layout, f.pattern = f.layout+"2006", f.pattern+"[0-9]{4}"
		case "MM":
			f.layout, f.pattern = f.layout+"01", f.pattern+"(0[1-9]|1[0-2])"
		case "DD":
			f.layout, f.pattern = f.layout+"02", f.pattern+"(0[1-9]|[12][0-9]|3[01])"
		default:
			f.layout, f.pattern = f.layout+token, f.pattern+regexp.QuoteMeta(token)
			at += len(token)
			continue
		}
		seen[token], at = at, at+len(token)
	}
	if len(seen) != 3 {
		return f, false
	}
	f.year, f.month, f.day = seen["YYYY"], seen["MM"], seen["DD"]
	f.pattern += "$"
	f.expression = regexp.MustCompile(f.pattern)
	return f, true
}

// read gives a date as YYYY-MM-DD; not ok: it is none in the format.
func (f format) read(text string) (string, bool) {
	if !f.expression.MatchString(text) || strings.ContainsRune(text, '\n') {
		return "", false
	}
	t, err := time.Parse(f.layout, text)
	if err != nil || t.Year() < 1 {
		return "", false
	}
	return t.Format(time.DateOnly), true
}

// write gives a date YYYY-MM-DD in the format.
func (f format) write(day string) (string, bool) {
	t, err := time.Parse(time.DateOnly, day)
	return t.Format(f.layout), err == nil
}
