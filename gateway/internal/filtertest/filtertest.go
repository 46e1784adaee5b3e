// Package filtertest makes random records and random filters, and says by CEL itself which records a filter means. Tests of
// sources compare their answers with it.
package filtertest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/route"
)

// Schema has an id and two fields of every type.
var Schema = &route.Schema{
	Name: "person", Version: 1, Digest: "sha256:filtertest",
	Fields: []route.Field{
		{Name: "id", Type: "int"},
		{Name: "family_name", Type: "string"}, {Name: "given_name", Type: "string"},
		{Name: "height", Type: "int"}, {Name: "weight", Type: "int"},
		{Name: "wage", Type: "decimal"}, {Name: "bonus", Type: "decimal"},
		{Name: "active", Type: "bool"}, {Name: "sealed", Type: "bool"},
		{Name: "birth_date", Type: "date"}, {Name: "entry_date", Type: "date"},
		{Name: "seen_at", Type: "timestamp"}, {Name: "left_at", Type: "timestamp"},
		{Name: "sex", Type: "code", Codes: codes}, {Name: "registered_sex", Type: "code", Codes: codes},
	},
}

// What values are drawn from: few, so that filters find some, and awkward.
var (
	codes = []string{"F", "M", "X", "f_%"}
	texts = []string{"", "a", "A", "ab", "a_b", "a%b", `a\b`, `\`, "%", "_", "é", "e\u0301", "z", "Z", "ß", "ss", "😀", "\uFFFD", "'", `"`, `a'; DROP TABLE person; --`, "$1", "?", "a b", " a", "a\n", "Müller", "mu\u0308LLER ", "MULLER", "Straße", "strasse", "PH-12.3", "ph 123", "\u00a0 "}
	// spellings are of three names.
	spellings = []string{"Müller", "mu\u0308LLER ", "MULLER", "Straße", "strasse", "PH-12.3", "ph 123", "ph-12.3"}

	ints    = []int64{-1 << 63, -7, -1, 0, 1, 7, 42, 1<<53 + 1, 1<<63 - 1}
	numbers = []string{"-100", "-12.5", "-0.01", "0", "0.01", "1", "1.05", "1.5", "12.5", "99.99", "100"}
	dates   = []string{"0001-01-01", "1899-12-31", "1970-01-01", "1980-02-29", "2000-01-01", "2000-02-29", "2000-03-01", "2024-02-29", "2024-06-01", "2024-12-31", "9999-12-31"}
	times   = []string{"0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2000-01-01T00:00:00Z", "2000-01-01T00:00:00.5Z", "2000-01-01T00:00:00.000001Z", "2024-06-01T12:00:00Z"}
)

// Clock is what today() and now() are bound to.
var Clock = time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)

// Record is the values of one record by field: nil, string, int64 or bool. Decimals, dates and timestamps are strings in
// canonical form.
type Record map[string]any

// Records makes n records with ids from 0, a fifth of their values null.
func Records(r *rand.Rand, n int) []Record {
	out := make([]Record, n)
	for i := range out {
		out[i] = Record{"id": int64(i)}
		for _, f := range Schema.Fields[1:] {
			if r.IntN(5) > 0 {
				out[i][f.Name] = random(r, f.Type)
			} else {
				out[i][f.Name] = nil
			}
		}
	}
	return out
}

