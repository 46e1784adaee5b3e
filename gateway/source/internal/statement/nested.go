package statement

import (
	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
)

// Selected gives the fields of the values of a row, as Records selects the columns: a record in no list has one for each member.
func Selected(columns []route.Column) []*route.Field {
	out := make([]*route.Field, 0, len(columns))
	for i := range columns {
		if c := &columns[i]; len(c.Members) > 0 && !c.Field.Repeated {
			out = append(out, c.Members...)
		} else {
			out = append(out, c.Field)
		}
	}
	return out
}

// Nest makes a record of the values of a row. A record inside it of which nothing is known is null.
func Nest(columns []route.Column, values []*gatewayv1.Value) *gatewayv1.Record {
	r := &gatewayv1.Record{Values: make([]*gatewayv1.Value, len(columns))}
	for i := range columns {
		c := &columns[i]
		if len(c.Members) == 0 || c.Field.Repeated {
			r.Values[i], values = values[0], values[1:]
			continue
		}
		n := len(c.Members)
		r.Values[i] = &gatewayv1.Value{}
		for _, v := range values[:n] {
			if v.GetKind() != nil {
				r.Values[i].Kind = &gatewayv1.Value_Nested{Nested: &gatewayv1.Record{Values: values[:n:n]}}
				break
			}
		}
		values = values[n:]
	}
	return r
}
