// Package columns holds the records of large answers column by column, in the layout of Apache Arrow: as they are read from a
// source, as they go between gateways (Encode, Decode), and as users get them. Answers that fit a frame or two stay records.
package columns

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
)

// Header is the gRPC metadata by which a caller says which encodings of records it reads besides the plain one, and Encoding
// the only one there is. It is no member of the request: a peer of an earlier version refuses members that it does not know,
// since they might restrict, and this restricts nothing.
const (
	Header   = "entente-encodings"
	Encoding = "arrow"
)

// Most that one batch holds; a row that is larger than MaxBytes is a batch by itself.
const (
	MaxRows  = 8192
	MaxBytes = 1 << 20
)

// Kind is how a column keeps its values.
type Kind uint8

const (
	// Text: string, code, and decimal, whose digits are kept as they are.
	Text Kind = iota
	// Integer: int.
	Integer
	// Boolean: bool.
	Boolean
	// Date: days since 1970-01-01.
	Date
	// Timestamp: microseconds since 1970-01-01T00:00:00Z.
	Timestamp
)

// JSON is the type of a column for users whose field is a list or a record: it is written as JSON.
const JSON = "json"

func kindOf(f *route.Field) (Kind, bool) {
	if f.Repeated {
		return 0, false
	}
	switch f.Type {
	case "string", "code", "decimal", JSON:
		return Text, true
	case "int":
		return Integer, true
	case "bool":
		return Boolean, true
	case "date":
		return Date, true
	case "timestamp":
		return Timestamp, true
	}
	return 0, false
}

// Supports says whether fields of these types can be columns.
func Supports(fields []*route.Field) bool {
	return len(fields) > 0 && !slices.ContainsFunc(fields, func(f *route.Field) bool { _, ok := kindOf(f); return !ok })
}

// Select gives the schema's fields of these names; nil when one is not there.
func Select(s *route.Schema, names []string) []*route.Field {
	out := make([]*route.Field, len(names))
	for i, name := range names {
		at := slices.IndexFunc(s.Fields, func(f route.Field) bool { return f.Name == name })
		if at < 0 {
			return nil
		}
		out[i] = &s.Fields[at]
	}
	return out
}

// Table gives the fields of a table with those names: those of the schema, but JSON for what cannot be a column otherwise.
func Table(s *route.Schema, names []string) []*route.Field {
	out := make([]*route.Field, len(names))
	for i, name := range names {
		out[i] = &route.Field{Name: name, Type: JSON}
		if at := slices.IndexFunc(s.Fields, func(f route.Field) bool { return f.Name == name }); at >= 0 && Supports([]*route.Field{&s.Fields[at]}) {
			out[i] = &s.Fields[at]
		}
	}
	return out
}

// Batch is records of one dataset. One goroutine owns it. A row is complete with EndRow, after one Append… to each column.
type Batch struct {
	fields  []*route.Field
	columns []Column
	rows    int
	bytes   int
}

// New makes an empty batch; the fields must be of types that Supports takes.
func New(fields []*route.Field) *Batch {
	b := &Batch{fields: fields, columns: make([]Column, len(fields))}
	for i, f := range fields {
		b.columns[i].kind, _ = kindOf(f)
		b.columns[i].offsets = []int32{0}
	}
	return b
}

// Fields of the columns.
func (b *Batch) Fields() []*route.Field { return b.fields }

// Rows that are complete.
func (b *Batch) Rows() int { return b.rows }

// Bytes is about the size of the rows as plain records on the wire.
func (b *Batch) Bytes() int { return b.bytes }

// Full says that the batch is to be sent before another row comes.
func (b *Batch) Full() bool { return b.rows >= MaxRows || b.bytes >= MaxBytes }

// Column i.
func (b *Batch) Column(i int) *Column { return &b.columns[i] }

// EndRow completes a row and gives its size. It must have one value in each column.
func (b *Batch) EndRow() (size int) {
	b.rows++
	for i := range b.columns {
		size += b.columns[i].last
	}
	b.bytes += size
	return size
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.rows, b.bytes = 0, 0
	for i := range b.columns {
		c := &b.columns[i]
		c.rows, c.nulls, c.last = 0, 0, 0
		c.valid, c.bits, c.text = c.valid[:0], c.bits[:0], c.text[:0]
		c.ints, c.days, c.offsets = c.ints[:0], c.days[:0], append(c.offsets[:0], 0)
	}
}

