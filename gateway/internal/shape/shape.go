// Package shape says what the batches of an answer look like: which fields they have, in which order, and which of them are lists
// and records.
package shape

import (
	"slices"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
)

// Shape of the batches of one answer.
type Shape struct {
	// Fields, in the order of a record's values.
	Fields []string
	// Members of those that are records, in the order of their values.
	Members map[string]*gatewayv1.FieldSet

	// columns are nil when every value is a single one.
	columns []route.Column
}

// Of gives the shape of an answer with the fields that paths name. An answer whose fields all have single values costs nothing.
func Of(schema *route.Schema, paths []string) Shape {
	plain := !slices.ContainsFunc(schema.Fields, func(f route.Field) bool { return f.Repeated || len(f.Fields) > 0 })
	if plain {
		return Shape{Fields: paths}
	}
	s := Shape{columns: schema.Layout(paths)}
	s.Fields = route.Names(s.columns)
	for _, c := range s.columns {
		if len(c.Members) == 0 {
			continue
		}
		if s.Members == nil {
			s.Members = map[string]*gatewayv1.FieldSet{}
		}
		set := &gatewayv1.FieldSet{}
		for _, m := range c.Members {
			set.Fields = append(set.Fields, m.Name)
		}
		s.Members[c.Field.Name] = set
	}
	return s
}

// Named says whether a batch names these fields and members, and no others.
func (s *Shape) Named(b *gatewayv1.RecordBatch) bool {
	if !slices.Equal(b.GetFields(), s.Fields) || len(b.GetMembers()) != len(s.Members) {
		return false
	}
	for name, set := range s.Members {
		if !slices.Equal(b.GetMembers()[name].GetFields(), set.GetFields()) {
			return false
		}
	}
	return true
}

// Fits says whether a record has one value for each field, lists where the schema has lists, and in each record inside it one single
// value for each member: what is nowhere in the shape is nowhere in the record.
func (s *Shape) Fits(r *gatewayv1.Record) bool {
	values := r.GetValues()
	if len(values) != len(s.Fields) {
		return false
	}
	if s.columns == nil {
		return !slices.ContainsFunc(values, func(v *gatewayv1.Value) bool { return !single(v) })
	}
	for i := range s.columns {
		if !fits(values[i], &s.columns[i], s.columns[i].Field.Repeated) {
			return false
		}
	}
	return true
}

func single(v *gatewayv1.Value) bool {
	switch v.GetKind().(type) {
	case *gatewayv1.Value_List, *gatewayv1.Value_Nested:
		return false
	}
	return true
}

func fits(v *gatewayv1.Value, c *route.Column, repeated bool) bool {
	switch {
	case v.GetKind() == nil:
		return true
	case repeated:
		list, ok := v.GetKind().(*gatewayv1.Value_List)
		return ok && !slices.ContainsFunc(list.List.GetValues(), func(e *gatewayv1.Value) bool { return e.GetKind() == nil || !fits(e, c, false) })
	case len(c.Members) > 0:
		nested, ok := v.GetKind().(*gatewayv1.Value_Nested)
		return ok && len(nested.Nested.GetValues()) == len(c.Members) && !slices.ContainsFunc(nested.Nested.GetValues(), func(e *gatewayv1.Value) bool { return !single(e) })
	}
	return single(v)
}
