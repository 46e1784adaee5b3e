package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/hack/bench/scale/report"
	"github.com/entente-dev/entente/hack/testenv"
)

// TestHundred runs the whole harness with a hundred agreements: what it measures is there. How large it is, a loaded machine does not say.
func TestHundred(t *testing.T) {
	if testing.Short() {
		t.Skip("needs real servers: not under -short")
	}
	binary := testenv.RequireEntente(t)
	bounds, err := report.ReadPromises()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	got, err := measure(ctx, options{entente: binary, rounds: 3, seed: 1, idleFor: time.Second, log: testWriter{t}, progress: t.Logf}, 100)
	if err != nil {
		t.Fatal(err)
	}
	r := report.Report{Results: []report.Result{got}}
	var table strings.Builder
	if err := r.Table(&table, bounds, nil); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table.String())
	for _, row := range report.Rows {
		if strings.HasPrefix(row.Name, "compile") || strings.Contains(row.Name, "idle") || strings.Contains(row.Name, "queues") || strings.Contains(row.Name, "writes") {
			continue // of another program, or too little to be seen in a second
		}
		if row.Value(got) <= 0 {
			t.Errorf("%s: %g", row.Name, row.Value(got))
		}
	}
}

// testWriter is a test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
