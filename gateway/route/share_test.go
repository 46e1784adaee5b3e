package route

import (
	"fmt"
	"reflect"
	"testing"
	"unsafe"
)

// TestShare: what routes have in common is there once, what differs under one key is not mixed up, and a decoded route is what was
// encoded, also when a memo begins anew.
func TestShare(t *testing.T) {
	of := func(id, bundle, field string) *Route {
		t.Helper()
		r := &Route{Format: Format, Agreement: id, Sequence: 1, Versions: []Version{{Version: 1, Clauses: []Clause{{
			Name: "c", Source: Peer{TrustBundle: bundle}, Purposes: []string{"p", "q"}, Fields: []string{field}, CaseReference: "A-[0-9]+",
			Schema:     Schema{Name: "person", Version: 1, Digest: "sha256:d", Fields: []Field{{Name: field, Type: "string"}}},
			Recipients: []Recipient{{Party: Party{Agency: "b"}}},
			Datasets:   []Dataset{{Name: "d", Columns: map[string]string{field: "x"}, PostgreSQL: &PostgreSQL{CABundle: bundle, Role: id}}},
		}}}}}
		payload, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Encode(got)
		if err != nil || string(again) != string(payload) {
			t.Fatalf("%s: encoded again it differs: %s, %v", id, again, err)
		}
		return got
	}
	a, b, c := &of("a", "bundle", "f").Versions[0].Clauses[0], &of("b", "bundle", "f").Versions[0].Clauses[0], &of("c", "bundle", "g").Versions[0].Clauses[0]
	if unsafe.StringData(a.Source.TrustBundle) != unsafe.StringData(b.Source.TrustBundle) || &a.Schema.Fields[0] != &b.Schema.Fields[0] ||
		&a.Purposes[0] != &b.Purposes[0] || a.caseReference != b.caseReference || &a.Recipients[0] != &b.Recipients[0] ||
		reflect.ValueOf(a.Datasets[0].Columns).Pointer() != reflect.ValueOf(b.Datasets[0].Columns).Pointer() ||
		unsafe.StringData(a.Datasets[0].PostgreSQL.CABundle) != unsafe.StringData(b.Datasets[0].PostgreSQL.CABundle) {
		t.Error("equal parts of two routes are there twice")
	}
	if a.Datasets[0].PostgreSQL.Role != "a" || b.Datasets[0].PostgreSQL.Role != "b" || c.Datasets[0].Columns["g"] != "x" {
		t.Error("what differs is shared")
	}
	if c.Schema.Fields[0].Name != "g" || reflect.DeepEqual(a.Fields, c.Fields) {
		t.Errorf("a schema with another field under the same digest: %+v", c.Schema)
	}
	for i := range maxShared + 10 {
		of(fmt.Sprint(i), fmt.Sprint("bundle", i), "f")
	}
	if n := max(len(bundles.held), len(peers.held)); n > maxShared {
		t.Errorf("%d bundles are held", n)
	}
}
