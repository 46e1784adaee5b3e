// Package openapitest holds answers of a gateway against its OpenAPI document, more strictly than clients may: members that the document
// does not have are errors, too.
package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Document is an OpenAPI 3.1 document. It is safe for concurrent use.
type Document struct {
	root     map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema
}

const base = "https://entente.dev/openapi.json"

// New reads a document as JSON.
func New(text []byte) (*Document, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the document is no object")
	}
	closed(root["components"])
	d := &Document{root: root, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	return d, d.compiler.AddResource(base, root)
}

// closed refuses members that a schema of an object does not have.
func closed(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, has := v["properties"].(map[string]any); has && v["type"] == "object" && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, x := range v {
			closed(x)
		}
	case []any:
		for _, x := range v {
			closed(x)
		}
	}
}

func (d *Document) at(path ...string) (any, bool) {
	var v any = d.root
	for _, p := range path {
		m, _ := v.(map[string]any)
		if v = m[p]; v == nil {
			return nil, false
		}
	}
	return v, true
}

// resolve follows a reference inside the document.
func (d *Document) resolve(v any, path []string) (map[string]any, []string) {
	m, _ := v.(map[string]any)
	if ref, ok := m["$ref"].(string); ok {
		path = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
		v, _ = d.at(path...)
		m, _ = v.(map[string]any)
	}
	return m, path
}

// Paths are the paths with their methods, in capitals.
func (d *Document) Paths() map[string][]string {
	out := map[string][]string{}
	paths, _ := d.root["paths"].(map[string]any)
	for path, item := range paths {
		for method := range item.(map[string]any) {
			out[path] = append(out[path], strings.ToUpper(method))
		}
	}
	return out
}

// Properties are the members of a schema with their types.
func (d *Document) Properties(schema string) map[string]any {
	v, _ := d.at("components", "schemas", schema, "properties")
	m, _ := v.(map[string]any)
	return m
}

// Schemas are the names of all schemas.
func (d *Document) Schemas() []string {
	v, _ := d.at("components", "schemas")
	m, _ := v.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// Response holds one answer against the document: the status is one of the operation's, the type is one of the status, and the body
// has the schema's form. Lines are held one by one.
func (d *Document) Response(method, path string, status int, contentType string, body []byte) error {
	at := []string{"paths", path, strings.ToLower(method), "responses", strconv.Itoa(status)}
	v, ok := d.at(at...)
	if !ok {
		return fmt.Errorf("%s %s: the document has no status %d", method, path, status)
	}
	response, at := d.resolve(v, at)
	kind, _, err := mime.ParseMediaType(contentType)
	content, _ := response["content"].(map[string]any)
	if _, ok := content[kind]; !ok || err != nil {
		return fmt.Errorf("%s %s: status %d: the document has no %q", method, path, status, contentType)
	}
	schema, err := d.schema(append(slices.Clone(at), "content", kind, "schema"))
	if err != nil {
		return err
	}
	documents := [][]byte{body}
	switch kind {
	case "application/x-ndjson":
		documents = bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	case "application/yaml", "text/csv", "application/vnd.apache.arrow.stream":
		return nil // no JSON
	}
	for _, text := range documents {
		if err := valid(schema, text); err != nil {
			return fmt.Errorf("%s %s: status %d: %w", method, path, status, err)
		}
	}
	return nil
}

// Valid holds a JSON text against a schema by its name.
func (d *Document) Valid(name string, text []byte) error {
	schema, err := d.schema([]string{"components", "schemas", name})
	if err != nil {
		return err
	}
	return valid(schema, text)
}

func valid(schema *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

var escapes = strings.NewReplacer("~", "~0", "/", "~1")

func (d *Document) schema(path []string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := base + "#"
	for _, p := range path {
		at += "/" + escapes.Replace(p)
	}
	if s, ok := d.schemas[at]; ok {
		return s, nil
	}
	s, err := d.compiler.Compile(at)
	if err != nil {
		return nil, err
	}
	d.schemas[at] = s
	return s, nil
}

// Seen collects the members of a JSON text that stand for properties of a schema, through references, into seen: Schema.member.
func (d *Document) Seen(name string, text []byte, seen map[string]bool) error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	schema, _ := d.at("components", "schemas", name)
	d.see(name, schema, v, seen)
	return nil
}

func (d *Document) see(name string, schema, v any, seen map[string]bool) {
	m, path := d.resolve(schema, nil)
	if len(path) > 0 {
		name = path[len(path)-1]
	}
	switch v := v.(type) {
	case map[string]any:
		properties, _ := m["properties"].(map[string]any)
		for member, x := range v {
			if p, ok := properties[member]; ok {
				seen[name+"."+member] = true
				d.see(name+"."+member, p, x, seen)
			} else {
				d.see(name, m["additionalProperties"], x, seen)
			}
		}
	case []any:
		for _, x := range v {
			d.see(name, m["items"], x, seen)
		}
	}
}
