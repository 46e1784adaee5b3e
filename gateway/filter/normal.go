package filter

import (
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/entente-dev/entente/gateway/route"
)

// Normal is the normal form of a name, in which spellings that differ in case, diacritics, width or spacing are one:
//
//  1. Each character of the blocks of normalBlocks that is a letter, a mark or a full-width form becomes its compatibility
//     decomposition (Unicode NFKD) without marks, case-folded. Some letters that Unicode does not decompose lose their stroke
//     or become what they are made of: ł l, ø o, đ d, ħ h, ŧ t, ı i, æ ae, œ oe, ß ss, þ th, ð d. Typographic apostrophes
//     and hyphens become ' and -. White space becomes a space. Characters that are only of format (soft hyphen, zero width)
//     go. All others stay as they are.
//  2. Spaces in a row become one, and those at the ends go.
//
// It is a table and not a call of a database's own functions, since those differ in their versions of Unicode and their
// locales: normal means the same in every source. Normal of a normal form is itself.
func Normal(s string) string {
	t := normalTable()
	var b strings.Builder
	b.Grow(len(s))
	space := false // a space is due before what comes next
	for _, r := range s {
		if to, ok := t[r]; ok {
			for _, c := range to {
				space = appendNormal(&b, c, space)
			}
			continue
		}
		space = appendNormal(&b, r, space)
	}
	return b.String()
}

func appendNormal(b *strings.Builder, r rune, space bool) bool {
	if r == ' ' {
		return b.Len() > 0
	}
	if space {
		b.WriteByte(' ')
	}
	b.WriteRune(r)
	return false
}

// Identifier is the normal form of an identifier, in which spellings that differ in case, spaces, hyphens or dots are one: Normal
// without spaces, hyphens and dots.
func Identifier(s string) string {
	return identifierStripper.Replace(Normal(s))
}

const identifierSeparators = " -."

var identifierStripper = strings.NewReplacer(" ", "", "-", "", ".", "")

// normalTable is the constants normalFrom and its kin as one map.
var normalTable = sync.OnceValue(func() map[rune]string {
	t := map[rune]string{}
	from, to := []rune(normalFrom), []rune(normalTo)
	for i, r := range from {
		if i < len(to) {
			t[r] = string(to[i])
		} else {
			t[r] = ""
		}
	}
	// What stands for several letters is a single one first, and then these.
	several := map[rune]string{}
	for _, m := range normalSeveral {
		r := []rune(m.from)[0]
		several[r] = m.to
		t[r] = m.to
	}
	for r, to := range t {
		if one := []rune(to); len(one) == 1 && several[one[0]] != "" {
			t[r] = several[one[0]]
		}
	}
	return t
})

// forms are the functions of fields that filters know, by name.
var forms = map[string]func(string) string{"normal": Normal, "identifier": Identifier}

// writeForm writes a form of an operand in the SQL that PostgreSQL and Trino have in common. everywhere is what regexp_replace
// needs to replace all that it finds.
func writeForm(form, operand, everywhere string) string {
	from, to := sqlText(normalFrom), sqlText(normalTo)
	x := "translate(" + operand + ", " + from + ", " + to + ")"
	for _, m := range normalSeveral {
		x = "replace(" + x + ", " + sqlText(m.from) + ", " + sqlText(m.to) + ")"
	}
	return writeSpaces(form, x, everywhere)
}

func writeSpaces(form, x, everywhere string) string {
	x = "trim(BOTH ' ' FROM regexp_replace(" + x + ", ' +', ' '" + everywhere + "))"
	if form == "identifier" {
		x = "translate(" + x + ", " + sqlText(identifierSeparators) + ", '')"
	}
	return x
}

// sqlText writes a constant of this package as a string literal, with escapes for what could not be seen or copied. Nothing of a
// filter ever becomes one.
func sqlText(s string) string {
	var b strings.Builder
	escaped := false
	for _, r := range s {
		switch {
		case r == '\'':
			b.WriteString("''")
		case r == '\\':
			b.WriteString(`\\`)
			escaped = true
		case r == ' ' || unicode.IsGraphic(r) && !unicode.In(r, unicode.M, unicode.Z):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\%04x`, r)
			escaped = true
		}
	}
	if escaped {
		return "U&'" + b.String() + "'"
	}
	return "'" + b.String() + "'"
}

// FormExpression is the expression that the SQL of a dialect has for normal(column) or identifier(column), for an index on it. ok is
// false when there is no such form.
func FormExpression(d Dialect, form, column string) (expression string, ok bool) {
	if forms[form] == nil {
		return "", false
	}
	f := &route.Field{Type: "string"}
	return d.form(form, d.operand(f, d.quote(column))), true
}
