// Package jsonvalue reads what sources keep as JSON: lists of values, and lists of records. Values are strict: text is a JSON string,
// a decimal is a number or a string, a date and a timestamp are strings, and nothing is made of anything else.
package jsonvalue

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// Errors of stored values; they name none.
var (
	ErrJSON = errors.New("a stored value is not the JSON that the field has: a list of its values, or of records")
	ErrType = errors.New("a value inside stored JSON is not of the field's type")
	ErrCode = errors.New("a code of the source is not in the schema's list")
)

// List reads a repeated field: an array of its values or, for a record, of objects, of which the members are taken and nothing else.
// Nulls in it are left out. It sets v to null for JSON's null.
func List(v *gatewayv1.Value, field *route.Field, members []*route.Field, text []byte) error {
	elements, err := array(text)
	if err != nil || elements == nil {
		return err
	}
	list := &gatewayv1.ValueList{Values: make([]*gatewayv1.Value, 0, len(elements))}
	for _, e := range elements {
		if string(e) == "null" {
			continue
		}
		value := &gatewayv1.Value{}
		if len(members) > 0 {
			err = object(value, members, e)
		} else {
			err = scalar(value, field, e)
		}
		if err != nil {
			return err
		}
		list.Values = append(list.Values, value)
	}
	v.Kind = &gatewayv1.Value_List{List: list}
	return nil
}

// array gives the elements of a JSON array; nil for null.
func array(text []byte) ([]json.RawMessage, error) {
	var elements []json.RawMessage
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&elements); err != nil {
		return nil, ErrJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrJSON
	}
	return elements, nil
}

func object(v *gatewayv1.Value, members []*route.Field, text []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return ErrJSON
	}
	nested := &gatewayv1.Record{Values: make([]*gatewayv1.Value, len(members))}
	for i, m := range members {
		nested.Values[i] = &gatewayv1.Value{}
		raw, ok := all[m.Name]
		if !ok || string(raw) == "null" {
			continue
		}
		if err := scalar(nested.Values[i], m, raw); err != nil {
			return err
		}
	}
	v.Kind = &gatewayv1.Value_Nested{Nested: nested}
	return nil
}

// scalar reads one value that is not null.
func scalar(v *gatewayv1.Value, f *route.Field, raw []byte) error {
	switch f.Type {
	case "int":
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return ErrType
		}
		v.Kind = &gatewayv1.Value_Integer{Integer: n}
		return nil
	case "bool":
		if s := string(raw); s != "true" && s != "false" {
			return ErrType
		}
		v.Kind = &gatewayv1.Value_Boolean{Boolean: raw[0] == 't'}
		return nil
	}
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return ErrJSON
		}
	} else if f.Type != "decimal" {
		return ErrType
	}
	ok := true
	switch f.Type {
	case "decimal":
		_, ok = filter.CanonicalDecimal(text)
	case "date":
		t, err := time.Parse(time.DateOnly, text)
		ok = err == nil && t.Year() >= 1
	case "timestamp":
		text, ok = filter.CanonicalTimestamp(text)
	case "code":
		if !slices.Contains(f.Codes, text) {
			return ErrCode
		}
	}
	if !ok {
		return ErrType
	}
	v.Kind = &gatewayv1.Value_Text{Text: text}
	return nil
}

// Has says whether a list of a field's type, as JSON, has a value; JSON's null has none.
func Has(text []byte, kind, value string) (bool, error) {
	f := &route.Field{Type: kind, Repeated: true}
	elements, err := array(text)
	if err != nil {
		return false, err
	}
	for _, e := range elements {
		if string(e) == "null" {
			continue
		}
		v := &gatewayv1.Value{}
		if err := scalar(v, f, e); err != nil {
			return false, err
		}
		if equal(v, kind, value) {
			return true, nil
		}
	}
	return false, nil
}

func equal(v *gatewayv1.Value, kind, value string) bool {
	switch kind {
	case "int":
		return strconv.FormatInt(v.GetInteger(), 10) == value
	case "decimal":
		a, _ := filter.CanonicalDecimal(v.GetText())
		return a == value
	}
	return v.GetText() == value
}
