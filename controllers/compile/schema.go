package compile

import (
	"fmt"
	"slices"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// schema is an exchange schema with what compiling needs of it.
type schema struct {
	object *v1alpha1.ExchangeSchema
	route  route.Schema
	// order of the fields.
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
		s.order[f.Name] = i
		s.route.Fields[i] = route.Field{Name: f.Name, Type: string(f.Type), Codes: slices.Sorted(slices.Values(f.Codes))}
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

// has says whether the schema has a field.
func (s *schema) has(field string) bool { _, ok := s.order[field]; return ok }

// sorted gives the fields, each once, in the schema's order.
func (s *schema) sorted(fields ...[]string) []string {
	out := slices.Concat(fields...)
	slices.SortFunc(out, func(a, b string) int { return s.order[a] - s.order[b] })
	return slices.Clip(slices.Compact(out))
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