// First gives the first n columns, which share their memory with b.
func (b *Batch) First(n int) *Batch {
	return &Batch{fields: b.fields[:n], columns: b.columns[:n], rows: b.rows, bytes: b.bytes}
}

// Column is the values of one field.
type Column struct {
	kind  Kind
	rows  int
	nulls int
	valid []byte // a bit a row, from the lowest

	text    []byte
	offsets []int32 // of text; one more than rows
	ints    []int64
	days    []int32
	bits    []byte

	last int // size of the last value on the wire
}

// sizes on the wire: a value's frame, and what a number takes at most or a date exactly.
const (
	valueSize     = 4
	integerSize   = valueSize + 8
	dateSize      = valueSize + len("2001-02-03")
	timestampSize = valueSize + len("2001-02-03T04:05:06.123456Z")
)

// Kind of the column.
func (c *Column) Kind() Kind { return c.kind }

// Null says whether a row has no value.
func (c *Column) Null(row int) bool { return c.nulls > 0 && c.valid[row>>3]&(1<<(row&7)) == 0 }

// Text of a row; Text columns only. It is the column's memory.
func (c *Column) Text(row int) []byte { return c.text[c.offsets[row]:c.offsets[row+1]] }

// Integer of a row; Integer columns only.
func (c *Column) Integer(row int) int64 { return c.ints[row] }

// Boolean of a row; Boolean columns only.
func (c *Column) Boolean(row int) bool { return c.bits[row>>3]&(1<<(row&7)) != 0 }

// AppendDate appends the date of a row, YYYY-MM-DD; Date columns only.
func (c *Column) AppendDate(to []byte, row int) []byte { return appendDate(to, int64(c.days[row])) }

// AppendTimestamp appends the instant of a row in RFC 3339, UTC, without needless digits; Timestamp columns only.
func (c *Column) AppendTimestamp(to []byte, row int) []byte { return appendTimestamp(to, c.ints[row]) }

// AppendValue appends the value of a row as it is written; nothing for none.
func (c *Column) AppendValue(to []byte, row int) []byte {
	if c.Null(row) {
		return to
	}
	switch c.kind {
	case Integer:
		return strconv.AppendInt(to, c.ints[row], 10)
	case Boolean:
		return strconv.AppendBool(to, c.Boolean(row))
	case Date:
		return c.AppendDate(to, row)
	case Timestamp:
		return c.AppendTimestamp(to, row)
	}
	return append(to, c.Text(row)...)
}

func (c *Column) mark(ok bool, size int) {
	if c.rows&7 == 0 {
		c.valid = append(c.valid, 0)
		if c.kind == Boolean {
			c.bits = append(c.bits, 0)
		}
	}
	if ok {
		c.valid[c.rows>>3] |= 1 << (c.rows & 7)
	} else {
		c.nulls++
	}
	c.rows++
	c.last = size
}

// PutNull appends no value.
func (c *Column) PutNull() {
	c.mark(false, valueSize)
	switch c.kind {
	case Text:
		c.offsets = append(c.offsets, int32(len(c.text)))
	case Integer, Timestamp:
		c.ints = append(c.ints, 0)
	case Date:
		c.days = append(c.days, 0)
	}
}

// PutText appends to a Text column.
func (c *Column) PutText(v []byte) {
	c.text = append(c.text, v...)
	c.offsets = append(c.offsets, int32(len(c.text)))
	c.mark(true, valueSize+len(v))
}

// PutInteger appends to an Integer column.
func (c *Column) PutInteger(v int64) {
	c.ints = append(c.ints, v)
	c.mark(true, integerSize)
}

// PutBoolean appends to a Boolean column.
func (c *Column) PutBoolean(v bool) {
	at := c.rows
	c.mark(true, valueSize)
	if v {
		c.bits[at>>3] |= 1 << (at & 7)
	}
}

// PutDate appends to a Date column. False: the date is not in the years 1 to 9999.
func (c *Column) PutDate(days int64) bool {
	if days < firstDay || days > lastDay {
		return false
	}
	c.days = append(c.days, int32(days))
	c.mark(true, dateSize)
	return true
}

