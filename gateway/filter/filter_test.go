package filter_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// person has a field of every type, and two of those that are compared with each other.
var person = &route.Schema{
	Name: "person", Version: 1, Digest: "sha256:person",
	Fields: []route.Field{
		{Name: "family_name", Type: "string"},
		{Name: "given_name", Type: "string"},
		{Name: "height", Type: "int"},
		{Name: "weight", Type: "int"},
		{Name: "wage", Type: "decimal"},
		{Name: "bonus", Type: "decimal"},
		{Name: "active", Type: "bool"},
		{Name: "sealed", Type: "bool"},
		{Name: "birth_date", Type: "date"},
		{Name: "entry_date", Type: "date"},
		{Name: "seen_at", Type: "timestamp"},
		{Name: "left_at", Type: "timestamp"},
		{Name: "sex", Type: "code", Codes: []string{"F", "M", "X"}},
		{Name: "registered_sex", Type: "code", Codes: []string{"F", "M", "X"}},
	},
}

// column maps a field to a column of another name, so that a test sees when one is taken for the other.
func column(field string) (string, bool) { return "c_" + field, true }

// lite writes SQLite's backticks, which a Go raw string cannot hold, as tildes.
func lite(sql string) string { return strings.ReplaceAll(sql, "~", "`") }

