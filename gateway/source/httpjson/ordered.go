package httpjson

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/order"
	"github.com/entente-dev/entente/gateway/source"
)

// keptBytes bounds the records that are kept for an order, as messages; in memory they are a few times larger.
const keptBytes = 8 << 20

// ordered gives the records in the query's order. No API is relied on for it: which of two equal records comes first, where null stands and
// how text is compared is each API's own. All records that match are read, and the first of them are kept.
func (r *reading) ordered(ctx context.Context, yield func(*gatewayv1.Record) error) (more bool, err error) {
	by := make([]order.By, len(r.q.Order))
	for i, o := range r.q.Order {
		at := slices.Index(r.q.Fields, o.Field)
		if at < 0 || r.fields[at].schema.Repeated {
			return false, r.fault(fmt.Errorf("field %s cannot order: it is not among the fields, or a list", o.Field))
		}
		by[i] = order.By{Index: at, Type: r.fields[at].schema.Type, Descending: o.Descending}
	}
	if r.q.From != nil && len(r.q.From.Values) != len(by) {
		return false, r.fault(fmt.Errorf("a place in the order has another number of values than the order has fields"))
	}
	f := &first{by: by, most: r.q.Limit}
	err = r.each(ctx, maxPage, func(record *gatewayv1.Record) (bool, error) {
		if r.before(by, record) {
			return false, nil
		}
		if f.keep(record); f.bytes > keptBytes {
			return true, r.fault(fmt.Errorf("%w: the first %d in this order are larger than %d MiB: ask for fewer", source.ErrTooMany, f.most, keptBytes>>20))
		}
		return false, nil
	})
	if err != nil {
		return false, err
	}
	slices.SortFunc(f.records, f.compare)
	for _, record := range f.records {
		if err := yield(record); err != nil {
			return false, err
		}
	}
	return f.more, nil
}

// before says whether the record comes before the place from which the query asks.
func (r *reading) before(by []order.By, record *gatewayv1.Record) bool {
	from := r.q.From
	if from == nil {
		return false
	}
	for i, k := range by {
		if d := order.Values(k.Type, k.Descending, record.Values[k.Index], from.Values[i]); d != 0 {
			return d < 0
		}
	}
	return !from.Including
}

// first keeps the first records of an order, and no others: a heap with the last of them on top.
type first struct {
	by      []order.By
	most    int64
	records []*gatewayv1.Record
	bytes   int
	more    bool
}

func (f *first) keep(record *gatewayv1.Record) {
	if int64(len(f.records)) == f.most {
		f.more = true
		if f.compare(record, f.records[0]) >= 0 {
			return
		}
		f.bytes += proto.Size(record) - proto.Size(f.records[0])
		f.records[0] = record
		heap.Fix(f, 0)
		return
	}
	f.bytes += proto.Size(record)
	heap.Push(f, record)
}

// compare is the order, and for records that are equal in it one that does not hang on the API's: a page goes on after so many of them.
func (f *first) compare(a, b *gatewayv1.Record) int {
	if d := order.Compare(f.by, a.Values, b.Values); d != 0 {
		return d
	}
	return bytes.Compare(spelled(a), spelled(b))
}

func spelled(r *gatewayv1.Record) []byte {
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(r) // made of values that were read: it cannot fail
	return b
}

// Len implements heap.Interface.
func (f *first) Len() int { return len(f.records) }

// Less implements heap.Interface.
func (f *first) Less(i, j int) bool { return f.compare(f.records[i], f.records[j]) > 0 }

// Swap implements heap.Interface.
func (f *first) Swap(i, j int) { f.records[i], f.records[j] = f.records[j], f.records[i] }

// Push implements heap.Interface.
func (f *first) Push(x any) { f.records = append(f.records, x.(*gatewayv1.Record)) }

// Pop implements heap.Interface.
func (f *first) Pop() any {
	last := f.records[len(f.records)-1]
	f.records = f.records[:len(f.records)-1]
	return last
}
