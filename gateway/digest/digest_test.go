package digest

import (
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// TestDigestsStay has values that must never change: logs of years ago are compared with them.
func TestDigestsStay(t *testing.T) {
	q := Query(&gatewayv1.RetrieveRequest{
		Agreement: "agr", Version: 1, Clause: "persons", Schema: "person.v1", Filter: `a == "b"`, Fields: []string{"a", "b"},
		Granularity: gatewayv1.Granularity_GRANULARITY_RECORDS, Purpose: "x:y", Justification: &gatewayv1.Justification{CaseReference: "C"}, Limit: 5,
		DisclosureId: "not part of it", User: "nor this",
	})
	if want := "sha256:cN4XM3JjSt6JR_LHfiDJwNbVBkG-63EtF76IBvLRQb8"; q != want {
		t.Errorf("query %s, want %s", q, want)
	}
	r := NewResponse()
	r.Record("people", &gatewayv1.Record{Values: []*gatewayv1.Value{
		{Kind: &gatewayv1.Value_Text{Text: "x"}}, {Kind: &gatewayv1.Value_Integer{Integer: -5}}, {Kind: &gatewayv1.Value_Boolean{Boolean: true}}, {},
	}})
	yes := true
	if got, want := r.Sum(&gatewayv1.SourceStatus{Exists: &yes}), "sha256:_LkzitMEVmOtgeRusVIOtfdFfsMc_jNQjCcQi3EhHRc"; got != want {
		t.Errorf("answer %s, want %s", got, want)
	}
}

// TestDistinct: neighbours that a careless encoding would confuse.
func TestDistinct(t *testing.T) {
	seen := map[string]int{}
	for i, r := range []*gatewayv1.RetrieveRequest{
		{}, {Agreement: "ab"}, {Agreement: "a", Clause: "b"}, {Fields: []string{"ab"}}, {Fields: []string{"a", "b"}}, {Fields: []string{""}}, {Limit: 1}, {Version: 1},
		{Justification: &gatewayv1.Justification{Aim: "x"}}, {Justification: &gatewayv1.Justification{SubjectRole: "x"}},
		{Justification: &gatewayv1.Justification{Jurisdiction: "x"}},
		claims(t, map[string]any{"x": true}), claims(t, map[string]any{"x": false}), claims(t, map[string]any{"x": "true"}), claims(t, map[string]any{"x": 1}),
		claims(t, map[string]any{"x": 0}), claims(t, map[string]any{"x": nil}), claims(t, map[string]any{"x": []any{}}), claims(t, map[string]any{"x": []any{"a", "b"}}),
		claims(t, map[string]any{"x": []any{"b", "a"}}), claims(t, map[string]any{"x": "a", "y": "b"}), claims(t, map[string]any{"y": "a", "x": "b"}),
		claims(t, map[string]any{"x": map[string]any{"y": "a"}}),
	} {
		d := Query(r)
		if j, ok := seen[d]; ok {
			t.Errorf("requests %d and %d have one digest", i, j)
		}
		seen[d] = i
	}
}

// TestListsAndRecords: values that differ in nothing but how they are put together.
func TestListsAndRecords(t *testing.T) {
	a, b := &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: "a"}}, &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: "b"}}
	list := func(v ...*gatewayv1.Value) *gatewayv1.Value {
		return &gatewayv1.Value{Kind: &gatewayv1.Value_List{List: &gatewayv1.ValueList{Values: v}}}
	}
	nested := func(v ...*gatewayv1.Value) *gatewayv1.Value {
		return &gatewayv1.Value{Kind: &gatewayv1.Value_Nested{Nested: &gatewayv1.Record{Values: v}}}
	}
	seen := map[string]int{}
	for i, r := range [][]*gatewayv1.Value{
		{a, b}, {list(a, b)}, {list(b, a)}, {nested(a, b)}, {list(a), b}, {list(a), list(b)}, {list(list(a, b))}, {list(nested(a), nested(b))}, {list(nested(a, b))},
		{list()}, {nested()}, {{}}, {list(&gatewayv1.Value{})},
	} {
		d := NewResponse()
		d.Record("people", &gatewayv1.Record{Values: r})
		sum := d.Sum(&gatewayv1.SourceStatus{})
		if j, ok := seen[sum]; ok {
			t.Errorf("answers %d and %d have one digest", i, j)
		}
		seen[sum] = i
	}
	d := NewResponse()
	d.Record("people", &gatewayv1.Record{Values: []*gatewayv1.Value{list(a, b), nested(a, &gatewayv1.Value{})}})
	if got, want := d.Sum(&gatewayv1.SourceStatus{}), "sha256:PvSZGa_DCL6uDEX3NOt4Hg719OGmns1Isgnh-Ygvs5Q"; got != want {
		t.Errorf("%s, want %s, which must never change", got, want)
	}
}

// claims is a request with claims of the user: what a decision rested on is compared as what was asked is.
func claims(t *testing.T, c map[string]any) *gatewayv1.RetrieveRequest {
	t.Helper()
	s, err := structpb.NewStruct(c)
	if err != nil {
		t.Fatal(err)
	}
	return &gatewayv1.RetrieveRequest{Claims: s}
}

// TestClaimsHaveOneDigest: whatever the order in which a map gives them.
func TestClaimsHaveOneDigest(t *testing.T) {
	for range 50 {
		r := claims(t, map[string]any{"a": true, "b": "x", "c": 3, "d": []any{"p", 2.5}, "e": "y"})
		if got, want := Query(r), "sha256:B1Qeo3rwxq2UP-zVu_OLpKSXD6Ef6hARuZp3R19Ktm0"; got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}
