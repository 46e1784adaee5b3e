package columns

import (
	"bytes"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/entente-dev/entente/gateway/route"
)

// typeKey is the metadata of a column that says its field's type: a decimal and a code are text in Arrow, too.
const typeKey = "entente.type"

// ArrowType is the Arrow type of a field's column; decimals are text, exactly.
func ArrowType(f *route.Field) arrow.DataType {
	switch k, _ := kindOf(f); k {
	case Integer:
		return arrow.PrimitiveTypes.Int64
	case Boolean:
		return arrow.FixedWidthTypes.Boolean
	case Date:
		return arrow.FixedWidthTypes.Date32
	case Timestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	}
	return arrow.BinaryTypes.String
}

// ArrowField describes a field's column.
func ArrowField(f *route.Field) arrow.Field {
	return arrow.Field{Name: f.Name, Type: ArrowType(f), Nullable: true, Metadata: arrow.NewMetadata([]string{typeKey}, []string{f.Type})}
}

// Encode gives the batch as one Arrow IPC stream, without compression: a schema and a record batch.
func (b *Batch) Encode() ([]byte, error) {
	fields := make([]arrow.Field, len(b.fields))
	for i, f := range b.fields {
		fields[i] = ArrowField(f)
	}
	schema := arrow.NewSchema(fields, nil)
	record := array.NewRecordBatch(schema, b.Arrays(), int64(b.rows))
	var out bytes.Buffer
	size := 1024 + 512*len(fields)
	for i := range b.columns {
		size += b.columns[i].memory() + 3*64
	}
	out.Grow(size)
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(record); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// Arrays are the columns as Arrow's, which share their memory.
func (b *Batch) Arrays() []arrow.Array {
	out := make([]arrow.Array, len(b.columns))
	for i := range b.columns {
		out[i] = b.columns[i].array(ArrowType(b.fields[i]), b.rows)
	}
	return out
}

func (c *Column) array(t arrow.DataType, rows int) arrow.Array {
	buffers := make([]*memory.Buffer, 2, 3)
	if c.nulls > 0 {
		buffers[0] = memory.NewBufferBytes(c.valid)
	}
	switch c.kind {
	case Text:
		buffers[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offsets))
		buffers = append(buffers, memory.NewBufferBytes(c.text))
	case Integer, Timestamp:
		buffers[1] = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.ints))
	case Date:
		buffers[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.days))
	case Boolean:
		buffers[1] = memory.NewBufferBytes(c.bits)
	}
	data := array.NewData(t, rows, buffers, nil, c.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// memory that the column's values take.
func (c *Column) memory() int {
	return len(c.valid) + len(c.bits) + len(c.text) + 4*len(c.offsets) + 8*len(c.ints) + 4*len(c.days)
}

// AsText gives the column's values as they are written.
func (c *Column) AsText() arrow.Array {
	out := Column{kind: Text, rows: c.rows, nulls: c.nulls, valid: c.valid, offsets: []int32{0}}
	for row := range c.rows {
		out.text = c.AppendValue(out.text, row)
		out.offsets = append(out.offsets, int32(len(out.text)))
	}
	return out.array(arrow.BinaryTypes.String, c.rows)
}
