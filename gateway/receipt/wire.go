package receipt

import (
	"context"
	"errors"
	"fmt"
	"iter"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
)

// Lister gives receipts of disclosures with one peer, page by page: the logs of this agency, or a peer's over the exchange.
type Lister interface {
	// ListReceipts gives a page, by id, and the token of the next one; empty: it was the last.
	ListReceipts(ctx context.Context, peer string, w Window, after string) (page []Receipt, next string, err error)
}

// All gives every receipt of a window, by id. A lister that does not come to an end, or goes back, is an error.
func All(ctx context.Context, l Lister, peer string, w Window) iter.Seq2[Receipt, error] {
	return func(yield func(Receipt, error) bool) {
		for after, last := "", ""; ; {
			page, next, err := l.ListReceipts(ctx, peer, w, after)
			if err != nil {
				yield(Receipt{}, err)
				return
			}
			for _, r := range page {
				if t, ok := Dated(r.Disclosure); !ok || !w.holds(t) || r.Disclosure <= last {
					yield(Receipt{}, fmt.Errorf("receipts of %s are not in order, or outside the window", peer))
					return
				}
				last = r.Disclosure
				if !yield(r, nil) {
					return
				}
			}
			switch {
			case next == "":
				return
			case next != last || last == after: // each page ends with the id that the next one begins after
				yield(Receipt{}, errors.New("the pages of receipts do not go on"))
				return
			}
			after = next
		}
	}
}

// Proto is the receipt as it travels.
func (r *Receipt) Proto() *gatewayv1.Receipt {
	return &gatewayv1.Receipt{
		DisclosureId: r.Disclosure, Agreement: r.Agreement, Version: r.Version, Source: r.Side == audit.Source, Outcome: r.Outcome,
		QueryDigest: r.QueryDigest, ResponseDigest: r.ResponseDigest, RepeatedId: r.Repeated,
	}
}

// FromProto takes what another process sent. Only words of bounded length get through.
func FromProto(p *gatewayv1.Receipt) (Receipt, error) {
	r := Receipt{
		Disclosure: p.GetDisclosureId(), Agreement: p.GetAgreement(), Version: p.GetVersion(), Side: audit.Recipient, Outcome: p.GetOutcome(),
		QueryDigest: p.GetQueryDigest(), ResponseDigest: p.GetResponseDigest(), Repeated: p.GetRepeatedId(),
	}
	if p.GetSource() {
		r.Side = audit.Source
	}
	for _, s := range []string{r.Disclosure, r.Agreement, r.Outcome, r.QueryDigest, r.ResponseDigest} {
		if len(s) > maxText {
			return Receipt{}, fmt.Errorf("a receipt has a member of %d bytes; at most %d", len(s), maxText)
		}
	}
	return r, nil
}

// maxText bounds each member of a receipt: an id has 36 bytes, a digest 50.
const maxText = 64

// FromProtos is FromProto for a page.
func FromProtos(page []*gatewayv1.Receipt) ([]Receipt, error) {
	if len(page) > MaxPage {
		return nil, fmt.Errorf("a page has %d receipts; at most %d", len(page), MaxPage)
	}
	out := make([]Receipt, 0, len(page))
	for _, p := range page {
		r, err := FromProto(p)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Protos is Proto for a page.
func Protos(page []Receipt) []*gatewayv1.Receipt {
	out := make([]*gatewayv1.Receipt, len(page))
	for i := range page {
		out[i] = page[i].Proto()
	}
	return out
}

// Log is a Lister of one log.
type Log struct{ Read Reader }

// ListReceipts implements Lister.
func (l Log) ListReceipts(_ context.Context, peer string, w Window, after string) ([]Receipt, string, error) {
	page, more, err := Page(l.Read, Query{Peer: peer, Window: w, After: after})
	if err != nil || !more || len(page) == 0 {
		return page, "", err
	}
	return page, page[len(page)-1].Disclosure, nil
}
