package transparency

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// BenchmarkCheckpointDelay appends one record at a time and waits until a published checkpoint covers it. What it prints is
// the time from durable to published.
func BenchmarkCheckpointDelay(b *testing.B) {
	a := openAudit(b, tempDir(b))
	l := mustOpen(b, a)
	appendN(b, a, 1)
	await(b, l)
	var took []time.Duration
	i := 0
	for b.Loop() {
		i++
		time.Sleep(time.Duration(i*37%400) * time.Millisecond) // at any moment between two checkpoints
		appendN(b, a, 1)
		head, _ := a.Head()
		start := time.Now()
		for l.Latest().Size < head {
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "max-ms")
}

// BenchmarkAppend is what integration costs those who wait for the write-ahead log: durable records a second with it and
// without, and the longest that an entry waited for its checkpoint meanwhile.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		for _, with := range []bool{false, true} {
			b.Run(fmt.Sprintf("writers=%d/integrated=%t", writers, with), func(b *testing.B) {
				a, err := audit.Open(tempDir(b), audit.Options{Origin: testOrigin})
				if err != nil {
					b.Fatal(err)
				}
				var lag atomic.Int64
				var l *Log
				if with {
					l = mustOpen(b, a)
					ctx, cancel := context.WithCancel(b.Context())
					defer cancel()
					go func() {
						for ctx.Err() == nil {
							lag.Store(max(lag.Load(), int64(l.Status().Lag)))
							time.Sleep(10 * time.Millisecond)
						}
					}()
				}
				var left atomic.Int64
				left.Store(int64(b.N))
				record := audit.Record{Disclosure: "0192f0c1-7b1e-7c3a-9d54-3b7f1f0a2c11", Kind: audit.Outcome, Side: audit.Source, Filter: fmt.Sprintf("%450d", 1)}
				b.ResetTimer()
				var wg sync.WaitGroup
				for range writers {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							rc, err := a.Append(context.Background(), record)
							if err == nil {
								err = rc.Wait(context.Background())
							}
							if err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
				if with {
					b.ReportMetric(float64(lag.Load())/1e6, "lag-max-ms")
					behind := l.Status()
					start := time.Now()
					if err := l.Close(context.Background()); err != nil {
						b.Error(err)
					}
					b.ReportMetric(float64(behind.Head-behind.Integrated), "behind")
					b.ReportMetric(float64(time.Since(start).Milliseconds()), "rest-ms")
				}
				_ = a.Close()
			})
		}
	}
}
