package mapping_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/mapping"
)

var types = map[string]string{"a": "string", "b": "string", "n": "int", "d": "decimal", "t": "bool", "day": "date", "at": "timestamp"}

func quote(s string) string { return `"` + s + `"` }

func TestErrors(t *testing.T) {
	code := mapping.Target{Type: "code", Codes: []string{"x", "y"}}
	for _, c := range []struct {
		m      mapping.Mapping
		target mapping.Target
		want   string
	}{
		{mapping.Mapping{}, mapping.Target{Type: "string"}, "exactly one of column and expression"},
		{mapping.Mapping{Expression: "a + n"}, mapping.Target{Type: "string"}, "column 3: + is of two numbers or of two strings, not of string and int: convert one"},
		{mapping.Mapping{Expression: "a"}, mapping.Target{Type: "int"}, "the expression is of type string, the field of type int: convert it, for example with int(…)"},
		{mapping.Mapping{Expression: "secret"}, mapping.Target{Type: "string"}, "column 1: column secret is not declared"},
		{mapping.Mapping{Expression: "n / 3"}, mapping.Target{Type: "decimal"}, "column 3: a division by this constant is not exact"},
		{mapping.Mapping{Expression: "decimal()"}, mapping.Target{Type: "decimal"}, "column 8: decimal is of a string or an int, not of nothing"},
		{mapping.Mapping{Expression: "n / 0"}, mapping.Target{Type: "decimal"}, "not exact"},
		{mapping.Mapping{Expression: "n / d"}, mapping.Target{Type: "decimal"}, "/ is by a constant"},
		{mapping.Mapping{Expression: "n % 2"}, mapping.Target{Type: "int"}, "this operator is not part of the language"},
		{mapping.Mapping{Expression: "a == b"}, mapping.Target{Type: "bool"}, "this operator is not part"},
		{mapping.Mapping{Expression: "t ? a : b"}, mapping.Target{Type: "string"}, "this operator is not part"},
		{mapping.Mapping{Expression: "a.lower()"}, mapping.Target{Type: "string"}, "write lower(…)"},
		{mapping.Mapping{Expression: "a[0]"}, mapping.Target{Type: "string"}, "this operator is not part"},
		{mapping.Mapping{Expression: "pg_sleep(10)"}, mapping.Target{Type: "string"}, "function pg_sleep is not part of the language"},
		{mapping.Mapping{Expression: "[a]"}, mapping.Target{Type: "string"}, "not part of the language"},
		{mapping.Mapping{Expression: "a; DROP TABLE x"}, mapping.Target{Type: "string"}, "does not parse here"},
		{mapping.Mapping{Expression: `a + "'); DROP TABLE x; --`}, mapping.Target{Type: "string"}, "does not parse here"},
		{mapping.Mapping{Expression: strings.Repeat("(", 100) + "a" + strings.Repeat(")", 100)}, mapping.Target{Type: "string"}, "does not parse here"},
		{mapping.Mapping{Expression: strings.Repeat("decimal(string(", 20) + "n" + strings.Repeat("))", 20)}, mapping.Target{Type: "decimal"}, ""},
		{mapping.Mapping{Expression: "coalesce(a)"}, mapping.Target{Type: "string"}, "two values or more"},
		{mapping.Mapping{Expression: "coalesce(a, n)"}, mapping.Target{Type: "string"}, "of one type"},
		{mapping.Mapping{Expression: `part(a, b, 1)`}, mapping.Target{Type: "string"}, "write part("},
		{mapping.Mapping{Expression: `part(a, ",", 0)`}, mapping.Target{Type: "string"}, "write part("},
		{mapping.Mapping{Expression: `date(a, "DD.MM.YY")`}, mapping.Target{Type: "date"}, "column 9: a format has YYYY, MM and DD"},
		{mapping.Mapping{Expression: `date("31.02.2001")`}, mapping.Target{Type: "date"}, "not a date"},
		{mapping.Mapping{Expression: `decimal("1e5")`}, mapping.Target{Type: "decimal"}, "not a decimal"},
		{mapping.Mapping{Expression: "d * 1.12345678901234567890"}, mapping.Target{Type: "decimal"}, "write the number as decimal"},
		{mapping.Mapping{Expression: "9223372036854775808"}, mapping.Target{Type: "int"}, "does not parse"},
		{mapping.Mapping{Column: "a", Format: "DD.MM.DD"}, mapping.Target{Type: "date"}, "once each"},
		{mapping.Mapping{Column: "n", Types: types, Format: "DD.MM.YYYY"}, mapping.Target{Type: "date"}, "a format is of text"},
		{mapping.Mapping{Column: "a", Format: "DD.MM.YYYY"}, mapping.Target{Type: "string"}, "for fields of type date"},
		{mapping.Mapping{Column: "a", Format: "DD.MM.YYYY", Codes: map[string]string{"1": "x"}}, code, "no more than one"},
		{mapping.Mapping{Column: "a", Codes: map[string]string{"1": "z"}}, code, `"z" is no code of the field; its codes are x, y`},
		{mapping.Mapping{Column: "a", Codes: map[string]string{"1": "yes"}}, mapping.Target{Type: "bool"}, "true or false"},
		{mapping.Mapping{Column: "a", Codes: map[string]string{"1": "2"}}, mapping.Target{Type: "int"}, "codes are for"},
		{mapping.Mapping{Column: "a", Codes: map[string]string{"1": "x"}}, mapping.Target{Type: "code", Codes: []string{"x"}, Repeated: true}, "a list comes from"},
		{mapping.Mapping{Expression: "a"}, mapping.Target{Type: "string", Repeated: true}, "a list comes from"},
		{mapping.Mapping{Column: "a", Delimiter: ";"}, mapping.Target{Type: "string"}, "divides text into a list"},
		{mapping.Mapping{Column: "a", Delimiter: "x"}, mapping.Target{Type: "string", Repeated: true}, "the delimiter is none of"},
		{mapping.Mapping{Column: "a", Delimiter: ";"}, mapping.Target{Type: "int", Repeated: true}, "a list of strings or codes"},
		{mapping.Mapping{Expression: "a", Member: "x"}, mapping.Target{Type: "string"}, "a member of JSON is read as it stands"},
	} {
		if c.m.Expression != "" {
			c.m.Types = types
		}
		_, err := mapping.Compile(&c.m, c.target)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.m, err, c.want)
		}
	}
}

