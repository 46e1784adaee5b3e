package compile

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// one gives the condition of a type, as "Status Reason: message".
func one(t *testing.T, conditions []metav1.Condition, kind string) string {
	t.Helper()
	for _, c := range conditions {
		if c.Type == kind {
			return string(c.Status) + " " + c.Reason + ": " + c.Message
		}
	}
	t.Fatalf("no condition %s in %v", kind, conditions)
	return ""
}

func TestDatasetConditions(t *testing.T) {
	for name, c := range map[string]struct {
		change             func(*v1alpha1.Dataset)
		accepted, resolved string
	}{
		"good": {func(*v1alpha1.Dataset) {}, "True Accepted", "True Resolved"},
		"unknown field": {func(d *v1alpha1.Dataset) { d.Spec.UnknownFields = []string{"sorce"} },
			`False UnknownField: this release does not know "sorce"`, "True"},
		"two sources": {func(d *v1alpha1.Dataset) { d.Spec.Source.SQLite = &v1alpha1.SQLiteSource{Path: "x"} },
			"False Invalid: source: exactly one", "True"},
		"column that is SQL": {func(d *v1alpha1.Dataset) { d.Spec.Fields[0].Column = "a; drop" },
			`False Invalid: fields[0].column: "a; drop"`, "False UnknownColumn"},
		"unknown schema": {func(d *v1alpha1.Dataset) { d.Spec.Schema.Version = 2 },
			"True", `False UnknownSchema: schema: there is no ExchangeSchema "employment.v2"`},
		"unknown schema field": {func(d *v1alpha1.Dataset) { d.Spec.Fields[0].Field = "passport" },
			"True", `False UnknownSchemaField: fields[0].field: schema "employment.v1" has no field "passport"`},
		"selector not mapped": {func(d *v1alpha1.Dataset) { d.Spec.Fields = d.Spec.Fields[1:] },
			"True", `False FieldNotMapped: selectors and subjectKey: field "person_id"`},
		"unknown column": {func(d *v1alpha1.Dataset) { d.Spec.Fields[0].Column = "passport_no" },
			"True", `False UnknownColumn: fields[person_id].column: relation "registry.wages" has no column "passport_no"`},
		"columns of an older generation": {func(d *v1alpha1.Dataset) { d.Spec.Fields[0].Column, d.Generation = "passport_no", 2 },
			"True", "True Resolved: its schema is known and its fields fit; its columns were not read yet"},
	} {
		t.Run(name, func(t *testing.T) {
			f := readFixture(t, "testdata/source.in.yaml")
			d := f.datasets["wages"].DeepCopy()
			c.change(d)
			got := DatasetConditions(f.index(f.Now[0].Time), d, nil, f.Now[0].Time)
			if s := one(t, got, v1alpha1.ConditionAccepted); !strings.HasPrefix(s, c.accepted) {
				t.Errorf("Accepted is %q, want %q", s, c.accepted)
			}
			if s := one(t, got, v1alpha1.ConditionResolvedRefs); !strings.HasPrefix(s, c.resolved) {
				t.Errorf("ResolvedRefs is %q, want %q", s, c.resolved)
			}
		})
	}
}

func TestAgencyConditions(t *testing.T) {
	for name, c := range map[string]struct {
		agency string
		change func(*v1alpha1.Agency)
		want   string
	}{
		"peer":           {"state-police", func(*v1alpha1.Agency) {}, "True Accepted"},
		"own":            {"labor-inspectorate", func(*v1alpha1.Agency) {}, "True Accepted"},
		"own, published": {"labor-inspectorate", func(a *v1alpha1.Agency) { a.Status.TrustBundle, a.Spec.TrustBundle = a.Spec.TrustBundle, "" }, "True Accepted"},
		"own, before":    {"labor-inspectorate", func(a *v1alpha1.Agency) { a.Spec.TrustBundle = "" }, "False AgencyIncomplete: waits for the operator"},
		"no bundle":      {"state-police", func(a *v1alpha1.Agency) { a.Spec.TrustBundle = "" }, "False AgencyIncomplete: has no usable spec.trustBundle (empty)"},
		"bundle of a key": {"state-police", func(a *v1alpha1.Agency) {
			a.Spec.TrustBundle = "-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n"
		}, "False AgencyIncomplete: has no usable spec.trustBundle (block 1"},
		"text after bundle": {"state-police", func(a *v1alpha1.Agency) { a.Spec.TrustBundle += "hello" }, "False AgencyIncomplete: has no usable spec.trustBundle (block 2"},
		"no keys":           {"state-police", func(a *v1alpha1.Agency) { a.Spec.SigningKeys = nil }, "False AgencyIncomplete: has no spec.signingKeys"},
		"bad key":           {"state-police", func(a *v1alpha1.Agency) { a.Spec.SigningKeys.Keys[0].X = "AAAA" }, "False AgencyIncomplete: has no usable spec.signingKeys (key"},
		"no trust domain":   {"state-police", func(a *v1alpha1.Agency) { a.Spec.TrustDomain = "" }, "False Invalid: spec.trustDomain"},
		"someone else's":    {"state-police", func(a *v1alpha1.Agency) { a.Spec.TrustDomain = "border.example.gov" }, `False Invalid: spec.trustDomain: "border.example.gov" is that of Agency "border-service", too`},
	} {
		t.Run(name, func(t *testing.T) {
			f := readFixture(t, "testdata/source.in.yaml")
			a := f.agencies[c.agency].DeepCopy()
			c.change(a)
			if s := one(t, AgencyConditions(f.index(f.Now[0].Time), a, nil, f.Now[0].Time), v1alpha1.ConditionAccepted); !strings.HasPrefix(s, c.want) {
				t.Errorf("Accepted is %q, want %q", s, c.want)
			}
		})
	}
}

