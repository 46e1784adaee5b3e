package statement

import (
	"reflect"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/mapping"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

var dialect = Dialect{
	Filter: filter.PostgreSQL, DefaultSchema: "public",
	Quote:       func(n string) string { return `"` + n + `"` },
	Select:      func(_ *route.Field, c string) string { return "sel(" + c + ")" },
	Order:       func(_ *route.Field, c string) string { return "ord(" + c + ")" },
	Placeholder: func(n int) string { return "$" + string(rune('0'+n)) },
}

func TestStatements(t *testing.T) {
	schema := &route.Schema{Name: "s", Version: 1, Fields: []route.Field{{Name: "id", Type: "int"}, {Name: "name", Type: "string"}, {Name: "unit", Type: "string"}}}
	compile := func(text string) *filter.Filter {
		f, err := filter.Compile(schema, text)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	q := source.Query{
		Schema: schema, Fields: []string{"name", "unit", "id"}, Limit: 5,
		Dataset:   &route.Dataset{Name: "d", Relation: "hr.staff", SubjectKey: "id", Columns: map[string]string{"id": "c_id", "name": "c_name", "unit": "c_unit"}},
		Filter:    compile(`name.startsWith("a")`),
		RowFilter: compile(`unit == "x"`),
	}
	sql, args, fields, err := Records(dialect, q)
	want := `SELECT sel("c_name"), sel("c_unit"), sel("c_id") FROM "hr"."staff" WHERE "c_unit"::text = $1::text AND "c_name"::text LIKE $2::text ORDER BY ord("c_id"), ord("c_name") LIMIT $3`
	if err != nil || sql != want || !reflect.DeepEqual(args, []any{"x", "a%", int64(6)}) || len(fields.Columns) != 3 || fields.Columns[0].Field.Name != "name" {
		t.Errorf("records\n got %s\nwant %s\n%v, %v, %v", sql, want, args, fields, err)
	}
	q.HiddenKey = true // its order would say which records are of one person
	want = strings.Replace(want, `ord("c_id"), `, "", 1)
	if sql, _, _, err := Records(dialect, q); err != nil || sql != want {
		t.Errorf("records without their key\n got %s\nwant %s\n%v", sql, want, err)
	}
	q.HiddenKey = false
	q.Dataset.Relation, q.Filter = "staff", nil
	if sql, args, err := Count(dialect, q); err != nil || sql != `SELECT count(*) FROM "public"."staff" WHERE "c_unit"::text = $1::text` || len(args) != 1 {
		t.Errorf("count %s, %v, %v", sql, args, err)
	}
	q.Persons = true
	if sql, args, err := Count(dialect, q); err != nil || sql != `SELECT count(DISTINCT sel("c_id")) FROM "public"."staff" WHERE "c_unit"::text = $1::text` || len(args) != 1 {
		t.Errorf("count of persons %s, %v, %v", sql, args, err)
	}
	q.Dataset.SubjectKey = ""
	if sql, _, err := Count(dialect, q); err == nil {
		t.Errorf("persons are counted without a subject key: %s", sql)
	}
	q.Dataset.SubjectKey, q.Persons = "id", false
	q.RowFilter = nil
	if sql, args, err := Exists(dialect, q); err != nil || sql != `SELECT EXISTS (SELECT 1 FROM "public"."staff")` || len(args) != 0 {
		t.Errorf("exists %s, %v, %v", sql, args, err)
	}
	q.Dataset.Consent = &route.Consent{
		Relation: "hr.consents", Subject: "person", Columns: map[string]string{"person": "c_id", "given": "c_unit"},
		Schema: route.Schema{Fields: []route.Field{{Name: "person", Type: "int"}, {Name: "given", Type: "string"}}},
	}
	given, err := filter.Compile(&q.Dataset.Consent.Schema, `given == "yes"`)
	if err != nil {
		t.Fatal(err)
	}
	if sql, _, err := Count(dialect, q); err == nil {
		t.Errorf("without the condition of consent: %s", sql)
	}
	q.RowFilter, q.Consent = compile(`unit == "x"`), &source.Consent{Condition: given}
	sql, args, err = Count(dialect, q)
	want = `SELECT count(*) FROM "public"."staff" WHERE "c_unit"::text = $1::text AND EXISTS (SELECT 1 FROM "hr"."consents" AS "entente_consent" ` +
		`WHERE sel("entente_consent"."c_id") = sel("public"."staff"."c_id") AND "entente_consent"."c_unit"::text = $2::text)`
	if err != nil || sql != want || !reflect.DeepEqual(args, []any{"x", "yes"}) {
		t.Errorf("with consent\n got %s\nwant %s\n%v, %v", sql, want, args, err)
	}
	for name, breaks := range map[string]func(*route.Dataset){
		"no subject key": func(d *route.Dataset) { d.SubjectKey = "" },
		"no such field":  func(d *route.Dataset) { d.Consent.Subject = "nobody" },
		"no column":      func(d *route.Dataset) { d.Consent.Columns = nil },
		"another type":   func(d *route.Dataset) { d.Consent.Subject = "given" },
	} {
		broken := q
		d, k := *q.Dataset, *q.Dataset.Consent
		d.Consent = &k
		breaks(&d)
		broken.Dataset = &d
		if sql, _, err := Count(dialect, broken); err == nil {
			t.Errorf("%s: %s", name, sql)
		}
	}
	q.Dataset.Consent, q.Consent = nil, nil
	q.Fields, q.RowFilter = []string{"unit"}, compile(`unit == "x"`)
	if sql, _, _, err := Records(dialect, q); err != nil || strings.Contains(sql, "ORDER") {
		t.Errorf("nothing to order by: %s, %v", sql, err)
	}
	q.RowFilter = compile(`id > 3`)
	delete(q.Dataset.Columns, "id")
	if _, _, err := Count(dialect, q); err == nil || !strings.Contains(err.Error(), "'id'") {
		t.Errorf("a row filter over a field without a column must not be left out: %v", err)
	}
}

// TestLongNames: a view's columns keep apart what PostgreSQL, which cuts names after 63 bytes, would take for one.
func TestLongNames(t *testing.T) {
	record := strings.Repeat("r", 63)
	schema := &route.Schema{Name: "s", Version: 1, Fields: []route.Field{
		{Name: "id", Type: "string"},
		{Name: record, Type: "record", Fields: []route.Field{{Name: strings.Repeat("m", 62) + "1", Type: "int"}, {Name: strings.Repeat("m", 62) + "2", Type: "int"}}},
		{Name: strings.Repeat("f", 62) + "1", Type: "int"}, {Name: strings.Repeat("f", 62) + "2", Type: "int"},
	}}
	d := &route.Dataset{Name: "d", Relation: "staff", Columns: map[string]string{"id": "c_id"}, Mappings: map[string]mapping.Mapping{}}
	paths := schema.Leaves("id", record, schema.Fields[2].Name, schema.Fields[3].Name)
	for i, path := range paths[1:] {
		column := "c" + string(rune('0'+i))
		d.Mappings[path] = mapping.Mapping{Expression: "int(" + column + ")", Types: map[string]string{column: "string"}}
	}
	with := dialect
	with.Mapping = mapping.PostgreSQL
	sql, _, selection, err := Records(with, source.Query{Schema: schema, Dataset: d, Fields: paths, Limit: 5})
	if err != nil || len(selection.Checked) != 4 {
		t.Fatal(selection.Checked, err)
	}
	named := map[string]bool{}
	for _, piece := range strings.Split(sql, ` AS "`)[1:] {
		name, _, _ := strings.Cut(piece, `"`)
		if len(name) > 63 || named[name] {
			t.Errorf("%q is cut, or stands twice", name)
		}
		named[name] = true
	}
	if len(named) != 1+2*4+1 {
		t.Errorf("%d names: %v", len(named), named)
	}
}
