package route

import (
	"slices"
	"strings"

	"github.com/entente-dev/entente/gateway/mapping"
)

// A path names a field of a schema, or one member of a record as <field>.<member>. A record's own path stands for all its members:
// the schema is pinned, so that no later version adds one.

// Find gives the field that a path names, and its member; nil: there is none.
func (s *Schema) Find(path string) (field, member *Field) {
	name, rest, nested := strings.Cut(path, ".")
	field = find(s.Fields, name)
	if field == nil || !nested {
		return field, nil
	}
	if member = find(field.Fields, rest); member == nil {
		return nil, nil
	}
	return field, member
}

func find(fields []Field, name string) *Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

// Has says whether the schema has what a path names.
func (s *Schema) Has(path string) bool {
	field, _ := s.Find(path)
	return field != nil
}

// Single gives what a path names when each record has one value of it: a field, or a member of a record, that stands in no list. Its
// Name is the path. nil: there is none, it is a record, or it stands in a list.
func (s *Schema) Single(path string) *Field {
	field, member := s.Find(path)
	switch {
	case field == nil || field.Repeated:
		return nil
	case member != nil:
		one := *member
		one.Name = path
		return &one
	case len(field.Fields) > 0:
		return nil
	}
	return field
}

// Target is what a path names as the mapping of a dataset makes it; not ok: there is none, or a record as a whole.
func (s *Schema) Target(path string) (t mapping.Target, ok bool) {
	field, member := s.Find(path)
	switch {
	case field == nil || member == nil && len(field.Fields) > 0:
		return t, false
	case member == nil:
		member = field
	}
	return mapping.Target{Type: member.Type, Codes: member.Codes, Repeated: field.Repeated}, true
}

// Leaves gives the paths with those of records replaced by those of their members, each once. Unknown ones stay.
func (s *Schema) Leaves(paths ...string) []string {
	out := make([]string, 0, len(paths))
	add := func(path string) {
		if !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	for _, path := range paths {
		field, member := s.Find(path)
		if field == nil || member != nil || len(field.Fields) == 0 {
			add(path)
			continue
		}
		for i := range field.Fields {
			add(path + "." + field.Fields[i].Name)
		}
	}
	return out
}

// Covers says whether the permitted paths have everything that a path names.
func (s *Schema) Covers(permitted []string, path string) bool {
	if slices.Contains(permitted, path) {
		return true
	}
	field, member := s.Find(path)
	switch {
	case field == nil:
		return false
	case member != nil:
		return slices.Contains(permitted, field.Name)
	case len(field.Fields) == 0:
		return false
	}
	return !slices.ContainsFunc(field.Fields, func(m Field) bool { return !slices.Contains(permitted, path+"."+m.Name) })
}

// Overlap gives the first member among the paths whose record is among them, too; "" for none.
func Overlap(paths []string) string {
	for _, path := range paths {
		if name, _, nested := strings.Cut(path, "."); nested && slices.Contains(paths, name) {
			return path
		}
	}
	return ""
}

// Column is one value of each record of an answer: a field and, for a record, the members that it is given with.
type Column struct {
	Field   *Field
	Members []*Field
}

// Layout gives the columns of an answer with the fields that paths name. Paths of one record are one column, where the first of them
// stands. Paths that the schema does not have are left out.
func (s *Schema) Layout(paths []string) []Column {
	out := make([]Column, 0, len(paths))
	for _, path := range paths {
		field, member := s.Find(path)
		if field == nil {
			continue
		}
		at := -1
		if len(field.Fields) > 0 {
			at = slices.IndexFunc(out, func(c Column) bool { return c.Field == field })
		}
		if at < 0 {
			at = len(out)
			out = append(out, Column{Field: field})
		}
		if member != nil {
			out[at].Members = append(out[at].Members, member)
			continue
		}
		for i := range field.Fields {
			out[at].Members = append(out[at].Members, &field.Fields[i])
		}
	}
	return out
}

// Names gives the columns' fields.
func Names(columns []Column) []string {
	out := make([]string, len(columns))
	for i := range columns {
		out[i] = columns[i].Field.Name
	}
	return out
}
