package trino

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

var (
	errCode    = errors.New("a code of the source is not in the schema's list")
	errDecimal = fmt.Errorf("a number of the source is no decimal of at most %d digits; a column of floating-point numbers is none", filter.MaxDecimalDigits)
	errRange   = errors.New("a date of the source is not in the years 1 to 9999")
	errMoment  = errors.New("a timestamp of the source is finer than microseconds, or not in the years 1 to 9999")
	errFormat  = errors.New("the source gives another type than was asked for")
)

// decode gives the values of a row. An error names the field and never the value.
func decode(dataset string, fields []*route.Field, row []any) ([]*gatewayv1.Value, error) {
	values := make([]*gatewayv1.Value, len(fields))
	for i, f := range fields {
		values[i] = &gatewayv1.Value{}
		if row[i] == nil {
			continue
		}
		if err := set(values[i], f, row[i]); err != nil {
			return nil, fmt.Errorf("trino: dataset %s: field %s: %w", dataset, f.Name, err)
		}
	}
	return values, nil
}

func set(v *gatewayv1.Value, f *route.Field, given any) error {
	switch f.Type {
	case "int":
		n, ok := whole(given)
		if !ok {
			return errFormat
		}
		v.Kind = &gatewayv1.Value_Integer{Integer: n}
		return nil
	case "bool":
		b, ok := given.(bool)
		if !ok {
			return errFormat
		}
		v.Kind = &gatewayv1.Value_Boolean{Boolean: b}
		return nil
	}
	s, ok := given.(string)
	if !ok {
		return errFormat
	}
	switch f.Type {
	case "string":
	case "code":
		if !slices.Contains(f.Codes, s) {
			return errCode
		}
	case "decimal":
		if _, ok := filter.CanonicalDecimal(s); !ok {
			return errDecimal
		}
	case "date":
		if t, err := time.Parse(time.DateOnly, s); err != nil || t.Year() < 1 {
			return errRange
		}
	case "timestamp":
		// 2001-02-03 04:05:06.123456000000 UTC
		day, rest, _ := strings.Cut(s, " ")
		at, zone, _ := strings.Cut(rest, " ")
		if zone != "UTC" && zone != "Z" {
			return errFormat
		}
		if whole, fraction, ok := strings.Cut(at, "."); ok {
			if at = whole; strings.Trim(fraction, "0") != "" {
				at += "." + strings.TrimRight(fraction, "0")
			}
		}
		if s, ok = filter.CanonicalTimestamp(day + "T" + at + "Z"); !ok {
			return errMoment
		}
	default:
		return errFormat
	}
	v.Kind = &gatewayv1.Value_Text{Text: s}
	return nil
}