func TestSchemaConditions(t *testing.T) {
	f := readFixture(t, "testdata/source.in.yaml")
	for name, c := range map[string]struct {
		change func(*v1alpha1.ExchangeSchema)
		want   string
	}{
		"good":          {func(*v1alpha1.ExchangeSchema) {}, "True Accepted"},
		"unknown field": {func(s *v1alpha1.ExchangeSchema) { s.Spec.UnknownFields = []string{"x"} }, "False UnknownField"},
		"other name":    {func(s *v1alpha1.ExchangeSchema) { s.Name = "employment.v9" }, "False Invalid: metadata.name"},
		"field twice":   {func(s *v1alpha1.ExchangeSchema) { s.Spec.Fields[1].Name = "person_id" }, `False Invalid: fields[1].name: "person_id" stands twice`},
		"no codes":      {func(s *v1alpha1.ExchangeSchema) { s.Spec.Fields[6].Codes = nil }, "False Invalid: fields[6].codes"},
		"a display of no code": {func(s *v1alpha1.ExchangeSchema) {
			s.Spec.Fields[6].Displays = []v1alpha1.CodeDisplay{{Code: s.Spec.Fields[6].Codes[0], Display: "one"}, {Code: "Nowhere", Display: "other"}}
		}, "False Invalid: fields[6].displays[1].code"},
		"a code with two displays": {func(s *v1alpha1.ExchangeSchema) {
			s.Spec.Fields[6].Displays = []v1alpha1.CodeDisplay{{Code: s.Spec.Fields[6].Codes[0], Display: "one"}, {Code: s.Spec.Fields[6].Codes[0], Display: "other"}}
		}, "False Invalid: fields[6].displays[1].code"},
		"a display of two lines": {func(s *v1alpha1.ExchangeSchema) {
			s.Spec.Fields[6].Displays = []v1alpha1.CodeDisplay{{Code: s.Spec.Fields[6].Codes[0], Display: "one\nother"}}
		}, "False Invalid: fields[6].displays[0].display"},
		"a display of a field that is no code": {func(s *v1alpha1.ExchangeSchema) {
			s.Spec.Fields[0].Displays = []v1alpha1.CodeDisplay{{Code: "M", Display: "one"}}
		}, "False Invalid: fields[0].displays[0].code"},
		"unknown type": {func(s *v1alpha1.ExchangeSchema) { s.Spec.Fields[0].Type = "blob" }, "False Invalid: fields[0].type"},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.schemas["employment.v1"].DeepCopy()
			c.change(s)
			digest, conditions := SchemaConditions(s, nil, f.Now[0].Time)
			got := one(t, conditions, v1alpha1.ConditionAccepted)
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("Accepted is %q, want %q", got, c.want)
			}
			if (digest != "") != strings.HasPrefix(got, "True") {
				t.Errorf("digest %q of a schema that is %q", digest, got)
			}
		})
	}
}

// TestTransitionTime: the time of a condition is that of its last change of status, whatever else it says.
func TestTransitionTime(t *testing.T) {
	f := readFixture(t, "testdata/source.in.yaml")
	first, later := f.Now[0].Time, f.Now[0].Add(time.Hour)
	d := f.datasets["wages"].DeepCopy()
	conditions := DatasetConditions(f.index(first), d, nil, first)
	d.Generation++ // the columns are not known any more: another message, the same status
	conditions = DatasetConditions(f.index(later), d, conditions, later)
	for _, c := range conditions {
		if !c.LastTransitionTime.Time.Equal(first) || c.ObservedGeneration != d.Generation {
			t.Errorf("%s since %s for generation %d", c.Type, c.LastTransitionTime, c.ObservedGeneration)
		}
	}
	d.Spec.Schema.Version = 2
	for _, c := range DatasetConditions(f.index(later), d, conditions, later) {
		if want := map[string]time.Time{v1alpha1.ConditionAccepted: first, v1alpha1.ConditionResolvedRefs: later}[c.Type]; !c.LastTransitionTime.Time.Equal(want) {
			t.Errorf("%s since %s, want %s", c.Type, c.LastTransitionTime, want)
		}
	}
}

// TestOnePersonOneRole: roles are matched to persons, whoever accepted in how many.
func TestOnePersonOneRole(t *testing.T) {
	for name, c := range map[string]struct {
		accepts map[string][]string
		short   string
	}{
		"each its own":           {map[string][]string{"a": {"x"}, "b": {"y"}, "c": {"z"}}, ""},
		"one in two":             {map[string][]string{"a": {"x"}, "b": {"x"}, "c": {"z"}}, "b"},
		"only by exchanging":     {map[string][]string{"a": {"x", "y"}, "b": {"x"}, "c": {"y", "z"}}, ""},
		"two persons, three":     {map[string][]string{"a": {"x", "y"}, "b": {"x", "y"}, "c": {"x", "y"}}, "c"},
		"a chain of exchanges":   {map[string][]string{"a": {"x", "y"}, "b": {"x", "z"}, "c": {"x"}}, ""},
		"two want the same only": {map[string][]string{"a": {"x"}, "b": {"y", "x"}, "c": {"y"}}, "c"},
	} {
		if role, _ := shared([]string{"a", "b", "c"}, c.accepts); role != c.short {
			t.Errorf("%s: %q is short of a person, want %q", name, role, c.short)
		}
	}
}
