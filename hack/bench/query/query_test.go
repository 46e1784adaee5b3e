package main

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/entente-dev/entente/hack/bench/rig"
)

// TestMain is also the child that makes the load.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == rig.ChildArgument {
		exit(rig.Load(asker))
		return
	}
	os.Exit(m.Run())
}

// TestSmoke sees that everything runs, every target answers with the records of all its sources, and every comparison is made; it says
// nothing of times.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real server: run without -short")
	}
	out := t.TempDir() + "/query.json"
	if err := run(t.Context(), options{rounds: 1, time: 50 * time.Millisecond, callers: []int{2}, targets: names, rows: 20_000, dir: t.TempDir(), out: out}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Targets) != len(names) || len(r.Ratios) != len(compared) {
		t.Errorf("%d targets, %d ratios", len(r.Targets), len(r.Ratios))
	}
	if r.Bulk == nil || len(r.Bulk.Targets) != 6 || len(r.Bulk.Ratios) != 8 {
		t.Errorf("bulk: %+v", r.Bulk)
	}
	for _, x := range r.Targets {
		if x.QueriesPerSecond.Median <= 0 || x.ServersMicros.Median+x.PostgreSQLMicros.Median <= 0 {
			t.Errorf("%+v", x)
		}
	}
}
