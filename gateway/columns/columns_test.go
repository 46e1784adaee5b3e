package columns_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/digest"
	"github.com/entente-dev/entente/gateway/route"
)

var fields = []*route.Field{
	{Name: "nr", Type: "string"}, {Name: "age", Type: "int"}, {Name: "wage", Type: "decimal"}, {Name: "wanted", Type: "bool"},
	{Name: "born", Type: "date"}, {Name: "seen", Type: "timestamp"}, {Name: "state", Type: "code", Codes: []string{"open", "sealed"}},
}

func text(s string) *gatewayv1.Value {
	return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: s}}
}

// records makes n records that no two of are alike, a seventh of whose values are null.
func records(n int) []*gatewayv1.Record {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]*gatewayv1.Record, n)
	for i := range out {
		day := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(3652059))
		micro := time.UnixMicro(day.UnixMicro() + r.Int64N(86_400_000_000)).UTC()
		if i%3 == 0 {
			micro = micro.Truncate(time.Second)
		}
		values := []*gatewayv1.Value{
			text(fmt.Sprintf("P%d Łódź\x00…", i)), {Kind: &gatewayv1.Value_Integer{Integer: int64(r.Uint64())}}, text(fmt.Sprintf("-%d.50", i)),
			{Kind: &gatewayv1.Value_Boolean{Boolean: i%2 == 0}}, text(day.Format(time.DateOnly)), text(micro.Format(time.RFC3339Nano)), text([]string{"open", "sealed"}[i%2]),
		}
		for j := range values {
			if r.IntN(7) == 0 {
				values[j] = &gatewayv1.Value{}
			}
		}
		out[i] = &gatewayv1.Record{Values: values}
	}
	return out
}

func batchOf(t testing.TB, rs []*gatewayv1.Record) *columns.Batch {
	t.Helper()
	b := columns.New(fields)
	for _, r := range rs {
		if err := b.PutRecord(r); err != nil {
			t.Fatal(err)
		}
		b.EndRow()
	}
	return b
}

func digestOf(rs []*gatewayv1.Record) string {
	d := digest.NewResponse()
	for _, r := range rs {
		d.Record("people", r)
	}
	return d.Sum(&gatewayv1.SourceStatus{})
}

func TestSameRecordsAndDigestWhateverTheEncoding(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 1000} {
		rs := records(n)
		b := batchOf(t, rs)
		data, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, known := range [][]*route.Field{fields, nil} {
			got, err := columns.Decode(data, known)
			if err != nil {
				t.Fatal(n, err)
			}
			for name, batch := range map[string]*columns.Batch{"made": b, "decoded": got} {
				back := batch.Records()
				if len(back) != n {
					t.Fatalf("%s: %d records instead of %d", name, len(back), n)
				}
				for i := range rs {
					if !proto.Equal(rs[i], back[i]) {
						t.Fatalf("%s: record %d: %v instead of %v", name, i, back[i], rs[i])
					}
				}
				d := digest.NewResponse()
				d.Columns("people", batch)
				if d.Sum(&gatewayv1.SourceStatus{}) != digestOf(rs) {
					t.Errorf("%s: %d records have another digest by columns", name, n)
				}
			}
		}
	}
}

// The size that decides when a batch is full is not below what its records are.
func TestBytesBoundThePlainForm(t *testing.T) {
	rs := records(500)
	size := proto.Size(&gatewayv1.RecordBatch{Records: rs})
	if b := batchOf(t, rs); b.Bytes() < size/2 || b.Bytes() > 2*size {
		t.Errorf("%d bytes reckoned, %d on the wire", b.Bytes(), size)
	}
}

func TestResetAndFirst(t *testing.T) {
	b := batchOf(t, records(300))
	b.Reset()
	rs := records(20)
	for _, r := range rs {
		if err := b.PutRecord(r); err != nil {
			t.Fatal(err)
		}
		b.EndRow()
	}
	data, err := b.First(2).Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := columns.Decode(data, fields[:2])
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got.Records() {
		if len(r.Values) != 2 || !proto.Equal(r.Values[1], rs[i].Values[1]) {
			t.Fatal(i, r)
		}
	}
	if bytes.Contains(data, []byte("sealed")) {
		t.Error("a column that was left out is in the stream")
	}
}

// Arrow's own reader reads it.
func TestArrowReads(t *testing.T) {
	rs := records(100)
	data, err := batchOf(t, rs).Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Next() {
		t.Fatal(r.Err())
	}
	rec := r.RecordBatch()
	seen := rec.Column(5).(*array.Timestamp)
	for i := range rs {
		want := rs[i].Values[5].GetText()
		if seen.IsNull(i) != (want == "") || !seen.IsNull(i) && seen.Value(i).ToTime(arrow.Microsecond).UTC().Format(time.RFC3339Nano) != want {
			t.Fatalf("record %d: %s is not %s", i, seen.ValueStr(i), want)
		}
	}
	if r.Next() || r.Err() != nil {
		t.Error("more than one batch", r.Err())
	}
}

func TestValuesOfAnotherType(t *testing.T) {
	for i, v := range []*gatewayv1.Value{
		{Kind: &gatewayv1.Value_Integer{}}, text("1"), {Kind: &gatewayv1.Value_Boolean{}}, text("true"),
		text("2001-2-3"), text("2001-02-03T04:05:06.120Z"), {Kind: &gatewayv1.Value_Integer{}},
	} {
		r := records(1)[0]
		r.Values[i] = v
		if err := columns.New(fields).PutRecord(r); err == nil {
			t.Errorf("field %s takes %v", fields[i].Name, v)
		}
	}
	for _, s := range []string{"0000-12-31", "10000-01-01", "2001-02-30", "", "2001-02-03 "} {
		r := records(1)[0]
		r.Values[4] = text(s)
		if columns.New(fields).PutRecord(r) == nil {
			t.Errorf("date %q", s)
		}
	}
	c := columns.New(fields).Column(4)
	if c.PutDate(math.MaxInt32) || c.PutDate(math.MinInt32) || !c.PutDate(0) {
		t.Error("dates out of range")
	}
}
