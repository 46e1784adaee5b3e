package schemaimport

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/hack/testenv"
)

// check holds the YAML of a result against what it should have, and that the schema is accepted.
func check(t *testing.T, r *Result, err error, wants ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range wants {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	first, _, _ := strings.Cut(string(text), "---\n")
	var s v1alpha1.ExchangeSchema
	if err := yaml.UnmarshalStrict([]byte(first), &s); err != nil {
		t.Fatal(err)
	}
	if findings := compile.LintSchema(&s); len(findings) > 0 {
		t.Errorf("not accepted: %v", findings)
	}
}

func TestJSONSchema(t *testing.T) {
	r, err := JSONSchema("person", 1, []byte(`{"description": "A\nperson", "$defs": {"addr": {"type": "object", "properties": {"city": {"type": "string"}, "geo": {"type": "object", "properties": {"x": {"type": "number"}}}}}},
		"type": "object", "properties": {
		"personSurName": {"type": "string", "description": "Family name"}, "birthDate": {"type": ["string", "null"], "format": "date"}, "seenAt": {"type": "string", "format": "date-time"},
		"height": {"type": "integer"}, "wage": {"type": "number"}, "active": {"type": "boolean"}, "sex": {"enum": ["F", "M"]}, "aliases": {"type": "array", "items": {"type": "string"}},
		"address": {"$ref": "#/$defs/addr"}, "jobs": {"type": "array", "items": {"type": "object", "properties": {"employer": {"type": "string"}}}},
		"odd": {"oneOf": []}, "loop": {"$ref": "#/properties/loop"}, "away": {"$ref": "https://example.gov/x"}, "n": {"enum": [1]}}}`))
	check(t, r, err, "name: person_sur_name", "description: Family name", "type: date", "type: timestamp", "type: int", "type: decimal", "type: bool", "type: code", "repeated: true", "type: record",
		"# address.geo: left out: a record inside a record", "# odd: left out: of no type", "# loop: left out: a reference", "# away: left out: a reference to another document", "# n: left out: an enumeration of something")
	for _, bad := range []string{``, `[]`, `{}`, `{"properties": []}`, `{"$ref": "#/x"}`} {
		if _, err := JSONSchema("x", 1, []byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestJSONSchemaDisplays: an enumeration whose values have titles is a code list that says what the codes mean.
func TestJSONSchemaDisplays(t *testing.T) {
	r, err := JSONSchema("person", 1, []byte(`{"$defs": {"sex": {"description": "Sex", "oneOf": [{"const": "F", "title": "female"}, {"const": "M", "description": "male"}, {"const": "X"}, {"type": "null"}]}},
		"properties": {"sex": {"$ref": "#/$defs/sex"}, "list": {"type": "array", "items": {"anyOf": [{"const": "a", "title": "first"}, {"const": null}]}},
		"address": {"type": "object", "properties": {"kind": {"oneOf": [{"const": "H", "title": "home\nand hearth"}]}}},
		"number": {"oneOf": [{"const": 1, "title": "one"}]}, "mixed": {"oneOf": [{"const": "a"}, {"type": "string"}]}, "none": {"oneOf": [{"type": "null"}]}}}`))
	check(t, r, err, "# number: left out", "# mixed: left out", "# none: left out")
	want := map[string]v1alpha1.SchemaField{
		"sex":     {Type: "code", Description: "Sex", Codes: []string{"F", "M", "X"}, Displays: []v1alpha1.CodeDisplay{{Code: "F", Display: "female"}, {Code: "M", Display: "male"}}},
		"list":    {Type: "code", Repeated: true, Codes: []string{"a"}, Displays: []v1alpha1.CodeDisplay{{Code: "a", Display: "first"}}},
		"address": {Type: "record", Fields: []v1alpha1.SchemaMember{{Name: "kind", Type: "code", Codes: []string{"H"}, Displays: []v1alpha1.CodeDisplay{{Code: "H", Display: "home and hearth"}}}}},
	}
	for _, f := range r.Schema.Spec.Fields {
		expected, ok := want[f.Name]
		if expected.Name = f.Name; !ok || !reflect.DeepEqual(f, expected) {
			t.Errorf("%+v\nwant %+v", f, expected)
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestJSONLD(t *testing.T) {
	r, err := JSONLD("person", 1, []byte(`{"@context": {"@version": 1.1, "nc": "http://release.niem.gov/niem/niem-core/6.0/", "xs": "http://www.w3.org/2001/XMLSchema#",
		"nc:PersonSurName": {"@type": "xs:string"}, "nc:PersonBirthDate": {"@id": "nc:PersonBirthDate", "@type": "xs:date"}, "nc:PersonAKA": {"@container": "@list"},
		"j:Ref": {"@type": "@id"}, "nc:Weight": {"@type": "nc:WeightType"}, "nc:Gone": null}}`))
	check(t, r, err, "name: person_sur_name", "semanticTerm: http://release.niem.gov/niem/niem-core/6.0/PersonSurName", "type: date", "name: person_aka", "repeated: true",
		"# j:Ref: left out: it refers to another object", "# weight: its type nc:WeightType is not known", "# nc:Gone: left out")
	if _, err := JSONLD("x", 1, []byte(`{"@context": "https://x"}`)); err == nil {
		t.Error("a context elsewhere is taken")
	}
}

func TestPostgreSQL(t *testing.T) {
	p := testenv.RequirePostgres(t, testenv.PostgresOptions{NoSync: true})
	if err := p.Exec(t.Context(), "postgres", `CREATE TYPE mood AS ENUM ('good', 'bad');
		CREATE TABLE "Subjects" (x int); CREATE TABLE subjects (id bigint PRIMARY KEY, "familyName" varchar(50), dob date, wage numeric(12,2), active boolean, seen timestamptz, local timestamp, mood mood, aka text[], place point, extra jsonb, f float8, moods mood[]);
		COMMENT ON COLUMN subjects.dob IS 'Day of birth'; CREATE INDEX ON subjects ("familyName", dob); CREATE INDEX ON subjects (lower("familyName")); CREATE INDEX ON subjects (dob) WHERE active`); err != nil {
		t.Fatal(err)
	}
	user, password := p.Superuser()
	conn, err := pgx.Connect(t.Context(), p.URL("postgres", user, password))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	r, err := PostgreSQL(t.Context(), conn, "subjects", "person", 2)
	check(t, r, err, "name: person.v2", "name: family_name", "description: Day of birth", "type: decimal", "- bad", "repeated: true", "column: familyName", "- - id", "- - family_name\n    - dob",
		"# place: left out: its type point", "# extra: left out: JSON", "# f: left out: floating-point", "# local: a timestamp without time zone")
	if n := len(r.Dataset.Spec.Selectors); n != 2 {
		t.Errorf("selectors %v", r.Dataset.Spec.Selectors)
	}
	index := &compile.Index{Schemas: map[string]*v1alpha1.ExchangeSchema{"person.v2": r.Schema}}
	for _, c := range compile.DatasetConditions(index, r.Dataset, nil, time.Now()) {
		if c.Status != "True" && !strings.Contains(c.Message, "vaultConnection") {
			t.Errorf("the dataset: %s", c.Message)
		}
	}
	if _, err := PostgreSQL(t.Context(), conn, "public.nothing", "person", 1); err == nil {
		t.Error("a table that is not there")
	}
}
