package disclosure

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/digest"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/page"
	"github.com/entente-dev/entente/gateway/receipt"
)

// paging is one page of an answer. The source keeps nothing between pages: what it needs to know comes back with the request, in the form
// of a position that it gave and authenticated itself. So a recipient can begin only where a page of the same query left it, and the
// limit of the clause holds for all pages of a query together.
type paging struct {
	key *page.Key // for the positions of this page
	// asked is the digest of what all pages are asked with.
	asked [32]byte
	size  int64
	// limited: the limit ends before the page does.
	limited bool
	// Where the page begins; dataset "": with the first record. count records came on pages before, and with copies of them the values
	// are equal.
	dataset       string
	values        []*gatewayv1.Value
	count, copies int64
}

func (p *paging) resumes() bool { return p != nil && p.dataset != "" }

// last says whether the page ends because of a limit, and is the last: limit is how many records it might have.
func (p *paging) last(limit int64) bool { return p.limited || limit < p.size }

const messagePageKey = "the source's gateway cannot make or read the positions of pages now: try again later"

var errNoPages = errors.New("this gateway has no keys for pages")

// maxPage is the most records of a page.
const maxPage = 10_000

// resume finds where the page begins, and bounds it. The refusal is that the position is none of this query's; the error, that it cannot
// be known.
func (d *disclosure) resume(ctx context.Context) (*enforce.Refusal, error) {
	a := d.req.GetAfter()
	if a == nil || d.plan.Granularity != "Records" {
		return nil, nil
	}
	switch {
	case len(d.plan.Order) == 0:
		return invalidPage("pages need an order"), nil
	case a.GetSize() < 1 || a.GetSize() > maxPage:
		return invalidPage(fmt.Sprintf("a page has 1 to %d records", maxPage)), nil
	case len(d.shape.Members) > 0 || slices.ContainsFunc(d.shape.Fields, func(f string) bool { return d.plan.Clause.Schema.Single(f) == nil }):
		return &enforce.Refusal{Check: "order", Message: "a page has no lists and no records inside records, by which equal records could not be told apart: ask for the other fields (fields)"}, nil
	case d.core.Positions == nil:
		return nil, errNoPages
	}
	key, err := d.core.Positions.Current(ctx)
	if err != nil {
		return nil, err
	}
	d.page = &paging{key: key, asked: digest.Pages(d.req), size: a.GetSize()}
	if a.GetDisclosureId() != "" {
		if refusal, err := d.begin(ctx, a); refusal != nil || err != nil {
			return refusal, err
		}
	}
	left := d.plan.Limit - d.page.count
	if left <= 0 {
		return &enforce.Refusal{Check: "limit", Term: "clauses[" + d.plan.Clause.Name + "].limits.recordsPerQuery", Message: "the pages before have as many records as the limit lets through: narrow the filter"}, nil
	}
	d.page.limited = d.page.size >= left
	d.plan.Limit = min(d.page.size, left)
	return nil, nil
}

func invalidPage(message string) *enforce.Refusal {
	return &enforce.Refusal{Check: "request", Invalid: true, Message: message}
}

// begin takes the position after which the page begins.
func (d *disclosure) begin(ctx context.Context, a *gatewayv1.After) (*enforce.Refusal, error) {
	forged := &enforce.Refusal{Check: "position", Message: "the position is not one that this agency gave for this query under this version of the agreement: ask from the first page"}
	dated, ok := receipt.Dated(a.GetDisclosureId())
	if !ok {
		return forged, nil
	}
	if age := d.started.Sub(dated); age > page.Life || age < -receipt.MaxSkew {
		return &enforce.Refusal{Check: "position", Message: fmt.Sprintf("the page before is older than %s: ask from the first page", page.Life)}, nil
	}
	key, err := d.core.Positions.Open(ctx, a.GetPositionKey())
	if errors.Is(err, page.ErrForged) {
		return forged, nil
	}
	if err != nil {
		return nil, err
	}
	count, n := binary.Uvarint(a.GetPosition())
	if n <= 0 {
		return forged, nil
	}
	copies, m := binary.Uvarint(a.GetPosition()[n:])
	if m <= 0 || a.GetDataset() == "" || len(a.GetValues()) != len(d.shape.Fields) {
		return forged, nil
	}
	if !key.Holds(d.placed(a.GetDisclosureId(), a.GetDataset(), a.GetValues(), int64(count), int64(copies)), a.GetPosition()[n+m:]) {
		return forged, nil
	}
	d.page.dataset, d.page.values, d.page.count, d.page.copies = a.GetDataset(), a.GetValues(), int64(count), int64(copies)
	return nil, nil
}

// position is what a recipient hands back to go on after a record: the count-th of the answer, which came copies times up to it.
func (d *disclosure) position(dataset string, values []*gatewayv1.Value, count, copies int64) []byte {
	b := binary.AppendUvarint(make([]byte, 0, 24), uint64(count))
	b = binary.AppendUvarint(b, uint64(copies))
	return append(b, d.page.key.Sum(d.placed(d.id, dataset, values, count, copies))...)
}

// placed is all that a position stands for.
func (d *disclosure) placed(disclosure, dataset string, values []*gatewayv1.Value, count, copies int64) []byte {
	b := append(make([]byte, 0, 512), d.page.asked[:]...)
	for _, s := range []string{d.caller.Recipient, d.plan.Version.Digest, disclosure} {
		b = append(append(b, s...), 0)
	}
	b = binary.AppendUvarint(b, uint64(count))
	b = binary.AppendUvarint(b, uint64(copies))
	return digest.Values(b, dataset, values)
}
