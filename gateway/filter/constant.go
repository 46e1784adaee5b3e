package filter

// Constant gives the one constant to which the filter fixes the field (see EqualityFields), written as the values of records
// are: text as it is, integers in decimal, dates and timestamps in their canonical forms. ok is false when there is none.
func (f *Filter) Constant(field string) (text string, ok bool) {
	v, ok := f.fixed[field]
	if !ok {
		return "", false
	}
	return v.plain(), true
}
