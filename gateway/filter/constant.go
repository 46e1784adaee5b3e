package filter

import "strconv"

// Constant gives the one constant to which the filter fixes the field (see EqualityFields), written as the values of records
// are: text as it is, integers in decimal, dates and timestamps in their canonical forms. ok is false when there is none.
func (f *Filter) Constant(field string) (text string, ok bool) {
	v, ok := f.fixed[field]
	if !ok {
		return "", false
	}
	switch v.kind {
	case "int":
		return strconv.FormatInt(v.integer, 10), true
	case "bool":
		return strconv.FormatBool(v.boolean), true
	default:
		return v.text, true
	}
}
