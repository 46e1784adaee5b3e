package compile

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/mapping"
)

// checkMapping lists what is wrong with a mapping by itself.
func checkMapping(f *faults, path string, m *v1alpha1.FieldMapping) {
	given := 0
	for _, is := range []bool{m.Column != "", m.Expression != "", len(m.Members) > 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		f.add(path, "exactly one of column, expression and members is given")
	}
	checkReading(f, path, &v1alpha1.MemberMapping{Column: m.Column, Expression: m.Expression, Codes: m.Codes, Format: m.Format, UnknownCode: m.UnknownCode})
	if len(m.Members) > 0 && computed(m) {
		f.add(path, "codes, format, delimiter and unknownCode stand with each of the members")
	}
	seen := map[string]bool{}
	for i := range m.Members {
		member, at := &m.Members[i], fmt.Sprintf("%s.members[%d]", path, i)
		if len(member.Field) > 63 || !fieldForm.MatchString(member.Field) {
			f.add(at+".field", "%q is not the name of a member", member.Field)
		}
		if (member.Column == "") == (member.Expression == "") {
			f.add(at, "exactly one of column and expression is given")
		}
		checkReading(f, at, member)
		if seen[member.Field] {
			f.add(at+".field", "%q is mapped twice", member.Field)
		}
		seen[member.Field] = true
	}
}

func checkReading(f *faults, path string, m *v1alpha1.MemberMapping) {
	if m.Column != "" && !columnForm.MatchString(m.Column) {
		f.add(path+".column", "%q is not the name of a column", m.Column)
	}
	if len(m.Expression) > mapping.MaxTextBytes {
		f.add(path+".expression", "longer than %d bytes", mapping.MaxTextBytes)
	}
	if n := len(m.Codes); n > 256 {
		f.add(path+".codes", "%d codes; at most 256 are possible", n)
	}
	seen := map[string]bool{}
	for _, c := range m.Codes {
		if seen[c.Value] {
			f.add(path+".codes", "value %q stands twice", c.Value)
		}
		seen[c.Value] = true
	}
	if u := m.UnknownCode; u != "" && u != v1alpha1.UnknownRefuse && u != v1alpha1.UnknownAsNull {
		f.add(path+".unknownCode", "%q is not Refuse or AsNull", u)
	}
}

// checkColumns lists what is wrong with the declared columns.
func checkColumns(f *faults, columns []v1alpha1.SourceColumn) {
	if n := len(columns); n > maxFields {
		f.add("columns", "%d columns; at most %d are possible", n, maxFields)
	}
	seen := map[string]bool{}
	for i, c := range columns {
		at := fmt.Sprintf("columns[%d]", i)
		if !columnForm.MatchString(c.Name) {
			f.add(at+".name", "%q is not the name of a column", c.Name)
		}
		if seen[c.Name] {
			f.add(at+".name", "%q stands twice", c.Name)
		}
		seen[c.Name] = true
		if !contains(mapping.Kinds, c.Type) {
			f.add(at+".type", "%q is not %s", c.Type, list(mapping.Kinds, ", "))
		}
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// computed says whether a field is more than a column as it stands.
func computed(m *v1alpha1.FieldMapping) bool {
	return m.Expression != "" || len(m.Codes) > 0 || m.Format != "" || m.Delimiter != "" || m.UnknownCode != ""
}

// mappingFits says what is wrong with a mapping for the field of the schema that it is of; "" for nothing.
func mappingFits(d *v1alpha1.Dataset, m *v1alpha1.FieldMapping, s *schema) string {
	field, _ := s.route.Find(m.Field)
	nested := len(field.Fields) > 0
	switch {
	case m.Pointer != "" && (field.Repeated || nested):
		return "an HTTP source gives single values: it has no lists and no records"
	case m.Pointer != "":
		return ""
	case len(m.Members) > 0 && (!nested || field.Repeated):
		return "members are mapped one by one for a record that stands in no list"
	case nested && computed(m):
		return "a record comes from members, or from a column with JSON, as it stands"
	}
	for _, path := range s.read([]string{m.Field}) {
		r := readOf(d, s, path)
		if r == nil || r.plain() {
			continue
		}
		target, _ := s.route.Target(path)
		if _, err := mapping.Compile(&r.Mapping, target); err != nil {
			return fmt.Sprintf("%s: %v", path, err)
		}
	}
	return ""
}

// reading is where the values of a field, or of a member of a record, come from.
type reading struct{ mapping.Mapping }

// plain says whether it is a column as it stands.
func (r *reading) plain() bool {
	return r.Expression == "" && len(r.Codes) == 0 && r.Format == "" && r.Delimiter == "" && r.Member == ""
}

// readOf is how a dataset reads what a path names; nil: it does not map it. The members of a record in one column are read of its JSON,
// those of a list of records with all of it.
func readOf(d *v1alpha1.Dataset, s *schema, path string) *reading {
	name, member, nested := strings.Cut(path, ".")
	for i := range d.Spec.Fields {
		m := &d.Spec.Fields[i]
		if m.Field != name {
			continue
		}
		if len(m.Members) == 0 {
			r := newReading(d, &v1alpha1.MemberMapping{Column: cmp.Or(m.Column, m.Pointer), Expression: m.Expression, Codes: m.Codes, Format: m.Format, UnknownCode: m.UnknownCode})
			r.Delimiter = m.Delimiter
			if field, _ := s.route.Find(name); nested && field != nil && !field.Repeated && m.Pointer == "" {
				r.Member, r.Types = member, nil
			}
			return r
		}
		for j := range m.Members {
			if nested && m.Members[j].Field == member {
				return newReading(d, &m.Members[j])
			}
		}
	}
	return nil
}

func newReading(d *v1alpha1.Dataset, m *v1alpha1.MemberMapping) *reading {
	r := &reading{mapping.Mapping{Column: m.Column, Expression: m.Expression, Format: m.Format, AsNull: m.UnknownCode == v1alpha1.UnknownAsNull}}
	if len(m.Codes) > 0 {
		r.Codes = make(map[string]string, len(m.Codes))
		for _, c := range m.Codes {
			r.Codes[c.Value] = c.Code
		}
	}
	types := map[string]string{}
	for _, c := range d.Spec.Columns {
		types[c.Name] = c.Type
	}
	r.Types = types
	read := mapping.Columns(&r.Mapping)
	r.Types = nil
	for _, name := range read {
		if kind := types[name]; kind != "" {
			if r.Types == nil {
				r.Types = map[string]string{}
			}
			r.Types[name] = kind
		}
	}
	return r
}

// columnsOf are the columns that are read for a path.
func columnsOf(d *v1alpha1.Dataset, s *schema, path string) []string {
	r := readOf(d, s, path)
	if r == nil {
		return nil
	}
	return mapping.Columns(&r.Mapping)
}

// routeReadings gives the columns and mappings of the paths, as routes have them.
func routeReadings(d *v1alpha1.Dataset, s *schema, paths []string) (columns map[string]string, mappings map[string]mapping.Mapping) {
	columns = make(map[string]string, len(paths))
	for _, path := range paths {
		r := readOf(d, s, path)
		switch {
		case r == nil:
		case r.plain():
			columns[path] = r.Column
		default:
			if mappings == nil {
				mappings = map[string]mapping.Mapping{}
			}
			mappings[path] = r.Mapping
		}
	}
	return columns, mappings
}
