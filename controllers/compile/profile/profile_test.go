package profile

import (
	"slices"
	"strings"
	"testing"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// one is a profile of one rule.
func one(rule, field string) *v1alpha1.AgreementProfileSpec {
	return &v1alpha1.AgreementProfileSpec{Title: "t", Citation: "c", Rules: []v1alpha1.ProfileRule{{
		Name: "r", Rule: rule, Severity: v1alpha1.SeverityError, Message: "mend it", Field: field, Citation: "Code 1",
	}}}
}

// check gives what the rule says of the terms: "" when they keep it.
func check(t *testing.T, rule, field string, terms *v1alpha1.AgreementTerms) string {
	t.Helper()
	p, faults := Compile("p", one(rule, field))
	if len(faults) > 0 {
		t.Fatalf("%s: %q", rule, faults)
	}
	var out []string
	for _, v := range p.Check(terms, nil) {
		out = append(out, v.Field+": "+v.Message)
	}
	return strings.Join(out, "\n")
}

func TestLanguage(t *testing.T) {
	days := int64(0)
	terms := sample(t)
	terms.Clauses[1].Obligations = &v1alpha1.Obligations{RetentionDays: &days}
	for _, c := range []struct{ rule, want string }{
		{`terms.id == "wages"`, ""},
		{`terms.version == 2 && terms.supersedes == 1`, ""},
		{`terms.id == "other"`, "id: mend it"},
		{`has(terms.security)`, "id: mend it"},
		{`terms.security == ""`, "id: the rule cannot be evaluated (security is absent: ask with has() first)"},
		{`terms.clauses[0].obligations.retentionDays <= 30`, "id: the rule cannot be evaluated (obligations is absent"},
		{`terms.clauses[1].obligations.retentionDays == 0`, ""},
		{`terms.?security.orValue("") == ""`, ""},
		{`!terms.clauses[0].?obligations.?retentionDays.hasValue()`, ""},
		{`terms.clauses[1].?obligations.?retentionDays.hasValue()`, ""},
		{`terms.clauses.all(c, c.granularity == "Records")`, ""},
		{`terms.parties.exists(p, has(p.roles) && "source" in p.roles)`, ""},
		{`terms.term.notBefore < terms.term.notAfter`, ""},
		{`terms.term.notBefore == timestamp("2026-01-31T00:00:00Z")`, ""},
		{`terms.term.notBefore.getFullYear() == 2026`, ""},
		{`months(terms.term.notBefore, terms.term.notAfter) == 1`, ""},
		{`days(terms.term.notBefore, terms.term.notAfter) == 28`, ""},
		{`addMonths(terms.term.notBefore, 1) == terms.term.notAfter`, ""},
		{`addMonths(terms.term.notBefore, 1000000) == terms.term.notAfter`, "id: the rule cannot be evaluated (addMonths: 1000000"},
		{`terms.clauses[0].conditions.requireSelectors[0][1] == "birth_date"`, ""},
		{`terms.clauses[7].name == ""`, "id: the rule cannot be evaluated (index out of bounds: 7)"},
		{`terms.title.lowerAscii().trim() == "wages"`, ""},
	} {
		got := check(t, c.rule, "id", terms)
		if got != c.want && (c.want == "" || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %q, want %q", c.rule, got, c.want)
		}
	}
}

// TestRefused: what is wrong with a rule is found when the profile is compiled, not when an agreement comes along.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{`terms.titel == "x"`, "rules[r].rule: line 1, column 6: undefined field 'titel'"},
		{`terms.clauses.all(c, c.obligations.retention < 3)`, "undefined field 'retention'"},
		{`has(terms.nothing)`, "undefined field 'nothing'"},
		{`terms.?nothing.hasValue()`, "undefined field 'nothing'"},
		{`terms.title == 1`, "line 1, column 13: found no matching overload"},
		{"true &&\n terms.titel == 'x'", "line 2, column 7: undefined field"},
		{`terms.title`, "it is of type string, not bool"},
		{`now() > terms.term.notAfter`, "undeclared reference to 'now'"},
		{`term.notAfter == terms.term.notAfter`, "undeclared reference to 'term'"},
		{`months(terms.title, terms.title) < 1`, "found no matching overload"},
		{`entente.dev.v1alpha1.Party{agency: "a"}.agency == "a"`, "a rule makes no objects"},
		{`google.protobuf.StringValue{value: "a"} == "a"`, "a rule makes no objects"},
		{`terms.title.matches("(")`, "error parsing regexp"},
		{`true &&`, "line 1, column 8: Syntax error"},
		{strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100), "recursion limit"},
		{strings.Repeat("!", 2001), "2001 characters; 1 to 2000 are possible"},
		{``, "0 characters"},
	} {
		p, faults := Compile("p", one(c.rule, "id"))
		if p != nil || len(faults) != 1 || !strings.Contains(faults[0], c.want) {
			t.Errorf("%s: %q, want %q", c.rule, faults, c.want)
		}
	}
}

