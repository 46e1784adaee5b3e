package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/filter"
)

// TestOddInput: what looks like something else, and what has no value, has one outcome: an error with its place.
func TestOddInput(t *testing.T) {
	for name, text := range map[string]string{
		"a Cyrillic letter in a name":      `fаmily_name == "x"`,
		"a full-width operator":            `family_name ＝＝ "x"`,
		"a full-width quote":               `family_name == ＂x＂`,
		"curly quotes":                     `family_name == “x”`,
		"a no-break space":                 "family_name\u00a0== \"x\"",
		"a zero-width space":               "family\u200b_name == \"x\"",
		"a right-to-left override":         "family_name == \u202e\"x\"",
		"a byte order mark":                "\ufefffamily_name == \"x\"",
		"a combining mark on a name":       "family_name\u0301 == \"x\"",
		"a name in backticks":              "`family_name` == \"x\"",
		"a leading dot":                    `.family_name == "x"`,
		"half a surrogate":                 `family_name == "\ud800"`,
		"the other half":                   `family_name == "\udc00"`,
		"both halves":                      `family_name == "\ud83d\ude00"`,
		"half a surrogate, long":           `family_name == "\U0000d800"`,
		"beyond Unicode":                   `family_name == "\U00110000"`,
		"an octal byte":                    `family_name == b"\377"`,
		"NaN":                              `wage == NaN`,
		"NaN by a function":                `wage == double("NaN")`,
		"NaN as a decimal":                 `wage == decimal("NaN")`,
		"infinity as a decimal":            `wage < decimal("Infinity")`,
		"a number without end":             `wage < 1e400`,
		"a decimal with an exponent":       `wage < decimal("1e400")`,
		"a decimal of 65 digits":           `wage < decimal("` + strings.Repeat("9", 65) + `")`,
		"a decimal of 10,000 digits":       `wage < decimal("` + strings.Repeat("9", 10_000) + `")`,
		"a fraction of 10,000 digits":      `wage < 0.` + strings.Repeat("9", 10_000),
		"Arabic digits":                    `wage < decimal("١٢")`,
		"full-width digits":                `height < １８０`,
		"a decimal with a comma":           `wage < decimal("1,5")`,
		"a decimal with a blank":           `wage < decimal(" 1")`,
		"a plus":                           `wage < decimal("+1")`,
		"hexadecimal beyond 64 bits":       `height < 0x1ffffffffffffffff`,
		"one below 64 bits":                `height > -9223372036854775809`,
		"30 February":                      `birth_date == date("2001-02-30")`,
		"29 February of no leap year":      `birth_date == date("2100-02-29")`,
		"month 13":                         `birth_date == date("2001-13-01")`,
		"year 10000":                       `birth_date == date("10000-01-01")`,
		"year -1":                          `birth_date == date("-001-01-01")`,
		"a short day":                      `birth_date == date("2001-2-3")`,
		"Arabic digits of a date":          `birth_date == date("٢٠٠١-٠٢-٠٣")`,
		"a date with a time":               `birth_date == date("2001-02-03T00:00:00Z")`,
		"a date with a blank":              `birth_date == date("2001-02-03 ")`,
		"infinity as a date":               `birth_date < date("infinity")`,
		"today as a date":                  `birth_date < date("today")`,
		"hour 24":                          `seen_at == timestamp("2001-02-03T24:00:00Z")`,
		"a leap second":                    `seen_at == timestamp("2016-12-31T23:59:60Z")`,
		"an instant without zone":          `seen_at == timestamp("2001-02-03T04:05:06")`,
		"a zone that is none":              `seen_at == timestamp("2001-02-03T04:05:06+25:00")`,
		"a zone by name":                   `seen_at == timestamp("2001-02-03T04:05:06[Europe/Paris]")`,
		"year 0 by its zone":               `seen_at == timestamp("0001-01-01T00:00:00+01:00")`,
		"year 10000 by its zone":           `seen_at == timestamp("9999-12-31T23:59:59-01:00")`,
		"a number of seconds":              `seen_at == timestamp(0)`,
		"a statement after a comparison":   `family_name == "x"; DROP TABLE person`,
		"SQL's comment":                    `family_name == "x" -- `,
		"SQL's concatenation":              `family_name == "x" || "y"`,
		"SQL's words":                      `family_name = "x" OR 1 = 1`,
		"a placeholder":                    `family_name == $1`,
		"a question mark":                  `family_name == ?`,
		"a subquery":                       `family_name in (SELECT family_name FROM person)`,
		"a function of PostgreSQL":         `pg_sleep(10) == family_name`,
		"a column that is none of schema":  `ctid == "x"`,
		"a field with its table":           `person.family_name == "x"`,
		"a cast":                           `family_name::text == "x"`,
		"a normal form of a statement":     `normal(family_name); DROP TABLE person == normal("x")`,
		"a schema's name for a function":   `pg_catalog.normal(family_name) == normal("x")`,
		"a similarity that is none":        `similarity(family_name, "x") >= NaN`,
		"a similarity without end":         `similarity(family_name, "x") >= 1e400`,
		"a similarity to a half surrogate": `similarity(family_name, "\ud800") >= 0.5`,
		"a duration without end":           `seen_at > now() - duration("1e400h")`,
		"a duration that is none":          `seen_at > now() - duration("NaN")`,
		"days without end":                 `birth_date > today() - days(9223372036854775807)`,
		"days by hexadecimal":              `birth_date > today() - days(0xffffffff)`,
		"years by a field":                 `birth_date > today() - years(height)`,
		"a year that is none":              `birth_date.getFullYear() == NaN`,
	} {
		f, err := filter.Compile(person, text)
		var e *filter.Error
		if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Message == "" {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// TestHostileLiterals: whatever a literal is, it is bound and stands in no statement.
func TestHostileLiterals(t *testing.T) {
	for _, literal := range []string{
		`'; DROP TABLE person; --`, `" OR ""="`, "`", `\`, `\'`, `$1`, `?`, `%`, `_`, `/*`, `*/`, `--`, "\n", "\r", "\t", "\u2028", "\u202e", "\ufeff", "\u00a0", "ʼ; DROP TABLE person; --",
		`＇ OR １＝１`, `{{.}}`, `${jndi:ldap://x}`, `<script>`, "\U0001F600", "e\u0301", `E'\047'`, `U&'\0027'`, `''`, `'''`, `$$x$$`, `:name`, `@name`, `x' USING 'y`, `') EXECUTE IMMEDIATE ('`,
	} {
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(literal) + `"`
		for _, form := range []string{
			"family_name == %", "% != family_name", "family_name < %", "family_name in [%, \"a\"]", "family_name.startsWith(%)", "family_name.contains(%)",
			"normal(family_name) == normal(%)", "identifier(family_name) in [identifier(%), identifier(\"zz\")]", "normal(family_name).contains(normal(%))", "similarity(family_name, %) >= 0.5",
		} {
			text := strings.ReplaceAll(form, "%", quoted)
			f, err := filter.Compile(person, text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			benign, err := filter.Compile(person, strings.ReplaceAll(form, "%", `"x"`))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range []filter.Dialect{filter.PostgreSQLWithTrigrams("ext"), filter.SQLite, filter.Trino} {
				sql, _, err := f.SQL(d, column, nil)
				same, _, _ := benign.SQL(d, column, nil)
				if err == nil && sql != same {
					t.Errorf("%s: the statement is another than for another literal: %s", text, sql)
				}
			}
		}
	}
}
