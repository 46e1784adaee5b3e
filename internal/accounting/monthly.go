package accounting

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// Month is what was counted of one agreement at one side in one calendar month (UTC).
type Month struct {
	Agreement string
	Side      string
	Month     time.Time
	Counts
}

// Monthly counts the agreements of these ids by month, in the window of the scope. Only months in which something was counted
// are in it.
func Monthly(ctx context.Context, s Scope, ids []string) ([]Month, []Covered, error) {
	c := newCounter(s)
	c.only = map[string]bool{}
	for _, id := range ids {
		c.only[id] = true
	}
	months := map[row]*Month{}
	c.tally = func(r *audit.Record, sign int64) {
		t := r.Time.UTC()
		at := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		k := row{r.Side, r.Agreement + at.Format(" 2006-01")}
		if months[k] == nil {
			months[k] = &Month{Agreement: r.Agreement, Side: string(r.Side), Month: at}
		}
		months[k].add(r, sign)
	}
	covered, err := each(ctx, s.Logs, func(_ *Log, e *audit.Entry) error { c.entry(&e.Record); return nil })
	if err != nil {
		return nil, nil, err
	}
	c.interrupted()
	out := make([]Month, 0, len(months))
	for _, m := range months {
		out = append(out, *m)
	}
	slices.SortFunc(out, func(a, b Month) int {
		return cmp.Or(cmp.Compare(a.Agreement, b.Agreement), cmp.Compare(a.Side, b.Side), a.Month.Compare(b.Month))
	})
	return out, covered, nil
}
