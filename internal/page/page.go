// Package page is what the pages for people share: they stand by themselves, have no script, and read well on paper.
package page

import (
	_ "embed"
	"fmt"
	"time"
)

// Style is the style sheet.
//
//go:embed style.css
var Style string

// Day and Moment are how people read times; all of them are UTC.
func Day(t time.Time) string    { return t.UTC().Format("2 January 2006") }
func Moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// Number has its thousands set apart by a narrow space.
func Number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
