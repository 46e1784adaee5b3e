package audit

import (
	"flag"
	"runtime"
	"sync"
	"testing"
	"time"
)

var manyRecords = flag.Int("records", 0, "records of TestManyRecords; 0: 200,000, and 20,000 under -short")

// peak watches how large the heap gets, apart from garbage that waits for its collection.
type peak struct {
	stop chan struct{}
	done sync.WaitGroup
	most uint64
}

func watchHeap() *peak {
	p := &peak{stop: make(chan struct{})}
	p.done.Go(func() {
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			p.most = max(p.most, m.HeapInuse)
			select {
			case <-p.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return p
}

func (p *peak) end() uint64 {
	close(p.stop)
	p.done.Wait()
	return p.most >> 20
}

// A log of many records: writing, opening, verifying, reading the end and sweeping all stay within the same memory, however
// many there are. Verification streams.
//
//	go test ./gateway/audit -run TestManyRecords -records 10000000 -timeout 2h -v
func TestManyRecords(t *testing.T) {
	n := *manyRecords
	if n == 0 {
		if n = 200_000; testing.Short() {
			n = 20_000
		}
	}
	dir := t.TempDir()
	o := fastOptions()
	o.Now, o.SegmentSize = time.Now, 32<<20
	began := time.Now()
	step := func(what string, limit uint64, do func()) {
		t.Helper()
		runtime.GC()
		watch, at := watchHeap(), time.Now()
		do()
		took, most := time.Since(at), watch.end()
		t.Logf("%-40s %10.2f s, heap at most %d MiB", what, took.Seconds(), most)
		if most > limit {
			t.Errorf("%s: the heap grew to %d MiB, want at most %d", what, most, limit)
		}
	}
	var l *Log
	step("append", 96, func() {
		l = mustOpen(t, dir, o)
		var rc *Receipt
		for i := range n {
			var err error
			if rc, err = l.Append(t.Context(), sample(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := rc.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	step("find what is due, first time", 64, func() {
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	step("find what is due, again", 64, func() {
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	step("close and open", 64, func() {
		mustClose(t, l)
		l = mustOpen(t, dir, o)
	})
	step("verify the chain", 64, func() {
		if rep, err := Verify(keyless(t, dir), nil); err != nil || rep.Entries != uint64(n) || rep.Sealed != uint64(n) {
			t.Fatalf("%+v %v", rep, err)
		}
	})
	step("verify every record", 64, func() {
		if rep, err := Verify(dir, nil); err != nil || rep.Entries != uint64(n) || rep.Sealed != 0 {
			t.Fatalf("%+v %v", rep, err)
		}
	})
	step("read the last ten", 64, func() {
		seen := 0
		if err := ReadFrom(dir, uint64(n)-9, func(Entry) error { seen++; return nil }); err != nil || seen != 10 {
			t.Fatalf("%d %v", seen, err)
		}
	})
	step("erase one disclosure", 64, func() {
		if erased, err := l.Erase(t.Context(), Selection{Disclosure: sample(n / 2).Disclosure}, inError); err != nil || erased != 1 {
			t.Fatalf("%d %v", erased, err)
		}
	})
	mustClose(t, l)
	size, err := totalSize(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records, %d MiB, %s in all", n, size>>20, time.Since(began).Round(time.Second))
}
