package federation

import (
	"fmt"
	"strings"

	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/filter"
)

// inSchemaTerms is the shape of what the source is asked, as far as a recipient can know it: fields of the exchange schema, conditions
// as filters are written, and no value of either filter. The source's tables and columns are its own.
func inSchemaTerms(p *enforce.Plan) string {
	var b strings.Builder
	switch {
	case p.Granularity == "Records":
		b.WriteString("SELECT " + strings.Join(p.Fields, ", "))
	case p.Clause.MinimumCount > 0:
		b.WriteString("SELECT count(persons)")
	case p.Granularity == "Count":
		b.WriteString("SELECT count(*)")
	default:
		b.WriteString("SELECT EXISTS")
	}
	fmt.Fprintf(&b, " FROM %s", versioned(p.Clause.Schema.Name, p.Clause.Schema.Version))
	word, next := " WHERE ", 1
	for _, f := range []*filter.Filter{p.RowFilter, p.Filter} {
		if f == nil {
			continue
		}
		var text string
		text, next = f.Shape(next)
		b.WriteString(word + "(" + text + ")")
		word = " AND "
	}
	if p.Clause.Consent != "" {
		b.WriteString(word + "consent recorded in " + p.Clause.Consent)
	}
	if p.Granularity == "Records" {
		word = " ORDER BY "
		for _, o := range p.Order {
			b.WriteString(word + o.Field)
			if o.Descending {
				b.WriteString(" DESC")
			}
			word = ", "
		}
		fmt.Fprintf(&b, " LIMIT %d", p.Limit)
	}
	return b.String()
}
