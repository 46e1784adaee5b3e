package profile

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
)

func sample(t testing.TB) *v1alpha1.AgreementTerms {
	t.Helper()
	var terms v1alpha1.AgreementTerms
	err := yaml.UnmarshalStrict([]byte(`
id: wages
version: 2
supersedes: 1
title: " Wages"
type: DataUseAgreement
parties:
- {agency: labor, trustDomain: labor.test, roles: [source]}
- {agency: police, trustDomain: police.test}
purposeStatement: to find who is not paid
term: {notBefore: "2026-01-31T00:00:00Z", notAfter: "2026-02-28T00:00:00Z"}
clauses:
- name: first
  source: labor
  recipients: [{agency: police}]
  schema: {name: person, version: 1, digest: x}
  purposes: ["entente:trafficking-investigation"]
  granularity: Records
  fields: [employer]
  conditions: {requireSelectors: [[family_name, birth_date]]}
- name: second
  source: labor
  recipients: [{agency: police}]
  schema: {name: person, version: 1, digest: x}
  purposes: ["entente:trafficking-investigation"]
  granularity: Records
  fields: [employer]
`), &terms)
	if err != nil {
		t.Fatal(err)
	}
	return &terms
}

// fill sets every member to something.
func fill(v reflect.Value) {
	switch {
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)))))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0)) // the second stays as it is
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case v.Kind() == reflect.String:
		v.SetString("text")
	case v.Kind() == reflect.Int64:
		v.SetInt(7)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	}
}

// TestValueIsTheJSON: what rules see is what the terms' JSON has, member by member.
func TestValueIsTheJSON(t *testing.T) {
	full := &v1alpha1.AgreementTerms{}
	fill(reflect.ValueOf(full).Elem())
	zero := int64(0)
	for name, terms := range map[string]*v1alpha1.AgreementTerms{
		"full":   full,
		"sample": sample(t),
		"empty":  {},
		"zeros": {Clauses: []v1alpha1.Clause{{
			Fields: []string{}, Conditions: &v1alpha1.Conditions{}, Limits: &v1alpha1.Limits{},
			Obligations: &v1alpha1.Obligations{RetentionDays: &zero, VerifyBeforeAction: &v1alpha1.VerifyBeforeAction{}},
		}}},
	} {
		want := decoded(t, terms)
		if terms.Parties == nil {
			want["parties"] = []any{} // null in JSON; to a rule an empty list
		}
		if terms.Clauses == nil {
			want["clauses"] = []any{}
		}
		walk(want)
		got := decoded(t, valueOf(terms))
		walk(got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, text(got), text(want))
		}
	}
}

// walk makes null times and lists, which only terms that are not well formed have, what rules see.
func walk(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			if child == nil {
				switch k {
				case "notBefore", "notAfter":
					v[k] = "0001-01-01T00:00:00Z"
				default:
					v[k] = []any{}
				}
			}
			walk(child)
		}
	case []any:
		for i, child := range v {
			if child == nil {
				v[i] = []any{}
			}
			walk(child)
		}
	}
}

func decoded(t *testing.T, v any) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text(v)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// TestEveryMemberIsDeclared: a term that the API gains can be asked for at once.
func TestEveryMemberIsDeclared(t *testing.T) {
	full := &v1alpha1.AgreementTerms{}
	fill(reflect.ValueOf(full).Elem())
	var each func(o *object, expression string)
	each = func(o *object, expression string) {
		for i := range o.fields {
			f := &o.fields[i]
			at := expression + "." + f.name
			if got := check(t, "has("+at+")", "id", full); got != "" {
				t.Errorf("%s: %s", at, got)
			}
			switch {
			case f.list:
				each(f.object, at+"[0]")
			case f.object != nil:
				each(f.object, at)
			}
		}
	}
	each(terms, "terms")
	if len(objects) < 14 {
		t.Errorf("only %d objects", len(objects))
	}
}
