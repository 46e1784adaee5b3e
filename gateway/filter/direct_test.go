package filter

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/route"
)

var directSchema = &route.Schema{Name: "s", Version: 1, Fields: []route.Field{
	{Name: "nr", Type: "string"}, {Name: "family_name", Type: "string"}, {Name: "born", Type: "date"}, {Name: "sex", Type: "code", Codes: []string{"F", "M"}},
	{Name: "n", Type: "int"}, {Name: "active", Type: "bool"}, {Name: "wage", Type: "decimal"}, {Name: "at", Type: "timestamp"}, {Name: "in", Type: "string"},
	{Name: "r", Type: "string"}, {Name: "date", Type: "date"},
}}

// agree fails when the direct way compiles what Compile's parser refuses, or otherwise than it.
func agree(t *testing.T, text string) (taken bool) {
	t.Helper()
	d := direct(directSchema, text)
	if d == nil {
		return false
	}
	c, err := compile(directSchema, text)
	if err == nil && !reflect.DeepEqual(d.Tree(), c.Tree()) {
		t.Fatalf("%q: directly the tree %+v; by the parser %+v", text, d.Tree(), c.Tree())
	}
	d.schema = nil
	if c != nil {
		c.places = nil
	}
	if err != nil || !reflect.DeepEqual(d, c) {
		t.Fatalf("%q: directly %+v, %s; by the parser %+v, %v", text, d, d.Canonical(), c, err)
	}
	return true
}

func TestDirect(t *testing.T) {
	for text, taken := range map[string]bool{
		`nr == "P000001"`: true,
		`  family_name == "Doe" && born == date("1980-01-01")&&sex=="F" `: true,
		`nr == "ü 'x' // && b"`:      true,
		`nr == ""`:                   true,
		`nr == "a" && nr == "b"`:     true,
		`date == date("2001-02-03")`: true,

		`nr == "a\"b"`: false, `nr == """a"""`: false, `nr == ""a`: false, `nr == "a" "b"`: false, `nr == 'a'`: false, `nr == r"a"`: false,
		`nr == "a" || nr == "b"`: false, `(nr == "a")`: false, `!(nr == "a")`: false, `nr != "a"`: false, `nr = "a"`: false, `nr == "a" &&`: false,
		`nr == "a" & nr == "b"`: false, `&& nr == "a"`: false, ``: false, `nr`: false, `nr ==`: false, `nr == "`: false, "nr == \"a\nb\"": false,
		"nr == \"\xff\"": false, "nr == \"\x00\"": false, `sex == "X"`: false, `born == "1980-01-01"`: false, `born == date("1980-02-30")`: false,
		`born == date ("1980-01-01")`: false, `in == "a"`: false, `unknown == "a"`: false, `n == 1`: false, `nr == "a" == "b"`: false,
		`nr=="1"&&nr=="2"&&nr=="3"&&nr=="4"&&nr=="5"&&nr=="6"&&nr=="7"&&nr=="8"&&nr=="9"`: false,
	} {
		if agree(t, text) != taken {
			t.Errorf("%q: taken %v", text, !taken)
		}
	}
}

// TestDirectAgrees makes filters of what they are made of, in and out of order.
func TestDirectAgrees(t *testing.T) {
	words := []string{"nr", "family_name", "born", "sex", "n", "active", "in", "r", "date", "true", "==", "!=", "&&", "||", "(", ")", "!", `"`, `"a"`, `"F"`, `""`, `'b'`,
		`"1980-01-01"`, `date("1980-01-01")`, `date("1980-13-01")`, " ", "\t", "\n", `\`, "//", "ü", "\x00", "1", "-", ".", ",", "[", "]"}
	terms := []string{`nr == "x"`, `family_name=="y z"`, `born == date("1999-12-31")`, `sex == "M"`, `r == "q"`, `n == 1`, `active`, `in == "x"`}
	taken := 0
	for range 200_000 {
		var b strings.Builder
		if rand.IntN(3) > 0 {
			for i := range 1 + rand.IntN(3) {
				if i > 0 {
					b.WriteString([]string{"&&", " && ", " || ", " & "}[rand.IntN(4)])
				}
				b.WriteString(terms[rand.IntN(len(terms))])
			}
			if text := b.String(); rand.IntN(2) == 0 { // with one word more somewhere
				at := rand.IntN(len(text) + 1)
				b.Reset()
				b.WriteString(text[:at] + words[rand.IntN(len(words))] + text[at:])
			}
		} else {
			for range 1 + rand.IntN(9) {
				b.WriteString(words[rand.IntN(len(words))])
			}
		}
		if agree(t, b.String()) {
			taken++
		}
	}
	if taken < 5000 {
		t.Errorf("only %d were taken", taken)
	}
}

func FuzzDirect(f *testing.F) {
	f.Add(`nr == "P000001" && born == date("1980-01-01")`)
	f.Fuzz(func(t *testing.T, text string) { agree(t, text) })
}
