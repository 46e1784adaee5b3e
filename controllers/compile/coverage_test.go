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
