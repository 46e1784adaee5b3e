package filter_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/filter"
)

var noon = time.Date(2024, 2, 29, 23, 30, 0, 123456789, time.FixedZone("", -3600)) // 1 March in UTC

func TestMoments(t *testing.T) {
	for _, c := range []struct{ filter, canonical, bound string }{
		{`birth_date <= today()`, `birth_date <= today()`, `birth_date <= date("2024-03-01")`},
		{`today() - years(18) < birth_date`, `birth_date > today() - years(18)`, `birth_date > date("2006-03-01")`},
		{`seen_at > now() - duration("90m")`, `seen_at > now() - duration("1h30m0s")`, `seen_at > timestamp("2024-02-29T23:00:00.123456Z")`},
		{`seen_at == now() + days(1) - months(-1) + years(1)`, `seen_at == now() + days(1) + months(1) + years(1)`, `seen_at == timestamp("2025-04-02T00:30:00.123456Z")`},
		{`birth_date == date("2001-02-03") + days(30)`, `birth_date == date("2001-03-05")`, `birth_date == date("2001-03-05")`},
		{`birth_date == date("2024-02-29") + years(1)`, `birth_date == date("2025-02-28")`, `birth_date == date("2025-02-28")`},
		{`birth_date == date("2024-01-31") + months(1) + months(1)`, `birth_date == date("2024-03-29")`, `birth_date == date("2024-03-29")`},
		{`birth_date == date("2024-01-31") - months(2)`, `birth_date == date("2023-11-30")`, `birth_date == date("2023-11-30")`},
		{`birth_date in [today(), date("2024-03-01"), today() + days(0)]`, `birth_date in [today(), date("2024-03-01"), today() + days(0)]`, `birth_date in [date("2024-03-01")]`},
		{`birth_date.getFullYear() == 1980`, `birth_date >= date("1980-01-01") && birth_date < date("1981-01-01")`, ``},
		{`birth_date.getFullYear() != 1980`, `!(birth_date >= date("1980-01-01")) || !(birth_date < date("1981-01-01"))`, ``},
		{`1980 < seen_at.getFullYear()`, `seen_at >= timestamp("1981-01-01T00:00:00Z")`, ``},
		{`birth_date.getFullYear() <= 9999`, `birth_date != null`, ``},
		{`birth_date.getFullYear() > 9999`, `birth_date > date("9999-12-31")`, ``},
		{`!(birth_date.getFullYear() in [1980, 9999, 1980])`, `(!(birth_date >= date("1980-01-01")) || !(birth_date < date("1981-01-01"))) && (!(birth_date >= date("9999-01-01")) || birth_date == null)`, ``},
	} {
		f, err := filter.Compile(person, c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		if f.Canonical() != c.canonical {
			t.Errorf("%s: canonical %s", c.filter, f.Canonical())
		}
		if again, err := filter.Compile(person, f.Canonical()); err != nil || again.Canonical() != f.Canonical() {
			t.Errorf("%s: canonical form is not stable: %v", c.filter, err)
		}
		if c.bound == "" {
			c.bound = c.canonical
		}
		g, err := f.At(noon)
		if err != nil || g.Canonical() != c.bound || g.Text() != c.filter {
			t.Errorf("%s: bound %v, %v", c.filter, g.Canonical(), err)
		}
	}
}

func TestClockIsBound(t *testing.T) {
	f, err := filter.Compile(person, `birth_date == today() && (active || seen_at < now())`)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.SQL(filter.PostgreSQL, column, nil); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("SQL without a clock: %v", err)
	}
	if _, ok := f.Constant("birth_date"); ok || !slices.Equal(f.EqualityFields(), []string{"birth_date"}) {
		t.Error("a day that is not known yet is a constant")
	}
	g, err := f.At(noon)
	if err != nil {
		t.Fatal(err)
	}
	if day, ok := g.Constant("birth_date"); day != "2024-03-01" || !ok {
		t.Errorf("constant %q, %v", day, ok)
	}
	sql, args, err := g.SQL(filter.PostgreSQL, column, nil)
	if err != nil || sql != `("c_birth_date"::date = $1::date AND ("c_active"::boolean IS TRUE OR "c_seen_at"::timestamptz < $2::timestamptz))` || len(args) != 2 || args[1] != "2024-03-01T00:30:00.123456Z" {
		t.Errorf("%s %v %v", sql, args, err)
	}
	plain, err := filter.Compile(person, `active`)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := plain.At(noon); same != plain || err != nil {
		t.Error("a filter without a clock was copied")
	}
	far, err := filter.Compile(person, `birth_date == today() + years(500)`)
	if err != nil {
		t.Fatal(err)
	}
	var e *filter.Error
	if _, err := far.At(time.Date(9900, 1, 1, 0, 0, 0, 0, time.UTC)); !errors.As(err, &e) {
		t.Errorf("beyond the year 9999: %v", err)
	}
}

