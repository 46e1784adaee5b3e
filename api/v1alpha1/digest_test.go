package v1alpha1_test

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/entente-dev/entente/api/v1alpha1"
)

func digestOfTerms(t *testing.T, o object) string {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var a v1alpha1.SharingAgreement
	if err := json.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	digest, err := a.Spec.Terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestDigestVector pins the format: what was signed must verify for ever.
func TestDigestVector(t *testing.T) {
	const want = "sha256:bX9CYeZWjhc58ZObwgnSPoR3puT_KyByZtIxSYy8CTk"
	if got := digestOfTerms(t, load(t, "sharingagreement")); got != want {
		t.Errorf("digest %s, want %s: a change of the format makes every signature invalid", got, want)
	}
}

// TestSchemaDigestVector: agreements pin schemas; a schema without lists and records has the digest that it always had.
func TestSchemaDigestVector(t *testing.T) {
	digest := func(o object) string {
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var s v1alpha1.ExchangeSchema
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		got, err := s.Spec.Digest()
		if err != nil || len(s.Spec.UnknownFields) > 0 {
			t.Fatal(err, s.Spec.UnknownFields)
		}
		return got
	}
	o := load(t, "exchangeschema")
	if got, want := digest(o), "sha256:pZ12TspjCFalRfYx7buFdHMHM-OqdIOOI_NMB8Rc_bM"; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	seen := map[string]string{digest(o): "as it was"}
	for what, edit := range map[string]func(object){
		"a list": func(f object) { f.set(true, "repeated") },
		"a record": func(f object) {
			f.set("record", "type")
			f.set([]any{map[string]any{"name": "a", "type": "string"}}, "fields")
		},
		"a list of records": func(f object) {
			f.set("record", "type")
			f.set(true, "repeated")
			f.set([]any{map[string]any{"name": "a", "type": "string"}}, "fields")
		},
		"another member": func(f object) {
			f.set("record", "type")
			f.set([]any{map[string]any{"name": "b", "type": "string"}}, "fields")
		},
		"a member of a code": func(f object) {
			f.set("record", "type")
			f.set([]any{map[string]any{"name": "a", "type": "code", "codes": []any{"x", "y"}}}, "fields")
		},
		"a code's meaning": func(f object) {
			f.set("code", "type")
			f.set([]any{"x", "y"}, "codes")
			f.set([]any{map[string]any{"code": "x", "display": "one"}, map[string]any{"code": "y", "display": "other"}}, "displays")
		},
		"another meaning of a code": func(f object) {
			f.set("code", "type")
			f.set([]any{"x", "y"}, "codes")
			f.set([]any{map[string]any{"code": "x", "display": "other"}, map[string]any{"code": "y", "display": "one"}}, "displays")
		},
	} {
		o := load(t, "exchangeschema")
		o.at(0, edit, "spec", "fields")
		d := digest(o)
		if other := seen[d]; other != "" {
			t.Errorf("%s and %s have one digest", what, other)
		}
		seen[d] = what
	}
	codes := load(t, "exchangeschema")
	codes.at(0, func(f object) {
		f.set("record", "type")
		f.set([]any{map[string]any{"name": "a", "type": "code", "codes": []any{"y", "x"}}}, "fields")
	}, "spec", "fields")
	if seen[digest(codes)] != "a member of a code" {
		t.Error("the order of a member's codes changes the digest")
	}
	displays := load(t, "exchangeschema")
	displays.at(0, func(f object) {
		f.set("code", "type")
		f.set([]any{"y", "x"}, "codes")
		f.set([]any{map[string]any{"code": "y", "display": "other"}, map[string]any{"code": "x", "display": "one"}}, "displays")
	}, "spec", "fields")
	if seen[digest(displays)] != "a code's meaning" {
		t.Error("the order of displays changes the digest")
	}
}

func TestDigestSpelling(t *testing.T) {
	want := digestOfTerms(t, load(t, "sharingagreement"))
	same := map[string]func(object){
		"time in another zone":       terms("2026-01-01T02:00:00+02:00", "term", "notBefore"),
		"fields in another order":    clause(func(c object) { c.set([]any{"birth_date", "family_name"}, "fields") }),
		"empty list instead of none": terms([]any{}, "profiles"),
		"status and signatures":      spec([]any{map[string]any{"agency": "border-service", "jws": "a.b.c"}}, "signatures"),
	}
	for name, edit := range same {
		o := load(t, "sharingagreement")
		edit(o)
		if got := digestOfTerms(t, o); got != want {
			t.Errorf("%s: digest changed to %s", name, got)
		}
	}
	other := map[string]func(object){
		"title":                  terms("Another", "title"),
		"one second later":       terms("2026-01-01T00:00:01Z", "term", "notBefore"),
		"a field less":           clause(func(c object) { c.set([]any{"family_name"}, "fields") }),
		"another limit":          clause(func(c object) { c.set(int64(51), "limits", "recordsPerQuery") }),
		"retention of zero days": clause(func(c object) { c.set(int64(0), "obligations", "retentionDays") }),
		"selector set split in two": clause(func(c object) {
			c.set([]any{[]any{"family_name"}, []any{"birth_date"}}, "conditions", "requireSelectors")
		}),
	}
	for name, edit := range other {
		o := load(t, "sharingagreement")
		edit(o)
		if got := digestOfTerms(t, o); got == want {
			t.Errorf("%s: digest did not change", name)
		}
	}
}

func digestOfTaskForce(t *testing.T, o object) string {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var f v1alpha1.TaskForce
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	digest, err := f.Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestTaskForceDigest pins the format, too: agreements pin task forces by it. The order of members means nothing; everything else does.
func TestTaskForceDigest(t *testing.T) {
	const want = "sha256:FBacg3iCjAW-ymwifXAUGeBhOuAXjjqFnCjE_LaJ8NQ"
	if got := digestOfTaskForce(t, load(t, "taskforce")); got != want {
		t.Errorf("digest %s, want %s: a change of the format breaks every agreement that pins a task force", got, want)
	}
	for name, tt := range map[string]struct {
		same bool
		edit func(object)
	}{
		"members in another order": {true, func(o object) {
			members, _, _ := unstructured.NestedSlice(o, "spec", "members")
			o.set([]any{members[1], members[0]}, "spec", "members")
		}},
		"time in another zone":  {true, spec("2026-01-01T02:00:00+02:00", "window", "notBefore")},
		"a member more":         {false, func(o object) { o.add(member(1), "spec", "members") }},
		"another trust domain":  {false, func(o object) { o.at(0, func(m object) { m.set("x.example", "trustDomain") }, "spec", "members") }},
		"another lead":          {false, spec("labor-inspectorate", "lead")},
		"one second more":       {false, spec("2027-01-01T00:00:01Z", "window", "notAfter")},
		"another objective":     {false, spec("To do something else.", "objective")},
		"another version of it": {false, spec(int64(2), "version")},
	} {
		o := load(t, "taskforce")
		tt.edit(o)
		if got := digestOfTaskForce(t, o); (got == want) != tt.same {
			t.Errorf("%s: digest %s", name, got)
		}
	}
}
