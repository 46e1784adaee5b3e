package compile

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestEveryTermHasARow: whoever adds a term says what keeps it.
func TestEveryTermHasARow(t *testing.T) {
	rows := maps.Clone(terms)
	eachPath(reflect.TypeFor[v1alpha1.AgreementTerms](), "", func(path string, covered bool) {
		if !covered {
			t.Errorf("the term %s has no row in the table of controls: say what keeps it, or that this release cannot", path)
		}
		delete(rows, path)
	})
	for _, path := range slices.Sorted(maps.Keys(rows)) {
		t.Errorf("the table of controls has a row for %s, which is no term", path)
	}
}

// eachPath visits every row that the type leads to, and every leaf without one.
func eachPath(typ reflect.Type, path string, visit func(path string, covered bool)) {
	if _, ok := terms[path]; ok {
		visit(path, true)
		return
	}
	switch kind, elem := shapeOf(typ); kind {
	case shapeStruct:
		for i := range elem.NumField() {
			eachPath(elem.Field(i).Type, join(path, memberName(elem.Field(i))), visit)
		}
	case shapeList:
		eachPath(elem, path+"[]", visit)
	default:
		visit(path, false)
	}
}

// TestRowsAreOneThing: a term is kept, or cannot be, or promises nothing.
func TestRowsAreOneThing(t *testing.T) {
	for path, k := range terms {
		if len(k.controls) > 0 && k.instead != "" {
			t.Errorf("%s is both kept and refused", path)
		}
		if len(k.controls) > 1 && slices.Contains(k.controls, v1alpha1.ControlAttested) {
			t.Errorf("%s is attested and enforced", path)
		}
	}
}

// TestUnknownTermIsRefused: a term without a row is not skipped.
func TestUnknownTermIsRefused(t *testing.T) {
	row := terms["clauses[].rowFilter"]
	delete(terms, "clauses[].rowFilter")
	defer func() { terms["clauses[].rowFilter"] = row }()

	got := unenforceable(&v1alpha1.AgreementTerms{Clauses: []v1alpha1.Clause{{Name: "a", RowFilter: "x"}}})
	if want := []string{"clauses[a].rowFilter: this release has no control that keeps it: remove it"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestDatabaseKeepsFields: grants are of columns. Where a column holds more than what the clause's fields are made of, the gateway
// alone keeps to them, and no coverage says that the database does.
func TestDatabaseKeepsFields(t *testing.T) {
	plain := []v1alpha1.FieldMapping{
		{Field: "id", Column: "id"}, {Field: "birth_date", Column: "born"}, {Field: "wage", Column: "wage"}, {Field: "status", Column: "status"}, {Field: "aliases", Column: "aka"},
		{Field: "address", Members: []v1alpha1.MemberMapping{{Field: "street", Column: "street"}, {Field: "city", Column: "city"}, {Field: "zip", Column: "zip"}}},
		{Field: "jobs", Column: "jobs"},
	}
	set := func(m v1alpha1.FieldMapping) func([]v1alpha1.FieldMapping) {
		return func(all []v1alpha1.FieldMapping) {
			all[slices.IndexFunc(all, func(o v1alpha1.FieldMapping) bool { return o.Field == m.Field })] = m
		}
	}
	for name, c := range map[string]struct {
		fields []string
		edit   func([]v1alpha1.FieldMapping)
		keeps  bool
	}{
		"columns as they stand":           {[]string{"wage", "address.city", "aliases"}, nil, true},
		"all of a record in columns":      {[]string{"address"}, nil, true},
		"an expression":                   {[]string{"wage"}, set(v1alpha1.FieldMapping{Field: "wage", Expression: "cents / 100"}), false},
		"an expression that is not read":  {[]string{"aliases"}, set(v1alpha1.FieldMapping{Field: "id", Expression: "string(n)"}), true},
		"codes":                           {[]string{"status"}, set(v1alpha1.FieldMapping{Field: "status", Column: "st", Codes: []v1alpha1.CodeTranslation{{Value: "1", Code: "open"}}}), false},
		"a member of JSON":                {[]string{"address.city"}, set(v1alpha1.FieldMapping{Field: "address", Column: "address"}), false},
		"all of a record in JSON":         {[]string{"address"}, set(v1alpha1.FieldMapping{Field: "address", Column: "address"}), false},
		"a computed member":               {[]string{"address.zip"}, set(v1alpha1.FieldMapping{Field: "address", Members: []v1alpha1.MemberMapping{{Field: "zip", Expression: "string(plz)"}}}), false},
		"a computed member, another read": {[]string{"address.city"}, set(v1alpha1.FieldMapping{Field: "address", Members: []v1alpha1.MemberMapping{{Field: "city", Column: "city"}, {Field: "zip", Expression: "string(plz)"}}}), true},
		"one member of a list of records": {[]string{"jobs.employer"}, nil, false},
	} {
		f := readFixture(t, "testdata/shape.in.yaml")
		d := f.datasets["workers"]
		d.Spec.SubjectKey, d.Spec.Selectors, d.Spec.Fields = "", nil, slices.Clone(plain)
		d.Spec.Columns = []v1alpha1.SourceColumn{{Name: "cents", Type: "int"}, {Name: "n", Type: "int"}, {Name: "plz", Type: "int"}}
		if c.edit != nil {
			c.edit(d.Spec.Fields)
		}
		terms := f.agreements["payroll.v1"].Spec.Terms
		terms.Clauses[0].Fields, terms.Clauses[0].FilterFields, terms.Clauses[0].RowFilter, terms.Clauses[0].Conditions = c.fields, nil, "", nil
		i := f.index(f.Now[0].Time)
		promises := Promises(i, &terms)
		at := slices.IndexFunc(promises, func(p Promise) bool { return p.Term == "clauses[wages].fields" })
		if at < 0 || slices.Contains(promises[at].Controls, v1alpha1.ControlSourceDatabase) != c.keeps {
			t.Errorf("%s: %v", name, promises)
		}
	}
}
