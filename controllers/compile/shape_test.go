package compile

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// TestMappingsFit: what a dataset maps has to become what the schema says, or the dataset says what to do.
func TestMappingsFit(t *testing.T) {
	s := &v1alpha1.ExchangeSchema{ObjectMeta: metav1.ObjectMeta{Name: "worker.v1"}, Spec: v1alpha1.ExchangeSchemaSpec{Name: "worker", Version: 1, Fields: []v1alpha1.SchemaField{
		{Name: "id", Type: v1alpha1.TypeString}, {Name: "wage", Type: v1alpha1.TypeDecimal}, {Name: "sex", Type: v1alpha1.TypeCode, Codes: []string{"F", "M"}},
		{Name: "aliases", Type: v1alpha1.TypeString, Repeated: true},
		{Name: "address", Type: v1alpha1.TypeRecord, Fields: []v1alpha1.SchemaMember{{Name: "city", Type: "string"}, {Name: "since", Type: "date"}}},
		{Name: "jobs", Type: v1alpha1.TypeRecord, Repeated: true, Fields: []v1alpha1.SchemaMember{{Name: "employer", Type: "string"}}},
	}}}
	for what, c := range map[string]struct {
		edit func(*v1alpha1.DatasetSpec)
		want string
	}{
		"as it stands": {func(*v1alpha1.DatasetSpec) {}, ""},
		"a list and two records": {func(d *v1alpha1.DatasetSpec) {
			d.Fields = append(d.Fields, v1alpha1.FieldMapping{Field: "aliases", Column: "a"}, v1alpha1.FieldMapping{Field: "address", Column: "j"}, v1alpha1.FieldMapping{Field: "jobs", Column: "k"})
		}, ""},
		"a column without a type": {func(d *v1alpha1.DatasetSpec) {
			d.Fields = append(d.Fields, v1alpha1.FieldMapping{Field: "wage", Expression: "cents / 100"})
		}, "fields[wage]: wage: column 1: column cents is not declared with a type"},
		"another type": {func(d *v1alpha1.DatasetSpec) {
			d.Columns = []v1alpha1.SourceColumn{{Name: "cents", Type: "string"}}
			d.Fields = append(d.Fields, v1alpha1.FieldMapping{Field: "wage", Expression: "cents"})
		}, "the expression is of type string"},
		"a code that is none": {func(d *v1alpha1.DatasetSpec) {
			d.Fields = append(d.Fields, v1alpha1.FieldMapping{Field: "sex", Column: "g", Codes: []v1alpha1.CodeTranslation{{Value: "1", Code: "X"}}})
		}, `"X" is no code of the field`},
		"members of a text": {func(d *v1alpha1.DatasetSpec) {
			d.Fields = append(d.Fields, v1alpha1.FieldMapping{Field: "wage", Members: []v1alpha1.MemberMapping{{Field: "x", Column: "x"}}})
		}, `has no "wage.x"`},
		"members of a list": {func(d *v1alpha1.DatasetSpec) {
			d.Fields = append(d.Fields, v1alpha1.FieldMapping{Field: "jobs", Members: []v1alpha1.MemberMapping{{Field: "employer", Column: "x"}}})
		}, "stands in no list"},
		"an unknown member": {func(d *v1alpha1.DatasetSpec) {
			d.Fields = append(d.Fields, v1alpha1.FieldMapping{Field: "address", Members: []v1alpha1.MemberMapping{{Field: "town", Column: "x"}}})
		}, `has no "address.town"`},
		"a member of another type": {func(d *v1alpha1.DatasetSpec) {
			d.Columns = []v1alpha1.SourceColumn{{Name: "x", Type: "int"}}
			d.Fields = append(d.Fields, v1alpha1.FieldMapping{Field: "address", Members: []v1alpha1.MemberMapping{{Field: "since", Expression: "x"}}})
		}, "address.since: the expression is of type int"},
		"two origins": {func(d *v1alpha1.DatasetSpec) { d.Fields[0].Expression = "x" }, "exactly one of column, expression and members"},
		"a value twice": {func(d *v1alpha1.DatasetSpec) {
			d.Fields[0].Codes = []v1alpha1.CodeTranslation{{Value: "1", Code: "a"}, {Value: "1", Code: "b"}}
		}, `value "1" stands twice`},
		"an odd declared type": {func(d *v1alpha1.DatasetSpec) { d.Columns = []v1alpha1.SourceColumn{{Name: "x", Type: "blob"}} }, `"blob" is not string, int`},
		"a selector in a list": {func(d *v1alpha1.DatasetSpec) {
			d.Fields = append(d.Fields, v1alpha1.FieldMapping{Field: "aliases", Column: "a"})
			d.Selectors = []v1alpha1.SelectorSet{{"aliases"}}
		}, `no field "aliases" with one value`},
		"a record as subject": {func(d *v1alpha1.DatasetSpec) { d.SubjectKey = "address" }, `no field "address" with one value`},
	} {
		d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: "workers"}, Spec: v1alpha1.DatasetSpec{
			Schema: v1alpha1.SchemaVersion{Name: "worker", Version: 1}, Source: v1alpha1.DatasetSource{SQLite: &v1alpha1.SQLiteSource{Path: "x.db"}}, Relation: "workers",
			Fields: []v1alpha1.FieldMapping{{Field: "id", Column: "no"}}, SubjectKey: "id",
		}}
		c.edit(&d.Spec)
		said := ""
		for _, k := range DatasetConditions(&Index{Schemas: map[string]*v1alpha1.ExchangeSchema{"worker.v1": s}}, d, nil, time.Now()) {
			if k.Status != metav1.ConditionTrue {
				said += k.Message
			}
		}
		if c.want == "" && said != "" || !strings.Contains(said, c.want) {
			t.Errorf("%s: %q, want %q", what, said, c.want)
		}
	}
}
