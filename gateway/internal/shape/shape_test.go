package shape

import (
	"slices"
	"testing"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
)

func text(s string) *gatewayv1.Value {
	return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: s}}
}

func list(values ...*gatewayv1.Value) *gatewayv1.Value {
	return &gatewayv1.Value{Kind: &gatewayv1.Value_List{List: &gatewayv1.ValueList{Values: values}}}
}

func nested(values ...*gatewayv1.Value) *gatewayv1.Value {
	return &gatewayv1.Value{Kind: &gatewayv1.Value_Nested{Nested: &gatewayv1.Record{Values: values}}}
}

var null = &gatewayv1.Value{}

// TestShape: a record has exactly what its fields say, all the way down.
func TestShape(t *testing.T) {
	schema := &route.Schema{Fields: []route.Field{
		{Name: "name", Type: "string"}, {Name: "aliases", Type: "string", Repeated: true},
		{Name: "address", Type: "record", Fields: []route.Field{{Name: "city", Type: "string"}, {Name: "zip", Type: "string"}}},
		{Name: "jobs", Type: "record", Repeated: true, Fields: []route.Field{{Name: "employer", Type: "string"}}},
	}}
	s := Of(schema, []string{"address.zip", "name", "address.city", "aliases", "jobs"})
	if !slices.Equal(s.Fields, []string{"address", "name", "aliases", "jobs"}) || !slices.Equal(s.Members["address"].Fields, []string{"zip", "city"}) || len(s.Members) != 2 {
		t.Errorf("fields %v, members %v", s.Fields, s.Members)
	}
	b := &gatewayv1.RecordBatch{Fields: s.Fields, Members: map[string]*gatewayv1.FieldSet{
		"address": {Fields: []string{"zip", "city"}}, "jobs": {Fields: []string{"employer"}},
	}}
	if !s.Named(b) {
		t.Error("a batch that names what was asked for is refused")
	}
	b.Members["address"].Fields = []string{"city", "zip"}
	if s.Named(b) {
		t.Error("members in another order pass")
	}
	b.Members["address"].Fields = []string{"zip", "city", "street"}
	if s.Named(b) {
		t.Error("a member that was not asked for passes")
	}
	delete(b.Members, "address")
	if s.Named(b) {
		t.Error("a record without members passes")
	}
	for _, c := range []struct {
		what   string
		fits   bool
		values []*gatewayv1.Value
	}{
		{"full", true, []*gatewayv1.Value{nested(text("1"), null), text("a"), list(text("b"), text("c")), list(nested(text("d")))}},
		{"nulls", true, []*gatewayv1.Value{null, null, null, null}},
		{"empty lists", true, []*gatewayv1.Value{null, null, list(), list()}},
		{"a value more", false, []*gatewayv1.Value{null, null, null, null, null}},
		{"a member more", false, []*gatewayv1.Value{nested(text("1"), null, text("street")), null, null, null}},
		{"a list in place of a value", false, []*gatewayv1.Value{null, list(text("a")), null, null}},
		{"a record in place of a value", false, []*gatewayv1.Value{null, nested(text("a")), null, null}},
		{"a value in place of a list", false, []*gatewayv1.Value{null, null, text("b"), null}},
		{"null in a list", false, []*gatewayv1.Value{null, null, list(null), null}},
		{"a record in a list of texts", false, []*gatewayv1.Value{null, null, list(nested(text("b"))), null}},
		{"a list in a record", false, []*gatewayv1.Value{nested(list(text("1")), null), null, null, null}},
		{"a member more in a list of records", false, []*gatewayv1.Value{null, null, null, list(nested(text("d"), text("e")))}},
	} {
		if got := s.Fits(&gatewayv1.Record{Values: c.values}); got != c.fits {
			t.Errorf("%s: fits %v", c.what, got)
		}
	}
	plain := Of(&route.Schema{Fields: schema.Fields[:1]}, []string{"name"})
	if !plain.Fits(&gatewayv1.Record{Values: []*gatewayv1.Value{text("a")}}) || plain.Fits(&gatewayv1.Record{Values: []*gatewayv1.Value{list(text("a"))}}) {
		t.Error("an answer of single values")
	}
}
