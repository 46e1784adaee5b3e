package exchange

import (
	"testing"
	"time"
)

// TestSkew: up to the bound, and where an answer took so long that nobody can tell, nothing is said.
func TestSkew(t *testing.T) {
	sent := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		took, said time.Duration // since sent
		ahead      time.Duration
		beyond     bool
	}{
		{0, 0, 0, false},
		{2 * time.Second, time.Second, 0, false},
		{0, MaxSkew, MaxSkew, false},
		{0, MaxSkew + time.Second, MaxSkew + time.Second, true},
		{0, -MaxSkew, -MaxSkew, false},
		{0, -MaxSkew - time.Second, -MaxSkew - time.Second, true},
		{4 * time.Second, MaxSkew + 4*time.Second, MaxSkew + 2*time.Second, false},
		{4 * time.Second, MaxSkew + 5*time.Second, MaxSkew + 3*time.Second, true},
		{4 * time.Second, -MaxSkew - time.Second, -MaxSkew - 3*time.Second, true},
		{-time.Hour, 0, 0, false}, // our own clock was set back meanwhile
		{0, 24 * time.Hour, 24 * time.Hour, true},
	} {
		s := skewOf(sent, sent.Add(c.took), sent.Add(c.said))
		if s.Ahead != c.ahead || s.Beyond() != c.beyond || s.Margin < 0 {
			t.Errorf("took %s, said %s: %+v, beyond: %t", c.took, c.said, s, s.Beyond())
		}
	}
}
