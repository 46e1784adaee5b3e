package columns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// Decode reads what Encode gives, from a source that may mean harm, and checks every value: columns, their order and their
// types are the fields'; texts are UTF-8; decimals, dates, instants and codes are ones; nothing stands where there is no value.
// With no fields, those of the stream are taken. What it gives is a copy.
//
// Arrow's own reader is not used: it expands what a schema declares (nested types, dictionaries, metadata, compressed buffers)
// before anybody can look, and a few kilobytes can declare gigabytes. This one knows the one form that there is, follows no
// reference twice, and takes memory in proportion to the bytes that came.
func Decode(data []byte, fields []*route.Field) (b *Batch, err error) {
	// Flatbuffers are read without a check of their references; one that leads out of the bytes is an index out of range.
	defer func() {
		if recover() != nil {
			b, err = nil, errors.New("columns: malformed metadata")
		}
	}()
	header, body, data, err := message(data, schemaMessage)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		return nil, errors.New("columns: a schema has a body")
	}
	if fields, err = readFields(header, fields); err != nil {
		return nil, err
	}
	header, body, data, err = message(data, batchMessage)
	if err != nil {
		return nil, err
	}
	if len(data) > 0 && string(data) != endOfStream {
		return nil, errors.New("columns: bytes follow the batch")
	}
	return readBatch(header, body, fields)
}

// Bounds of what is decoded. Frames have their own bound in bytes.
const (
	maxColumns  = 256
	maxRows     = 1 << 16
	maxMetadata = 256 << 10
)

// Numbers of the format: https://arrow.apache.org/docs/format/Columnar.html, Message.fbs and Schema.fbs.
const (
	schemaMessage = 1
	batchMessage  = 3

	typeInt       = 2
	typeUtf8      = 5
	typeBool      = 6
	typeDate      = 8
	typeTimestamp = 10

	microseconds = 2
	days         = 0

	continuation = 0xFFFFFFFF
	endOfStream  = "\xff\xff\xff\xff\x00\x00\x00\x00"
)

// slot is the place of a table's n-th member in its vtable.
func slot(n int) flatbuffers.VOffsetT { return flatbuffers.VOffsetT(4 + 2*n) }

// message reads one encapsulated message of that kind: its header, its body, and what follows it.
func message(data []byte, kind byte) (header flatbuffers.Table, body, rest []byte, err error) {
	if len(data) < 8 || binary.LittleEndian.Uint32(data) != continuation {
		return header, nil, nil, errors.New("columns: no Arrow message")
	}
	size := int(binary.LittleEndian.Uint32(data[4:]))
	data = data[8:]
	if size < 16 || size > maxMetadata || size > len(data) {
		return header, nil, nil, errors.New("columns: the size of a message's metadata is out of range")
	}
	meta, data := data[:size:size], data[size:]
	m := flatbuffers.Table{Bytes: meta, Pos: flatbuffers.GetUOffsetT(meta)}
	if m.GetByteSlot(slot(1), 0) != kind {
		return header, nil, nil, errors.New("columns: not the kind of message that is due: dictionaries are not taken")
	}
	at := m.Offset(slot(2))
	length := m.GetInt64Slot(slot(3), 0)
	if at == 0 || length < 0 || length > int64(len(data)) {
		return header, nil, nil, errors.New("columns: the size of a message's body is out of range")
	}
	m.Union(&header, flatbuffers.UOffsetT(at))
	return header, data[:length:length], data[length:], nil
}

// vector gives a table's n-th member, a vector: its first element and its length.
func vector(t *flatbuffers.Table, n int) (start flatbuffers.UOffsetT, length int) {
	at := t.Offset(slot(n))
	if at == 0 {
		return 0, 0
	}
	return t.Vector(flatbuffers.UOffsetT(at)), t.VectorLen(flatbuffers.UOffsetT(at))
}

// readFields holds the schema against the fields, or makes fields of it.
func readFields(schema flatbuffers.Table, want []*route.Field) ([]*route.Field, error) {
	start, n := vector(&schema, 1)
	switch {
	case schema.GetInt16Slot(slot(0), 0) != 0:
		return nil, errors.New("columns: not little-endian")
	case n == 0 || n > maxColumns || want != nil && n != len(want):
		return nil, fmt.Errorf("columns: %d columns", n)
	}
	got := want
	if want == nil {
		got = make([]*route.Field, n)
	}
	for i := range n {
		f := flatbuffers.Table{Bytes: schema.Bytes, Pos: schema.Indirect(start + flatbuffers.UOffsetT(4*i))}
		at := f.Offset(slot(0))
		if at == 0 {
			return nil, errors.New("columns: a column without a name")
		}
		name := f.ByteVector(f.Pos + flatbuffers.UOffsetT(at))
		kind, ok := readType(&f)
		if _, children := vector(&f, 5); !ok || children > 0 || f.Offset(slot(4)) != 0 || len(name) > 256 || !utf8.Valid(name) {
			return nil, fmt.Errorf("columns: column %d is of a type that is not taken", i)
		}
		if want == nil {
			got[i] = &route.Field{Name: string(name), Type: fieldType(&f, kind)}
			continue
		}
		if k, ok := kindOf(want[i]); !ok || k != kind || string(name) != want[i].Name {
			return nil, fmt.Errorf("columns: column %d is not field %s with its type", i, want[i].Name)
		}
	}
	return got, nil
}

