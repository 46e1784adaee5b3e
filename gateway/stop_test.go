package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestGracefulStop: a query that runs is answered, one that hangs is cut, and the log is sealed.
func TestGracefulStop(t *testing.T) {
	src, rec := pair(t, options{drain: time.Minute})
	gate := make(chan struct{})
	src.sources.hook(func(ctx context.Context) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	c := rec.client("alice")
	got := make(chan int, 1)
	go func() {
		resp, err := c.Do(mustRequest(rec, q(`person_number == "P000042"`)))
		if err != nil {
			got <- 0
			return
		}
		resp.Body.Close()
		got <- resp.StatusCode
	}()
	waitFor(t, func() bool { return len(src.records()) == 1 })
	stopped := make(chan struct{})
	go func() { src.stop(); close(stopped) }()
	time.Sleep(50 * time.Millisecond)
	close(gate)
	if code := <-got; code != 200 {
		t.Errorf("the running query: %d", code)
	}
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Fatal("the gateway does not stop")
	}
	if log := src.records(); len(log) != 2 || log[1].Outcome != "OK" {
		t.Errorf("log %+v", log)
	}
}

func TestStopCutsWhatHangs(t *testing.T) {
	src, rec := pair(t, options{timeout: time.Hour})
	src.sources.hook(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	go rec.client("alice").Do(mustRequest(rec, q(`person_number == "P000042"`)))
	waitFor(t, func() bool { return len(src.records()) == 1 })
	started := time.Now()
	src.stop()
	rec.stop()
	if took := time.Since(started); took > 25*time.Second { // the source itself would be given 30
		t.Errorf("stopping took %v", took)
	}
}

func mustRequest(a *agency, body string) *http.Request {
	req, err := http.NewRequest("POST", "https://"+a.addrs.REST+"/v1/query", strings.NewReader(body))
	must(a.t, err)
	req.Header.Set("Content-Type", "application/json")
	return req
}

func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
