// Package schemaimport makes exchange schemas of what agencies have already: JSON Schemas, NIEM's JSON-LD contexts, and tables. What has no
// counterpart is left out, and said.
package schemaimport

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Result is a schema, and what could not be translated.
type Result struct {
	Schema *v1alpha1.ExchangeSchema
	// Dataset maps the schema back onto a table; nil: the schema was not made of one.
	Dataset *v1alpha1.Dataset
	Notes   []string
}

func newResult(name string, version int64, description string) *Result {
	s := &v1alpha1.ExchangeSchema{}
	s.APIVersion, s.Kind, s.Name = v1alpha1.GroupVersion.String(), "ExchangeSchema", fmt.Sprintf("%s.v%d", name, version)
	s.Spec = v1alpha1.ExchangeSchemaSpec{Name: name, Version: version, Description: cut(plain(description), 2000)}
	return &Result{Schema: s}
}

func (r *Result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// add adds a field under a name that is not taken.
func (r *Result) add(f v1alpha1.SchemaField) bool {
	taken := slices.ContainsFunc(r.Schema.Spec.Fields, func(o v1alpha1.SchemaField) bool { return o.Name == f.Name })
	switch {
	case f.Name == "":
		r.note("a name without letters is left out")
	case taken:
		r.note("%s: left out, since another field has the name", f.Name)
	case len(r.Schema.Spec.Fields) == 256:
		r.note("%s: left out, since a schema has at most 256 fields", f.Name)
	default:
		r.Schema.Spec.Fields = append(r.Schema.Spec.Fields, f)
		return true
	}
	return false
}

// YAML writes the schema, and the dataset, with what could not be translated as comments above.
func (r *Result) YAML() ([]byte, error) {
	if len(r.Schema.Spec.Fields) == 0 {
		return nil, errors.New("nothing in it can be a field of an exchange schema")
	}
	var b bytes.Buffer
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "# %s\n", plain(n))
	}
	objects := []any{r.Schema}
	if r.Dataset != nil {
		objects = append(objects, r.Dataset)
	}
	for i, o := range objects {
		text, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			return nil, err
		}
		delete(object, "status")
		out, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(out)
	}
	return b.Bytes(), nil
}

var separators = regexp.MustCompile(`[^a-z0-9]+`)

// fieldName makes personSurName, person-sur-name and "Person SurName" person_sur_name.
func fieldName(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, c := range runes {
		if i > 0 && unicode.IsUpper(c) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	name := strings.Trim(separators.ReplaceAllString(b.String(), "_"), "_")
	if name != "" && name[0] <= '9' {
		name = "f_" + name
	}
	return strings.TrimRight(cut(name, 63), "_")
}

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}

// plain keeps a text on one line.
func plain(s string) string { return strings.Join(strings.Fields(s), " ") }

// shape is what a JSON Schema comes to.
type shape struct {
	kind     v1alpha1.FieldType
	codes    []string
	displays []v1alpha1.CodeDisplay
	members  []v1alpha1.SchemaMember
	repeated bool
	text     string
}

type document struct {
	*Result
	root map[string]any
}

// JSONSchema translates a JSON Schema (draft 2020-12) of an object: its properties of type string, integer, number and boolean, dates and
// date-times, enumerations (enum, or oneOf with a const and a title each), arrays of such, objects one level deep, and local references.
func JSONSchema(name string, version int64, data []byte) (*Result, error) {
	var root map[string]any
	if err := json.Unmarshal(data, &root); err != nil {
		return nil, errors.New("not a JSON object")
	}
	d := &document{newResult(name, version, text(root["description"])), root}
	object, ok := d.resolve(root, 0)
	if !ok {
		return nil, errors.New("its reference leads nowhere")
	}
	properties, ok := object["properties"].(map[string]any)
	if !ok {
		return nil, errors.New("it has no properties: a schema of an object is needed")
	}
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		s, why := d.shape(key, properties[key], 0)
		if why != "" {
			d.note("%s: left out: %s", key, why)
			continue
		}
		d.add(v1alpha1.SchemaField{Name: fieldName(key), Type: s.kind, Codes: s.codes, Displays: s.displays, Fields: s.members, Repeated: s.repeated, Description: s.text})
	}
	for _, word := range []string{"allOf", "anyOf", "oneOf", "patternProperties", "if"} {
		if object[word] != nil {
			d.note("%s is not translated", word)
		}
	}
	return d.Result, nil
}

