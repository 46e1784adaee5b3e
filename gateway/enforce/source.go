package enforce

import (
	"fmt"

	"github.com/entente-dev/entente/gateway/pushdown"
)

// checkSource asks whether every dataset that answers can be asked for the filters as they are. Databases can; an API takes what its
// dataset says, and what it does not take is refused here: nothing is read that would then have to be left out.
func checkSource(s *state) *Refusal {
	c := s.plan.Clause
	for i := range c.Datasets {
		ds := &c.Datasets[i]
		if ds.HTTP == nil {
			continue
		}
		_, refusal := pushdown.Of(ds.HTTP, s.plan.Filter, s.plan.RowFilter)
		switch {
		case refusal == nil:
		case refusal.RowFilter:
			return &Refusal{Term: s.term("rowFilter"), Message: fmt.Sprintf("dataset %s cannot be asked for the clause's own %v", ds.Name, refusal)}
		default:
			return &Refusal{Invalid: true, Message: fmt.Sprintf("%v (dataset %s)", refusal, ds.Name)}
		}
	}
	return nil
}
