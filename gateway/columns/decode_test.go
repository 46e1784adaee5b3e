package columns_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/digest"
	"github.com/entente-dev/entente/gateway/route"
)

// stream is what a source might send that uses all that Arrow has.
func stream(t testing.TB, schema *arrow.Schema, make func(*array.RecordBuilder), options ...ipc.Option) []byte {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	make(b)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, append([]ipc.Option{ipc.WithSchema(schema)}, options...)...)
	if err := w.Write(b.NewRecordBatch()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// one is a stream of one column with one value.
func one(t testing.TB, typ arrow.DataType, value string, options ...ipc.Option) []byte {
	t.Helper()
	return stream(t, arrow.NewSchema([]arrow.Field{{Name: "v", Type: typ, Nullable: true}}, nil), func(b *array.RecordBuilder) {
		if err := b.Field(0).AppendValueFromString(value); err != nil {
			t.Fatal(err)
		}
	}, options...)
}

func field(typ string) []*route.Field {
	return []*route.Field{{Name: "v", Type: typ, Codes: []string{"open", "sealed"}}}
}

func TestDecodeRefuses(t *testing.T) {
	good := one(t, arrow.BinaryTypes.String, "open")
	for _, typ := range []string{"string", "code"} {
		if _, err := columns.Decode(good, field(typ)); err != nil {
			t.Fatal(err)
		}
	}
	swap := func(old, new string) []byte {
		if bytes.Count(good, []byte(old)) != 1 {
			t.Fatalf("%q does not stand once", old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	two := arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.BinaryTypes.String}, {Name: "w", Type: arrow.BinaryTypes.String}}, nil)
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	for _, tt := range []struct {
		name, typ string
		data      []byte
	}{
		{"nothing", "string", nil},
		{"no Arrow", "string", []byte(strings.Repeat("x", 200))},
		{"the end cut off", "string", good[:len(good)-16]},
		{"bytes after the end", "string", append(bytes.Clone(good), 'x')},
		{"a second batch", "string", append(bytes.Clone(good[:len(good)-8]), good[bytes.LastIndex(good[:len(good)-8], []byte("\xff\xff\xff\xff")):]...)},
		{"another type: int for text", "string", one(t, arrow.PrimitiveTypes.Int64, "1")},
		{"another type: text for int", "int", good},
		{"a narrow int", "int", one(t, arrow.PrimitiveTypes.Int32, "1")},
		{"an int without sign", "int", one(t, arrow.PrimitiveTypes.Uint64, "1")},
		{"a float", "int", one(t, arrow.PrimitiveTypes.Float64, "1")},
		{"a decimal of Arrow's", "decimal", one(t, &arrow.Decimal128Type{Precision: 5, Scale: 2}, "12.50")},
		{"a date in milliseconds", "date", one(t, arrow.FixedWidthTypes.Date64, "2001-02-03")},
		{"an instant in seconds", "timestamp", one(t, arrow.FixedWidthTypes.Timestamp_s, "2001-02-03T00:00:00Z")},
		{"an instant nowhere", "timestamp", one(t, &arrow.TimestampType{Unit: arrow.Microsecond}, "2001-02-03")},
		{"a dictionary", "string", one(t, dictionary, "open")},
		{"compressed", "string", one(t, arrow.BinaryTypes.String, strings.Repeat("x", 100_000), ipc.WithZstd())},
		{"compressed otherwise", "string", one(t, arrow.BinaryTypes.String, strings.Repeat("x", 100_000), ipc.WithLZ4())},
		{"two columns", "string", stream(t, two, func(b *array.RecordBuilder) {
			for _, f := range b.Fields() {
				f.(*array.StringBuilder).Append("x")
			}
		})},
		{"a list", "string", stream(t, arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.ListOf(arrow.BinaryTypes.String)}}, nil), func(b *array.RecordBuilder) {
			b.Field(0).(*array.ListBuilder).Append(true)
		})},
		{"a code that is none", "code", one(t, arrow.BinaryTypes.String, "shut")},
		{"a decimal that is none", "decimal", one(t, arrow.BinaryTypes.String, "1e5")},
		{"a decimal of 65 digits", "decimal", one(t, arrow.BinaryTypes.String, strings.Repeat("1", 65))},
		{"not UTF-8", "string", swap("open", "op\xffn")},
		{"half a character", "string", swap("open", "ope\xc3")},
		{"a date in the year 0", "date", stream(t, arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.FixedWidthTypes.Date32}}, nil), func(b *array.RecordBuilder) {
			b.Field(0).(*array.Date32Builder).Append(-719163)
		})},
		{"an instant after 9999", "timestamp", stream(t, arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.FixedWidthTypes.Timestamp_us}}, nil), func(b *array.RecordBuilder) {
			b.Field(0).(*array.TimestampBuilder).Append(1 << 62)
		})},
		{"70,000 rows", "bool", stream(t, arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.FixedWidthTypes.Boolean}}, nil), func(b *array.RecordBuilder) {
			for range 70_000 {
				b.Field(0).(*array.BooleanBuilder).Append(true)
			}
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if b, err := columns.Decode(tt.data, field(tt.typ)); err == nil {
				t.Errorf("taken: %v", b.Records())
			} else if strings.Contains(err.Error(), "shut") || strings.Contains(err.Error(), "1e5") {
				t.Errorf("the error has a value: %v", err)
			}
		})
	}
	if _, err := columns.Decode(good, []*route.Field{{Name: "w", Type: "string"}}); err == nil {
		t.Error("a column of another name is taken")
	}
	if _, err := columns.Decode(good, []*route.Field{{Name: "v", Type: "vector"}}); err == nil {
		t.Error("a field of an unknown type is taken")
	}
}

