package sqlite

import (
	"errors"
	"fmt"
	"slices"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source/internal/jsonvalue"
	"github.com/entente-dev/entente/gateway/source/internal/statement"
)

// decoder makes records of rows.
type decoder struct {
	dataset string
	statement.Selection
	fields  []*route.Field // of the values of a row
	members map[*route.Field][]*route.Field
	raw     []any // of the current row
	targets []any // point to raw
}

func newDecoder(dataset string, of statement.Selection) *decoder {
	d := &decoder{dataset: dataset, Selection: of, fields: statement.Selected(of.Columns), members: map[*route.Field][]*route.Field{}}
	for _, c := range of.Columns {
		d.members[c.Field] = c.Members
	}
	n := len(d.fields)
	if len(of.Checked) > 0 {
		n++
	}
	d.raw, d.targets = make([]any, n), make([]any, n)
	for i := range d.raw {
		d.targets[i] = &d.raw[i]
	}
	return d
}

// record makes a record of the row. An error names the field and never the value.
func (d *decoder) record() (*gatewayv1.Record, error) {
	if n, failed := d.raw[len(d.raw)-1].(int64); failed && len(d.Checked) > 0 {
		return nil, fmt.Errorf("sqlite: dataset %s: %w", d.dataset, d.Untranslated(n))
	}
	values := make([]*gatewayv1.Value, len(d.fields))
	for i, f := range d.fields {
		values[i] = &gatewayv1.Value{}
		var err error
		switch stored, ok := d.raw[i].(string); {
		case d.raw[i] == nil:
		case !f.Repeated:
			err = set(values[i], f, d.raw[i])
		case !ok:
			err = jsonvalue.ErrJSON
		default:
			err = jsonvalue.List(values[i], f, d.members[f], []byte(stored))
		}
		if err != nil {
			return nil, fmt.Errorf("sqlite: dataset %s: field %s: %w", d.dataset, f.Name, err)
		}
	}
	return statement.Nest(d.Columns, values), nil
}

var (
	errCode = errors.New("a code of the source is not in the schema's list")
	errDate = errors.New("a stored date is not text YYYY-MM-DD")
	errType = errors.New("a stored value is not of the field's type")
)

// set sets v to what is stored for a field.
func set(v *gatewayv1.Value, f *route.Field, stored any) error {
	text := func(s string) { v.Kind = &gatewayv1.Value_Text{Text: s} }
	switch f.Type {
	case "int":
		n, ok := stored.(int64)
		if !ok {
			return errType
		}
		v.Kind = &gatewayv1.Value_Integer{Integer: n}
		return nil
	case "bool":
		n, ok := stored.(int64)
		if !ok || n != 0 && n != 1 {
			return errType
		}
		v.Kind = &gatewayv1.Value_Boolean{Boolean: n == 1}
		return nil
	case "decimal":
		s, ok := decimalText(stored)
		if !ok {
			return errDecimal
		}
		text(s)
		return nil
	}
	s, ok := stored.(string)
	if !ok {
		return errType
	}
	switch f.Type {
	case "code":
		if !slices.Contains(f.Codes, s) {
			return errCode
		}
	case "date":
		if t, err := time.Parse(time.DateOnly, s); err != nil || t.Year() < 1 {
			return errDate
		}
	case "timestamp":
		if s, ok = filter.CanonicalTimestamp(s); !ok {
			return errTimestamp
		}
	}
	text(s)
	return nil
}