func TestSpecRefused(t *testing.T) {
	for want, change := range map[string]func(*v1alpha1.AgreementProfileSpec){
		`title: 0 characters`:                         func(s *v1alpha1.AgreementProfileSpec) { s.Title = "" },
		`citation: 301 characters`:                    func(s *v1alpha1.AgreementProfileSpec) { s.Citation = strings.Repeat("é", 301) },
		`rules: 0 rules; 1 to 64 are possible`:        func(s *v1alpha1.AgreementProfileSpec) { s.Rules = nil },
		`rules[r].name: "r" stands twice`:             func(s *v1alpha1.AgreementProfileSpec) { s.Rules = append(s.Rules, s.Rules[0]) },
		`rules[0].name: "R" is not`:                   func(s *v1alpha1.AgreementProfileSpec) { s.Rules[0].Name = "R" },
		`rules[r].severity: "Fatal"`:                  func(s *v1alpha1.AgreementProfileSpec) { s.Rules[0].Severity = "Fatal" },
		`rules[r].message: 0 characters`:              func(s *v1alpha1.AgreementProfileSpec) { s.Rules[0].Message = "" },
		`rules[r].citation: 0 characters`:             func(s *v1alpha1.AgreementProfileSpec) { s.Rules[0].Citation = "" },
		`rules[r].field: the terms have no member ""`: func(s *v1alpha1.AgreementProfileSpec) { s.Rules[0].Field = "" },
		`no member "term.until"`:                      func(s *v1alpha1.AgreementProfileSpec) { s.Rules[0].Field = "term.until" },
		`no member "clauses.fields"`:                  func(s *v1alpha1.AgreementProfileSpec) { s.Rules[0].Field = "clauses.fields" },
		`no member "title[]"`:                         func(s *v1alpha1.AgreementProfileSpec) { s.Rules[0].Field = "title[]" },
		`no member "title.x"`:                         func(s *v1alpha1.AgreementProfileSpec) { s.Rules[0].Field = "title.x" },
	} {
		s := one("true", "id")
		change(s)
		if p, faults := Compile("p", s); p != nil || len(faults) != 1 || !strings.Contains(faults[0], want) {
			t.Errorf("%q, want %q", faults, want)
		}
	}
	for _, field := range []string{"id", "term", "term.notAfter", "clauses", "clauses[]", "clauses[].fields", "clauses[].limits.recordsPerQuery", "parties[].roles"} {
		if _, faults := Compile("p", one("true", field)); len(faults) > 0 {
			t.Errorf("field %s: %q", field, faults)
		}
	}
}

// TestPlaces: a rule about clauses names the clauses that break it; one that all of them break together names none.
func TestPlaces(t *testing.T) {
	terms := sample(t)
	terms.Clauses[1].Fields = nil
	for _, c := range []struct{ rule, field, want string }{
		{`terms.clauses.all(c, has(c.fields))`, "clauses[].fields", "clauses[second].fields: mend it"},
		{`terms.clauses.all(c, c.fields.size() > 0)`, "clauses[].fields",
			"clauses[second].fields: the rule cannot be evaluated (fields is absent: ask with has() first): correct the profile, or state the term"},
		{`terms.clauses.exists(c, has(c.limits))`, "clauses[].limits", "clauses[first].limits: mend it\nclauses[second].limits: mend it"},
		{`terms.clauses.size() < 2`, "clauses[]", "clauses[]: mend it"},
		{`terms.clauses.size() < 2`, "clauses", "clauses: mend it"},
	} {
		if got := check(t, c.rule, c.field, terms); got != c.want {
			t.Errorf("%s: %q, want %q", c.rule, got, c.want)
		}
	}
}

