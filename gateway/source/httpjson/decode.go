package httpjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// field is a field of the schema and the path of its member in an item.
type field struct {
	schema *route.Field
	path   []string
}

func newField(f *route.Field, pointer string) field {
	return field{schema: f, path: route.PointerPath(pointer)}
}

// find follows a path through objects. A member that is not there is null, as is what is below a null.
func find(v any, path []string) (any, error) {
	for _, name := range path {
		switch o := v.(type) {
		case nil:
			return nil, nil
		case map[string]any:
			v = o[name]
		default:
			return nil, errors.New("there is no object where one is expected")
		}
	}
	return v, nil
}

// read gives the field's value. An error names the field and never the value.
func (f *field) read(item any) (*gatewayv1.Value, error) {
	if _, ok := item.(map[string]any); !ok {
		return nil, errors.New("an item is no object")
	}
	raw, err := find(item, f.path)
	if err == nil && raw != nil {
		read := f.value
		if f.schema.Repeated {
			read = f.list
		}
		var v *gatewayv1.Value
		if v, err = read(raw); err == nil {
			return v, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("field %s: %w", f.schema.Name, err)
	}
	return &gatewayv1.Value{}, nil
}

// list reads an array of the field's values; nulls in it are left out, as in other sources.
func (f *field) list(raw any) (*gatewayv1.Value, error) {
	elements, ok := raw.([]any)
	if !ok {
		return nil, wrongType("a list")
	}
	list := &gatewayv1.ValueList{Values: make([]*gatewayv1.Value, 0, len(elements))}
	for _, e := range elements {
		if e == nil {
			continue
		}
		v, err := f.value(e)
		if err != nil {
			return nil, err
		}
		list.Values = append(list.Values, v)
	}
	return &gatewayv1.Value{Kind: &gatewayv1.Value_List{List: list}}, nil
}

func text(s string) *gatewayv1.Value {
	return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: s}}
}

func (f *field) value(raw any) (*gatewayv1.Value, error) {
	switch f.schema.Type {
	case "int":
		n, ok := raw.(json.Number)
		if !ok {
			return nil, wrongType("a number")
		}
		i, err := strconv.ParseInt(n.String(), 10, 64)
		if err != nil {
			return nil, errors.New("the number is no whole one of 64 bits")
		}
		return &gatewayv1.Value{Kind: &gatewayv1.Value_Integer{Integer: i}}, nil
	case "bool":
		b, ok := raw.(bool)
		if !ok {
			return nil, wrongType("true or false")
		}
		return &gatewayv1.Value{Kind: &gatewayv1.Value_Boolean{Boolean: b}}, nil
	case "decimal":
		return decimal(raw)
	}
	s, ok := raw.(string)
	if !ok {
		return nil, wrongType("a string")
	}
	switch f.schema.Type {
	case "string":
		if strings.IndexByte(s, 0) >= 0 {
			return nil, errors.New("the text has a NUL character")
		}
		return text(s), nil
	case "code":
		if !slices.Contains(f.schema.Codes, s) {
			return nil, errors.New("the code is not in the schema's list")
		}
		return text(s), nil
	case "date":
		if d, err := time.Parse(time.DateOnly, s); err != nil || d.Year() < 1 {
			return nil, errors.New("the text is no date YYYY-MM-DD")
		}
		return text(s), nil
	case "timestamp":
		t, ok := filter.CanonicalTimestamp(s)
		if !ok {
			return nil, errors.New("the text is no RFC 3339 timestamp of at most microseconds")
		}
		return text(t), nil
	}
	return nil, errors.New("the field is of a type that HTTP sources do not know")
}

func wrongType(want string) error { return fmt.Errorf("its value is not %s", want) }

// decimal takes a number, or a string with one: amounts often travel so, because readers make binary fractions of numbers.
func decimal(raw any) (*gatewayv1.Value, error) {
	var s string
	switch v := raw.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = v
	default:
		return nil, wrongType("a number")
	}
	if mantissa, exponent, ok := strings.Cut(strings.ToLower(s), "e"); ok {
		// Exactly, and only where the result is short enough to be written.
		e, err := strconv.Atoi(exponent)
		_, plain := filter.CanonicalDecimal(mantissa) // package big reads fractions and other bases, too
		r, valid := new(big.Rat).SetString(mantissa)
		if err != nil || !plain || !valid || e > filter.MaxDecimalDigits || e < -filter.MaxDecimalDigits || len(mantissa) > filter.MaxDecimalDigits {
			return nil, errDecimal
		}
		power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(e, -e))), nil))
		if e < 0 {
			power.Inv(power)
		}
		digits, exact := r.Mul(r, power).FloatPrec()
		if !exact {
			return nil, errDecimal
		}
		s = r.FloatString(digits)
	}
	if _, ok := filter.CanonicalDecimal(s); !ok {
		return nil, errDecimal
	}
	return text(s), nil // in the scale that the source gives it
}

var errDecimal = fmt.Errorf("its value is no decimal of at most %d digits", filter.MaxDecimalDigits)

// plain writes a field's value as filters write constants; not ok: null.
func (f *field) plain(v *gatewayv1.Value) (string, bool) {
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_Text:
		if f.schema.Type == "decimal" {
			return filter.CanonicalDecimal(k.Text)
		}
		return k.Text, true
	case *gatewayv1.Value_Integer:
		return strconv.FormatInt(k.Integer, 10), true
	case *gatewayv1.Value_Boolean:
		return strconv.FormatBool(k.Boolean), true
	}
	return "", false
}