func readType(f *flatbuffers.Table) (Kind, bool) {
	at := f.Offset(slot(3))
	if at == 0 {
		return 0, false
	}
	var t flatbuffers.Table
	f.Union(&t, flatbuffers.UOffsetT(at))
	switch f.GetByteSlot(slot(2), 0) {
	case typeUtf8:
		return Text, true
	case typeBool:
		return Boolean, true
	case typeInt:
		return Integer, t.GetInt32Slot(slot(0), 0) == 64 && t.GetBoolSlot(slot(1), false)
	case typeDate:
		return Date, t.GetInt16Slot(slot(0), 1) == days
	case typeTimestamp:
		at := t.Offset(slot(1))
		return Timestamp, at != 0 && t.GetInt16Slot(slot(0), 0) == microseconds && string(t.ByteVector(t.Pos+flatbuffers.UOffsetT(at))) == "UTC"
	}
	return 0, false
}

// fieldType is the type of the field that a column was made of, by its metadata when they are Encode's.
func fieldType(f *flatbuffers.Table, k Kind) string {
	switch k {
	case Integer:
		return "int"
	case Boolean:
		return "bool"
	case Date:
		return "date"
	case Timestamp:
		return "timestamp"
	}
	if start, n := vector(f, 6); n == 1 {
		pair := flatbuffers.Table{Bytes: f.Bytes, Pos: f.Indirect(start)}
		key, value := pair.Offset(slot(0)), pair.Offset(slot(1))
		if key != 0 && value != 0 && string(pair.ByteVector(pair.Pos+flatbuffers.UOffsetT(key))) == typeKey {
			if typ := string(pair.ByteVector(pair.Pos + flatbuffers.UOffsetT(value))); typ == "decimal" || typ == "code" || typ == JSON {
				return typ
			}
		}
	}
	return "string"
}

// reader takes the buffers of a record batch in their order.
type reader struct {
	table       flatbuffers.Table
	body        []byte
	rows        int
	nodes, bufs flatbuffers.UOffsetT
	nextBuffer  int
	buffers     int
}

func readBatch(batch flatbuffers.Table, body []byte, fields []*route.Field) (*Batch, error) {
	rows := batch.GetInt64Slot(slot(0), 0)
	nodes, nNodes := vector(&batch, 1)
	bufs, nBufs := vector(&batch, 2)
	want := 0
	for _, f := range fields {
		want += 2
		if k, _ := kindOf(f); k == Text {
			want++
		}
	}
	switch {
	case rows < 0 || rows > maxRows:
		return nil, errors.New("columns: the number of rows is out of range")
	case batch.Offset(slot(3)) != 0:
		return nil, errors.New("columns: compressed buffers are not taken")
	case nNodes != len(fields) || nBufs != want:
		return nil, errors.New("columns: not the columns of the schema")
	}
	r := &reader{table: batch, body: body, rows: int(rows), nodes: nodes, bufs: bufs, buffers: nBufs}
	b := &Batch{fields: fields, columns: make([]Column, len(fields)), rows: int(rows)}
	for i, f := range fields {
		if r.table.GetInt64(nodes+flatbuffers.UOffsetT(16*i)) != rows {
			return nil, fmt.Errorf("columns: field %s has another number of rows than the batch", f.Name)
		}
		c := &b.columns[i]
		c.kind, _ = kindOf(f)
		if err := r.column(c, f); err != nil {
			return nil, fmt.Errorf("columns: field %s: %w", f.Name, err)
		}
		b.bytes += c.wire()
	}
	return b, nil
}

// wire is about the size of the values as plain records.
func (c *Column) wire() int {
	switch c.kind {
	case Integer:
		return c.rows * integerSize
	case Date:
		return c.rows * dateSize
	case Timestamp:
		return c.rows * timestampSize
	}
	return c.rows*valueSize + len(c.text)
}

var (
	errShort = errors.New("a buffer is too short for its rows")
	errNull  = errors.New("something stands where no value is")
)

