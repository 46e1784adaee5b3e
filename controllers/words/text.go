package words

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// width of a line in a terminal.
const width = 100

// plain gives text that a terminal shows as it stands, on one line: a peer's terms must not move the cursor.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !strconv.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

func plainAll(items []string) []string {
	out := make([]string, len(items))
	for i, s := range items {
		out[i] = plain(s)
	}
	return out
}

// and joins a list as people do: a, b and c.
func and(items []string) string { return joined(items, " and ") }

func or(items []string) string { return joined(items, " or ") }

func joined(items []string, last string) string {
	if n := len(items); n > 1 {
		return strings.Join(items[:n-1], ", ") + last + items[n-1]
	}
	return strings.Join(items, "")
}

// sorted gives a list that is a set, each item once, in a stable order.
func sorted(items []string) []string { return slices.Compact(slices.Sorted(slices.Values(items))) }

// without gives the items of a that are not in b, sorted.
func without(a, b []string) []string {
	var out []string
	for _, item := range sorted(a) {
		if !slices.Contains(b, item) {
			out = append(out, item)
		}
	}
	return out
}

// count says a number with its noun: 1 day, 1,000 days.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number groups the digits by thousands.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// duration says seconds in the largest unit that divides them.
func duration(seconds int64) string {
	for _, u := range []struct {
		size int64
		noun string
	}{{24 * 3600, "day"}, {3600, "hour"}, {60, "minute"}} {
		if seconds >= u.size && seconds%u.size == 0 {
			return count(seconds/u.size, u.noun)
		}
	}
	return count(seconds, "second")
}

// when writes an instant in UTC; a midnight as its date.
func when(t time.Time) string {
	t = t.UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

// wrap breaks text into lines of width. The first begins with first, the others with rest.
func wrap(text, first, rest string) string {
	var out strings.Builder
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			out.WriteString(line + "\n")
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	out.WriteString(strings.TrimRight(line, " ") + "\n")
	return out.String()
}

// types of agreements as people write them.
var types = map[string]string{
	"ComputerMatchingAgreement":    "Computer matching agreement",
	"InformationExchangeAgreement": "Information exchange agreement",
	"MemorandumOfUnderstanding":    "Memorandum of understanding",
	"DataUseAgreement":             "Data use agreement",
	"ServiceLevelAgreement":        "Service level agreement",
}

func typeName(t string) string {
	if name, ok := types[t]; ok {
		return name
	}
	return plain(t)
}

// schemaName is the object name of the exchange schema that a clause pins.
func schemaName(s v1alpha1.SchemaRef) string {
	return plain(s.Name) + ".v" + strconv.FormatInt(s.Version, 10)
}
