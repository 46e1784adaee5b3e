// Package openapi reads the OpenAPI documents (3.0 and 3.1) of agencies' own APIs, for package compile, which then knows where
// parameters go and what answers look like. Gateways never read them: what they need stands in the route.
package openapi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/entente-dev/entente/controllers/compile/apidoc"
)

// maxDepth is how deep shapes are followed: a document may refer to itself.
const maxDepth = 8

// maxCached bounds how many operations a cache keeps.
const maxCached = 256

// Cache reads each operation of each document once. It is safe for concurrent use.
type Cache struct {
	mu sync.Mutex
	// entries by document and operation; guarded by mu.
	entries map[key]entry
}

type key struct {
	document     [sha256.Size]byte
	method, path string
}

type entry struct {
	operation *apidoc.Operation
	err       error
}

// NewCache makes an empty cache.
func NewCache() *Cache { return &Cache{entries: map[key]entry{}} }

// Operation is Read, remembered. It is an apidoc.Reader.
func (c *Cache) Operation(document, method, path string) (*apidoc.Operation, error) {
	k := key{sha256.Sum256([]byte(document)), method, path}
	c.mu.Lock()
	defer c.mu.Unlock() // held while reading: whoever waits wants the same document
	e, ok := c.entries[k]
	if !ok {
		if len(c.entries) >= maxCached {
			clear(c.entries)
		}
		e.operation, e.err = Read(document, method, path)
		c.entries[k] = e
	}
	return e.operation, e.err
}

// Read finds the operation in the document. References to other documents are refused: nothing is fetched.
func Read(document, method, path string) (_ *apidoc.Operation, err error) {
	defer func() {
		// The library is fed what people write; a document that it stumbles over is no document.
		if r := recover(); r != nil {
			err = errors.New("the document cannot be read")
		}
	}()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(document))
	if err != nil {
		return nil, fmt.Errorf("the document cannot be read: %s", short(err.Error()))
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.0") && !strings.HasPrefix(doc.OpenAPI, "3.1") {
		return nil, fmt.Errorf("openapi: %q: documents of OpenAPI 3.0 and 3.1 are understood", short(doc.OpenAPI))
	}
	item := doc.Paths.Value(path)
	if item == nil {
		return nil, fmt.Errorf("the document has no path %q; it has %s", path, list(doc.Paths.Keys()))
	}
	op := item.GetOperation(method)
	if op == nil {
		return nil, fmt.Errorf("the document has no %s of path %q; it has %s", method, path, list(slices.Collect(maps.Keys(item.Operations()))))
	}
	out, m := &apidoc.Operation{}, shapes{}
	// Parameters of the operation stand before those of the path, which they override.
	for _, ref := range slices.Concat(op.Parameters, item.Parameters) {
		if ref.Value == nil || slices.ContainsFunc(out.Parameters, func(p apidoc.Parameter) bool { return p.Name == ref.Value.Name && p.In == ref.Value.In }) {
			continue
		}
		out.Parameters = append(out.Parameters, m.parameter(ref.Value))
	}
	if body := op.RequestBody; body != nil && body.Value != nil {
		media := jsonOf(body.Value.Content)
		if media == nil {
			return nil, fmt.Errorf("%s %s takes no JSON", method, path)
		}
		out.Body = m.of(media.Schema, maxDepth)
	}
	if out.Answer, err = m.answer(op); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return out, nil
}

// answer is the shape of the answer with status 200, or of any that succeeds.
func (m shapes) answer(op *openapi3.Operation) (*apidoc.Shape, error) {
	for _, status := range []string{"200", "2XX", "2xx", "default"} {
		r := op.Responses.Value(status)
		if r == nil || r.Value == nil {
			continue
		}
		media := jsonOf(r.Value.Content)
		if media == nil {
			return nil, fmt.Errorf("response %s is no JSON", status)
		}
		return m.of(media.Schema, maxDepth), nil
	}
	return nil, errors.New("the document describes no response 200")
}

// jsonOf finds application/json, or a kind of it.
func jsonOf(content openapi3.Content) *openapi3.MediaType {
	for _, name := range slices.Sorted(maps.Keys(content)) {
		kind, _, _ := strings.Cut(strings.ToLower(name), ";")
		if kind = strings.TrimSpace(kind); kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json") {
			return content[name]
		}
	}
	return nil
}

func (m shapes) parameter(p *openapi3.Parameter) apidoc.Parameter {
	out := apidoc.Parameter{Name: p.Name, In: p.In, Required: p.Required, Shape: m.of(p.Schema, maxDepth)}
	style, explode := p.Style, true
	if style == "" && p.In == "query" {
		style = "form"
	}
	if p.Explode != nil {
		explode = *p.Explode
	}
	if p.In == "query" && style == "form" && p.Content == nil {
		out.Join = "comma"
		if explode {
			out.Join = "repeat"
		}
	}
	return out
}

// shapes turns schemas round: what they say of types and members, and nothing of values. Each is done once for each depth, since a
// document whose schemas refer to each other would otherwise take time without end.
type shapes map[shapeKey]*apidoc.Shape

type shapeKey struct {
	schema *openapi3.Schema
	depth  int
}

func (m shapes) of(ref *openapi3.SchemaRef, depth int) *apidoc.Shape {
	if ref == nil || ref.Value == nil || depth == 0 {
		return nil
	}
	k := shapeKey{ref.Value, depth}
	s, done := m[k]
	if !done {
		s = m.make(ref.Value, depth)
		m[k] = s
	}
	return s
}

func (m shapes) make(s *openapi3.Schema, depth int) *apidoc.Shape {
	out := &apidoc.Shape{Required: slices.Clone(s.Required)}
	if s.Type != nil {
		out.Types = slices.Clone([]string(*s.Type))
	}
	if s.Always != nil {
		return nil // true: anything; what false describes never comes, and is found out then
	}
	if s.Items != nil {
		out.Items = m.of(s.Items, depth-1)
	}
	out.Open = s.AdditionalProperties.Schema != nil || s.AdditionalProperties.Has != nil && *s.AdditionalProperties.Has || len(s.PatternProperties) > 0
	add := func(name string, of *apidoc.Shape) {
		if out.Members == nil {
			out.Members = map[string]*apidoc.Shape{}
		}
		out.Members[name] = of
	}
	for name, member := range s.Properties {
		add(name, m.of(member, depth-1))
	}
	for _, part := range s.AllOf {
		p := m.of(part, depth-1)
		if p == nil {
			out.Open = true
			continue
		}
		if len(out.Types) == 0 {
			out.Types = p.Types
		}
		if out.Items == nil {
			out.Items = p.Items
		}
		for name, of := range p.Members {
			add(name, of)
		}
		out.Required = append(out.Required, p.Required...)
		out.Open = out.Open || p.Open
	}
	alternatives := slices.Concat(s.OneOf, s.AnyOf)
	if len(alternatives) > 0 && len(out.Types) == 0 {
		// A value that is one of several: null and something, usually.
		var of []*apidoc.Shape
		for _, a := range alternatives {
			p := m.of(a, depth-1)
			if p != nil && slices.Equal(p.Types, []string{"null"}) {
				continue
			}
			of = append(of, p)
		}
		if len(of) == 1 && len(out.Members) == 0 && out.Items == nil {
			return of[0]
		}
		out.Open = true
	}
	if s.Nullable && len(out.Types) > 0 {
		out.Types = append(out.Types, "null")
	}
	return out
}

// list names some of the names.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	if len(names) > 8 {
		return strings.Join(names[:8], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// short cuts what the library says at a length that a condition can hold.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}
