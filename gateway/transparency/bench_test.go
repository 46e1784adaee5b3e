package transparency

import (
	"context"
	"errors"
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

// BenchmarkIntegration is what integration costs those who wait for the write-ahead log: durable records a second with it
// and without, turn and turn about, because a machine that others use is never the same twice. An iteration is a turn of each.
func BenchmarkIntegration(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			without, err := audit.Open(tempDir(b), audit.Options{Origin: testOrigin})
			if err != nil {
				b.Fatal(err)
			}
			with, err := audit.Open(tempDir(b), audit.Options{Origin: testOrigin})
			if err != nil {
				b.Fatal(err)
			}
			l := mustOpen(b, with)
			var ratios, rates []float64
			var lag time.Duration
			for b.Loop() {
				alone := rate(b, without, writers, nil)
				integrated := rate(b, with, writers, func() { lag = max(lag, l.Status().Lag) })
				await(b, l) // its rest is not the other's
				rates = append(rates, integrated)
				ratios = append(ratios, integrated/alone)
			}
			slices.Sort(ratios)
			slices.Sort(rates)
			b.ReportMetric(rates[len(rates)/2], "records/s")
			b.ReportMetric(ratios[len(ratios)/2], "of-alone")
			b.ReportMetric(ratios[0], "of-alone-min")
			b.ReportMetric(float64(lag.Milliseconds()), "lag-max-ms")
			if err := errors.Join(l.Close(context.Background()), with.Close(), without.Close()); err != nil {
				b.Error(err)
			}
		})
	}
}

// rate is the durable records a second that some writers reach together.
func rate(b *testing.B, a *audit.Log, writers int, sample func()) float64 {
	b.Helper()
	record := audit.Record{Disclosure: "0192f0c1-7b1e-7c3a-9d54-3b7f1f0a2c11", Kind: audit.Outcome, Side: audit.Source, Filter: fmt.Sprintf("%450d", 1)}
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var n atomic.Int64
	start := time.Now()
	for range writers {
		wg.Go(func() {
			for ctx.Err() == nil {
				rc, err := a.Append(context.Background(), record)
				if err == nil {
					err = rc.Wait(context.Background())
				}
				if err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	if sample != nil {
		wg.Go(func() {
			for ctx.Err() == nil {
				sample()
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(start).Seconds()
}
