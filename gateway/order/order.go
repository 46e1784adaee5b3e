// Package order is the order that a query may ask for: what comes before what, exactly as every dialect of a source orders. Both sides
// of a disclosure use it: the source to merge its datasets, the recipient's gateway to merge its sources and to see that each keeps the
// order.
package order

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
)

// By is one field of an order, by its place among the values of a record.
type By struct {
	Index int
	// Type of the field, see route.Field.
	Type       string
	Descending bool
}

// Compare says whether record a comes before (-1) or after (1) record b, or neither (0), in the order by.
func Compare(by []By, a, b []*gatewayv1.Value) int {
	for _, k := range by {
		if d := Values(k.Type, k.Descending, at(a, k.Index), at(b, k.Index)); d != 0 {
			return d
		}
	}
	return 0
}

func at(values []*gatewayv1.Value, i int) *gatewayv1.Value {
	if i < len(values) {
		return values[i]
	}
	return nil
}

// Values compares two values of one field. Text and codes are ordered by code point, numbers, dates and timestamps by value, false
// before true. Null comes last, whichever the direction.
func Values(fieldType string, descending bool, a, b *gatewayv1.Value) int {
	switch {
	case a.GetKind() == nil && b.GetKind() == nil:
		return 0
	case a.GetKind() == nil:
		return 1
	case b.GetKind() == nil:
		return -1
	}
	d := compare(fieldType, a, b)
	if descending {
		return -d
	}
	return d
}

func compare(fieldType string, a, b *gatewayv1.Value) int {
	switch fieldType {
	case "int":
		return cmp.Compare(a.GetInteger(), b.GetInteger())
	case "bool":
		return cmp.Compare(number(a.GetBoolean()), number(b.GetBoolean()))
	case "decimal":
		x, okX := filter.CanonicalDecimal(a.GetText())
		y, okY := filter.CanonicalDecimal(b.GetText())
		if okX && okY {
			return filter.CompareDecimals(x, y)
		}
	case "timestamp":
		x, errX := time.Parse(time.RFC3339Nano, a.GetText())
		y, errY := time.Parse(time.RFC3339Nano, b.GetText())
		if errX == nil && errY == nil {
			return x.Compare(y)
		}
	}
	// UTF-8 orders as code points do; dates are YYYY-MM-DD.
	return strings.Compare(a.GetText(), b.GetText())
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Key writes a value so that two of one field have the same key just when they are equal; not ok: null, which equals nothing.
func Key(fieldType string, v *gatewayv1.Value) (key string, ok bool) {
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_Text:
		if c, ok := filter.CanonicalDecimal(k.Text); ok && fieldType == "decimal" {
			return "t" + c, true
		}
		if fieldType == "timestamp" {
			if t, err := time.Parse(time.RFC3339Nano, k.Text); err == nil {
				return "t" + t.UTC().Format(time.RFC3339Nano), true
			}
		}
		return "t" + k.Text, true
	case *gatewayv1.Value_Integer:
		return "i" + strconv.FormatInt(k.Integer, 10), true
	case *gatewayv1.Value_Boolean:
		if k.Boolean {
			return "b1", true
		}
		return "b0", true
	case *gatewayv1.Value_List, *gatewayv1.Value_Nested:
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(v)
		return "m" + string(b), err == nil
	}
	return "", false
}
