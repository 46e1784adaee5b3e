package filter_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/filter"
)

// token is everything that SQL of a filter may consist of besides quoted columns: no literal of any kind.
var token = regexp.MustCompile(`^(?:[ (),]|::|\[\]|AND\b|OR\b|NOT\b|IS\b|NULL\b|TRUE\b|FALSE\b|DISTINCT\b|FROM\b|LIKE\b|IN\b|ANY\b` +
	`|COLLATE "C"|COLLATE BINARY\b|(?:text|int8|numeric|boolean|date|timestamptz)\b|=|<=|>=|<|>|\$[0-9]+|\?` +
	`|entente_(?:timestamp|decimal_cmp|normal|identifier)\b|instr\b|0` +
	`|CASE\b|WHEN\b|THEN\b|ELSE\b|END\b|trim\(BOTH|(?:translate|replace|regexp_replace|octet_length|char_length)\b` +
	`|OPERATOR\("ext"\.%\)|"ext"\.similarity\b|real\b|CAST\(|AS\b|varchar\b|strpos\b|starts_with\b)`)

// constants are the literals of the forms normal and identifier, which are the same in every statement.
var constants = func() []string {
	var out []string
	for _, name := range []string{"normal", "identifier"} {
		f, err := filter.Compile(person, name+"(family_name) == "+name+`("x")`)
		if err != nil {
			panic(err)
		}
		sql, _, err := f.SQL(filter.PostgreSQL, column, nil)
		if err != nil {
			panic(err)
		}
		out = append(out, regexp.MustCompile(`(?:U&)?'(?:[^']|'')*'`).FindAllString(sql, -1)...)
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out
}()

var columns = regexp.MustCompile("^(?:\"c_[a-z_]+\"|`c_[a-z_]+`)")

// onlyTokens gives the number of placeholders of the SQL, and an error if it has anything that it should not.
func onlyTokens(sql string) (placeholders int, err error) {
	for _, constant := range constants {
		sql = strings.ReplaceAll(sql, constant, "")
	}
	for rest := sql; rest != ""; {
		m := columns.FindString(rest)
		if m == "" {
			m = token.FindString(rest)
		}
		if m == "" {
			return 0, fmt.Errorf("unexpected %.20q in %s", rest, sql)
		}
		if m[0] == '?' {
			placeholders++
		}
		if m[0] == '$' {
			n, _ := strconv.Atoi(m[1:])
			placeholders = max(placeholders, n) // one may stand twice
		}
		rest = rest[len(m):]
	}
	return placeholders, nil
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`family_name == "Doe" && birth_date >= date("1980-01-01")`,
		`!(height < 180) || weight in [1, -2] && height != weight`,
		`wage > 012.50 || bonus == decimal("-3.10") || wage < bonus || bonus in [1, 2.5]`,
		`seen_at < timestamp("2020-05-06T07:08:09.250000+02:00") && left_at == seen_at`,
		`sex in ["F", "X"] && !(registered_sex.startsWith("F") || given_name.contains("50%_\\"))`,
		`active && !sealed && family_name == null && height != null`,
		`family_name == '\'; DROP TABLE person; --' || given_name > r"\" || family_name == """a"b"""`,
		"((((!!!!active", "a.b.c[1]{x: 1}", `[1, 2].exists(x, x == height) ? 1 : "a"`, "\"\xff\x00", "- - -1 == height // (",
		`normal(family_name) == normal("Müller ") || identifier(given_name) in [identifier("a-b"), identifier("")]`,
		`!(normal(family_name).startsWith(normal("v"))) && normal(family_name) != normal(given_name)`,
		`similarity(family_name, "'x'") >= 0.45 || 1 <= similarity(given_name, "a")`,
		`birth_date >= today() - years(18) + months(1) && seen_at < now() - duration("1h") && birth_date == date("2024-02-29") + years(1)`,
		`birth_date.getFullYear() in [1980, 9999] || !(seen_at.getFullYear() <= 9999) || 1 > birth_date.getFullYear()`,
		"family_name == \"\\ud800\"", "`family_name` == b'a'", "wage == 1.7976931348623157e308",
	} {
		f.Add(seed)
	}
	names := make([]string, len(person.Fields))
	for i := range person.Fields {
		names[i] = person.Fields[i].Name
	}
	f.Fuzz(func(t *testing.T, text string) {
		// It takes less than 10 ms for every filter within the limits; the rest is for a busy machine.
		if d := cost(text); d > time.Second {
			t.Fatalf("%d bytes took %v: %q", len(text), d, text)
		}
		c, err := filter.Compile(person, text)
		if err != nil {
			var e *filter.Error
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Message == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := filter.Compile(person, c.Canonical())
		if err != nil && len(c.Canonical()) <= filter.MaxTextBytes {
			t.Fatalf("%q: canonical form %q: %v", text, c.Canonical(), err)
		}
		if err == nil && (again.Canonical() != c.Canonical() || !slices.Equal(again.EqualityFields(), c.EqualityFields())) {
			t.Fatalf("%q: canonical form %q becomes %q", text, c.Canonical(), again.Canonical())
		}
		for _, field := range append(c.Fields(), c.EqualityFields()...) {
			if !slices.Contains(names, field) || !strings.Contains(text, field) {
				t.Fatalf("%q: names %q", text, field)
			}
		}
		if c, err = c.At(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, d := range []filter.Dialect{filter.PostgreSQLWithTrigrams("ext"), filter.SQLite, filter.Trino} {
			sql, args, err := c.SQL(d, column, nil)
			if err != nil && (d == filter.SQLite && len(c.Needs()) > 0 || d == filter.Trino && regexp.MustCompile(`similarity|38 digits`).MatchString(err.Error())) {
				continue
			}
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			n, err := onlyTokens(sql)
			if err != nil || n != len(args) {
				t.Fatalf("%q: %d placeholders, %d arguments, %v", text, n, len(args), err)
			}
		}
	})
}

func FuzzDecimal(f *testing.F) {
	f.Add("1.50", "-0.0")
	f.Add("-12.45", "12.450")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, ok := filter.CanonicalDecimal(a)
		if !ok {
			return
		}
		if again, ok := filter.CanonicalDecimal(x); !ok || again != x {
			t.Fatalf("%q: canonical form %q becomes %q", a, x, again)
		}
		y, ok := filter.CanonicalDecimal(b)
		if !ok {
			return
		}
		if filter.CompareDecimals(x, y) != -filter.CompareDecimals(y, x) || (filter.CompareDecimals(x, y) == 0) != (x == y) {
			t.Fatalf("%q and %q: %d", x, y, filter.CompareDecimals(x, y))
		}
	})
}
