package tabular

import (
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
)

// Arrow writes one Arrow IPC stream. Decimals are text, exactly; the metadata entente.type of a column is its field's type.
type Arrow struct {
	W io.Writer

	table  table
	schema *arrow.Schema
	w      *ipc.Writer
	// words of each column of the provenance, in which its values are numbers. They grow with the sources, not with the rows.
	words []words
}

var _ Writer = (*Arrow)(nil)

type words struct {
	known map[string]int32
	list  *array.String
	all   []string
}

var word = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}

// number of a word; it is added to the dictionary if it is new.
func (w *words) number(s string) int32 {
	if n, ok := w.known[s]; ok {
		return n
	}
	if w.known == nil {
		w.known = map[string]int32{}
	}
	n := int32(len(w.all))
	w.known[s], w.all = n, append(w.all, s)
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.AppendValues(w.all, nil)
	w.list = b.NewStringArray()
	return n
}

// Started implements Writer.
func (a *Arrow) Started() bool { return a.w != nil }

func (a *Arrow) start() {
	if a.w != nil {
		return
	}
	var fields []arrow.Field
	for _, name := range provenance {
		fields = append(fields, arrow.Field{Name: name, Type: word, Nullable: true})
	}
	for _, f := range a.table.fields {
		fields = append(fields, columns.ArrowField(f))
	}
	a.schema, a.words = arrow.NewSchema(fields, nil), make([]words, len(provenance))
	a.w = ipc.NewWriter(a.W, ipc.WithSchema(a.schema))
}

// Frame implements Writer.
func (a *Arrow) Frame(f *gatewayv1.QueryResponse) error {
	there, err := a.table.read(f)
	if err != nil || !there {
		return err
	}
	a.start()
	rows := a.table.batch.Rows()
	var out []arrow.Array
	for i, v := range of(f.GetRecords().GetProvenance()) {
		out = append(out, a.words[i].column(v, rows))
	}
	arrays := a.table.batch.Arrays()
	for i, at := range a.table.at {
		want := columns.ArrowType(a.table.fields[i])
		switch {
		case at < 0:
			out = append(out, array.MakeArrayOfNull(memory.DefaultAllocator, want, rows))
		case arrow.TypeEqual(want, arrays[at].DataType()):
			out = append(out, arrays[at])
		default:
			out = append(out, a.table.batch.Column(at).AsText())
		}
	}
	return a.w.Write(array.NewRecordBatch(a.schema, out, int64(rows)))
}

// column has the same word in each row; the empty one is none.
func (w *words) column(v string, rows int) arrow.Array {
	b := array.NewInt32Builder(memory.DefaultAllocator)
	b.Reserve(rows)
	if v == "" {
		b.AppendNulls(rows)
		if w.list == nil {
			w.list = array.NewStringBuilder(memory.DefaultAllocator).NewStringArray()
		}
	} else {
		n := w.number(v)
		for range rows {
			b.UnsafeAppend(n)
		}
	}
	return array.NewDictionaryArray(word, b.NewInt32Array(), w.list)
}

// End implements Writer.
func (a *Arrow) End() error {
	a.start()
	return a.w.Close()
}
