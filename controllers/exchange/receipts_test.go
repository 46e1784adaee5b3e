package exchange

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestUnhurried: a peer that bounds how much is asked at once is asked again, and not for ever.
func TestUnhurried(t *testing.T) {
	limited := refuse(RateLimited, "too many messages").GRPCStatus().Err()
	broken := errors.New("broken")
	for _, c := range []struct {
		name       string
		limited    int
		then, want error
		cancelled  bool
		calls      int
	}{
		{name: "at once", calls: 1},
		{name: "after pauses", limited: 3, calls: 4},
		{name: "another error", limited: 1, then: broken, want: broken, calls: 2},
		{name: "for ever", limited: 1 << 20, want: limited, calls: maxPauses + 1},
		{name: "ended", limited: 1 << 20, cancelled: true, want: context.Canceled, calls: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			pause := time.Microsecond
			if c.cancelled {
				pause = time.Hour
				cancel()
			}
			calls := 0
			err := unhurried(ctx, pause, func() error {
				if calls++; calls <= c.limited {
					return limited
				}
				return c.then
			})
			if !errors.Is(err, c.want) || calls != c.calls {
				t.Errorf("%v after %d calls; want %v after %d", err, calls, c.want, c.calls)
			}
		})
	}
}
