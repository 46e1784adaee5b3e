package filter

import "slices"

// Constant gives the one constant to which the filter fixes the field (see EqualityFields), written as the values of records
// are: text as it is, integers in decimal, dates and timestamps in their canonical forms. ok is false when there is none, or when
// it asks for a clock to which the filter was not bound.
func (f *Filter) Constant(field string) (text string, ok bool) {
	i := slices.IndexFunc(f.fixed, func(c constant) bool { return c.field == field })
	if i < 0 || f.fixed[i].value.clock != nil {
		return "", false
	}
	v := f.fixed[i].value
	return v.plain(), true
}
