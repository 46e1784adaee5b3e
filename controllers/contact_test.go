package controllers

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/api/v1alpha1"
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

// TestOnce: of a list that goes on and on, what is ours is handled once.
func TestOnce(t *testing.T) {
	ours := []v1alpha1.SharingAgreement{{ObjectMeta: metav1.ObjectMeta{Name: "anvil.v1"}}, {ObjectMeta: metav1.ObjectMeta{Name: "anvil.v2"}}}
	var handled []string
	each := once(ours, func(a *v1alpha1.SharingAgreement, shown *exchangev1.Agreement) {
		handled = append(handled, a.Name+" "+shown.GetDigest())
	})
	for _, s := range [][2]string{{"other.v1", "1"}, {"anvil.v2", "2"}, {"anvil.v1", "3"}, {"anvil.v2", "4"}, {"", "5"}} {
		each(&exchangev1.Agreement{Name: s[0], Digest: s[1]})
	}
	if want := []string{"anvil.v2 2", "anvil.v1 3"}; !slices.Equal(handled, want) {
		t.Errorf("handled %v, want %v", handled, want)
	}
}