func text(v any) string { s, _ := v.(string); return s }

func (d *document) resolve(v any, depth int) (map[string]any, bool) {
	object, ok := v.(map[string]any)
	if !ok || depth > 8 {
		return nil, false
	}
	ref := text(object["$ref"])
	if ref == "" {
		return object, true
	}
	path, local := strings.CutPrefix(ref, "#/")
	if !local {
		return nil, false
	}
	var at any = d.root
	for _, part := range strings.Split(path, "/") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return d.resolve(at, depth+1)
}

func (d *document) shape(key string, v any, depth int) (s shape, why string) {
	object, ok := d.resolve(v, 0)
	if !ok {
		return s, "a reference to another document, or to nothing"
	}
	s.text = cut(plain(text(object["description"])), 1000)
	kind := text(object["type"])
	if several, ok := object["type"].([]any); ok { // ["string", "null"]
		several = slices.DeleteFunc(slices.Clone(several), func(t any) bool { return t == "null" })
		if len(several) != 1 {
			return s, "of several types"
		}
		kind = text(several[0])
	}
	if values, ok := object["enum"].([]any); ok {
		why = s.enumerate(values, func(any) string { return "" })
		return s, why
	}
	if values, titles, ok := constants(object); ok {
		why = s.enumerate(values, func(code any) string { return titles[code] })
		return s, why
	}
	switch kind {
	case "string":
		s.kind = v1alpha1.TypeString
		switch text(object["format"]) {
		case "date":
			s.kind = v1alpha1.TypeDate
		case "date-time":
			s.kind = v1alpha1.TypeTimestamp
		}
	case "integer":
		s.kind = v1alpha1.TypeInt
	case "number":
		s.kind = v1alpha1.TypeDecimal
		d.note("%s: a number is taken for a decimal, which is exact", key)
	case "boolean":
		s.kind = v1alpha1.TypeBool
	case "array":
		if depth > 0 {
			return s, "a list inside a list or a record"
		}
		item, why := d.shape(key, object["items"], depth)
		if why != "" || item.repeated {
			return s, "a list of " + orSaid(why, "lists")
		}
		item.repeated = true
		if s.text != "" {
			item.text = s.text
		}
		return item, ""
	case "object":
		if depth > 0 {
			return s, "a record inside a record"
		}
		properties, _ := object["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			m, why := d.shape(key+"."+name, properties[name], depth+1)
			if why != "" {
				d.note("%s.%s: left out: %s", key, name, why)
				continue
			}
			member := v1alpha1.SchemaMember{Name: fieldName(name), Type: v1alpha1.MemberType(m.kind), Codes: m.codes, Displays: m.displays, Description: m.text}
			if member.Name == "" || len(s.members) == 32 || slices.ContainsFunc(s.members, func(o v1alpha1.SchemaMember) bool { return o.Name == member.Name }) {
				d.note("%s.%s: left out: its name is taken, or 32 members are there", key, name)
				continue
			}
			s.members = append(s.members, member)
		}
		if s.kind = v1alpha1.TypeRecord; len(s.members) == 0 {
			return s, "a record without members"
		}
	default:
		return s, "of no type that is known"
	}
	return s, ""
}

// enumerate makes the shape a code of these values, null left out.
func (s *shape) enumerate(values []any, title func(code any) string) (why string) {
	for _, e := range values {
		if e == nil {
			continue
		}
		code, ok := e.(string)
		if !ok || code == "" || len(code) > 64 {
			return "an enumeration of something other than texts of 1 to 64 bytes"
		}
		s.codes = append(s.codes, code)
		if display := cut(plain(title(e)), 200); display != "" {
			s.displays = append(s.displays, v1alpha1.CodeDisplay{Code: code, Display: display})
		}
	}
	if s.kind = v1alpha1.TypeCode; len(s.codes) == 0 || len(s.codes) > 256 {
		return "an enumeration of no text, or of more than 256"
	}
	return ""
}

// constants are the values of oneOf or anyOf when each is a const, with its title or else its description: how enumerations whose
// values have names are written.
func constants(object map[string]any) (values []any, titles map[any]string, ok bool) {
	list, ok := object["oneOf"].([]any)
	if !ok {
		list, _ = object["anyOf"].([]any)
	}
	titles = map[any]string{}
	for _, v := range list {
		one, _ := v.(map[string]any)
		code, is := one["const"]
		if one["type"] == "null" && !is {
			continue
		}
		if _, word := code.(string); !is || !word && code != nil {
			return nil, nil, false
		}
		values = append(values, code)
		titles[code] = cmp.Or(text(one["title"]), text(one["description"]))
	}
	return values, titles, len(values) > 0
}

func orSaid(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

var xsd = map[string]v1alpha1.FieldType{
	"string": v1alpha1.TypeString, "token": v1alpha1.TypeString, "normalizedString": v1alpha1.TypeString, "anyURI": v1alpha1.TypeString,
	"integer": v1alpha1.TypeInt, "int": v1alpha1.TypeInt, "long": v1alpha1.TypeInt, "short": v1alpha1.TypeInt, "nonNegativeInteger": v1alpha1.TypeInt, "positiveInteger": v1alpha1.TypeInt,
	"decimal": v1alpha1.TypeDecimal, "boolean": v1alpha1.TypeBool, "date": v1alpha1.TypeDate, "dateTime": v1alpha1.TypeTimestamp,
}

// JSONLD translates a JSON-LD context as NIEM has them: each term that stands for a property is a field with its IRI as semantic term. A
// context has no structure, so that records are not made of it.
func JSONLD(name string, version int64, data []byte) (*Result, error) {
	var root struct {
		Context map[string]any `json:"@context"`
	}
	if err := json.Unmarshal(data, &root); err != nil || root.Context == nil {
		return nil, errors.New("no JSON object with an @context that is an object")
	}
	r := newResult(name, version, "")
	expand := func(s string) string {
		prefix, local, ok := strings.Cut(s, ":")
		if base := text(root.Context[prefix]); ok && base != "" && !strings.HasPrefix(local, "//") {
			return base + local
		}
		return s
	}
	for _, term := range slices.Sorted(maps.Keys(root.Context)) {
		if strings.HasPrefix(term, "@") {
			continue
		}
		f := v1alpha1.SchemaField{Type: v1alpha1.TypeString}
		var kind string
		switch v := root.Context[term].(type) {
		case string:
			if strings.HasSuffix(v, "#") || strings.HasSuffix(v, "/") {
				continue // a prefix
			}
			f.SemanticTerm = expand(v)
		case map[string]any:
			id := text(v["@id"])
			if id == "" {
				id = term
			}
			f.SemanticTerm, kind = expand(id), text(v["@type"])
			f.Repeated = v["@container"] == "@list" || v["@container"] == "@set"
		default:
			r.note("%s: left out: it stands for nothing", term)
			continue
		}
		local := term[strings.LastIndex(term, ":")+1:]
		f.Name = fieldName(local)
		switch t, known := xsd[strings.TrimPrefix(expand(kind)[strings.LastIndexAny(expand(kind), "#:/")+1:], "#")]; {
		case kind == "@id":
			r.note("%s: left out: it refers to another object", term)
			continue
		case kind == "":
			r.note("%s: the context says no type; string is assumed", f.Name)
		case known:
			f.Type = t
		default:
			r.note("%s: its type %s is not known; string is assumed", f.Name, kind)
		}
		if len(f.SemanticTerm) > 500 {
			f.SemanticTerm = ""
		}
		r.add(f)
	}
	return r, nil
}
