package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// schema is an exchange schema with what compiling needs of it.
type schema struct {
	object *v1alpha1.ExchangeSchema
	route  route.Schema
	// order of the fields and of the members of records, by their paths.
	order map[string]int
	// problem is why the schema cannot be used; empty: it can.
	problem string
	// filters already compiled, by their text.
	filters map[string]rowFilter
}

type rowFilter struct {
	fields []string
	err    error
}

func schemaName(name string, version int64) string { return fmt.Sprintf("%s.v%d", name, version) }

// schema returns the exchange schema of that object name, or nil.
func (c *compiler) schema(name string) *schema {
	if s, ok := c.schemas[name]; ok {
		return s
	}
	var s *schema
	if object := c.index.Schemas[name]; object != nil {
		s = newSchema(object)
	}
	c.schemas[name] = s
	return s
}

func newSchema(object *v1alpha1.ExchangeSchema) *schema {
	spec := &object.Spec
	s := &schema{object: object, order: map[string]int{}, filters: map[string]rowFilter{}}
	if _, message, failed := schemaAccepted(object); failed {
		s.problem = message
		return s
	}
	digest, err := spec.Digest()
	if err != nil {
		s.problem = err.Error()
		return s
	}
	s.route = route.Schema{Name: spec.Name, Version: spec.Version, Digest: digest, Fields: make([]route.Field, len(spec.Fields))}
	for i, f := range spec.Fields {
		s.order[f.Name] = i * (maxMembers + 1)
		s.route.Fields[i] = route.Field{Name: f.Name, Type: string(f.Type), Codes: slices.Sorted(slices.Values(f.Codes)), Repeated: f.Repeated}
		for j, m := range f.Fields {
			s.order[f.Name+"."+m.Name] = s.order[f.Name] + j + 1
			s.route.Fields[i].Fields = append(s.route.Fields[i].Fields, route.Field{Name: m.Name, Type: string(m.Type), Codes: slices.Sorted(slices.Values(m.Codes))})
		}
	}
	return s
}

// pinned returns the schema that the reference pins, or nil when we do not have exactly that.
func (c *compiler) pinned(ref v1alpha1.SchemaRef) *schema {
	s := c.schema(schemaName(ref.Name, ref.Version))
	if s == nil || s.problem != "" || s.route.Digest != ref.Digest {
		return nil
	}
	return s
}

// has says whether the schema has a field, or a member of a record as <field>.<member>.
func (s *schema) has(path string) bool { _, ok := s.order[path]; return ok }

// read gives what must be read for the paths, members of records one by one, in the schema's order.
func (s *schema) read(paths ...[]string) []string {
	return s.sorted(s.route.Leaves(slices.Concat(paths...)...))
}

// sorted gives the paths, each once, in the schema's order.
func (s *schema) sorted(fields ...[]string) []string {
	out := slices.Concat(fields...)
	slices.SortFunc(out, func(a, b string) int { return s.order[a] - s.order[b] })
	return slices.Clip(slices.Compact(out))
}

// single says whether a record has one value of what a path names.
func (s *schema) single(path string) bool { return s.route.Single(path) != nil }

// identifies says whether a path can be a subject key: a field of the record itself with one value.
func (s *schema) identifies(path string) bool { return s.single(path) && !strings.Contains(path, ".") }

// filterable says whether a filter can look at what a path names, or at a part of it.
func (s *schema) filterable(path string) bool {
	field, _ := s.route.Find(path)
	return field != nil && !(field.Repeated && (len(field.Fields) > 0 || field.Type == string(v1alpha1.TypeBool)))
}

// rowFilterFields compiles a row filter and gives the fields that it reads.
func (s *schema) rowFilterFields(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	if f, ok := s.filters[text]; ok {
		return f.fields, f.err
	}
	var out rowFilter
	if f, err := filter.Compile(&s.route, text); err != nil {
		out.err = err
	} else {
		out.fields = f.Fields()
	}
	s.filters[text] = out
	return out.fields, out.err
}
