package filter

import "slices"

// Cell says whether the filter is nothing but an equality with a constant for each of the fields, once each and joined by &&.
// Two such filters over the same fields match the same records or none in common: they are the cells of one partition.
func (f *Filter) Cell(fields []string) bool {
	terms := []node{f.root}
	if l, ok := f.root.(*logic); ok {
		if l.or {
			return false
		}
		terms = l.terms
	}
	if len(terms) != len(fields) {
		return false
	}
	seen := make([]string, 0, len(fields))
	for _, t := range terms {
		c, ok := t.(*compare)
		if !ok || c.op != equal || c.not || c.form != "" || !slices.Contains(fields, c.field.Name) || slices.Contains(seen, c.field.Name) {
			return false
		}
		seen = append(seen, c.field.Name)
	}
	return true
}