// What stands under a null would pass by the log.
func TestNothingUnderNull(t *testing.T) {
	for i, f := range fields {
		b := columns.New([]*route.Field{f})
		r := records(40)
		for _, r := range r {
			v := r.Values[i]
			if v.Kind == nil {
				continue
			}
			if err := b.PutRecord(&gatewayv1.Record{Values: []*gatewayv1.Value{v}}); err != nil {
				t.Fatal(err)
			}
			b.EndRow()
			if err := b.PutRecord(&gatewayv1.Record{Values: []*gatewayv1.Value{{}}}); err != nil {
				t.Fatal(err)
			}
			b.EndRow()
		}
		data, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := columns.Decode(data, []*route.Field{f}); err != nil {
			t.Fatal(err)
		}
		// The rows are valid by turns; in the bitmap all but the last byte, which ends early, are 01010101.
		turned := bytes.ReplaceAll(data, bytes.Repeat([]byte{0x55}, b.Rows()/8), bytes.Repeat([]byte{0xaa}, b.Rows()/8))
		if bytes.Equal(turned, data) {
			t.Fatal("no bitmap found")
		}
		if _, err := columns.Decode(turned, []*route.Field{f}); err == nil {
			t.Errorf("%s: values under nulls are taken", f.Name)
		}
	}
}

// FuzzDecode: nothing panics, nothing takes more memory than it came with, and what is taken is the same when it is encoded again.
func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 1, 100} {
		data, err := batchOf(f, records(n)).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
		f.Add(data, false)
	}
	f.Add(one(f, arrow.BinaryTypes.String, "x", ipc.WithZstd()), false)
	f.Add(one(f, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, "x"), false)
	f.Fuzz(func(t *testing.T, data []byte, known bool) {
		want := fields
		if !known {
			want = nil
		}
		b, err := columns.Decode(data, want)
		if err != nil {
			return
		}
		before := digest.NewResponse()
		before.Columns("d", b)
		for _, r := range b.Records() {
			for _, v := range r.Values {
				if !utf8.ValidString(v.GetText()) {
					t.Fatal("not UTF-8")
				}
			}
		}
		again, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > 2*len(data)+64<<10 {
			t.Fatalf("%d bytes of %d", len(again), len(data))
		}
		c, err := columns.Decode(again, want)
		if err != nil {
			t.Fatal(err)
		}
		after := digest.NewResponse()
		after.Columns("d", c)
		if before.Sum(&gatewayv1.SourceStatus{}) != after.Sum(&gatewayv1.SourceStatus{}) {
			t.Fatal("other values after another turn")
		}
	})
}

// The metadata may be of any size that they say; it is not taken before it is there.
func TestSizesThatLie(t *testing.T) {
	good, err := batchOf(t, records(10)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at+4 <= len(good); at += 4 {
		for _, v := range []uint32{0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0} {
			bad := bytes.Clone(good)
			binary.LittleEndian.PutUint32(bad[at:], v)
			if b, err := columns.Decode(bad, fields); err == nil && fmt.Sprint(b.Fields()) != fmt.Sprint(fields) {
				t.Fatal("other fields")
			}
		}
	}
}
