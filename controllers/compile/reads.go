package compile

import "github.com/entente-dev/entente/api/v1alpha1"

// Read is what a dataset reads for a field, or for a member of a record.
type Read struct {
	// Path of the field.
	Path string
	// Type of the field; Repeated and Record, of which it is a value or a member, say how it is kept.
	Type             v1alpha1.FieldType
	Repeated, Record bool
	// Columns that are read, and Plain: one of them as it stands.
	Columns []string
	Plain   bool
	// Sought is the column whose index serves an equality; empty: none, or one on the expression.
	Sought string
}

// Reads lists what a dataset reads of its source for the fields of its schema, in the schema's order.
func Reads(d *v1alpha1.Dataset, object *v1alpha1.ExchangeSchema) []Read {
	s := newSchema(object)
	var out []Read
	for _, f := range object.Spec.Fields {
		for _, path := range s.read([]string{f.Name}) {
			r := readOf(d, s, path)
			target, ok := s.route.Target(path)
			if r == nil || !ok {
				continue
			}
			read := Read{Path: path, Type: v1alpha1.FieldType(target.Type), Repeated: f.Repeated, Record: r.Member != "" || f.Repeated && len(f.Fields) > 0, Columns: columnsOf(d, s, path), Plain: r.plain()}
			if r.Column != "" && r.Member == "" && r.Delimiter == "" {
				read.Sought = r.Column
			}
			out = append(out, read)
		}
	}
	return out
}
