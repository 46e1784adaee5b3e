package metrics

import (
	"testing"
	"time"
)

// count is what every disclosure counts.
func count(m *Metrics) {
	m.Stage(SourceDecision, 20*time.Microsecond)
	m.Stage(SourceQuery, time.Millisecond)
	m.Stage(SourceLogWait, time.Millisecond)
	m.Disclosure(Source, "OK", 1, 2*time.Millisecond)
}

// TestCountingAllocatesNothing: series that every query counts are looked up once.
func TestCountingAllocatesNothing(t *testing.T) {
	m := New()
	if n := testing.AllocsPerRun(100, func() { count(m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCount(b *testing.B) {
	m := New()
	b.ReportAllocs()
	for b.Loop() {
		count(m)
	}
}
