package statement

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// key is one field of the order as the statement has it.
type key struct {
	field      *route.Field
	column     string // quoted
	descending bool
	value      *gatewayv1.Value // of q.From
}

// ordered writes the condition of q.From, and gives the terms of ORDER BY. Fields that a filter fixes order nothing.
func ordered(b *strings.Builder, d Dialect, q source.Query, args []any) (terms []string, _ []any, err error) {
	if q.From != nil && len(q.From.Values) != len(q.Order) {
		return nil, nil, fmt.Errorf("source: dataset %s: a place in the order has another number of values than the order has fields", q.Dataset.Name)
	}
	var keys []key
	var spellings []string
	for i, o := range q.Order {
		at := slices.IndexFunc(q.Schema.Fields, func(f route.Field) bool { return f.Name == o.Field })
		column, ok := q.Dataset.Columns[o.Field]
		if at < 0 || !ok {
			return nil, nil, fmt.Errorf("source: dataset %s: field %s has no column", q.Dataset.Name, o.Field)
		}
		k := key{field: &q.Schema.Fields[at], column: d.Quote(column), descending: o.Descending}
		if s := d.Spelling(k.field, k.column); s != "" {
			spellings = append(spellings, s)
		}
		if isFixed(q.Filter, o.Field) || isFixed(q.RowFilter, o.Field) {
			continue
		}
		if q.From != nil {
			k.value = q.From.Values[i]
		}
		keys = append(keys, k)
		direction := ""
		if k.descending {
			direction = " DESC"
		}
		terms = append(terms, d.Key(k.field, k.column)+direction+" NULLS LAST")
	}
	if q.From == nil {
		return append(terms, spellings...), args, nil
	}
	word := " WHERE "
	if q.Filter != nil || q.RowFilter != nil || q.Dataset.Consent != nil {
		word = " AND "
	}
	b.WriteString(word)
	args, err = beginning(b, d, keys, q.From.Including, args)
	if err != nil {
		return nil, nil, fmt.Errorf("source: dataset %s: %w", q.Dataset.Name, err)
	}
	return append(terms, spellings...), args, nil
}

// beginning writes that a record is not before a place: it is after it in the first field, or equal and after it in the next, and so on.
func beginning(b *strings.Builder, d Dialect, keys []key, including bool, args []any) ([]any, error) {
	depth := 0
	for i, k := range keys {
		last := i == len(keys)-1
		expression := d.Key(k.field, k.column)
		value, null, err := plain(k.value)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", k.field.Name, err)
		}
		if d.Argument != nil && !null {
			value = d.Argument(k.field, value)
		}
		bind := func() string {
			args = append(args, value)
			return d.Key(k.field, d.Bound(k.field, len(args)))
		}
		b.WriteString("(")
		depth++
		switch {
		case null:
			// Nothing comes after null.
		case k.descending:
			b.WriteString(expression + " < " + bind() + " OR " + expression + " IS NULL OR ")
		default:
			b.WriteString(expression + " > " + bind() + " OR " + expression + " IS NULL OR ")
		}
		if last && !including {
			break
		}
		if null {
			b.WriteString(expression + " IS NULL")
		} else {
			b.WriteString(expression + " = " + bind())
		}
		if !last {
			b.WriteString(" AND ")
		}
	}
	if len(keys) == 0 && including {
		b.WriteString("1 = 1")
	} else if !including {
		b.WriteString("1 = 0")
	}
	b.WriteString(strings.Repeat(")", depth))
	return args, nil
}

// plain is a value as drivers take it.
func plain(v *gatewayv1.Value) (value any, null bool, err error) {
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_Text:
		return k.Text, false, nil
	case *gatewayv1.Value_Integer:
		return k.Integer, false, nil
	case *gatewayv1.Value_Boolean:
		return k.Boolean, false, nil
	case nil:
		return nil, true, nil
	}
	return nil, false, fmt.Errorf("a value of a kind that cannot be compared")
}