// buffer is the next one, of at least that many bytes.
func (r *reader) buffer(least int) ([]byte, error) {
	at := r.bufs + flatbuffers.UOffsetT(16*r.nextBuffer)
	r.nextBuffer++
	offset, length := r.table.GetInt64(at), r.table.GetInt64(at+8)
	if offset < 0 || length < 0 || offset > int64(len(r.body)) || length > int64(len(r.body))-offset {
		return nil, errors.New("a buffer is outside of the body")
	}
	if length < int64(least) {
		return nil, errShort
	}
	return r.body[offset : offset+length], nil
}

func bitmap(rows int) int { return (rows + 7) / 8 }

// trimmed copies the bits of the rows, and none after them.
func trimmed(b []byte, rows int) []byte {
	out := slices.Clone(b[:bitmap(rows)])
	if rest := rows & 7; rest != 0 {
		out[len(out)-1] &= 1<<rest - 1
	}
	return out
}

func (r *reader) column(c *Column, f *route.Field) error {
	c.rows = r.rows
	valid, err := r.buffer(0)
	if err != nil {
		return err
	}
	if len(valid) > 0 {
		if len(valid) < bitmap(r.rows) {
			return errShort
		}
		c.valid = trimmed(valid, r.rows)
		c.nulls = r.rows
		for _, b := range c.valid {
			c.nulls -= bits.OnesCount8(b)
		}
	}
	switch c.kind {
	case Text:
		return r.text(c, f)
	case Integer, Timestamp:
		b, err := r.buffer(8 * r.rows)
		if err != nil {
			return err
		}
		c.ints = make([]int64, r.rows)
		for i := range c.ints {
			v := int64(binary.LittleEndian.Uint64(b[8*i:]))
			switch {
			case v != 0 && c.Null(i):
				return errNull
			case c.kind == Timestamp && (v < firstMicro || v > lastMicro):
				return errValue
			}
			c.ints[i] = v
		}
	case Date:
		b, err := r.buffer(4 * r.rows)
		if err != nil {
			return err
		}
		c.days = make([]int32, r.rows)
		for i := range c.days {
			v := int32(binary.LittleEndian.Uint32(b[4*i:]))
			switch {
			case v != 0 && c.Null(i):
				return errNull
			case v < firstDay || v > lastDay:
				return errValue
			}
			c.days[i] = v
		}
	case Boolean:
		b, err := r.buffer(bitmap(r.rows))
		if err != nil {
			return err
		}
		c.bits = trimmed(b, r.rows)
		for i := range c.bits {
			if c.nulls > 0 && c.bits[i]&^c.valid[i] != 0 {
				return errNull
			}
		}
	}
	return nil
}

func (r *reader) text(c *Column, f *route.Field) error {
	least := 4 * (r.rows + 1)
	if r.rows == 0 {
		least = 0 // the format lets an empty column do without
	}
	b, err := r.buffer(least)
	if err != nil {
		return err
	}
	text, err := r.buffer(0)
	if err != nil {
		return err
	}
	c.offsets = make([]int32, r.rows+1)
	if r.rows == 0 {
		return nil
	}
	before := int32(0)
	for i := range c.offsets {
		v := int32(binary.LittleEndian.Uint32(b[4*i:]))
		switch {
		case i == 0 && v != 0, v < before, int(v) > len(text):
			return errors.New("the ends of its texts are out of order")
		case i > 0 && v != before && c.Null(i-1):
			return errNull
		case int(v) < len(text) && !utf8.RuneStart(text[v]):
			return errors.New("a text is not UTF-8")
		}
		c.offsets[i], before = v, v
	}
	c.text = slices.Clone(text[:before])
	if !utf8.Valid(c.text) {
		return errors.New("a text is not UTF-8")
	}
	return c.checkWords(f)
}

// checkWords checks decimals, and codes when their list is there.
func (c *Column) checkWords(f *route.Field) error {
	if f.Type != "decimal" && (f.Type != "code" || len(f.Codes) == 0) {
		return nil
	}
	for i := range c.rows {
		if c.Null(i) {
			continue
		}
		v := c.Text(i)
		if f.Type == "decimal" {
			if !isDecimal(v) {
				return errValue
			}
		} else if !slices.ContainsFunc(f.Codes, func(code string) bool { return code == string(v) }) {
			return errValue
		}
	}
	return nil
}

// isDecimal says whether filter.CanonicalDecimal takes it, without making anything.
func isDecimal(v []byte) bool {
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	digits, point := 0, -1
	for i, c := range v {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && point < 0 && i > 0 && i < len(v)-1:
			point = i
		default:
			return false
		}
	}
	return digits > 0 && digits <= filter.MaxDecimalDigits
}