func TestForms(t *testing.T) {
	compile := func(text string) *filter.Filter {
		t.Helper()
		f, err := filter.Compile(person, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return f
	}
	f := compile(`normal("Müller ") == normal(family_name) && !(identifier(given_name) in [identifier("PH-1"), identifier("ph 1"), identifier("x")]) && normal(given_name).contains(normal("É "))`)
	want := `normal(family_name) == normal("muller") && !(identifier(given_name) in [identifier("ph1"), identifier("x")]) && normal(given_name).contains(normal("e"))`
	if f.Canonical() != want {
		t.Errorf("canonical %s", f.Canonical())
	}
	// A spelling that is not fixed is no selector, no cell of a partition, and not the subject of a log.
	if len(f.EqualityFields()) != 0 || compile(`normal(family_name) == normal("a")`).Cell([]string{"family_name"}) {
		t.Error("a normal form fixes a field")
	}
	sql, args, err := f.SQL(filter.SQLite, column, nil)
	if want := lite(`(entente_normal(~c_family_name~ COLLATE BINARY) COLLATE BINARY = ? AND (~c_given_name~ IS NULL OR NOT (entente_identifier(~c_given_name~ COLLATE BINARY) COLLATE BINARY IN (?, ?))) AND instr(entente_normal(~c_given_name~ COLLATE BINARY), ?) > 0)`); err != nil || sql != want || !slices.Equal(args, []any{"muller", "ph1", "x", "e"}) {
		t.Errorf("%s %v %v", sql, args, err)
	}
	sql, _, err = f.SQL(filter.PostgreSQL, column, nil)
	if err != nil || !strings.HasPrefix(sql, `(CASE WHEN octet_length("c_family_name"::text) = char_length("c_family_name"::text) THEN trim(BOTH ' ' FROM regexp_replace(translate("c_family_name"::text, U&'ABC`) || strings.Contains(sql, "muller") {
		t.Errorf("%.300s %v", sql, err)
	}
	if got, want := compile(`normal(given_name) != normal(family_name)`).Canonical(), `normal(family_name) != normal(given_name)`; got != want {
		t.Errorf("%s", got)
	}
	tree := compile(`normal(family_name).startsWith(normal("Ab"))`).Tree()
	if tree.Function != "normal" || tree.Values[0] != "ab" {
		t.Errorf("%+v", tree)
	}
}

func TestSimilarity(t *testing.T) {
	f, err := filter.Compile(person, `!(0.45 <= similarity(family_name, "O'Brien"))`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Canonical(), `!(similarity(family_name, "O'Brien") >= decimal("0.45"))`; got != want || !slices.Equal(f.Needs(), []string{"similarity"}) {
		t.Errorf("%s %v", got, f.Needs())
	}
	sql, args, err := f.SQL(filter.PostgreSQLWithTrigrams("ext"), column, []any{"before"})
	if want := `("c_family_name" IS NULL OR NOT (("c_family_name"::text OPERATOR("ext".%) $2::text AND "ext".similarity("c_family_name"::text, $2::text) >= $3::real)))`; err != nil || sql != want || !slices.Equal(args, []any{"before", "O'Brien", "0.45"}) {
		t.Errorf("%s %v %v", sql, args, err)
	}
	for _, d := range []filter.Dialect{filter.PostgreSQL, filter.SQLite} {
		if _, _, err := f.SQL(d, column, nil); err == nil || !strings.Contains(err.Error(), "similarity") {
			t.Errorf("%T: %v", d, err)
		}
	}
}

func TestErrorsOfFunctions(t *testing.T) {
	for _, c := range []struct {
		filter  string
		column  int
		message string
	}{
		{`birth_date + days(1) == today()`, 12, "on the side without the field"},
		{`birth_date == days(1) + today()`, 23, "arithmetic is not supported here"},
		{`birth_date == today() + 1`, 25, "only days(n), months(n) and years(n)"},
		{`birth_date == today() * 2`, 23, "arithmetic is not supported"},
		{`birth_date == today() - birth_date`, 25, "only days(n)"},
		{`birth_date == today(1)`, 20, "takes nothing"},
		{`birth_date == now()`, 18, `date("YYYY-MM-DD") or today()`},
		{`seen_at == today()`, 17, "or now()"},
		{`birth_date == today() + duration("24h")`, 33, "write days(n)"},
		{`seen_at == now() + duration("1ns")`, 28, "at least microseconds"},
		{`seen_at == now() + duration("x")`, 28, "not a duration"},
		{`seen_at == now() + duration(5)`, 28, "takes one string literal"},
		{`birth_date == today() + days(1.5)`, 29, "a whole number"},
		{`birth_date == today() + days(183001)`, 29, "at most 183000"},
		{`birth_date == today() + years(501)`, 30, "at most 500"},
		{`birth_date == today() + weeks(1)`, 30, "only days(n)"},
		{`birth_date == today() + days(1) + days(1) + days(1) + days(1)`, 53, "more than 3 steps"},
		{`birth_date == date("9999-12-31") + days(1)`, 34, "leaves the years"},
		{`birth_date == date("2001-02-30") + days(1)`, 19, "not a date"},
		{`height == 1 + days(1)`, 13, "arithmetic"},
		{`family_name == today()`, 21, "of type string"},
		{`birth_date.getMonth() == 3`, 20, "getMonth() is not supported"},
		{`birth_date.getFullYear("UTC") == 3`, 23, "which is of UTC"},
		{`family_name.getFullYear() == 3`, 24, "for dates and timestamps"},
		{`birth_date.getFullYear() == 0`, 29, "from 1 to 9999"},
		{`birth_date.getFullYear() == 1e3`, 29, "from 1 to 9999"},
		{`birth_date.getFullYear() == null`, 29, "a year is not null"},
		{`birth_date.getFullYear() == entry_date.getFullYear()`, 51, "getFullYear"},
		{`birth_date.getFullYear() in []`, 29, "a list of"},
		{`getFullYear(birth_date) == 3`, 12, "which is of UTC"},
		{`normal(family_name) == "muller"`, 24, `compared with normal("…")`},
		{`family_name == normal("muller")`, 22, "is of one field"},
		{`normal(family_name) == given_name`, 24, `compared with normal`},
		{`normal(family_name) == identifier(given_name)`, 34, `compared with normal`},
		{`normal(family_name) < normal("a")`, 21, "no order"},
		{`normal(family_name) == null`, 24, "compared with normal"},
		{`normal(sex) == normal("f")`, 8, "normal is for strings"},
		{`normal(nope) == normal("f")`, 8, "field 'nope'"},
		{`normal(family_name)`, 7, "is of one field"},
		{`normal(normal(family_name)) == normal("a")`, 7, "is of one field"},
		{`normal(family_name).startsWith("a")`, 32, `compared with normal("…")`},
		{`normal(family_name) in ["a"]`, 25, `compared with normal("…")`},
		{`similarity(family_name, "a") > 0.5`, 30, "no other comparison"},
		{`similarity(family_name, "a") == 1`, 30, "no other comparison"},
		{`similarity(family_name, "a") >= 0.2`, 33, "from 0.3 to 1"},
		{`similarity(family_name, "a") >= 1.1`, 33, "from 0.3 to 1"},
		{`similarity(family_name, "a") >= 0.3333`, 33, "three digits"},
		{`similarity(family_name, given_name) >= 0.5`, 25, "a string literal"},
		{`similarity(height, "a") >= 0.5`, 12, "for strings"},
		{`similarity(family_name) >= 0.5`, 11, "write similarity"},
		{`similarity(family_name, "a")`, 11, "write similarity"},
	} {
		_, err := filter.Compile(person, c.filter)
		var e *filter.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, want a *filter.Error", c.filter, err)
			continue
		}
		if e.Column != c.column || !strings.Contains(e.Message, c.message) {
			t.Errorf("%s: %d: %s", c.filter, e.Column, e.Message)
		}
	}
}
