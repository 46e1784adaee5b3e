package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
)

func TestClockSkew(t *testing.T) {
	for _, c := range []struct {
		skew exchange.Skew
		want string // of the message; empty: no condition
	}{
		{exchange.Skew{}, ""},
		{exchange.Skew{Ahead: exchange.MaxSkew}, ""},
		{exchange.Skew{Ahead: -exchange.MaxSkew}, ""},
		{exchange.Skew{Ahead: exchange.MaxSkew + time.Second, Margin: time.Second}, ""},
		{exchange.Skew{Ahead: 12*time.Minute + 20*time.Second, Margin: time.Second}, "of border-service is 12m0s ahead of ours, more than 5m0s"},
		{exchange.Skew{Ahead: -7 * time.Hour}, "of border-service is 7h0m0s behind ours, more than 5m0s"},
	} {
		got := clockSkew("border-service", c.skew)
		if (got != nil) != (c.want != "") {
			t.Errorf("%+v: %+v", c.skew, got)
		}
		if got != nil && (got.kind != v1alpha1.ConditionClockSkew || !strings.Contains(got.message, c.want)) {
			t.Errorf("%+v: %+v", c.skew, got)
		}
	}
}

// TestSuspect: many refusals are one comparison.
func TestSuspect(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	r := &contacts{now: func() time.Time { return now }, suspected: map[string]time.Time{}}
	when := func() time.Time { r.suspect("border-service"); return r.suspected["border-service"] }
	first := when()
	now = now.Add(suspectEvery / 2)
	if again := when(); again != first {
		t.Errorf("suspected again after %s", again.Sub(first))
	}
	now = now.Add(suspectEvery)
	if again := when(); again == first {
		t.Error("never suspected again")
	}
}