// TestBound: constants are bound, whatever they are, and names are quoted.
func TestBound(t *testing.T) {
	hostile := `'"; DROP TABLE x; --`
	m := mapping.Mapping{Expression: `part(a, "` + `'\"; DROP TABLE x; --` + `", 2) + "` + `'\"; DROP TABLE x; --` + `"`, Types: types}
	e, err := mapping.Compile(&m, mapping.Target{Type: "string"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.Columns(), []string{"a"}) || !slices.Equal(mapping.Columns(&m), []string{"a"}) {
		t.Errorf("columns %q", e.Columns())
	}
	sql, args := e.SQL(mapping.PostgreSQL, quote, []any{"first"})
	if want := `(nullif(split_part("a"::text, $2::text, 2), '') || $3::text)`; sql != want || !slices.Equal(args, []any{"first", hostile, hostile}) {
		t.Errorf("%s, %q", sql, args)
	}
	sql, args = e.SQL(mapping.SQLite, quote, nil)
	if want := `(entente_part(entente_column('string', "a"), ?, 2) || ?)`; sql != want || !slices.Equal(args, []any{hostile, hostile}) {
		t.Errorf("%s, %q", sql, args)
	}
}

func TestInverse(t *testing.T) {
	for _, c := range []struct {
		m      mapping.Mapping
		target mapping.Target
		value  string
		want   []any
		ok     bool
	}{
		{mapping.Mapping{Column: "g", Codes: map[string]string{"1": "M", "2": "F", "3": "F"}}, mapping.Target{Type: "string"}, "F", []any{"2", "3"}, true},
		{mapping.Mapping{Column: "g", Types: map[string]string{"g": "int"}, Codes: map[string]string{"1": "M", "x": "M"}}, mapping.Target{Type: "string"}, "M", []any{int64(1)}, true},
		{mapping.Mapping{Column: "g", Codes: map[string]string{"1": "M"}}, mapping.Target{Type: "string"}, "X", nil, true},
		{mapping.Mapping{Column: "g", Codes: map[string]string{"Y": "true"}}, mapping.Target{Type: "bool"}, "true", []any{"Y"}, true},
		{mapping.Mapping{Column: "g", Format: "MM/DD/YYYY"}, mapping.Target{Type: "date"}, "2001-02-03", []any{"02/03/2001"}, true},
		{mapping.Mapping{Expression: "lower(a)", Types: types, Codes: map[string]string{"1": "M"}}, mapping.Target{Type: "string"}, "M", nil, false},
	} {
		e, err := mapping.Compile(&c.m, c.target)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, got, ok := e.Inverse(c.value); ok != c.ok || !slices.Equal(got, c.want) {
			t.Errorf("%+v of %s: %v, %v", c.m, c.value, got, ok)
		}
	}
}

// Functions without arguments, or with too many, are refused like any other mistake: what people write is no reason to panic.
func TestNumberOfArguments(t *testing.T) {
	types := map[string]string{"a": "string"}
	for _, name := range []string{"coalesce", "lower", "upper", "trim", "part", "string", "int", "decimal", "date", "timestamp"} {
		for _, text := range []string{name + "()", "a + " + name + "()", name + "(a, a, a, a, 1)", name + `("2001-02-03", "YYYY-MM-DD", 1.5)`} {
			m := &mapping.Mapping{Expression: text, Types: types}
			if _, err := mapping.Compile(m, mapping.Target{Type: "string"}); err == nil {
				t.Errorf("%s compiles", text)
			}
			mapping.Columns(m) // whose expression may be wrong
		}
	}
}
