package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/internal/openapitest"
	"github.com/entente-dev/entente/gateway/jsonform"
)

func openAPI(t *testing.T) *openapitest.Document {
	t.Helper()
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	d, err := openapitest.New(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestOpenAPIIsOne: a reader of OpenAPI documents takes it, and finds nothing wrong with it.
func TestOpenAPIIsOne(t *testing.T) {
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
	s := &Server{}
	for path, kind := range map[string]string{"/openapi.json": "application/json", "/openapi.yaml": "application/yaml"} {
		w := httptest.NewRecorder()
		s.serveREST(w, httptest.NewRequest(http.MethodGet, "https://gateway"+path, nil)) // by a stranger
		again, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
		if err != nil || w.Code != 200 || w.Header().Get("Content-Type") != kind || len(again.Paths.Map()) != len(loaded.Paths.Map()) {
			t.Errorf("%s: %d %v", path, w.Code, err)
		}
	}
}

// TestOpenAPIHasEveryOperation, and no other.
func TestOpenAPIHasEveryOperation(t *testing.T) {
	want := map[string][]string{}
	for path, o := range operations {
		want[path] = []string{o.method}
	}
	if got := openAPI(t).Paths(); !reflect.DeepEqual(got, want) {
		t.Errorf("described %v, served %v", got, want)
	}
}

// TestOpenAPIHasEveryMember: requests have the members that are decoded, of the type that they have in protobuf, and no others.
func TestOpenAPIHasEveryMember(t *testing.T) {
	d := openAPI(t)
	decode := newDecoder(nil)
	e := &gatewayv1.ExplainRequest{Query: &gatewayv1.QueryRequest{}}
	for name, c := range map[string]struct {
		members map[string]func(string) error
		of      proto.Message
	}{
		"QueryRequest":   {decode.query(e.Query), &gatewayv1.QueryRequest{}},
		"ExplainRequest": {decode.explanation(e), &gatewayv1.QueryRequest{}},
		"Justification":  {decode.justification(&gatewayv1.Justification{}), &gatewayv1.Justification{}},
		"OrderBy":        {decode.orderBy(&gatewayv1.OrderBy{}), &gatewayv1.OrderBy{}},
	} {
		described := d.Properties(name)
		if got, want := slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(c.members)); !slices.Equal(got, want) {
			t.Errorf("%s: described %v, decoded %v", name, got, want)
		}
		fields := c.of.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			p, ok := described[f.JSONName()].(map[string]any)
			if !ok {
				t.Errorf("%s: %s is in protobuf only", name, f.Name())
				continue
			}
			if got, want := kindOf(p), kindOfField(f); got != want {
				t.Errorf("%s.%s is described as %s, and is %s", name, f.JSONName(), got, want)
			}
		}
	}
}

// kindOf is the type of a described member: whole numbers may be written as text, too.
func kindOf(p map[string]any) string {
	if ref, ok := p["$ref"].(string); ok {
		if strings.HasSuffix(ref, "/Granularity") {
			return "string"
		}
		return "object"
	}
	switch t := p["type"].(type) {
	case string:
		return t
	case []any:
		return t[0].(string)
	}
	return "?"
}

func kindOfField(f protoreflect.FieldDescriptor) string {
	if f.IsList() {
		return "array"
	}
	switch f.Kind() {
	case protoreflect.StringKind, protoreflect.EnumKind:
		return "string"
	case protoreflect.Int64Kind, protoreflect.Int32Kind:
		return "integer"
	case protoreflect.BoolKind:
		return "boolean"
	}
	return "object"
}

// full fills every field of a message, with everything that it may have inside.
func full(m protoreflect.Message) protoreflect.Message {
	switch x := m.Interface().(type) {
	case *timestamppb.Timestamp:
		x.Seconds = 1_700_000_000
		return m
	case *structpb.Struct:
		return m
	case *gatewayv1.Value:
		x.Kind = &gatewayv1.Value_Text{Text: "x"}
		return m
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap() && f.MapValue().Kind() == protoreflect.MessageKind:
			values := m.Mutable(f).Map()
			values.Set(protoreflect.ValueOfString("x").MapKey(), protoreflect.ValueOfMessage(full(values.NewValue().Message())))
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("field").MapKey(), protoreflect.ValueOfString("date"))
		case f.IsList():
			if m.Descriptor().Name() == "Holding" && f.Kind() == protoreflect.MessageKind {
				continue
			}
			l := m.Mutable(f).List()
			if f.Kind() == protoreflect.MessageKind {
				l.Append(protoreflect.ValueOfMessage(full(l.NewElement().Message())))
			} else {
				l.Append(scalar(f))
			}
		case f.Kind() == protoreflect.MessageKind:
			full(m.Mutable(f).Message())
		default:
			m.Set(f, scalar(f))
		}
	}
	return m
}

func scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		switch name := string(f.Name()); {
		case strings.HasSuffix(name, "_id"):
			return protoreflect.ValueOfString("01980000-0000-7000-8000-000000000000")
		case name == "day", name == "no_action_before", name == "destroy_by":
			return protoreflect.ValueOfString("2026-12-01")
		case name == "redisclosure":
			return protoreflect.ValueOfString("WithConsentOfSource")
		}
		return protoreflect.ValueOfString("x")
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(3)
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(2)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(2)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("x"))
	}
	panic(f.FullName())
}

// TestOpenAPIHasEveryMemberOfAnswers: answers in which everything is set have the members that are described, of the types that are
// described, and no others.
func TestOpenAPIHasEveryMemberOfAnswers(t *testing.T) {
	d := openAPI(t)
	seen := map[string]bool{}
	check := func(name string, text []byte) {
		t.Helper()
		if err := d.Valid(name, text); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		if err := d.Seen(name, text, seen); err != nil {
			t.Error(err)
		}
	}
	marshal := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	status := full((&gatewayv1.SourceStatus{}).ProtoReflect()).Interface().(*gatewayv1.SourceStatus)
	summary := full((&gatewayv1.QuerySummary{}).ProtoReflect()).Interface().(*gatewayv1.QuerySummary)
	batch := full((&gatewayv1.RecordBatch{}).ProtoReflect()).Interface().(*gatewayv1.RecordBatch)
	single := &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: "x"}}
	nested := &gatewayv1.Value{Kind: &gatewayv1.Value_Nested{Nested: &gatewayv1.Record{Values: []*gatewayv1.Value{single, {}}}}}
	many := func(v ...*gatewayv1.Value) *gatewayv1.Value {
		return &gatewayv1.Value{Kind: &gatewayv1.Value_List{List: &gatewayv1.ValueList{Values: v}}}
	}
	batch.Fields = append(batch.Fields, "null", "list", "record", "records")
	batch.Members["record"] = &gatewayv1.FieldSet{Fields: []string{"a", "b"}}
	batch.Members["records"] = batch.Members["record"]
	batch.Records[0].Values = append(batch.Records[0].Values, &gatewayv1.Value{}, many(single, single), nested, many(nested))
	var document, lines strings.Builder
	answer, line := jsonform.Document{W: &document}, jsonform.Lines{W: &lines}
	for _, f := range []*gatewayv1.QueryResponse{{Records: batch}, {Source: status}, {Summary: summary}} {
		if err := answer.Frame(f); err != nil {
			t.Fatal(err)
		}
		if err := line.Frame(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := answer.End(); err != nil {
		t.Fatal(err)
	}
	check("Answer", []byte(document.String()))
	p := problem{
		Type: "https://entente.dev/problems/x", Title: "x", Status: 403, Detail: "x", Reason: "x", Errors: []mistake{{"#/x", "x", "x", "x"}}, Term: "x",
		Position: &position{1, 1}, Sources: []jsonform.SourceStatus{jsonform.Status(status)}, Summary: jsonform.Summary(summary),
	}
	for i := range reflect.TypeFor[problem]().NumField() {
		if f := reflect.TypeFor[problem]().Field(i); f.IsExported() && reflect.ValueOf(p).Field(i).IsZero() {
			t.Errorf("this test does not set %s", f.Name)
		}
	}
	check("Problem", marshal(p))
	if err := line.Line("error", p); err != nil {
		t.Fatal(err)
	}
	for l := range strings.SplitSeq(strings.TrimSpace(lines.String()), "\n") {
		if err := d.Valid("Line", []byte(l)); err != nil {
			t.Errorf("%v\n%s", err, l)
		}
	}
	check("Explanation", marshal(jsonform.Explanation(full((&gatewayv1.ExplainResponse{}).ProtoReflect()).Interface().(*gatewayv1.ExplainResponse))))
	check("Datasets", marshal(jsonform.Datasets(full((&gatewayv1.ListDatasetsResponse{}).ProtoReflect()).Interface().(*gatewayv1.ListDatasetsResponse))))

	requests := []string{"QueryRequest", "ExplainRequest", "Justification", "OrderBy", "Claim"}
	for _, name := range d.Schemas() {
		for member := range d.Properties(name) {
			if !slices.Contains(requests, name) && !seen[name+"."+member] {
				t.Errorf("%s.%s is described, and no answer has it", name, member)
			}
		}
	}
}
