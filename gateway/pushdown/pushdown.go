// Package pushdown decides what of a query's filters an HTTP API is asked for: all of it, or the query is refused before anything is
// asked. A filter is never left out and made up for by reading more. It is pure.
package pushdown

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// Plan is what an API is asked for, and what each record of its answer has to meet: the API is believed that it left nothing out, and
// not that it left out what it should have.
type Plan struct {
	// Nothing: the filters exclude each other, so no record can match.
	Nothing bool
	// Sent values, in the order of the dataset's filters.
	Sent  []Sent
	terms []filter.Term
}

// Sent is one filter of the API with its values: one, or those of In.
type Sent struct {
	*route.HTTPFilter
	Values []string
}

// Refusal says what the API cannot be asked for. It quotes no value.
type Refusal struct {
	// RowFilter: it is the clause's row filter and not the query's.
	RowFilter bool
	// Line and Column in that filter's text, from 1; 0: it is about the whole.
	Line, Column int
	Message      string
}

func (r *Refusal) Error() string {
	what := "filter"
	if r.RowFilter {
		what = "row filter"
	}
	if r.Line > 0 {
		return fmt.Sprintf("%s, line %d, column %d: %s", what, r.Line, r.Column, r.Message)
	}
	return what + ": " + r.Message
}

// comparisons by filters' operators.
var comparisons = map[string]string{
	"==": "Equal", "<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual",
}

// operators by comparisons, as a user writes them.
var operators = map[string]string{
	"Equal": "==", "In": "in", "Less": "<", "LessOrEqual": "<=", "Greater": ">", "GreaterOrEqual": ">=",
}

// asked is a comparison that both filters together come to.
type asked struct {
	term       filter.Term // the first that asked for it
	rowFilter  bool
	comparison string
	values     []string
}

// Of plans the query. Either filter may be nil.
func Of(h *route.HTTP, user, row *filter.Filter) (*Plan, *Refusal) {
	p := &Plan{}
	var all []*asked
	for _, f := range []struct {
		filter *filter.Filter
		row    bool
	}{{row, true}, {user, false}} {
		if f.filter == nil {
			continue
		}
		root := f.filter.Tree()
		terms := []filter.Term{root}
		if root.Kind == filter.TermAnd {
			terms = root.Terms
		}
		for _, t := range terms {
			a, why := read(t)
			if why != "" {
				return nil, refuse(t, f.row, why+": "+takes(h, t.Field))
			}
			a.rowFilter = f.row
			p.terms = append(p.terms, t)
			merged := false
			for _, b := range all {
				if b.term.Field == a.term.Field && b.comparison == a.comparison {
					b.merge(a)
					merged = true
				}
			}
			if !merged {
				all = append(all, a)
			}
		}
	}
	used := make([]bool, len(h.Filters))
	for _, a := range all {
		if len(a.values) == 0 {
			p.Nothing = true
			continue
		}
		found := false
		for i := range h.Filters {
			if f := &h.Filters[i]; f.Field == a.term.Field && a.fits(f, h) {
				if why := unsendable(f, a.values); why != "" {
					return nil, refuse(a.term, a.rowFilter, why)
				}
				p.Sent = append(p.Sent, Sent{f, a.values})
				used[i], found = true, true
			}
		}
		if !found {
			return nil, refuse(a.term, a.rowFilter, fmt.Sprintf("the source's API cannot be asked for field %q with %s: %s", a.term.Field, a.written(), takes(h, a.term.Field)))
		}
	}
	for i, f := range h.Filters {
		if f.Required && !used[i] && !p.Nothing {
			return nil, &Refusal{Message: fmt.Sprintf("the source's API does not answer without field %q: add %s %s …", f.Field, f.Field, operators[f.Comparison])}
		}
	}
	slices.SortStableFunc(p.Sent, func(a, b Sent) int {
		return cmp.Or(cmp.Compare(a.Place.In, b.Place.In), cmp.Compare(a.Place.Name, b.Place.Name))
	})
	return p, nil
}

// read understands a term, or says why an API cannot be asked for it.
func read(t filter.Term) (*asked, string) {
	a := &asked{term: t, values: t.Values}
	switch {
	case t.Function != "":
		return nil, fmt.Sprintf("the source's API cannot be asked for %s(…)", t.Function)
	case t.Kind == filter.TermOr:
		return nil, "the source's API cannot be asked for ||: write field in […], or ask twice"
	case t.Negated && t.Kind == filter.TermCompare && t.Type == "bool" && t.Operator == "==":
		return nil, fmt.Sprintf("the source's API cannot be asked for what is not: write %s == %t", t.Field, t.Values[0] == "false")
	case t.Negated:
		return nil, "the source's API cannot be asked for what is not"
	case t.Kind == filter.TermIn:
		// With one value, too: it is the same set.
		a.comparison = "Equal"
		return a, ""
	case t.Kind == filter.TermCompare && comparisons[t.Operator] != "":
		a.comparison = comparisons[t.Operator]
		return a, ""
	}
	return nil, "the source's API can be asked for comparisons of a field with a constant only"
}