func random(r *rand.Rand, kind string) any {
	switch kind {
	case "int":
		return pick(r, ints)
	case "bool":
		return r.IntN(2) == 0
	case "decimal":
		return pick(r, numbers)
	case "date":
		return pick(r, dates)
	case "timestamp":
		return pick(r, times)
	case "code":
		return pick(r, codes)
	default:
		return pick(r, texts)
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// Filter makes a filter over Schema.
func Filter(r *rand.Rand, depth int) string {
	if depth > 0 {
		switch r.IntN(5) {
		case 0, 1:
			return "(" + Filter(r, depth-1) + pick(r, []string{" && ", " || "}) + Filter(r, depth-1) + ")"
		case 2:
			return "!(" + Filter(r, depth-1) + ")"
		}
	}
	at := 1 + r.IntN(len(Schema.Fields)-1)
	f := Schema.Fields[at]
	other := Schema.Fields[(at-1)^1+1] // its pair
	equality := []string{" == ", " != "}
	any := append(equality, " < ", " <= ", " > ", " >= ")
	ops := any
	if f.Type == "bool" {
		ops = equality
	}
	switch n := r.IntN(11); {
	case n >= 8 && f.Type == "string":
		return form(r, f.Name, other.Name)
	case n >= 8 && (f.Type == "date" || f.Type == "timestamp"):
		if n == 8 {
			return year(r, f.Name)
		}
		return f.Name + pick(r, ops) + moment(r, f.Type)
	case n == 0:
		return f.Name + pick(r, equality) + "null"
	case n == 1:
		return f.Name + pick(r, ops) + other.Name
	case n == 2 && f.Type == "bool":
		return f.Name
	case n <= 3 && f.Type != "bool":
		list := make([]string, 1+r.IntN(4))
		for i := range list {
			list[i] = literal(r, f.Type)
		}
		return f.Name + " in [" + strings.Join(list, ", ") + "]"
	case n == 4 && (f.Type == "string" || f.Type == "code"):
		return f.Name + pick(r, []string{".startsWith(", ".contains("}) + strconv.Quote(pick(r, texts)) + ")"
	case n == 5:
		return literal(r, f.Type) + pick(r, ops) + f.Name
	default:
		return f.Name + pick(r, ops) + literal(r, f.Type)
	}
}

// form makes a comparison of normal forms.
func form(r *rand.Rand, field, other string) string {
	name := pick(r, []string{"normal", "identifier"})
	of := func(x string) string { return name + "(" + x + ")" }
	text := func() string {
		if r.IntN(3) > 0 {
			return of(strconv.Quote(pick(r, spellings)))
		}
		return of(strconv.Quote(pick(r, texts)))
	}
	switch r.IntN(4) {
	case 0:
		return of(field) + pick(r, []string{" == ", " != "}) + of(other)
	case 1:
		return of(field) + " in [" + text() + ", " + text() + "]"
	case 2:
		return of(field) + pick(r, []string{".startsWith(", ".contains("}) + text() + ")"
	default:
		return of(field) + pick(r, []string{" == ", " != "}) + text()
	}
}

// year makes a comparison of a year.
func year(r *rand.Rand, field string) string {
	years := []string{"1", "1969", "1980", "2000", "2024", "9999"}
	if r.IntN(3) == 0 {
		return field + ".getFullYear() in [" + pick(r, years) + ", " + pick(r, years) + "]"
	}
	return field + ".getFullYear()" + pick(r, []string{" == ", " != ", " < ", " <= ", " > ", " >= "}) + pick(r, years)
}

// moment makes a date or timestamp by arithmetic.
func moment(r *rand.Rand, kind string) string {
	s, units := pick(r, []string{`date("2024-02-29")`, `date("2000-01-31")`, "today()"}), []string{"days(%d)", "months(%d)", "years(%d)"}
	if kind == "timestamp" {
		s, units = pick(r, []string{`timestamp("2000-01-01T00:00:00Z")`, "now()"}), append(units, `duration("%dh30m0.000001s")`)
	}
	for range r.IntN(4) {
		s += pick(r, []string{" + ", " - "}) + fmt.Sprintf(pick(r, units), pick(r, []int{0, 1, 12, 24, 30, 44}))
	}
	return s
}

func literal(r *rand.Rand, kind string) string {
	switch v := random(r, kind); kind {
	case "int", "bool":
		return fmt.Sprint(v)
	case "decimal", "date", "timestamp":
		return kind + "(" + strconv.Quote(v.(string)) + ")"
	default:
		return strconv.Quote(v.(string))
	}
}
