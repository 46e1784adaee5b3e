package filter_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

var shaped = &route.Schema{
	Name: "person", Version: 2,
	Fields: []route.Field{
		{Name: "name", Type: "string"},
		{Name: "aliases", Type: "string", Repeated: true},
		{Name: "years", Type: "int", Repeated: true},
		{Name: "flags", Type: "bool", Repeated: true},
		{Name: "sexes", Type: "code", Codes: []string{"F", "M"}, Repeated: true},
		{Name: "address", Type: "record", Fields: []route.Field{
			{Name: "city", Type: "string"}, {Name: "since", Type: "date"}, {Name: "current", Type: "bool"}, {Name: "kind", Type: "code", Codes: []string{"home", "work"}},
		}},
		{Name: "jobs", Type: "record", Repeated: true, Fields: []route.Field{{Name: "employer", Type: "string"}}},
	},
}

func TestShape(t *testing.T) {
	for _, c := range []struct {
		filter, canonical, postgres, sqlite string
		args                                []any
		fields, fixed                       []string
	}{
		{
			filter: `"Jo" in aliases`, canonical: `"Jo" in aliases`, fields: []string{"aliases"},
			postgres: `"c_aliases"::text[] @> ARRAY[$1::text]`, sqlite: `entente_list_has('string', ~c_aliases~, ?) = 1`, args: []any{"Jo"},
		},
		{
			filter: `!(3 in years)`, canonical: `!(3 in years)`, fields: []string{"years"},
			postgres: `("c_years" IS NULL OR NOT ("c_years"::int8[] @> ARRAY[$1::int8]))`,
			sqlite:   `(~c_years~ IS NULL OR NOT (entente_list_has('int', ~c_years~, ?) = 1))`, args: []any{int64(3)},
		},
		{
			filter: `address.city == "Bonn" && "F" in sexes`, canonical: `address.city == "Bonn" && "F" in sexes`,
			fields: []string{"address.city", "sexes"}, fixed: []string{"address.city"},
			postgres: `("c_address.city"::text = $1::text AND "c_sexes"::text[] @> ARRAY[$2::text])`,
			sqlite:   `(~c_address.city~ COLLATE BINARY = ? AND entente_list_has('string', ~c_sexes~, ?) = 1)`, args: []any{"Bonn", "F"},
		},
		{
			filter: `address.current && date("2001-02-03") <= address.since && address.kind in ["home"] && address.city.startsWith("B") && address.city != name`,
			fields: []string{"address.city", "address.current", "address.kind", "address.since", "name"}, fixed: []string{"address.current", "address.kind"},
			canonical: `address.current == true && address.since >= date("2001-02-03") && address.kind == "home" && address.city.startsWith("B") && address.city != name`,
			postgres: `("c_address.current"::boolean IS TRUE AND "c_address.since"::date >= $1::date AND "c_address.kind"::text = $2::text` +
				` AND "c_address.city"::text LIKE $3::text AND "c_address.city"::text COLLATE "C" IS DISTINCT FROM "c_name"::text COLLATE "C")`,
			sqlite: `(~c_address.current~ IS TRUE AND ~c_address.since~ COLLATE BINARY >= ? AND ~c_address.kind~ COLLATE BINARY = ?` +
				` AND (~c_address.city~ COLLATE BINARY >= ? AND ~c_address.city~ COLLATE BINARY < ?) AND ~c_address.city~ COLLATE BINARY IS NOT ~c_name~ COLLATE BINARY)`,
			args: []any{"2001-02-03", "home", "B%"},
		},
	} {
		f, err := filter.Compile(shaped, c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		if f.Canonical() != c.canonical {
			t.Errorf("%s: canonical %s", c.filter, f.Canonical())
		}
		if again, err := filter.Compile(shaped, f.Canonical()); err != nil || again.Canonical() != f.Canonical() {
			t.Errorf("%s: the canonical form is not stable: %v", c.filter, err)
		}
		if !slices.Equal(f.Fields(), c.fields) || !slices.Equal(f.EqualityFields(), c.fixed) {
			t.Errorf("%s: fields %q, fixed %q", c.filter, f.Fields(), f.EqualityFields())
		}
		sql, args, err := f.SQL(filter.PostgreSQL, column, nil)
		if err != nil || sql != c.postgres || !reflect.DeepEqual(args, c.args) {
			t.Errorf("%s: PostgreSQL\n got %s, %v, %v\nwant %s", c.filter, sql, args, err, c.postgres)
		}
		if sql, _, err := f.SQL(filter.SQLite, column, nil); err != nil || sql != lite(c.sqlite) {
			t.Errorf("%s: SQLite\n got %s, %v\nwant %s", c.filter, sql, err, lite(c.sqlite))
		}
	}
	f, err := filter.Compile(shaped, `!("Jo" in aliases)`)
	if want := (filter.Term{Kind: filter.TermHolds, Negated: true, Field: "aliases", Type: "string", Values: []string{"Jo"}, Line: 1, Column: 8}); err != nil || !reflect.DeepEqual(f.Tree(), want) {
		t.Errorf("tree: %v, %v", f, err)
	}
}

func TestShapeErrors(t *testing.T) {
	for _, c := range []struct {
		filter string
		column int
		want   string
	}{
		{`name == "a" && aliases == "Jo"`, 16, `field 'aliases' has many values: write "…" in aliases`},
		{`aliases == null`, 1, "has many values"},
		{`aliases in ["Jo"]`, 1, "has many values"},
		{`aliases.startsWith("Jo")`, 1, "has many values"},
		{`flags`, 1, "has many values"},
		{`name == aliases`, 9, "has many values"},
		{`"Jo" in name`, 6, "field 'name' has one value"},
		{`"Jo" in address.city`, 6, "field 'address.city' has one value"},
		{`true in flags`, 9, "list of true and false"},
		{`"Z" in sexes`, 1, "has no such code"},
		{`1 in aliases`, 1, "compare it with a string"},
		{`"x" in jobs`, 8, "list of records"},
		{`"x" in jobs.employer`, 12, "list of records"},
		{`"x" in address`, 8, "is a record: name one of"},
		{`jobs.employer == "x"`, 5, "list of records"},
		{`address == "x"`, 1, "is a record: name one of address.city, address.since"},
		{`address == null`, 1, "is a record"},
		{`address`, 1, "is a record"},
		{`address.town == "x"`, 8, "record 'address' has no member 'town'; its members are address.city"},
		{`address.city.x == "x"`, 13, "'.' stands only between"},
		{`aliases.x == "x"`, 8, "has many values"},
		{`name.x == "x"`, 5, "has no parts"},
		{`nobody.x == "x"`, 7, "field 'nobody' is not in schema"},
		{`aliases[0] == "x"`, 8, "indexing"},
		{`normal(aliases) == normal("x")`, 8, "has many values"},
		{`address.since.getFullYear() > "x"`, 31, "a year is a whole number"},
		{`has(address.city)`, 4, "function 'has' is not supported"},
		{`address.since == "2001-02-03"`, 18, "date("},
	} {
		_, err := filter.Compile(shaped, c.filter)
		var e *filter.Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, c.want) || e.Column != c.column {
			t.Errorf("%s: %v, want column %d, %q", c.filter, err, c.column, c.want)
		}
	}
}

