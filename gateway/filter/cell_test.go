package filter

import (
	"testing"

	"github.com/entente-dev/entente/gateway/route"
)

func TestCell(t *testing.T) {
	schema := &route.Schema{Name: "s", Fields: []route.Field{
		{Name: "region", Type: "string"}, {Name: "age", Type: "int"}, {Name: "wanted", Type: "bool"}, {Name: "wage", Type: "decimal"},
	}}
	both := []string{"region", "age"}
	for _, tc := range []struct {
		text   string
		fields []string
		want   bool
	}{
		{`region == "north" && age == 30`, both, true},
		{`30 == age && (region == "north")`, both, true},
		{`region == "north"`, []string{"region"}, true},
		{`wanted`, []string{"wanted"}, true},
		{`wage == 12.50`, []string{"wage"}, true},
		{`region == "north"`, both, false},
		{`region == "north" && age == 30 && wanted`, both, false},
		{`region == "north" && region == "south"`, both, false},
		{`region == "north" && region == "north" && age == 30`, both, false},
		{`region == "north" || age == 30`, both, false},
		{`region == "north" && age != 30`, both, false},
		{`region == "north" && !(age == 30)`, both, false},
		{`region == "north" && age >= 30`, both, false},
		{`region == "north" && age == null`, both, false},
		{`region == "north" && age in [30, 31]`, both, false},
		{`region.startsWith("north") && age == 30`, both, false},
		{`!wanted`, []string{"wanted"}, false}, // the null ones, too
		{`region == "north" && wanted`, both, false},
	} {
		f, err := Compile(schema, tc.text)
		if err != nil {
			t.Fatalf("%s: %v", tc.text, err)
		}
		if got := f.Cell(tc.fields); got != tc.want {
			t.Errorf("%s over %q: %v", tc.text, tc.fields, got)
		}
	}
}
