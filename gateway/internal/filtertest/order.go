package filtertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/order"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// CompareOrder asks the source for records in random orders, whole and from random places on, and compares with package order.
func CompareOrder(t *testing.T, s source.Source, d *route.Dataset, seed uint64, orders int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 3))
	read := func(q source.Query) (out []*gatewayv1.Record) {
		more, err := s.Records(context.Background(), q, func(rec *gatewayv1.Record) error {
			out = append(out, rec)
			return nil
		})
		if err != nil || more {
			t.Fatalf("%v: more %v, %v", q.Order, more, err)
		}
		return out
	}
	for range orders {
		q := source.Query{Agreement: "a", Dataset: d, Schema: Schema, Limit: 100_000}
		var by []order.By
		for _, i := range r.Perm(len(Schema.Fields))[:1+r.IntN(4)] {
			f := Schema.Fields[i]
			o := source.Order{Field: f.Name, Descending: r.IntN(2) == 0}
			q.Fields, q.Order = append(q.Fields, f.Name), append(q.Order, o)
			by = append(by, order.By{Index: len(q.Fields) - 1, Type: f.Type, Descending: o.Descending})
		}
		whole := read(q)
		if !slices.IsSortedFunc(whole, func(a, b *gatewayv1.Record) int { return order.Compare(by, a.Values, b.Values) }) {
			t.Fatalf("%v: out of order", q.Order)
		}
		if again := read(q); text(again) != text(whole) {
			t.Fatalf("%v: another order the second time", q.Order)
		}
		for range 5 {
			place := whole[r.IntN(len(whole))].Values
			q.From = &source.From{Values: place, Including: r.IntN(2) == 0}
			want := slices.DeleteFunc(slices.Clone(whole), func(rec *gatewayv1.Record) bool {
				d := order.Compare(by, rec.Values, place)
				return d < 0 || d == 0 && !q.From.Including
			})
			if got := read(q); text(got) != text(want) {
				t.Errorf("%v from %v, including %v: %d records, want %d", q.Order, place, q.From.Including, len(got), len(want))
			}
		}
	}
}

func text(records []*gatewayv1.Record) string {
	var out []any
	for _, r := range records {
		for _, v := range r.Values {
			out = append(out, plain(v))
		}
	}
	return fmt.Sprintf("%#v", out)
}