func TestSQL(t *testing.T) {
	for _, c := range []struct {
		name, filter     string
		postgres, sqlite string
		args             []any // as PostgreSQL's; SQLite's are the same unless liteArgs says otherwise
		liteArgs         []any
	}{
		{
			name:     "equality of a string keeps an index usable",
			filter:   `family_name == "Doe"`,
			postgres: `"c_family_name"::text = $1::text`,
			sqlite:   lite(`~c_family_name~ COLLATE BINARY = ?`),
			args:     []any{"Doe"},
		},
		{
			name:     "inequality is true for null",
			filter:   `family_name != 'Doe'`,
			postgres: `"c_family_name"::text IS DISTINCT FROM $1::text`,
			sqlite:   lite(`~c_family_name~ COLLATE BINARY IS NOT ?`),
			args:     []any{"Doe"},
		},
		{
			name:     "strings are ordered by code point",
			filter:   `"Doe" < family_name`,
			postgres: `"c_family_name"::text COLLATE "C" > $1::text`,
			sqlite:   lite(`~c_family_name~ COLLATE BINARY > ?`),
			args:     []any{"Doe"},
		},
		{
			name:     "a negated order is true for null",
			filter:   `!(height < 180)`,
			postgres: `("c_height" IS NULL OR NOT ("c_height" < $1::int8))`,
			sqlite:   lite(`(~c_height~ IS NULL OR NOT (~c_height~ < ?))`),
			args:     []any{int64(180)},
		},
		{
			name:     "negation goes to the leaves",
			filter:   `!(family_name == "Doe" && (active || !sealed))`,
			postgres: `("c_family_name"::text IS DISTINCT FROM $1::text OR ("c_active"::boolean IS NOT TRUE AND "c_sealed"::boolean IS TRUE))`,
			sqlite:   lite(`(~c_family_name~ COLLATE BINARY IS NOT ? OR (~c_active~ IS NOT TRUE AND ~c_sealed~ IS TRUE))`),
			args:     []any{"Doe"},
		},
		{
			name:     "dates and timestamps",
			filter:   `birth_date >= date("1980-01-01") && seen_at < timestamp("2020-05-06T07:08:09.250000+02:00")`,
			postgres: `("c_birth_date"::date >= $1::date AND "c_seen_at"::timestamptz < $2::timestamptz)`,
			sqlite:   lite(`(~c_birth_date~ COLLATE BINARY >= ? AND entente_timestamp(~c_seen_at~) < entente_timestamp(?))`),
			args:     []any{"1980-01-01", "2020-05-06T05:08:09.25Z"},
		},
		{
			name:     "decimals are bound as text",
			filter:   `wage > 012.50 && wage <= decimal("0100.10") && wage != -3 && bonus == - 0.0`,
			postgres: `("c_wage"::numeric > $1::numeric AND "c_wage"::numeric <= $2::numeric AND "c_wage"::numeric IS DISTINCT FROM $3::numeric AND "c_bonus"::numeric = $4::numeric)`,
			sqlite:   lite(`(entente_decimal_cmp(~c_wage~, ?) > 0 AND entente_decimal_cmp(~c_wage~, ?) <= 0 AND entente_decimal_cmp(~c_wage~, ?) IS NOT 0 AND entente_decimal_cmp(~c_bonus~, ?) = 0)`),
			args:     []any{"12.5", "100.1", "-3", "0"},
		},
		{
			name:     "a list is one array, without repeats",
			filter:   `sex in ["F", "X", "F"]`,
			postgres: `"c_sex"::text = ANY($1::text[])`,
			sqlite:   lite(`~c_sex~ COLLATE BINARY IN (?, ?)`),
			args:     []any{[]string{"F", "X"}},
			liteArgs: []any{"F", "X"},
		},
		{
			name:     "a list of one is equality",
			filter:   `height in [7, 7]`,
			postgres: `"c_height" = $1::int8`,
			sqlite:   lite(`~c_height~ = ?`),
			args:     []any{int64(7)},
		},
		{
			name:     "lists of other types",
			filter:   `height in [1, -2] && !(birth_date in [date("2001-02-03"), date("2001-02-04")])`,
			postgres: `("c_height" = ANY($1::int8[]) AND ("c_birth_date" IS NULL OR NOT ("c_birth_date"::date = ANY($2::text[]::date[]))))`,
			sqlite:   lite(`(~c_height~ IN (?, ?) AND (~c_birth_date~ IS NULL OR NOT (~c_birth_date~ COLLATE BINARY IN (?, ?))))`),
			args:     []any{[]int64{1, -2}, []string{"2001-02-03", "2001-02-04"}},
			liteArgs: []any{int64(1), int64(-2), "2001-02-03", "2001-02-04"},
		},
		{
			name:     "patterns are escaped",
			filter:   `family_name.startsWith("50%_\\") && given_name.contains("a_b")`,
			postgres: `("c_family_name"::text LIKE $1::text AND "c_given_name"::text LIKE $2::text)`,
			sqlite:   lite(`((~c_family_name~ COLLATE BINARY >= ? AND ~c_family_name~ COLLATE BINARY < ?) AND instr(~c_given_name~, ?) > 0)`),
			args:     []any{`50\%\_\\%`, `%a\_b%`},
			liteArgs: []any{`50%_\`, `50%_]`, `a_b`},
		},
		{
			name:     "null tests",
			filter:   `family_name == null && null != height`,
			postgres: `("c_family_name" IS NULL AND "c_height" IS NOT NULL)`,
			sqlite:   lite(`(~c_family_name~ IS NULL AND ~c_height~ IS NOT NULL)`),
		},
		{
			name:     "fields with fields",
			filter:   `family_name == given_name || weight > height || bonus != wage`,
			postgres: `("c_family_name"::text COLLATE "C" IS NOT DISTINCT FROM "c_given_name"::text COLLATE "C" OR "c_height" < "c_weight" OR "c_bonus"::numeric IS DISTINCT FROM "c_wage"::numeric)`,
			sqlite:   lite(`(~c_family_name~ COLLATE BINARY IS ~c_given_name~ COLLATE BINARY OR ~c_height~ < ~c_weight~ OR NOT (entente_decimal_cmp(~c_bonus~, ~c_wage~) IS 0 OR (~c_bonus~ IS NULL AND ~c_wage~ IS NULL)))`),
		},
		{
			name:     "bools",
			filter:   `active == true && sealed != true`,
			postgres: `("c_active"::boolean IS TRUE AND "c_sealed"::boolean IS NOT TRUE)`,
			sqlite:   lite(`(~c_active~ IS TRUE AND ~c_sealed~ IS NOT TRUE)`),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := filter.Compile(person, c.filter)
			if err != nil {
				t.Fatal(err)
			}
			if c.liteArgs == nil {
				c.liteArgs = c.args
			}
			for _, d := range []struct {
				dialect filter.Dialect
				sql     string
				args    []any
			}{{filter.PostgreSQL, c.postgres, c.args}, {filter.SQLite, c.sqlite, c.liteArgs}} {
				sql, args, err := f.SQL(d.dialect, column, nil)
				if err != nil {
					t.Fatal(err)
				}
				if sql != d.sql {
					t.Errorf("%T\n got %s\nwant %s", d.dialect, sql, d.sql)
				}
				if !reflect.DeepEqual(args, d.args) {
					t.Errorf("%T: args %#v, want %#v", d.dialect, args, d.args)
				}
			}
		})
	}
}

func TestSQLChains(t *testing.T) {
	f, err := filter.Compile(person, `height == 3`)
	if err != nil {
		t.Fatal(err)
	}
	sql, args, err := f.SQL(filter.PostgreSQL, column, []any{"before"})
	if err != nil || sql != `"c_height" = $2::int8` || !reflect.DeepEqual(args, []any{"before", int64(3)}) {
		t.Errorf("got %s, %v, %v", sql, args, err)
	}
	if _, _, err := f.SQL(filter.SQLite, func(string) (string, bool) { return "", false }, nil); err == nil || !strings.Contains(err.Error(), "'height'") {
		t.Errorf("a field without a column: %v", err)
	}
	sql, _, err = f.SQL(filter.SQLite, func(string) (string, bool) { return `a"; drop`, true }, nil)
	if err != nil || sql != "`a\"; drop` = ?" {
		t.Errorf("a column's name is to be quoted: %s, %v", sql, err)
	}
}

func TestErrors(t *testing.T) {
	deep := func(open, close string, n int) string {
		return strings.Repeat(open, n) + "active" + strings.Repeat(close, n)
	}
	literals := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d,", i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for _, c := range []struct {
		name, filter string
		line, column int
		message      string // part of it
	}{
		{"empty", " \n", 1, 1, "is empty"},
		{"unknown field", `active && x == "Doe"`, 1, 11, "field 'x' is not in schema person.v1; fields are family_name, given_name"},
		{"position counts lines and code points", "active &&\n  family_name == \"ü\" && y", 2, 25, "field 'y'"},
		{"does not parse", `family_name == = "Doe"`, 1, 16, "does not parse"},
		{"ends early", `family_name ==`, 1, 15, "ends too early"},
		{"unterminated string", `family_name == "Doe`, 1, 16, "does not parse"},
		{"open bracket", `(active`, 1, 8, "ends too early"},
		{"two expressions", `active active`, 1, 8, "does not parse"},
		{"type: date with a string", `birth_date == "1980-01-01"`, 1, 15, `field 'birth_date' is of type date: compare it with date("YYYY-MM-DD")`},
		{"type: string with a number", `family_name == 5`, 1, 16, "of type string"},
		{"type: int with a fraction", `height > 1.5`, 1, 10, "a whole number"},
		{"type: decimal with a string", `wage == "12.50"`, 1, 9, `decimal("12.50")`},
		{"type: timestamp with a date", `seen_at > date("2001-02-03")`, 1, 15, "of type timestamp"},
		{"type: bool with a number", `active == 1`, 1, 11, "true or false"},
		{"bool has no order", `active < true`, 1, 8, "no order"},
		{"null has no order", `height < null`, 1, 8, "no order"},
		{"not a bool", `height`, 1, 1, "of type int"},
		{"fields of two types", `height == wage`, 1, 8, "of type int and field 'wage' of type decimal"},
		{"unknown code", `sex == "Q"`, 1, 8, "field 'sex' has no such code; its codes are F, M, X"},
		{"unknown code in a list", `sex in ["F", "Q"]`, 1, 14, "no such code"},
		{"no such day", `birth_date == date("2001-02-29")`, 1, 19, "not a date"},
		{"year 0", `birth_date == date("0000-02-20")`, 1, 19, "not a date"},
		{"not a timestamp", `seen_at == timestamp("2001-02-03")`, 1, 21, "not a timestamp"},
		{"nanoseconds", `seen_at == timestamp("2001-02-03T04:05:06.0000001Z")`, 1, 21, "microseconds"},
		{"not a decimal", `wage == decimal("1e5")`, 1, 16, "not a decimal"},
		{"too many digits", `wage == decimal("` + strings.Repeat("9", 65) + `")`, 1, 16, "64 digits"},
		{"exponent", `wage == 1.5e3`, 1, 9, `write the number as decimal`},
		{"date of a field", `birth_date == date(family_name)`, 1, 19, "takes one string literal"},
		{"literal alone", `true`, 1, 1, "not a condition"},
		{"two literals", `1 == 1`, 1, 3, "needs a field"},
		{"arithmetic", `height == 1 + 2`, 1, 13, "arithmetic"},
		{"arithmetic with a field", `height + 1 == 2`, 1, 8, "arithmetic"},
		{"minus a field", `-height == 2`, 1, 1, "arithmetic"},
		{"conditional", `active ? sealed : active`, 1, 8, "? :"},
		{"function", `size(family_name) == 3`, 1, 5, "function 'size'"},
		{"method", `family_name.matches("a.*")`, 1, 20, "function 'matches'"},
		{"endsWith", `family_name.endsWith("a")`, 1, 21, "function 'endsWith'"},
		{"macro has", `has(a.b)`, 1, 4, "function 'has'"},
		{"macro exists", `[1,2].exists(x, x == height)`, 1, 13, "function 'exists'"},
		{"select", `family_name.x == "a"`, 1, 12, "is of type string and has no parts"},
		{"index", `family_name[0] == "a"`, 1, 12, "indexing"},
		{"map", `height in {1: 2}`, 1, 8, "a list of literals"},
		{"message", `person{} == height`, 1, 7, "maps and messages"},
		{"list alone", `[height]`, 1, 1, "a list stands"},
		{"in with a field", `1 in height`, 1, 3, "field 'height' has one value"},
		{"empty list", `height in []`, 1, 11, "list is empty"},
		{"null in a list", `height in [1, null]`, 1, 15, "height == null"},
		{"field in a list", `height in [weight]`, 1, 12, "a field is not expected"},
		{"bool in a list", `active in [true]`, 1, 8, "use it alone"},
		{"startsWith of an int", `height.startsWith("1")`, 1, 18, "for strings and codes"},
		{"startsWith without literal", `family_name.startsWith(given_name)`, 1, 24, "a string literal"},
		{"condition as value", `(height == 1) == active`, 1, 9, "a condition is not a value"},
		{"NUL", "family_name == \"a\x00\"", 1, 18, "NUL"},
		{"escaped NUL", `family_name == "a\u0000"`, 1, 16, "NUL"},
		{"invalid UTF-8", "family_name == \"\xff\"", 1, 1, "UTF-8"},
		{"bytes", `family_name == b"abc"`, 1, 16, "of type string"},
		{"unsigned", `height == 5u`, 1, 11, "a whole number"},
		{"too long", `family_name == "` + strings.Repeat("a", filter.MaxTextBytes) + `"`, 1, 1, "longer than"},
		{"brackets 65 deep", deep("(", ")", 65), 1, 65, "nested more than 64"},
		{"brackets 10,000 deep", deep("(", "", 10_000), 1, 65, "nested more than 64"},
		{"lists 10,000 deep", "height in " + strings.Repeat("[", 10_000), 1, 75, "nested more than 64"},
		{"10,000 negations", deep("! ", "", 8000), 1, 129, "negations in a row"},
		{"10,000 signs", "height == " + strings.Repeat("-", 10_000) + "1", 1, 75, "in a row"},
		{"selects 5,000 deep", "active" + strings.Repeat(".a", 5000), 1, 1, "nested more than 64"},
		{"257 elements", "height in [" + literals(257) + "]", 1, 11, "at most 256"},
		{"257 literals", "height in [" + literals(200) + "] || weight in [" + literals(57) + "]", 0, 0, "more than 256 literals"},
		{"257 comparisons", strings.Repeat("active && ", 256) + "active", 0, 0, "more than 256 comparisons"},
		{"number too great", `height == 9223372036854775808`, 1, 11, "does not parse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := filter.Compile(person, c.filter)
			var e *filter.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *filter.Error", err)
			}
			if c.line > 0 && (e.Line != c.line || e.Column != c.column) {
				t.Errorf("at %d:%d, want %d:%d", e.Line, e.Column, c.line, c.column)
			}
			if !strings.Contains(e.Message, c.message) {
				t.Errorf("%q does not say %q", e.Message, c.message)
			}
		})
	}
}

