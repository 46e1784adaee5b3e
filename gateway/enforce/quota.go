package enforce

import (
	"fmt"

	"github.com/entente-dev/entente/gateway/route"
)

// Left is what is left of a clause's daily quotas for one recipient. A member counts only when the clause has that quota.
type Left struct{ Queries, Records int64 }

// checkQuota refuses when nothing is left, as far as that is known: only the source counts, and it does so after the decision,
// when it reserves what it is about to ask.
func checkQuota(s *state) *Refusal {
	if s.Left == nil {
		return nil
	}
	return OverQuota(s.plan.Clause, *s.Left, s.plan.Granularity)
}

// OverQuota is the refusal when nothing is left of the day for an answer of that granularity; nil when something is.
func OverQuota(c *route.Clause, left Left, granularity string) *Refusal {
	const wait = "ask again after 00:00 UTC, or ask for an amendment of "
	const tomorrow = "used up for today: it begins anew at 00:00 UTC"
	term := "clauses[" + c.Name + "].limits."
	switch {
	case c.QueriesPerDay > 0 && left.Queries < 1:
		return &Refusal{Check: "quota", Term: term + "queriesPerDay", Message: fmt.Sprintf("the quota of %d queries a day is %s", c.QueriesPerDay, tomorrow), Change: wait + term + "queriesPerDay"}
	case c.RecordsPerDay > 0 && left.Records < 1 && granularity == "Records":
		return &Refusal{Check: "quota", Term: term + "recordsPerDay", Message: fmt.Sprintf("the quota of %d records a day is %s; queries that run now hold some of it, too", c.RecordsPerDay, tomorrow), Change: wait + term + "recordsPerDay"}
	}
	return nil
}