// TestCostLimit: a rule that would take long is not kept, and the same everywhere.
func TestCostLimit(t *testing.T) {
	terms := sample(t)
	for range 30 {
		terms.Clauses = append(terms.Clauses, terms.Clauses[0])
	}
	rule := "terms.clauses.all(a, terms.clauses.all(b, terms.clauses.all(c, terms.clauses.all(d, terms.clauses.all(e, a.name + b.name + c.name + d.name != e.name)))))"
	want := check(t, rule, "id", terms)
	if !strings.Contains(want, "cost limit exceeded") {
		t.Fatalf("%q", want)
	}
	if again := check(t, rule, "id", terms); again != want {
		t.Errorf("%q, then %q", want, again)
	}
}

// TestPrior: a rule compares with the version that is superseded, as far as that is there.
func TestPrior(t *testing.T) {
	now := sample(t) // version 2, which supersedes version 1
	before := sample(t)
	before.Version, before.Supersedes = 1, 0
	slices.Reverse(before.Clauses[0].Fields)
	changed := before.DeepCopy()
	changed.Clauses[0].Fields = append(changed.Clauses[0].Fields, "another")
	alone := sample(t)
	alone.Supersedes = 0
	const missing, unreadable = "version 1, which this one supersedes, is not there to compare with: apply it, too", "the rule cannot be evaluated"
	for _, c := range []struct {
		rule        string
		terms, with *v1alpha1.AgreementTerms
		want        string
		noPrior     bool
	}{
		{`terms.clauses == prior.clauses`, now, before, "", false}, // whatever the order of what is a set
		{`terms.clauses == prior.clauses`, now, changed, "mend it", false},
		{`terms.clauses == prior.clauses`, now, nil, missing, true},
		{`!has(terms.supersedes) || terms.clauses == prior.clauses`, alone, nil, "", false},
		{`terms.clauses == prior.clauses`, alone, nil, unreadable, false},
		{`terms.?security == prior.?security`, now, before, "", false},
		{`terms.security == prior.security`, now, before, unreadable, false},
		{`prior.version == 1 && !has(prior.supersedes)`, now, before, "", false},
		{`addMonths(prior.term.notAfter, 1) > terms.term.notAfter`, now, before, "", false},
		{`terms.clauses[7].name == ""`, now, nil, unreadable, false}, // which has nothing to do with it
	} {
		p, faults := Compile("p", one(c.rule, "clauses"))
		if len(faults) > 0 {
			t.Fatalf("%s: %q", c.rule, faults)
		}
		got := p.Check(c.terms, c.with)
		if (len(got) > 0) != (c.want != "") || len(got) > 0 && (!strings.HasPrefix(got[0].Message, c.want) || got[0].NoPrior != c.noPrior) {
			t.Errorf("%s: %+v, want %q", c.rule, got, c.want)
		}
	}
	if p, faults := Compile("p", one(`prior.titel == ""`, "id")); p != nil || len(faults) != 1 || !strings.Contains(faults[0], "undefined field 'titel'") {
		t.Errorf("%q", faults)
	}
}

func TestCache(t *testing.T) {
	c := NewCache()
	first, _ := c.Compile("p", one("true", "id"))
	if again, _ := c.Compile("p", one("true", "id")); again != first {
		t.Error("compiled twice")
	}
	if other, _ := c.Compile("p", one("false", "id")); other == first {
		t.Error("another rule, the same profile")
	}
	if other, _ := c.Compile("q", one("true", "id")); other == first || other.name != "q" {
		t.Error("another name, the same profile")
	}
	if p, faults := c.Compile("p", one("tru", "id")); p != nil || len(faults) != 1 {
		t.Errorf("%v, %q", p, faults)
	}
	for i := range 3 * maxCached {
		c.Compile("p", one("terms.version != "+strings.Repeat("1", 1+i%18)+"", "id"))
		c.Compile(strings.Repeat("p", 1+i%63), one("true", "id"))
	}
	if len(c.entries) > maxCached {
		t.Errorf("%d entries are kept", len(c.entries))
	}
}

func BenchmarkCheck(b *testing.B) {
	p, faults := Compile("p", one("terms.clauses.all(c, has(c.fields) && c.fields.all(f, f != 'x'))", "clauses[].fields"))
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	terms := sample(b)
	b.ReportAllocs()
	for b.Loop() {
		p.Check(terms, nil)
	}
}

func BenchmarkCompile(b *testing.B) {
	spec := one("terms.clauses.all(c, has(c.fields) && c.fields.all(f, f != 'x'))", "clauses[].fields")
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := Compile("p", spec); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}