// PutTimestamp appends to a Timestamp column. False: the instant is not in the years 1 to 9999.
func (c *Column) PutTimestamp(micros int64) bool {
	if micros < firstMicro || micros > lastMicro {
		return false
	}
	c.ints = append(c.ints, micros)
	c.mark(true, timestampSize)
	return true
}

var errValue = errors.New("a value is not of its field's type")

// PutRecord appends a record's values; EndRow completes the row. An error names the field and never the value.
func (b *Batch) PutRecord(r *gatewayv1.Record) error {
	values := r.GetValues()
	if len(values) != len(b.columns) {
		return fmt.Errorf("a record has %d values instead of %d", len(values), len(b.columns))
	}
	for i, v := range values {
		c := &b.columns[i]
		ok := false
		switch k := v.GetKind().(type) {
		case nil:
			c.PutNull()
			ok = true
		case *gatewayv1.Value_Integer:
			if ok = c.kind == Integer; ok {
				c.PutInteger(k.Integer)
			}
		case *gatewayv1.Value_Boolean:
			if ok = c.kind == Boolean; ok {
				c.PutBoolean(k.Boolean)
			}
		case *gatewayv1.Value_Text:
			ok = c.putWritten(k.Text)
		}
		if !ok {
			return fmt.Errorf("field %s: %w", b.fields[i].Name, errValue)
		}
	}
	return nil
}

// putWritten appends a value that records write as text.
func (c *Column) putWritten(s string) bool {
	switch c.kind {
	case Text:
		c.text = append(c.text, s...)
		c.offsets = append(c.offsets, int32(len(c.text)))
		c.mark(true, valueSize+len(s))
		return true
	case Date:
		days, ok := parseDate(s)
		return ok && c.PutDate(days)
	case Timestamp:
		micros, ok := parseTimestamp(s)
		return ok && c.PutTimestamp(micros)
	}
	return false
}

// Records makes records of the rows, in a handful of allocations.
func (b *Batch) Records() []*gatewayv1.Record {
	n, width := b.rows, len(b.columns)
	if n == 0 {
		return nil
	}
	records, out := make([]gatewayv1.Record, n), make([]*gatewayv1.Record, n)
	values, pointers := make([]gatewayv1.Value, n*width), make([]*gatewayv1.Value, n*width)
	for row := range n {
		out[row] = &records[row]
		records[row].Values = pointers[row*width : (row+1)*width : (row+1)*width]
	}
	for i := range pointers {
		pointers[i] = &values[i]
	}
	for i := range b.columns {
		b.columns[i].into(values[i:], width)
	}
	return out
}

// into sets every width-th value.
func (c *Column) into(values []gatewayv1.Value, width int) {
	switch c.kind {
	case Integer:
		slab := make([]gatewayv1.Value_Integer, c.rows)
		for row := range c.rows {
			if !c.Null(row) {
				slab[row].Integer = c.ints[row]
				values[row*width].Kind = &slab[row]
			}
		}
	case Boolean:
		slab := [2]gatewayv1.Value_Boolean{{Boolean: false}, {Boolean: true}}
		for row := range c.rows {
			if c.Null(row) {
				continue
			}
			if c.Boolean(row) {
				values[row*width].Kind = &slab[1]
			} else {
				values[row*width].Kind = &slab[0]
			}
		}
	default:
		slab := make([]gatewayv1.Value_Text, c.rows)
		text, offsets := c.written()
		for row := range c.rows {
			if !c.Null(row) {
				slab[row].Text = text[offsets[row]:offsets[row+1]]
				values[row*width].Kind = &slab[row]
			}
		}
	}
}

// written is all values as one text, and where each begins.
func (c *Column) written() (string, []int32) {
	if c.kind == Text {
		return string(c.text), c.offsets
	}
	b, offsets := make([]byte, 0, c.rows*len("2001-02-03T04:05:06Z")), make([]int32, 1, c.rows+1)
	for row := range c.rows {
		switch {
		case c.Null(row):
		case c.kind == Date:
			b = c.AppendDate(b, row)
		default:
			b = c.AppendTimestamp(b, row)
		}
		offsets = append(offsets, int32(len(b)))
	}
	return string(b), offsets
}
