package compile

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxMessage bounds what a condition says: names in a resource can be long, and the first mistakes suffice.
const maxMessage = 2000

// maxListed bounds how many things of a kind a message names.
const maxListed = 8

// clip shortens a message at a character.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxMessage {
		return s
	}
	n := maxMessage
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// list joins at most maxListed items.
func list(items []string, separator string) string {
	if len(items) > maxListed {
		return strings.Join(items[:maxListed], separator) + fmt.Sprintf("%sand %d more", separator, len(items)-maxListed)
	}
	return strings.Join(items, separator)
}

func quoteAll(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = strconv.Quote(s)
	}
	return list(quoted, ", ")
}

// faults are what is wrong with a resource, each with its path.
type faults []string

func (f *faults) add(path, format string, args ...any) {
	*f = append(*f, path+": "+fmt.Sprintf(format, args...))
}

func (f faults) String() string { return list(f, "; ") }
