package enforce

import (
	"fmt"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/pushdown"
	"github.com/entente-dev/entente/gateway/route"
)

// checkSource asks whether every dataset that answers can be asked for the filters as they are. Databases can, but for
// functions that not every one has; an API takes what its
// dataset says, and what it does not take is refused here: nothing is read that would then have to be left out.
func checkSource(s *state) *Refusal {
	c := s.plan.Clause
	for i := range c.Datasets {
		ds := &c.Datasets[i]
		if function := lacking(ds, s.plan.RowFilter); function != "" {
			return &Refusal{Term: s.term("rowFilter"), Message: fmt.Sprintf("dataset %s has no %s, which the clause's own row filter needs", ds.Name, function), Change: "the source provides " + function + " for dataset " + ds.Name + ", or " + s.amend("rowFilter")}
		}
		if function := lacking(ds, s.plan.Filter); function != "" {
			return &Refusal{Invalid: true, Member: "filter", Message: fmt.Sprintf("filter: dataset %s has no %s: write the filter without it", ds.Name, function), Change: "write the filter without " + function}
		}
		if ds.HTTP == nil {
			continue
		}
		_, refusal := pushdown.Of(ds.HTTP, s.plan.Filter, s.plan.RowFilter)
		switch {
		case refusal == nil:
		case refusal.RowFilter:
			return &Refusal{Term: s.term("rowFilter"), Message: fmt.Sprintf("dataset %s cannot be asked for the clause's own %v", ds.Name, refusal), Change: "the source declares in dataset " + ds.Name + " a parameter for it, or " + s.amend("rowFilter")}
		default:
			return &Refusal{Invalid: true, Member: "filter", Message: fmt.Sprintf("%v (dataset %s)", refusal, ds.Name), Change: "compare in the filter only what the source's API takes"}
		}
	}
	return nil
}

// lacking is a function that the filter needs and the dataset's source does not have; empty: there is none.
func lacking(ds *route.Dataset, f *filter.Filter) string {
	if f == nil {
		return ""
	}
	for _, function := range f.Needs() {
		if !ds.Has(function) {
			return function
		}
	}
	return ""
}
