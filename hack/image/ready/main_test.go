package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestWaitsUntilReady(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, "not ready: log: full")
			return
		}
		fmt.Fprintln(w, "ok: log")
	}))
	defer server.Close()
	var out strings.Builder
	if err := run(t.Context(), &out, time.Millisecond, server.URL+"/readyz"); err != nil || !strings.Contains(out.String(), "ok: log") {
		t.Fatalf("%v: %s", err, &out)
	}
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestSaysWhyNot(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready: log: full")
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var out strings.Builder
	if err := run(ctx, &out, time.Millisecond, server.URL+"/readyz"); err == nil {
		t.Fatal("no error")
	}
	// The very last round may have been cut short; the one before is what counts, so ask once more without a hurry.
	report, err := round(t.Context(), []string{server.URL + "/readyz"})
	if err == nil || !strings.Contains(report, "not ready: log: full") {
		t.Errorf("%v: %s", err, report)
	}
	if err := run(t.Context(), &out, time.Millisecond); err == nil {
		t.Error("nothing to ask is no error")
	}
}
