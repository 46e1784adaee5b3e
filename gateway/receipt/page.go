package receipt

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// MaxPage is the most receipts on one page, about 250 bytes each.
const MaxPage = 2000

// Query asks for receipts of disclosures between the log's agency and a peer.
type Query struct {
	Peer string
	Window
	// After is the id that the page before ended with; empty: the first page.
	After string
	// Limit of the page; 0 and more than MaxPage mean MaxPage.
	Limit int
}

// Reader reads a log's records that were written at from or later, in order; earlier ones may come too. It stops with the error
// that fn returns.
type Reader func(from time.Time, fn func(audit.Record) error) error

// spread is how far apart in a log the records of one disclosure, and of disclosures with neighbouring ids, can be: clocks may
// differ, and a long answer takes its time.
const spread = 2*MaxSkew + 10*time.Minute

var errEnough = errors.New("enough")

// Page gives receipts by id, and whether more follow. Its memory is bounded by the page, not by the log.
func Page(read Reader, q Query) (page []Receipt, more bool, err error) {
	if q.Limit <= 0 || q.Limit > MaxPage {
		q.Limit = MaxPage
	}
	from := q.Since
	if t, ok := Dated(q.After); ok && t.After(from) {
		from = t
	}
	c := collection{query: q, found: map[string]*Receipt{}}
	err = read(from.Add(-spread), func(r audit.Record) error {
		if r.Time.After(c.end().Add(spread)) {
			return errEnough
		}
		c.take(&r)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, false, err
	}
	c.trim(q.Limit)
	for _, id := range slices.Sorted(maps.Keys(c.found)) {
		page = append(page, *c.found[id])
	}
	return page, c.cut != "", nil
}

// collection keeps the receipts with the lowest ids.
type collection struct {
	query Query
	found map[string]*Receipt
	// cut is the lowest id that was left out; empty: none was.
	cut string
}

// end is the date after which no id is of interest any more.
func (c *collection) end() time.Time {
	if t, ok := Dated(c.cut); ok {
		return t
	}
	return c.query.Until
}

func (c *collection) take(r *audit.Record) {
	peer := r.Recipient
	if r.Side == audit.Recipient {
		if r.Kind == audit.Denial {
			return // refused by the recipient's own gateway: the source was never told
		}
		peer = r.Source
	}
	if peer != c.query.Peer || r.Operation != audit.Consultation || r.Disclosure <= c.query.After || (c.cut != "" && r.Disclosure >= c.cut) {
		return
	}
	if t, ok := Dated(r.Disclosure); !ok || !c.query.holds(t) {
		return
	}
	known := c.found[r.Disclosure]
	if known == nil {
		known = &Receipt{Disclosure: r.Disclosure, Side: r.Side}
		c.found[r.Disclosure] = known
		if len(c.found) > 4*c.query.Limit {
			defer c.trim(c.query.Limit)
		}
	} else if r.Kind == audit.Intent || r.Kind == audit.Denial {
		known.Repeated = true // a disclosure has one beginning
	}
	known.Agreement, known.Version, known.QueryDigest = r.Agreement, r.Version, r.QueryDigest
	switch r.Kind {
	case audit.Release:
		// Part of the answer is out; an outcome that follows says what became of it.
		known.Outcome, known.ResponseDigest = "PARTIAL", ""
	case audit.Outcome, audit.Denial:
		// The last outcome holds: a second one says what was not released after all.
		known.Outcome, known.ResponseDigest = r.Outcome, r.ResponseDigest
	}
}

// trim leaves the n lowest ids.
func (c *collection) trim(n int) {
	if len(c.found) <= n {
		return
	}
	ids := slices.Sorted(maps.Keys(c.found))
	for _, id := range ids[n:] {
		delete(c.found, id)
	}
	c.cut = ids[n]
}
