package pushdown

import (
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

var schema = &route.Schema{Name: "wage", Version: 1, Fields: []route.Field{
	{Name: "person", Type: "string"}, {Name: "employer", Type: "string"}, {Name: "paid_on", Type: "date"}, {Name: "amount", Type: "decimal"},
	{Name: "status", Type: "code", Codes: []string{"open", "closed"}}, {Name: "final", Type: "bool"}, {Name: "hours", Type: "int"},
	{Name: "seen", Type: "timestamp"}, {Name: "note", Type: "string"},
}}

func at(field, comparison, in, name string) route.HTTPFilter {
	return route.HTTPFilter{Field: field, Comparison: comparison, Place: route.HTTPPlace{In: in, Name: name}}
}

// api of the tests: by person, which it needs, and more.
func api() *route.HTTP {
	h := &route.HTTP{Filters: []route.HTTPFilter{
		at("person", "Equal", "query", "person"), at("employer", "In", "query", "employer"), at("status", "Equal", "query", "status"),
		at("paid_on", "GreaterOrEqual", "query", "from"), at("paid_on", "LessOrEqual", "query", "to"), at("final", "Equal", "query", "final"),
		at("amount", "Less", "query", "below"), at("seen", "Greater", "query", "since"), at("hours", "Equal", "query", "hours"),
	}}
	h.Filters[0].Required, h.Filters[1].Join = true, "comma"
	return h
}

func compiled(t *testing.T, text string) *filter.Filter {
	t.Helper()
	if text == "" {
		return nil
	}
	f, err := filter.Compile(schema, text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sent(p *Plan) string {
	if p.Nothing {
		return "nothing"
	}
	var out []string
	for _, s := range p.Sent {
		out = append(out, s.Place.Name+"="+strings.Join(s.Values, ","))
	}
	return strings.Join(out, "&")
}

func TestOf(t *testing.T) {
	for _, tt := range []struct{ user, row, want string }{
		{`person == "1"`, ``, `person=1`},
		{`"1" == person && employer in ["a", "b"]`, ``, `employer=a,b&person=1`},
		{`person in ["1"] && employer == "a"`, ``, `employer=a&person=1`},
		{`person == "1" && paid_on >= date("2026-01-01") && paid_on <= date("2026-02-01")`, ``, `from=2026-01-01&person=1&to=2026-02-01`},
		{`person == "1" && final`, `status == "open"`, `final=true&person=1&status=open`},
		// What both say comes to one.
		{`person == "1" && status == "open"`, `status == "open"`, `person=1&status=open`},
		{`person == "1" && employer in ["a", "b"]`, `employer in ["b", "c"]`, `employer=b&person=1`},
		{`person == "1" && paid_on >= date("2026-01-01")`, `paid_on >= date("2026-03-01")`, `from=2026-03-01&person=1`},
		{`person == "1" && amount < 9 && amount < 10.5`, ``, `below=9&person=1`},
		{`person == "1" && status == "closed"`, `status == "open"`, `nothing`},
		{`person == "1" && person == "2"`, ``, `nothing`},
	} {
		p, refusal := Of(api(), compiled(t, tt.user), compiled(t, tt.row))
		if refusal != nil {
			t.Errorf("%s, %s: %v", tt.user, tt.row, refusal)
		} else if got := sent(p); got != tt.want {
			t.Errorf("%s, %s: %s, want %s", tt.user, tt.row, got, tt.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ user, row, want string }{
		{``, ``, `filter: the source's API does not answer without field "person": add person == …`},
		{`status == "open"`, ``, `without field "person"`},
		{`person == "1" || person == "2"`, ``, `filter, line 1, column 8: the source's API cannot be asked for ||: write field in […], or ask twice: it takes person ==`},
		{`person == "1" && employer != "a"`, ``, `filter, line 1, column 27: the source's API cannot be asked for what is not: field "employer" can be compared by in`},
		{`person == "1" && !final`, ``, `write final == false`},
		{`person == "1" && !(employer == "a")`, ``, `what is not`},
		{`person in ["1", "2"]`, ``, `field "person" with in: field "person" can be compared by ==`},
		{`person == "1" && paid_on > date("2026-01-01")`, ``, `field "paid_on" with >: field "paid_on" can be compared by >=, <=`},
		{`person == "1" && note == "x"`, ``, `field "note" with ==: it takes person ==, employer in, status ==,`},
		{`person == "1" && note.startsWith("x")`, ``, `comparisons of a field with a constant only`},
		{`person == "1" && employer == null`, ``, `comparisons of a field with a constant only`},
		{`person == "1" && employer == note`, ``, `comparisons of a field with a constant only`},
		{`person == "1"`, `status != "closed"`, `row filter, line 1, column 8: the source's API cannot be asked for what is not`},
		{`person == "1" && employer in ["a,b", "c"]`, ``, `has a comma`},
		{"person == \"1\\n\"", ``, `control characters`},
	} {
		_, refusal := Of(api(), compiled(t, tt.user), compiled(t, tt.row))
		if refusal == nil || !strings.Contains(refusal.Error(), tt.want) {
			t.Errorf("%s, %s: %v, want %s", tt.user, tt.row, refusal, tt.want)
		}
	}
}

// What stands in a path must not become another path.
func TestPath(t *testing.T) {
	h := &route.HTTP{Filters: []route.HTTPFilter{at("person", "Equal", "path", "person")}}
	for _, bad := range []string{"", ".", "..", "a/b", `a\\b`, "a%2fb", "..;", "a?b", "a#b"} {
		if _, refusal := Of(h, compiled(t, `person == "`+bad+`"`), nil); refusal == nil || strings.Contains(refusal.Message, "a/b") {
			t.Errorf("%q: %v", bad, refusal)
		}
	}
	if _, refusal := Of(h, compiled(t, `person == "Ä 1.2"`), nil); refusal != nil {
		t.Error(refusal)
	}
}

func TestHolds(t *testing.T) {
	p, refusal := Of(api(), compiled(t, `person == "1" && paid_on >= date("2026-01-01") && amount < 10.50 && seen > timestamp("2026-01-01T00:00:00Z") && hours == 8 && employer in ["a", "b"]`), compiled(t, `status == "open" && final`))
	if refusal != nil {
		t.Fatal(refusal)
	}
	good := map[string]string{
		"person": "1", "paid_on": "2026-01-01", "amount": "10.4999", "seen": "2026-01-01T00:00:00.000001Z", "hours": "8", "employer": "b", "status": "open", "final": "true",
	}
	holds := func(field, value string, null bool) bool {
		return p.Holds(func(f string) (string, bool) {
			if f == field {
				return value, !null
			}
			return good[f], true
		})
	}
	if !holds("", "", false) {
		t.Error("a record that was asked for does not hold")
	}
	for field, other := range map[string]string{
		"person": "2", "paid_on": "2025-12-31", "amount": "10.5", "seen": "2026-01-01T00:00:00Z", "hours": "80", "employer": "c", "status": "closed", "final": "false",
	} {
		if holds(field, other, false) {
			t.Errorf("%s %s holds", field, other)
		}
		if holds(field, "", true) {
			t.Errorf("%s null holds", field)
		}
	}
	if got := strings.Join(p.Fields(), " "); got != "amount employer final hours paid_on person seen status" {
		t.Error(got)
	}
}
