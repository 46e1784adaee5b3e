package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/internal/statement"
)

// decoder makes records of rows in PostgreSQL's binary format. It stands on the hot path: a record is a handful of
// allocations, however many fields it has.
type decoder struct {
	dataset string
	fields  []*route.Field // of the values of a row
	text    []byte         // of one record, reused
	ends    []int
	// columns of a record, when some are lists or records; nil: fields are they.
	columns []route.Column
	// checked: a row has one value more, which is there when one of it could not be translated.
	checked   bool
	selection statement.Selection
	members   map[*route.Field][]*route.Field
}

func newDecoder(dataset string, of statement.Selection) *decoder {
	columns := of.Columns
	d := &decoder{dataset: dataset, fields: statement.Selected(columns), checked: len(of.Checked) > 0, selection: of}
	for i := range columns {
		if c := &columns[i]; len(c.Members) > 0 || c.Field.Repeated {
			if d.members == nil {
				d.columns, d.members = columns, map[*route.Field][]*route.Field{}
			}
			d.members[c.Field] = c.Members
		}
	}
	return d
}

// check takes off a row what says that a value of it could not be translated.
func (d *decoder) check(raw [][]byte) ([][]byte, error) {
	last := len(raw) - 1
	if !d.checked || last < 0 {
		return raw, nil
	}
	switch b := raw[last]; {
	case b == nil:
	case len(b) == 8:
		return nil, fmt.Errorf("postgres: dataset %s: %w", d.dataset, d.selection.Untranslated(int64(binary.BigEndian.Uint64(b))))
	default:
		return nil, fmt.Errorf("postgres: dataset %s: %w", d.dataset, errFormat)
	}
	return raw[:last], nil
}

// pass hands one row to the sink, in the form that it wants.
func (d *decoder) pass(raw [][]byte, to source.Sink) error {
	b, err := to.Columns()
	if err != nil {
		return err
	}
	if b == nil {
		record, err := d.record(raw)
		if err != nil {
			return err
		}
		return to.Record(record)
	}
	if raw, err = d.check(raw); err != nil {
		return err
	}
	if len(raw) != len(d.fields) {
		return fmt.Errorf("postgres: dataset %s: %d columns instead of %d", d.dataset, len(raw), len(d.fields))
	}
	for i, f := range d.fields {
		if v := raw[i]; v == nil {
			b.Column(i).PutNull()
		} else if err := put(b.Column(i), f, v); err != nil {
			return fmt.Errorf("postgres: dataset %s: field %s: %w", d.dataset, f.Name, err)
		}
	}
	return to.Row()
}

// put appends one value that is not null, by the rules of value.
func put(c *columns.Column, f *route.Field, b []byte) error {
	switch c.Kind() {
	case columns.Text:
		switch {
		case f.Type == "code" && !slices.ContainsFunc(f.Codes, func(code string) bool { return code == string(b) }):
			return errCode
		case f.Type == "decimal" && !isDecimal(b):
			return errDecimal
		}
		c.PutText(b)
	case columns.Integer:
		if len(b) != 8 {
			return errFormat
		}
		c.PutInteger(int64(binary.BigEndian.Uint64(b)))
	case columns.Boolean:
		if len(b) != 1 {
			return errFormat
		}
		c.PutBoolean(b[0] != 0)
	case columns.Date:
		if len(b) != 4 {
			return errFormat
		}
		if !c.PutDate(int64(int32(binary.BigEndian.Uint32(b))) + epoch.Unix()/86400) {
			return errRange
		}
	case columns.Timestamp:
		if len(b) != 8 {
			return errFormat
		}
		micros := int64(binary.BigEndian.Uint64(b))
		// Beyond it, the infinities among them, the sum below would leave the numbers.
		if micros > math.MaxInt64-epoch.UnixMicro() || !c.PutTimestamp(micros+epoch.UnixMicro()) {
			return errRange
		}
	}
	return nil
}

// cell is a value, and its text when it has one, in one piece.
type cell struct {
	value gatewayv1.Value
	text  gatewayv1.Value_Text
}

