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
	if got := f.Tree(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	// What a caller does to the tree does not reach the filter.
	before := f.Canonical()
	got := f.Tree()
	got.Terms[0].Terms[1].Terms[1].Values[0] = "7"
	if f.Canonical() != before || !reflect.DeepEqual(f.Tree(), want) {
		t.Error("the tree is the filter's own")
	}
}
