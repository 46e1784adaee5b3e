package disclosure

import (
	"context"
	"errors"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/quota"
)

// Quotas counts what recipients used of daily quotas, see quota.Store.
type Quotas interface {
	Reserve(ctx context.Context, k quota.Key, l quota.Limits, at time.Time, records int64) (quota.Reservation, quota.Used, error)
	Settle(ctx context.Context, r quota.Reservation, disclosed int64) (quota.Used, error)
}

// ReasonQuotaStore: the clause has quotas, and there is no store that counts, or it cannot be reached.
const ReasonQuotaStore = "QuotaStore"

const messageQuotaStore = "the clause has daily quotas, and the source's gateway cannot count: its operators must mend its quota store"

var errNoQuotaStore = errors.New("the clause has daily quotas, and this gateway has no quota store (--quota-store)")

// settleTimeout bounds the giving back of what was reserved; without it, it counts as used.
const settleTimeout = 5 * time.Second

// reserve counts the query, and reserves the records that it may disclose, before the source is asked. The refusal is that
// nothing is left; the error, that nothing can be counted.
func (d *disclosure) reserve(ctx context.Context) (*enforce.Refusal, error) {
	c := d.plan.Clause
	if c.QueriesPerDay == 0 && c.RecordsPerDay == 0 {
		return nil, nil
	}
	if d.core.Quotas == nil {
		return nil, errNoQuotaStore
	}
	var records int64
	if d.plan.Granularity == "Records" && c.RecordsPerDay > 0 {
		records = d.plan.Limit
	}
	key := quota.Key{Agreement: d.req.GetAgreement(), Clause: c.Name, Recipient: d.caller.Recipient}
	r, used, err := d.core.Quotas.Reserve(ctx, key, quota.Limits{Queries: c.QueriesPerDay, Records: c.RecordsPerDay}, d.started, records)
	switch {
	case errors.Is(err, quota.ErrExceeded):
		if refusal := enforce.OverQuota(c, d.left(used), d.plan.Granularity); refusal != nil {
			return refusal, nil
		}
		// Given back by another query in between.
		return &enforce.Refusal{Check: "quota", Term: "clauses[" + c.Name + "].limits", Message: "the day's quota was held by queries that have just ended: ask again"}, nil
	case err != nil:
		return nil, err
	}
	d.reservation = &r
	if records > 0 {
		d.plan.Limit = min(d.plan.Limit, r.Records)
	}
	return nil, nil
}

func (d *disclosure) left(used quota.Used) enforce.Left {
	c := d.plan.Clause
	return enforce.Left{Queries: max(0, c.QueriesPerDay-used.Queries), Records: max(0, c.RecordsPerDay-used.Records)}
}

// settle gives back what was reserved and is not disclosed, once, and says what is left.
func (d *disclosure) settle(disclosed int64) *gatewayv1.QuotaLeft {
	if d.reservation == nil {
		return nil
	}
	r := *d.reservation
	d.reservation = nil
	ctx, stop := context.WithTimeout(context.Background(), settleTimeout)
	defer stop()
	used, err := d.core.Quotas.Settle(ctx, r, disclosed)
	if err != nil {
		d.core.Logger.Warn("a quota could not be settled: what was reserved counts as used", "disclosure", d.id, "agreement", r.Agreement, "clause", r.Clause, "error", err)
		return nil
	}
	left, out := d.left(used), &gatewayv1.QuotaLeft{Day: r.Day}
	if d.plan.Clause.QueriesPerDay > 0 {
		out.Queries = &left.Queries
	}
	if d.plan.Clause.RecordsPerDay > 0 {
		out.Records = &left.Records
	}
	return out
}