// TestShapeOfFunctions: what is a field otherwise may be a member of a record, and what is a date otherwise may be one of today.
func TestShapeOfFunctions(t *testing.T) {
	for text, want := range map[string]string{
		`normal(address.city) == normal("BONN")`:        `normal(address.city) == normal("bonn")`,
		`address.since.getFullYear() == 2001`:           `address.since >= date("2001-01-01") && address.since < date("2002-01-01")`,
		`address.since >= today() - years(1)`:           `address.since >= date("2025-11-25")`,
		`similarity(address.city, "Bonn") >= 0.5`:       `similarity(address.city, "Bonn") >= decimal("0.5")`,
		`identifier(address.city) != identifier("b 1")`: `identifier(address.city) != identifier("b1")`,
	} {
		f, err := filter.Compile(shaped, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if f, err = f.At(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)); err != nil || f.Canonical() != want {
			t.Errorf("%s: %s, %v", text, f.Canonical(), err)
		}
	}
	days := &route.Schema{Fields: []route.Field{{Name: "days", Type: "date", Repeated: true}}}
	f, err := filter.Compile(days, `!(today() in days)`)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = f.At(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)); err != nil || f.Canonical() != `!(date("2026-11-25") in days)` {
		t.Errorf("%s, %v", f.Canonical(), err)
	}
}