func TestDepthThatIsAllowed(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", 64) + "active" + strings.Repeat(")", 64),
		strings.Repeat("!", 64) + "active",
		strings.Repeat("active && ", 255) + "active",
		`family_name == "` + strings.Repeat("(", 1000) + `"`,
		`family_name == '''` + strings.Repeat("'(", 100) + `'''`,
		`family_name == r"\" && given_name == "` + strings.Repeat("[", 100) + `"`,
		"active // " + strings.Repeat("(", 100) + "\n && sealed",
	} {
		if _, err := filter.Compile(person, text); err != nil {
			t.Errorf("%.40s…: %v", text, err)
		}
	}
}

func TestErrorsNeverQuoteLiterals(t *testing.T) {
	const secret = "Zqxsecret"
	for _, text := range []string{
		`sex == "Zqxsecret"`,
		`birth_date == "Zqxsecret"`,
		`birth_date == date("Zqxsecret")`,
		`seen_at == timestamp("Zqxsecret")`,
		`wage == decimal("Zqxsecret")`,
		`"Zqxsecret"`,
		`"Zqxsecret" == "Zqxsecret"`,
		`height == "Zqxsecret"`,
		`family_name == "a" "Zqxsecret"`,
		`family_name "Zqxsecret"`,
		`family_name == "Zqxsecret`,
		`family_name == "\qZqxsecret"`,
		`family_name.matches("Zqxsecret")`,
		`family_name.startsWith("a", "Zqxsecret")`,
	} {
		if _, err := filter.Compile(person, text); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestFields(t *testing.T) {
	for _, c := range []struct {
		filter        string
		fields, fixed []string
	}{
		{`family_name == "a"`, []string{"family_name"}, []string{"family_name"}},
		{`"a" == family_name && height == 3 && wage > 1`, []string{"family_name", "height", "wage"}, []string{"family_name", "height"}},
		{`family_name in ["a"]`, []string{"family_name"}, []string{"family_name"}},
		{`family_name in ["a", "b"]`, []string{"family_name"}, nil},
		{`family_name == "a" || family_name == "b"`, []string{"family_name"}, nil},
		{`family_name == "a" || height == 3`, []string{"family_name", "height"}, nil},
		{`family_name == "a" && height == 1 || height == 2 && family_name in ["a"]`, []string{"family_name", "height"}, []string{"family_name"}},
		{`!(family_name != "a" || height != 3)`, []string{"family_name", "height"}, []string{"family_name", "height"}},
		{`!(family_name == "a")`, []string{"family_name"}, nil},
		{`family_name == null`, []string{"family_name"}, nil},
		{`family_name == given_name && height == 1`, []string{"family_name", "given_name", "height"}, []string{"height"}},
		{`active && height < 3`, []string{"active", "height"}, []string{"active"}},
		{`!active`, []string{"active"}, nil}, // true for null too
		{`family_name.startsWith("a")`, []string{"family_name"}, nil},
		{`family_name >= "a" && family_name <= "a"`, []string{"family_name"}, nil},
	} {
		f, err := filter.Compile(person, c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		if !slices.Equal(f.Fields(), c.fields) {
			t.Errorf("%s: fields %v, want %v", c.filter, f.Fields(), c.fields)
		}
		if !slices.Equal(f.EqualityFields(), c.fixed) {
			t.Errorf("%s: fixed %v, want %v", c.filter, f.EqualityFields(), c.fixed)
		}
		if f.Text() != c.filter {
			t.Errorf("text %q", f.Text())
		}
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ filter, want string }{
		{` ( 'Doe' == family_name ) // who`, `family_name == "Doe"`},
		{`family_name == "a" && (height == 1 && (active))`, `family_name == "a" && height == 1 && active == true`},
		{`!(family_name == "a" && height <= 1)`, `family_name != "a" || !(height <= 1)`},
		{`!!active || !sealed`, `active == true || sealed != true`},
		{`(active || sealed) && height > - 3`, `(active == true || sealed == true) && height > -3`},
		{`wage == 1.50 || !(bonus in [1, 2.0, 3])`, `wage == decimal("1.5") || !(bonus in [decimal("1"), decimal("2"), decimal("3")])`},
		{`seen_at >= timestamp("2001-02-03T04:05:06+02:00")`, `seen_at >= timestamp("2001-02-03T02:05:06Z")`},
		{`family_name.startsWith("\"\\\n") && !given_name.contains('é')`, `family_name.startsWith("\"\\\n") && !(given_name.contains("é"))`},
		{`height == null || weight != null || weight < height`, `height == null || weight != null || height > weight`},
	} {
		f, err := filter.Compile(person, c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		if f.Canonical() != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.filter, f.Canonical(), c.want)
		}
		again, err := filter.Compile(person, f.Canonical())
		if err != nil || again.Canonical() != f.Canonical() {
			t.Errorf("%s: canonical form is not stable: %v", c.filter, err)
		}
	}
}

func TestDecimals(t *testing.T) {
	for s, want := range map[string]string{
		"0": "0", "-0.00": "0", "007": "7", "1.50": "1.5", "-12.0": "-12", "0.001": "0.001",
		"": "", "-": "", ".5": "", "5.": "", "1e3": "", "+1": "", "1.2.3": "", "NaN": "", "--1": "",
	} {
		if got, ok := filter.CanonicalDecimal(s); got != want || ok != (want != "") {
			t.Errorf("CanonicalDecimal(%q) = %q, %v", s, got, ok)
		}
	}
	ascending := []string{"-100", "-12.5", "-12.45", "-9", "-0.1", "-0.01", "0", "0.001", "0.01", "0.1", "1", "1.05", "1.5", "9", "10", "99.99", "100"}
	for i, a := range ascending {
		for j, b := range ascending {
			want := max(-1, min(1, i-j))
			if got := filter.CompareDecimals(a, b); got != want {
				t.Errorf("CompareDecimals(%s, %s) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestCache(t *testing.T) {
	c := filter.NewCache(2)
	first, err := c.Compile(person, `active`)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := c.Compile(person, `active`)
	if again != first {
		t.Error("compiled twice")
	}
	if _, err := c.Compile(person, `nope`); err == nil {
		t.Error("an error was lost")
	}
	_, _ = c.Compile(person, `sealed`)
	_, _ = c.Compile(person, `active`) // used last, so sealed goes next
	_, _ = c.Compile(person, `height == 1`)
	if again, _ = c.Compile(person, `active`); again != first {
		t.Error("the filter used last was dropped")
	}
	if c.Len() != 2 {
		t.Errorf("%d filters kept, want 2", c.Len())
	}
	other := *person
	other.Digest = "sha256:other"
	other.Fields = []route.Field{{Name: "active", Type: "string"}}
	if _, err := c.Compile(&other, `active`); err == nil {
		t.Error("a filter of one schema served another")
	}
}

func BenchmarkCompile(b *testing.B) {
	const text = `family_name == "Doe" && given_name == "Jane" && birth_date >= date("1980-01-01") && sex in ["F", "X"]`
	b.Run("fresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := filter.Compile(person, text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("look-up", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f, err := filter.Compile(person, `family_name == "Doe"`)
			if err != nil {
				b.Fatal(err)
			}
			if _, ok := f.Constant("family_name"); !ok {
				b.Fatal("no constant")
			}
		}
	})
	b.Run("cached", func(b *testing.B) {
		c := filter.NewCache(16)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Compile(person, text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hostile", func(b *testing.B) {
		deep := strings.Repeat("(", 10_000)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := filter.Compile(person, deep); err == nil {
				b.Fatal("accepted")
			}
		}
	})
	b.Run("SQL", func(b *testing.B) {
		f, err := filter.Compile(person, text)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := f.SQL(filter.PostgreSQL, column, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestCostIsBounded gives the longest filters of several shapes, valid and not. Each has to be quick: what takes time that
// grows faster than the text would let a stranger stop a gateway.
func TestCostIsBounded(t *testing.T) {
	fill := func(unit string) string { return strings.Repeat(unit, filter.MaxTextBytes/len(unit)) }
	for _, text := range []string{
		fill("("), fill(")"), fill("()"), fill("!"), fill("- "), fill("a."), fill("a["), fill("[[],"), fill("a?"), fill("1?1:"),
		fill("a("), fill("a,"), fill("active&&"), fill("active&&!"), fill("active||active&&"), fill("1+"), fill("1<"), fill("1 in "),
		fill("\n"), fill("//\n"), fill("\""), fill("'''"), fill("\\"), fill("`"), fill("{"), fill("a{"), fill("a{a:"), fill("\xf0\x9f\x98\x80"),
		fill("a=b,"), fill("r'"), fill("b\""), fill("0x"), fill("9"), fill("1e"), fill(".9"), fill("@"), fill("has(a)"), fill(".?a"), fill("[?"),
		"active" + fill(".a")[:16000], "height in [" + fill("1,")[:16000] + "1]", "family_name == \"" + fill("a")[:16000] + "\"",
		strings.Repeat("(", 64) + fill("a.")[:16000], fill("seen_at<seen_at&&"), fill("x==\"\\u00e9\"||"),
	} {
		if d := cost(text); d > time.Second {
			t.Errorf("%.20q… took %v", text, d)
		}
	}
}

// cost is how long a filter takes to compile. What a busy machine adds to it comes and goes: the least of some tries counts.
func cost(text string) time.Duration {
	least := time.Duration(math.MaxInt64)
	for try := 0; try < 5 && least > time.Second; try++ {
		began := time.Now()
		_, _ = filter.Compile(person, text)
		least = min(least, time.Since(began))
	}
	return least
}
