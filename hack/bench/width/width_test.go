package main

import (
	"testing"
	"time"
)

// TestTen runs the harness with ten agencies, all of which answer, and with a hundred, of which three do not.
func TestTen(t *testing.T) {
	for n, answered := range map[int]float64{10: 1, 100: 0.97} {
		got, err := measure(t.Context(), n, []int{16}, 1, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Answered > answered || got[0].Answered < answered-0.1 || got[0].FirstP50 <= 0 || got[0].AllP50 < got[0].FirstP50 {
			t.Errorf("%d agencies: %+v", n, got)
		}
	}
}
