package main

import (
	"context"
	"testing"
	"time"

	"github.com/entente-dev/entente/hack/testenv"
)

// TestHarness runs it all, briefly: what it measures is there. How large it is, a loaded machine does not say; that memory is small when idle,
// it does.
func TestHarness(t *testing.T) {
	if testing.Short() {
		t.Skip("needs real servers: not under -short")
	}
	binary := testenv.RequireEntente(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	r, err := measure(ctx, options{entente: binary, starts: 1, rounds: 1, loaded: 8, time: 300 * time.Millisecond, idle: 11 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if b := r.Binary; b.Bytes < 1<<20 || b.CodeBytes < 1<<20 || b.Modules < 2 || b.Packages <= b.Modules {
		t.Errorf("%+v", b)
	}
	for name, p := range map[string]process{"operator": r.Operator, "gateway": r.Gateway} {
		t.Logf("%s: %+v", name, p)
		// Twice and more of what it is: to be seen when somebody keeps a large table from the start on.
		if p.ReadySeconds.Median <= 0 || p.Idle.Own <= 0 || p.Idle.Own >= p.Idle.Resident || p.Idle.Own > 40 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for _, s := range r.Settings {
		if s.Throughput.Median <= 0 || s.CPU.Median <= 0 || s.Own.Median <= 0 || s.Collections.Median < 0 {
			t.Errorf("%+v", s)
		}
	}
	if r.Loaded.Own <= 0 || r.Quiet.Own <= 0 {
		t.Errorf("loaded %+v, quiet %+v", r.Loaded, r.Quiet)
	}
}
