package filtertest

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// Columns maps every field to the column c_<field>.
func Columns() map[string]string {
	m := map[string]string{}
	for _, f := range Schema.Fields {
		m[f.Name] = "c_" + f.Name
	}
	return m
}

// Compare asks the source random filters over records that it has, and compares what it finds, and that all it gives back is
// what was put in, with Meaning.
func Compare(t *testing.T, s source.Source, d *route.Dataset, records []Record, seed uint64, filters int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	var all []string
	for _, f := range Schema.Fields {
		all = append(all, f.Name)
	}
	found := 0
	for range filters {
		text := Filter(r, 3)
		f, err := filter.Compile(Schema, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		meaning, err := NewMeaning(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := filter.Compile(Schema, f.Canonical())
		if err != nil || again.Canonical() != f.Canonical() {
			t.Fatalf("%s: canonical form %s: %v", text, f.Canonical(), err)
		}
		if f, err = f.At(Clock); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var want []int64
		for i, rec := range records {
			holds, err := meaning.Holds(rec)
			if err != nil {
				t.Fatalf("%s on %v: %v", text, rec, err)
			}
			if holds {
				want = append(want, int64(i))
			}
		}
		found += len(want)

		q := source.Query{Agreement: "a", Dataset: d, Schema: Schema, Filter: f, Fields: all, Limit: int64(len(records))}
		var got []int64
		more, err := s.Records(context.Background(), q, func(rec *gatewayv1.Record) error {
			id := rec.Values[0].GetInteger()
			got = append(got, id)
			for i, field := range Schema.Fields {
				v := plain(rec.Values[i])
				if s, ok := v.(string); ok && field.Type == "decimal" {
					v, _ = filter.CanonicalDecimal(s) // 1.50 is as good as 1.5
				}
				if v != records[id][field.Name] {
					t.Errorf("record %d: %s is %#v, want %#v", id, field.Name, v, records[id][field.Name])
				}
			}
			return nil
		})
		if err != nil || more {
			t.Fatalf("%s: more %v, %v", text, more, err)
		}
		if !slices.Equal(got, want) { // both in the order of ids
			t.Errorf("%s\n got %v\nwant %v", text, got, want)
		}
		n, err := s.Count(context.Background(), q)
		if err != nil || n != int64(len(want)) {
			t.Errorf("%s: count %d, %v; want %d", text, n, err, len(want))
		}
		any, err := s.Exists(context.Background(), q)
		if err != nil || any != (len(want) > 0) {
			t.Errorf("%s: exists %v, %v; want %d records", text, any, err, len(want))
		}
	}
	if found < filters {
		t.Errorf("%d filters found %d records: the test shows little", filters, found)
	}
}

func plain(v *gatewayv1.Value) any {
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_Text:
		return k.Text
	case *gatewayv1.Value_Integer:
		return k.Integer
	case *gatewayv1.Value_Boolean:
		return k.Boolean
	default:
		return nil
	}
}