// record makes a record of a row's values; they are copied. An error names the field and never the value.
func (d *decoder) record(raw [][]byte) (*gatewayv1.Record, error) {
	raw, err := d.check(raw)
	if err != nil {
		return nil, err
	}
	if len(raw) != len(d.fields) {
		return nil, fmt.Errorf("postgres: dataset %s: %d columns instead of %d", d.dataset, len(raw), len(d.fields))
	}
	if d.columns != nil {
		return d.shaped(raw)
	}
	cells, values := make([]cell, len(raw)), make([]*gatewayv1.Value, len(raw))
	d.text, d.ends = d.text[:0], d.ends[:0]
	for i, f := range d.fields {
		values[i] = &cells[i].value
		if b := raw[i]; b != nil {
			if err := d.value(&cells[i].value, &cells[i].text, f, b); err != nil {
				return nil, fmt.Errorf("postgres: dataset %s: field %s: %w", d.dataset, f.Name, err)
			}
		}
		d.ends = append(d.ends, len(d.text))
	}
	// All text of the record is one string, cut up.
	all, start := string(d.text), 0
	for i, end := range d.ends {
		if c := &cells[i]; c.value.Kind == &c.text && c.text.Text == "" {
			c.text.Text = all[start:end]
		}
		start = end
	}
	return &gatewayv1.Record{Values: values}, nil
}

// value decodes one value that is not null. Text goes to d.text, unless t has it already.
func (d *decoder) value(v *gatewayv1.Value, t *gatewayv1.Value_Text, f *route.Field, b []byte) error {
	switch f.Type {
	case "int":
		if len(b) != 8 {
			return errFormat
		}
		v.Kind = &gatewayv1.Value_Integer{Integer: int64(binary.BigEndian.Uint64(b))}
		return nil
	case "bool":
		if len(b) != 1 {
			return errFormat
		}
		v.Kind = &gatewayv1.Value_Boolean{Boolean: b[0] != 0}
		return nil
	}
	v.Kind = t
	switch f.Type {
	case "code":
		i := slices.IndexFunc(f.Codes, func(c string) bool { return c == string(b) }) // does not allocate
		if i < 0 {
			return errCode
		}
		t.Text = f.Codes[i]
	case "decimal":
		if !isDecimal(b) {
			return errDecimal
		}
		d.text = append(d.text, b...)
	case "date":
		if len(b) != 4 {
			return errFormat
		}
		days := int32(binary.BigEndian.Uint32(b))
		if days == math.MaxInt32 || days == math.MinInt32 {
			return errRange
		}
		at := epoch.AddDate(0, 0, int(days))
		if at.Year() < 1 || at.Year() > 9999 {
			return errRange
		}
		d.text = at.AppendFormat(d.text, time.DateOnly)
	case "timestamp":
		if len(b) != 8 {
			return errFormat
		}
		micros := int64(binary.BigEndian.Uint64(b))
		if micros == math.MaxInt64 || micros == math.MinInt64 {
			return errRange
		}
		// As seconds, since 10,000 years of nanoseconds are more than fit.
		at := time.Unix(epoch.Unix()+floorDiv(micros, 1_000_000), floorMod(micros, 1_000_000)*1000).UTC()
		if at.Year() < 1 || at.Year() > 9999 {
			return errRange
		}
		d.text = at.AppendFormat(d.text, time.RFC3339Nano)
	default:
		d.text = append(d.text, b...)
	}
	return nil
}

// epoch is day 0 and second 0 of PostgreSQL.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

var (
	errCode    = errors.New("a code of the source is not in the schema's list")
	errDecimal = fmt.Errorf("a number of the source is no finite decimal of at most %d digits", filter.MaxDecimalDigits)
	errRange   = errors.New("a date of the source is not in the years 1 to 9999")
	errFormat  = errors.New("the source gives another type than was asked for")
)

// isDecimal says whether filter.CanonicalDecimal takes b; numeric's NaN and infinities it does not.
func isDecimal(b []byte) bool {
	n := 0
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n++
		case c == '-' && i == 0, c == '.' && n > 0:
		default:
			return false
		}
	}
	return n > 0 && n <= filter.MaxDecimalDigits
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }
