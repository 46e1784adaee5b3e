package openapi

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// document is OpenAPI 3.0, with what it has otherwise than 3.1, and with shapes that contain themselves.
const document = `{
  "openapi": "3.0.3", "info": {"title": "Wages", "version": "1"},
  "paths": {"/persons/{id}/wages": {
    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
    "get": {
      "parameters": [
        {"name": "employer", "in": "query", "explode": false, "schema": {"type": "array", "items": {"type": "string"}}},
        {"name": "state", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
        {"name": "tag", "in": "query", "style": "pipeDelimited", "schema": {"type": "array", "items": {"type": "string"}}}
      ],
      "responses": {"200": {"description": "ok", "content": {"application/vnd.wages+json; charset=utf-8": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Wage"}}}}}}
    }
  }},
  "components": {"schemas": {
    "Wage": {"type": "object", "properties": {
      "amount": {"type": "number", "nullable": true},
      "previous": {"$ref": "#/components/schemas/Wage"},
      "employer": {"oneOf": [{"$ref": "#/components/schemas/Employer"}]},
      "other": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
      "extra": {"type": "object", "additionalProperties": {"type": "string"}}
    }},
    "Employer": {"allOf": [{"type": "object", "properties": {"name": {"type": "string"}}}, {"required": ["name"]}]}
  }}
}`

func TestRead(t *testing.T) {
	op, err := Read(document, "GET", "/persons/{id}/wages")
	if err != nil {
		t.Fatal(err)
	}
	if id := op.Find("id"); id == nil || id.In != "path" || !id.Required || id.Join != "" {
		t.Errorf("%+v", id)
	}
	for name, join := range map[string]string{"employer": "comma", "state": "repeat", "tag": ""} {
		if p := op.Find(name); p == nil || p.Join != join || p.Required {
			t.Errorf("%s: %+v", name, p)
		}
	}
	item := op.Answer.Items
	for pointer, types := range map[string][]string{
		"/amount": {"number", "null"}, "/employer/name": {"string"}, "/previous/previous/amount": {"number", "null"}, "/other": nil, "/extra/anything": nil,
	} {
		at, found := item.At(pointer)
		if !found || at != nil && !reflect.DeepEqual(at.Types, types) || at == nil && types != nil {
			t.Errorf("%s: %+v, %v", pointer, at, found)
		}
	}
	for _, pointer := range []string{"/amounts", "/amount/x", "/employer/ein"} {
		if _, found := item.At(pointer); found {
			t.Errorf("%s is found", pointer)
		}
	}
	again, err := NewCache().Operation(document, "GET", "/persons/{id}/wages")
	if err != nil || !reflect.DeepEqual(again, op) {
		t.Error(err)
	}
}

// Schemas that refer to each other in many ways are read in no time.
func TestReadTangled(t *testing.T) {
	var b strings.Builder
	b.WriteString("openapi: 3.1.0\ninfo: {title: t, version: v}\npaths: {/a: {get: {responses: {'200': {description: d, content: {application/json: {schema: {$ref: '#/components/schemas/S0'}}}}}}}}\ncomponents:\n  schemas:\n")
	for i := range 30 {
		fmt.Fprintf(&b, "    S%d:\n      type: object\n      properties:\n", i)
		for j := range 30 {
			fmt.Fprintf(&b, "        p%d: {$ref: '#/components/schemas/S%d'}\n", j, j)
		}
	}
	op, err := Read(b.String(), "GET", "/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, found := op.Answer.At("/p7/p29/p0"); !found {
		t.Error("a member is lost")
	}
}

// No text makes it panic, fetch anything, or say more than a condition holds.
func FuzzRead(f *testing.F) {
	f.Add(document)
	f.Add("openapi: 3.1.0\npaths: {/persons/{id}/wages: {get: {responses: {'200': {content: {application/json: {schema: true}}}}}}}")
	f.Add("openapi: 3.1.0\npaths: {$ref: file:///etc/passwd}")
	f.Fuzz(func(t *testing.T, text string) {
		op, err := Read(text, "GET", "/persons/{id}/wages")
		if (op == nil) == (err == nil) {
			t.Error("neither, or both")
		}
		if err != nil && len(err.Error()) > 4000 {
			t.Errorf("%d bytes of error", len(err.Error()))
		}
		if err != nil && strings.Contains(err.Error(), "root:") {
			t.Error("a file was read")
		}
	})
}
