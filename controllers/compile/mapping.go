package compile

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// checkMapping lists what is wrong with a mapping by itself.
func checkMapping(f *faults, path string, m *v1alpha1.FieldMapping) {
	if computed(m) {
		f.add(path, "this release reads columns as they stand: remove expression, codes, format, delimiter and unknownCode")
	}
	if (m.Column == "") == (len(m.Members) == 0) {
		f.add(path, "exactly one of column and members is given")
	}
	if m.Column != "" && !columnForm.MatchString(m.Column) {
		f.add(path+".column", "%q is not the name of a column", m.Column)
	}
	seen := map[string]bool{}
	for i, member := range m.Members {
		at := fmt.Sprintf("%s.members[%d]", path, i)
		if len(member.Field) > 63 || !fieldForm.MatchString(member.Field) {
			f.add(at+".field", "%q is not the name of a member", member.Field)
		}
		if !columnForm.MatchString(member.Column) {
			f.add(at+".column", "%q is not the name of a column", member.Column)
		}
		if seen[member.Field] {
			f.add(at+".field", "%q is mapped twice", member.Field)
		}
		seen[member.Field] = true
	}
}

// computed says whether a field is more than a column as it stands.
func computed(m *v1alpha1.FieldMapping) bool {
	return m.Expression != "" || len(m.Codes) > 0 || m.Format != "" || m.Delimiter != "" || m.UnknownCode != ""
}

// mappingFits says what is wrong with a mapping for the field of the schema that it is of; "" for nothing.
func mappingFits(m *v1alpha1.FieldMapping, s *schema) string {
	field, _ := s.route.Find(m.Field)
	switch {
	case m.Pointer != "" && (field.Repeated || len(field.Fields) > 0):
		return "an HTTP source gives single values: it has no lists and no records"
	case len(m.Members) > 0 && (len(field.Fields) == 0 || field.Repeated):
		return "members are mapped one by one for a record that stands in no list"
	case len(m.Members) == 0 && len(field.Fields) > 0 && !field.Repeated:
		return "map the members of the record"
	}
	return ""
}

// read is where the values of a field, or of a member of a record, come from.
type read struct {
	column string
}

// readOf is how a dataset reads what a path names; nil: it does not map it. The members of a record in one column are read with it.
func readOf(d *v1alpha1.Dataset, path string) *read {
	name, member, nested := strings.Cut(path, ".")
	for i := range d.Spec.Fields {
		m := &d.Spec.Fields[i]
		if m.Field != name {
			continue
		}
		if len(m.Members) == 0 {
			return &read{column: cmp.Or(m.Column, m.Pointer)}
		}
		for j := range m.Members {
			if nested && m.Members[j].Field == member {
				return &read{column: m.Members[j].Column}
			}
		}
	}
	return nil
}

// columnsOf are the columns that are read for a path.
func columnsOf(d *v1alpha1.Dataset, path string) []string {
	r := readOf(d, path)
	if r == nil {
		return nil
	}
	return []string{r.column}
}
