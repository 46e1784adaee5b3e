package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/entente-dev/entente/hack/bench/floor"
)

// Durable appends by 1, 16 and 64 callers, each waiting for its own, next to the least that could do it; see make bench-log for
// paired rounds.
//
//	go test -run '^$' -bench Durable -benchtime 2s -count 3 ./gateway/audit
func BenchmarkDurable(b *testing.B) {
	r := sample(1)
	size := sealedMin + len(appendRecord(nil, &r)) + recordSize
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d/raw", callers), func(b *testing.B) {
			raw, err := floor.Create(filepath.Join(b.TempDir(), "raw"), size)
			if err != nil {
				b.Fatal(err)
			}
			defer raw.Close()
			durable(b, callers, func() error { raw.Append(); return nil })
		})
		b.Run(fmt.Sprintf("callers=%d/audit", callers), func(b *testing.B) {
			l := mustOpen(b, filepath.Join(b.TempDir(), "audit"), Options{Origin: testOrigin})
			defer l.Close()
			durable(b, callers, func() error {
				rc, err := l.Append(context.Background(), r)
				if err != nil {
					return err
				}
				return rc.Wait(context.Background())
			})
		})
	}
}

// The two records of a disclosure, both waited for: the first synced while the source is read, or deferred to the second.
// The source is 200 µs of work, about what a look-up takes (a sleep would take a millisecond). Compare syncs/op and, in one
// run, the pairs of cpu-ns/op.
func BenchmarkPair(b *testing.B) {
	r := sample(1)
	for _, callers := range []int{1, 4} {
		for _, deferred := range []bool{false, true} {
			b.Run(fmt.Sprintf("callers=%d/deferred=%v", callers, deferred), func(b *testing.B) {
				fs := &countFS{}
				l := mustOpen(b, filepath.Join(b.TempDir(), "audit"), Options{Origin: testOrigin, FS: fs})
				defer l.Close()
				syncs, began := fs.syncs.Load(), cpuTime()
				durable(b, callers, func() error {
					intent, err := l.append(context.Background(), r, !deferred)
					if err != nil {
						return err
					}
					for at := time.Now(); time.Since(at) < 200*time.Microsecond; {
					}
					outcome, err := l.Append(context.Background(), r)
					if err != nil {
						return err
					}
					return errors.Join(outcome.Wait(context.Background()), intent.Wait(context.Background()))
				})
				b.ReportMetric(float64(cpuTime()-began)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(fs.syncs.Load()-syncs)/float64(b.N), "syncs/op")
			})
		}
	}
}

// countFS counts syncs of files.
type countFS struct {
	osFS
	syncs atomic.Int64
}

func (c *countFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	f, err := c.osFS.OpenFile(name, flag, perm)
	return &countFile{f, c}, err
}

type countFile struct {
	File
	fs *countFS
}

func (f *countFile) Sync() error {
	f.fs.syncs.Add(1)
	return f.File.Sync()
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func durable(b *testing.B, callers int, do func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// What Append costs its caller, without the disk.
func BenchmarkAppend(b *testing.B) {
	o := fastOptions()
	o.Now, o.SegmentSize = nil, 1<<30
	l := mustOpen(b, b.TempDir(), o)
	defer l.Close()
	r := sample(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Append(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// What a caller does before the queue: validation, salt, encoding and commitment.
func BenchmarkEncode(b *testing.B) {
	r := sample(1)
	var buf []byte
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = appendRecord(buf[:0], &r)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			wantJSON(b, &r)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	o := fastOptions()
	o.SegmentSize = 32 << 20
	l := mustOpen(b, dir, o)
	const n = 20_000
	var rc *Receipt
	for i := range n {
		var err error
		if rc, err = l.Append(context.Background(), sample(i)); err != nil {
			b.Fatal(err)
		}
	}
	if err := rc.Wait(context.Background()); err != nil {
		b.Fatal(err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if rep, err := Verify(dir, nil); err != nil || rep.Entries != n {
			b.Fatal(rep, err)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
