package federation

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/quota"
	"github.com/entente-dev/entente/gateway/route"
)

// heard remembers what sources last said is left of daily quotas, for explanations: only the source counts. There are as many
// as clauses with quotas were asked under today.
type heard struct {
	mu  sync.Mutex
	day string // of all that is remembered
	by  map[offer]remaining
}

type remaining struct {
	left *gatewayv1.QuotaLeft
	at   time.Time
}

// listen takes what a source says with its answer.
func (h *heard) listen(o offer, left *gatewayv1.QuotaLeft, at time.Time) {
	if left == nil || left.GetDay() != quota.Day(at) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.day != left.GetDay() || h.by == nil {
		h.day, h.by = left.GetDay(), map[offer]remaining{}
	}
	h.by[key(o)] = remaining{left, at}
}

func key(o offer) offer {
	return offer{agency: o.agency, agreement: o.agreement, clause: o.clause}
}

// of says what was heard today of a clause; nil: nothing.
func (h *heard) of(o offer, at time.Time) *remaining {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.by[key(o)]
	if !ok || h.day != quota.Day(at) {
		return nil
	}
	return &r
}

// known makes it an input of the decision.
func (r *remaining) known() *enforce.Left {
	if r == nil {
		return nil
	}
	out := &enforce.Left{Queries: math.MaxInt64, Records: math.MaxInt64}
	if q := r.left.Queries; q != nil {
		out.Queries = *q
	}
	if n := r.left.Records; n != nil {
		out.Records = *n
	}
	return out
}

// quotaInWords says what is left of a clause's quotas; "" when it has none.
func quotaInWords(c *route.Clause, r *remaining) string {
	var parts []string
	add := func(most int64, left *int64, what string) {
		switch {
		case most == 0:
		case r == nil || left == nil:
			parts = append(parts, fmt.Sprintf("%d %s a day", most, what))
		default:
			parts = append(parts, fmt.Sprintf("%d of %d %s left today", *left, most, what))
		}
	}
	var heard gatewayv1.QuotaLeft
	if r != nil {
		heard.Queries, heard.Records = r.left.Queries, r.left.Records
	}
	add(c.QueriesPerDay, heard.Queries, "queries")
	add(c.RecordsPerDay, heard.Records, "records")
	if len(parts) == 0 {
		return ""
	}
	words := strings.Join(parts, ", ")
	if r == nil {
		return words + "; this gateway has not asked today"
	}
	return words + ", as the source said at " + r.at.UTC().Format("15:04:05") + " UTC"
}
