package reconciliation

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/receipt"
)

// fixed is a lister of one page.
type fixed []receipt.Receipt

func (f fixed) ListReceipts(context.Context, string, receipt.Window, string) ([]receipt.Receipt, string, error) {
	return f, "", nil
}

var start = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)

func made(n int, side audit.Side, agreement string) receipt.Receipt {
	ms := start.UnixMilli()
	return receipt.Receipt{
		Disclosure: fmt.Sprintf("%08x-%04x-7000-8000-%012x", ms>>16, ms&0xffff, n), Side: side, Agreement: agreement, Version: 1,
		Outcome: "OK", QueryDigest: "q", ResponseDigest: "r",
	}
}

// TestBetween: a peer that names agreements which are none of its own, or are none at all, says nothing about them, and hides nothing
// behind them.
func TestBetween(t *testing.T) {
	var theirs fixed
	for n := range 300 {
		theirs = append(theirs, made(n, audit.Recipient, fmt.Sprintf("a-%03d", n)))
	}
	theirs = append(theirs, made(300, audit.Recipient, "bridge"), made(301, audit.Recipient, "quiet"))
	ours := fixed{made(301, audit.Source, "quiet"), made(302, audit.Source, "zinc")}
	w := receipt.Window{Since: start, Until: start.Add(time.Hour)}
	between := map[string]bool{"zinc.v1": true, "quiet.v1": true, "bridge.v1": false}
	s, err := Run(t.Context(), ours, theirs, "police", w, between, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int64{"zinc.v1": 1, "quiet.v1": 0}; !maps.Equal(s.Agreements, want) {
		t.Errorf("%d agreements: %v, want %v", len(s.Agreements), s.Agreements, want)
	}
	if s.Compared != 303 || s.Faulty() != 302 || !s.OpenSince.Equal(start) {
		t.Errorf("%d compared, %d faulty, open since %s", s.Compared, s.Faulty(), s.OpenSince)
	}
}
