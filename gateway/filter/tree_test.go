package filter_test

import (
	"reflect"
	"testing"

	"github.com/entente-dev/entente/gateway/filter"
)

func TestTree(t *testing.T) {
	f, err := filter.Compile(person, `!(family_name == "Doe" && (active || height in [3, -1])) && (weight <= height || birth_date != null) && !given_name.contains("é") && wage < 1.50`)
	if err != nil {
		t.Fatal(err)
	}
	want := filter.Term{Kind: filter.TermAnd, Terms: []filter.Term{
		{Kind: filter.TermOr, Terms: []filter.Term{
			{Kind: filter.TermCompare, Negated: true, Field: "family_name", Type: "string", Operator: "==", Values: []string{"Doe"}},
			{Kind: filter.TermAnd, Terms: []filter.Term{
				{Kind: filter.TermCompare, Negated: true, Field: "active", Type: "bool", Operator: "==", Values: []string{"true"}},
				{Kind: filter.TermIn, Negated: true, Field: "height", Type: "int", Values: []string{"3", "-1"}},
			}},
		}},
		{Kind: filter.TermOr, Terms: []filter.Term{
			{Kind: filter.TermFields, Field: "height", Type: "int", Operator: ">=", Other: "weight"},
			{Kind: filter.TermNull, Negated: true, Field: "birth_date", Type: "date"},
		}},
		{Kind: filter.TermContains, Negated: true, Field: "given_name", Type: "string", Values: []string{"é"}},
		{Kind: filter.TermCompare, Field: "wage", Type: "decimal", Operator: "<", Values: []string{"1.5"}},
	}}
	if got := unplaced(f.Tree()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	// What a caller does to the tree does not reach the filter.
	before := f.Canonical()
	got := f.Tree()
	got.Terms[0].Terms[1].Terms[1].Values[0] = "7"
	if f.Canonical() != before || !reflect.DeepEqual(unplaced(f.Tree()), want) {
		t.Error("the tree is the filter's own")
	}
}

// unplaced is the term without its place in the text.
func unplaced(t filter.Term) filter.Term {
	t.Line, t.Column = 0, 0
	for i := range t.Terms {
		t.Terms[i] = unplaced(t.Terms[i])
	}
	return t
}

func TestTreePlaces(t *testing.T) {
	f, err := filter.Compile(person, "active &&\n  !(height < 3 || family_name in [\"ä\", \"b\"])")
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]int
	for _, leaf := range f.Tree().Terms {
		got = append(got, [2]int{leaf.Line, leaf.Column})
	}
	if want := [][2]int{{1, 1}, {2, 12}, {2, 31}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
