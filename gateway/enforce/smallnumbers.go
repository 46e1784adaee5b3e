package enforce

import (
	"fmt"
	"strings"
)

// checkMinimumCount keeps two counts from telling about one person by their difference: everything that may be counted is a
// cell of one partition, so that no two questions overlap without being the same (docs/adr/0022-small-numbers.md).
func checkMinimumCount(s *state) *Refusal {
	c := s.plan.Clause
	if c.MinimumCount == 0 {
		return nil
	}
	refuse := func(change, format string, args ...any) *Refusal {
		return &Refusal{Term: s.term("limits.minimumCount"), Message: fmt.Sprintf(format, args...), Change: change}
	}
	switch {
	case c.Granularity == "Records" || s.plan.Granularity == "Records":
		return refuse("ask for Count or Existence", "the clause suppresses counts below %d, so that no records are disclosed under it", c.MinimumCount)
	case len(c.RequireSelectors) != 1:
		return refuse(s.amend("limits.minimumCount")+", or of its selector sets", "the clause suppresses counts below %d and does not say, by one selector set, which groups may be counted", c.MinimumCount)
	case s.plan.Filter == nil || !s.plan.Filter.Cell(c.RequireSelectors[0]):
		r := refuse("make the filter one equality for each of those fields, and nothing else", "only whole groups are counted: the filter must be an equality (==) for each of %s, joined by &&, and nothing else",
			strings.Join(c.RequireSelectors[0], ", "))
		r.Member = "filter"
		return r
	}
	return nil
}

// Told is what is told of a count under a minimum: the greatest multiple of the minimum that is not above it; ok is false, and
// nothing is told, below the minimum.
func Told(count, minimum int64) (told int64, ok bool) {
	if minimum < 1 {
		return count, true
	}
	told = count - count%minimum
	return told, told >= minimum
}