// merge makes one of two comparisons of a field that both hold.
func (a *asked) merge(b *asked) {
	switch a.comparison {
	case "Equal":
		var both []string
		for _, v := range a.values {
			if slices.Contains(b.values, v) {
				both = append(both, v)
			}
		}
		a.values = both
	case "Less", "LessOrEqual":
		if len(a.values) > 0 && compare(a.term.Type, b.values[0], a.values[0]) < 0 {
			a.values = b.values
		}
	default:
		if len(a.values) > 0 && compare(a.term.Type, b.values[0], a.values[0]) > 0 {
			a.values = b.values
		}
	}
}

// fits says whether the filter takes the comparison: one value goes to Equal if there is one, else to In.
func (a *asked) fits(f *route.HTTPFilter, h *route.HTTP) bool {
	if a.comparison != "Equal" {
		return f.Comparison == a.comparison
	}
	if len(a.values) > 1 {
		return f.Comparison == "In"
	}
	return f.Comparison == "Equal" || f.Comparison == "In" && !slices.ContainsFunc(h.Filters, func(o route.HTTPFilter) bool {
		return o.Field == f.Field && o.Comparison == "Equal"
	})
}

func (a *asked) written() string {
	if a.comparison == "Equal" && len(a.values) > 1 {
		return "in"
	}
	return operators[a.comparison]
}

// takes says what the API can be asked for, for the message of a refusal.
func takes(h *route.HTTP, field string) string {
	var of, all []string
	for _, f := range h.Filters {
		if f.Field == field {
			of = append(of, operators[f.Comparison])
		}
		if s := f.Field + " " + operators[f.Comparison]; !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	if len(of) > 0 {
		return fmt.Sprintf("field %q can be compared by %s", field, strings.Join(of, ", "))
	}
	return "it takes " + strings.Join(all, ", ") + ", joined by &&"
}

func refuse(t filter.Term, row bool, message string) *Refusal {
	for len(t.Terms) > 0 {
		t = t.Terms[0]
	}
	return &Refusal{RowFilter: row, Line: t.Line, Column: t.Column, Message: message}
}

// unsendable says why values cannot stand where the filter puts them; "" when they can.
func unsendable(f *route.HTTPFilter, values []string) string {
	for _, v := range values {
		switch {
		case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return fmt.Sprintf("the value of field %q has control characters, which the source's API is not sent", f.Field)
		case f.Place.In == "path" && (v == "" || v == "." || v == ".." || strings.ContainsAny(v, `/\%;?#`)):
			// Servers and proxies take some paths for others, whatever is escaped.
			return fmt.Sprintf("the value of field %q cannot stand in the path of the source's API", f.Field)
		case f.Join == "comma" && (v == "" || strings.Contains(v, ",")):
			return fmt.Sprintf("a value of field %q has a comma, at which the source's API would part it", f.Field)
		}
	}
	return ""
}

// Fields whose values Holds needs.
func (p *Plan) Fields() []string {
	var out []string
	for _, t := range p.terms {
		out = append(out, t.Field)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Holds says whether a record is one that was asked for. value gives a field as filters write constants; ok is false for null,
// which no comparison is true for.
func (p *Plan) Holds(value func(field string) (text string, ok bool)) bool {
	for _, t := range p.terms {
		v, ok := value(t.Field)
		if !ok || !holds(t, v) {
			return false
		}
	}
	return !p.Nothing
}

func holds(t filter.Term, v string) bool {
	if t.Kind == filter.TermIn || t.Operator == "==" {
		return slices.ContainsFunc(t.Values, func(w string) bool { return compare(t.Type, v, w) == 0 })
	}
	c := compare(t.Type, v, t.Values[0])
	switch t.Operator {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return false
}

// compare orders two values of a type as filters do. Both are in their canonical forms.
func compare(kind, a, b string) int {
	switch kind {
	case "int":
		x, _ := strconv.ParseInt(a, 10, 64)
		y, _ := strconv.ParseInt(b, 10, 64)
		return cmp.Compare(x, y)
	case "decimal":
		return filter.CompareDecimals(a, b)
	case "timestamp":
		x, _ := time.Parse(time.RFC3339Nano, a)
		y, _ := time.Parse(time.RFC3339Nano, b)
		return x.Compare(y)
	default:
		return cmp.Compare(a, b) // strings by their code points, dates as they are written
	}
}
