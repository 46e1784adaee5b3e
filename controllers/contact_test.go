package controllers

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/gateway/route"
)

// TestAwayForDays: however long an agency is away, it is called again within 15 s, and it is forgotten to be away once it answers.
func TestAwayForDays(t *testing.T) {
	peer := exchange.Peer{Party: route.Party{Agency: "border-service", TrustDomain: "border.example"}, Endpoint: "border.example:9444"}
	c := &contacts{log: slog.New(slog.DiscardHandler), door: doorbell{}, failures: map[string]int{}}
	calls := 0
	for passed := time.Duration(0); passed < 9*24*time.Hour; calls++ {
		wait := c.failed(peer, errors.New("no route to host"))
		if wait <= 0 || wait > longestCall || passed > time.Minute && wait < longestCall*3/4 {
			t.Fatalf("after %s: called again after %s", passed, wait)
		}
		if !c.away(peer.Agency) {
			t.Fatalf("after %s: forgotten", passed)
		}
		passed += wait
	}
	t.Logf("%d calls in nine days", calls)
	if c.back(peer.Agency); c.away(peer.Agency) {
		t.Error("still away when it answers")
	}
	if wait := c.failed(peer, errors.New("reset")); wait > firstCall {
		t.Errorf("away again: called after %s", wait)
	}
}
