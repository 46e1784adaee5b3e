package peer

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func exactly(d time.Duration) time.Duration { return d }

func TestCircuit(t *testing.T) {
	c := &circuit{}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range circuitFailures {
		if err := c.admit(now); err != nil {
			t.Fatal(err)
		}
		c.failed(now, exactly)
	}
	for n, open := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		open *= time.Second
		var o *OpenError
		if err := c.admit(now.Add(open - 1)); !errors.As(err, &o) || !o.Until.Equal(now.Add(open)) {
			t.Fatalf("opened %d times: %v", n+1, err)
		}
		now = now.Add(open)
		if err := c.admit(now); err != nil {
			t.Fatalf("opened %d times: not tried again: %v", n+1, err)
		}
		if err := c.admit(now); err == nil {
			t.Fatal("a second question is let through while one is tried")
		}
		c.failed(now, exactly)
	}
	for range 1000 {
		if d := spread(time.Second); d < time.Second/2 || d > 3*time.Second/2 {
			t.Fatal(d)
		}
	}
}

func TestCircuitsOfSources(t *testing.T) {
	var c circuits
	now := time.Now()
	for range circuitFailures {
		c.learn("a", unanswered, now)
	}
	if c.admit("a", now) == nil || c.admit("b", now) != nil {
		t.Error("not the source that failed is not asked")
	}
	if n := c.open(now); n != 1 {
		t.Errorf("%d open", n)
	}
	now = now.Add(time.Minute)
	if err := c.admit("a", now); err != nil {
		t.Error(err)
	}
	c.learn("a", saysNothing, now) // the user went away: somebody else may try
	if err := c.admit("a", now); err != nil {
		t.Error(err)
	}
	c.learn("a", answered, now)
	if err := c.admit("a", now); err != nil || len(c.by) != 0 {
		t.Error(err, len(c.by))
	}
}

func TestEndings(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, tt := range map[string]struct {
		ctx   context.Context
		err   error
		heard bool
		took  time.Duration
		want  ending
	}{
		"an answer":                           {context.Background(), nil, true, 0, answered},
		"it broke off":                        {context.Background(), status.Error(codes.Unavailable, ""), true, 0, answered},
		"no connection":                       {context.Background(), status.Error(codes.Unavailable, ""), false, 0, unanswered},
		"no answer for long":                  {context.Background(), status.Error(codes.DeadlineExceeded, ""), false, patience, unanswered},
		"no answer for less than anybody has": {context.Background(), status.Error(codes.DeadlineExceeded, ""), false, time.Millisecond, saysNothing},
		"the user went away":                  {ended, status.Error(codes.Canceled, ""), false, time.Minute, saysNothing},
		"it refuses the credential":           {context.Background(), status.Error(codes.Unauthenticated, ""), false, 0, answered},
		"it has had enough":                   {context.Background(), status.Error(codes.ResourceExhausted, ""), false, 0, answered},
	} {
		if got := endingOf(tt.ctx, tt.err, tt.heard, tt.took); got != tt.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

// TestOpenCircuitHidesNoRefusal: that the exchange issues no credential any more is said, though the gateway does not answer either.
func TestOpenCircuitHidesNoRefusal(t *testing.T) {
	f := newFakeIssuer(t)
	p := NewPool(self, f, nil)
	defer p.Close()
	ask := func(agreement string) error {
		return p.Retrieve(context.Background(), f.peer(), agreement, nil, nil)
	}
	var open *OpenError
	for n := 0; !errors.As(ask("agr"), &open); n++ {
		if n > 2*circuitFailures {
			t.Fatal("the circuit does not open")
		}
	}
	f.err = status.Error(codes.PermissionDenied, "the agreement is not in force")
	if err := ask("ended"); !errors.Is(err, ErrCredential) || status.Code(err) != codes.PermissionDenied {
		t.Errorf("%v", err)
	}
}
