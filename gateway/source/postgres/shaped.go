package postgres

import (
	"encoding/binary"
	"fmt"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source/internal/jsonvalue"
	"github.com/entente-dev/entente/gateway/source/internal/statement"
)

// shaped makes a record of which some values are lists or records.
func (d *decoder) shaped(raw [][]byte) (*gatewayv1.Record, error) {
	values := make([]*gatewayv1.Value, len(d.fields))
	for i, f := range d.fields {
		var err error
		if values[i], err = d.any(f, raw[i]); err != nil {
			return nil, fmt.Errorf("postgres: dataset %s: field %s: %w", d.dataset, f.Name, err)
		}
	}
	return statement.Nest(d.columns, values), nil
}

func (d *decoder) any(f *route.Field, b []byte) (*gatewayv1.Value, error) {
	if b == nil || !f.Repeated {
		return d.one(f, b)
	}
	v := &gatewayv1.Value{}
	if members := d.members[f]; len(members) > 0 {
		return v, jsonvalue.List(v, f, members, b)
	}
	list, err := d.array(f, b)
	v.Kind = &gatewayv1.Value_List{List: list}
	return v, err
}

// one decodes a single value, null or not.
func (d *decoder) one(f *route.Field, b []byte) (*gatewayv1.Value, error) {
	v := &gatewayv1.Value{}
	if b == nil {
		return v, nil
	}
	t := &gatewayv1.Value_Text{}
	d.text = d.text[:0]
	if err := d.value(v, t, f, b); err != nil {
		return nil, err
	}
	if v.Kind == t && t.Text == "" {
		t.Text = string(d.text)
	}
	return v, nil
}

// array decodes an array in PostgreSQL's binary format: dimensions, and then its elements in order, nested ones too. Nulls are left
// out.
func (d *decoder) array(f *route.Field, b []byte) (*gatewayv1.ValueList, error) {
	const header, perDimension = 12, 8
	if len(b) < header {
		return nil, errFormat
	}
	dimensions := int(int32(binary.BigEndian.Uint32(b)))
	if dimensions < 0 || dimensions > 6 || len(b) < header+dimensions*perDimension {
		return nil, errFormat
	}
	b = b[header+dimensions*perDimension:]
	list := &gatewayv1.ValueList{}
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errFormat
		}
		n := int(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		switch {
		case n == -1:
			continue
		case n < 0 || n > len(b):
			return nil, errFormat
		}
		v, err := d.one(f, b[:n:n])
		if err != nil {
			return nil, err
		}
		list.Values, b = append(list.Values, v), b[n:]
	}
	return list, nil
}
