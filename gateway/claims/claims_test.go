package claims

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for text, want := range map[string][]string{
		`claims.SwornLawEnforcementOfficerIndicator == true`: {"SwornLawEnforcementOfficerIndicator"},
		`claims.sworn`: {"sworn"},
		`claims["gfipm:2.0:user:EmployerORI"].startsWith("NV")`:     {"gfipm:2.0:user:EmployerORI"},
		`has(claims.a) && claims.a == "x" || "b" in claims`:         {"a", "b"},
		`claims.roles.exists(r, r == "analyst") && claims.ial >= 2`: {"ial", "roles"},
	} {
		x, err := Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !slices.Equal(x.Names(), want) {
			t.Errorf("%s reads %q, want %q", text, x.Names(), want)
		}
		if again, _ := Compile(text); again != x {
			t.Errorf("%s was compiled twice", text)
		}
	}
}

// TestRefused: what does not tell which claims it reads would carry them all; what is no condition permits nothing.
func TestRefused(t *testing.T) {
	many := make([]string, MaxNames+1)
	for i := range many {
		many[i] = fmt.Sprintf("claims.c%d == 1", i)
	}
	for text, want := range map[string]string{
		``:                             "0 bytes",
		strings.Repeat("x", MaxText+1): "bytes",
		`claims.a ==`:                  "line 1, column",
		`claims.a + 1`:                 "",
		`"a"`:                          "not bool",
		`true`:                         "no claim",
		`claims.all(c, c != "x")`:      "line 1, column 1: name each claim",
		`size(claims) > 0`:             "name each claim",
		`claims[claims.a] == "x"`:      "name each claim",
		`claims == {"a": 1}`:           "name each claim",
		`user.name == "x"`:             "undeclared",
		`claims[""] == "x"`:            "0 bytes",
		strings.Join(many, " && "):     "at most 16",
		strings.Repeat("(", 100) + "claims.a" + strings.Repeat(")", 100): "",
		`claims.a == "x" && now() > 1`:                                   "undeclared",
	} {
		x, err := Compile(text)
		if err == nil && want == "" {
			// Of no static type; then it permits nobody.
			if ok, err := x.Satisfied(map[string]any{"a": 1.0}); ok {
				t.Errorf("%s permits, %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func TestSatisfied(t *testing.T) {
	for _, tc := range []struct {
		text   string
		claims map[string]any
		want   bool
		err    string
	}{
		{`claims.sworn == true`, map[string]any{"sworn": true}, true, ""},
		{`claims.sworn == true`, map[string]any{"sworn": false}, false, ""},
		{`claims.sworn == true`, map[string]any{"sworn": "true"}, false, ""},
		{`claims.sworn`, map[string]any{"sworn": true}, true, ""},
		{`claims.sworn`, map[string]any{"sworn": "true"}, false, ""},
		{`claims.sworn == true`, nil, false, "no claim sworn"},
		{`!(claims.sworn == false)`, nil, false, "no claim sworn"}, // absence is not a permission
		{`has(claims.sworn) && claims.sworn`, nil, false, ""},
		{`claims.ial >= 2`, map[string]any{"ial": 2.0}, true, ""},
		{`claims.ial >= 2`, map[string]any{"ial": "2"}, false, "types"},
		{`claims.roles.exists(r, r == "analyst")`, map[string]any{"roles": []any{"clerk", "analyst"}}, true, ""},
		{`"analyst" in claims.roles`, map[string]any{"roles": []any{"clerk"}}, false, ""},
		{`claims.ori.matches("^NV[0-9]+$")`, map[string]any{"ori": "NV0123"}, true, ""},
	} {
		x, err := Compile(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		selected, err := x.Select(tc.claims)
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.Satisfied(selected)
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s of %v: %v, %v", tc.text, tc.claims, got, err)
		}
	}
}

// TestCost: an expression that would take long is stopped, and that is no permission.
func TestCost(t *testing.T) {
	x, err := Compile(`claims.a.all(x, claims.a.all(y, claims.a.all(z, x + y + z != "q")))`)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]any, maxElements)
	for i := range list {
		list[i] = strings.Repeat("x", 40)
	}
	selected, err := x.Select(map[string]any{"a": list})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := x.Satisfied(selected); ok || err == nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestSelect(t *testing.T) {
	x, err := Compile(`claims.a == "x"`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := x.Select(map[string]any{"a": "x", "b": "secret"})
	if err != nil || len(got) != 1 || x.Foreign(map[string]any{"a": "x", "b": "secret"}) != "b" || x.Foreign(got) != "" {
		t.Errorf("%v, %v", got, err)
	}
	for name, value := range map[string]any{
		"an object": map[string]any{"b": 1.0}, "nothing": nil, "no number": math.NaN(), "endless": math.Inf(1), "bad text": "\xff",
		"nested list": []any{[]any{"x"}}, "long list": make([]any, maxElements+1), "long text": strings.Repeat("x", MaxBytes), "an integer": 1,
	} {
		if got, err := x.Select(map[string]any{"a": value}); err == nil {
			t.Errorf("%s: %v", name, got)
		} else if strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: the error repeats the value", name)
		}
	}
	if b, err := JSON(map[string]any{"b": "<x>", "a": true}); err != nil || string(b) != `{"a":true,"b":"<x>"}` {
		t.Errorf("%s, %v", b, err)
	}
}

func BenchmarkSatisfied(b *testing.B) {
	x, err := Compile(`claims.SwornLawEnforcementOfficerIndicator == true`)
	if err != nil {
		b.Fatal(err)
	}
	claims := map[string]any{"SwornLawEnforcementOfficerIndicator": true}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := x.Satisfied(claims); !ok || err != nil {
			b.Fatal(err)
		}
	}
}
