package audit

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deferredLog is a log whose deferred records nothing syncs but what the test does, and the count of its syncs.
func deferredLog(t *testing.T, dir string, o Options) (*Log, *faultFS, *atomic.Int64) {
	fs := &faultFS{}
	o.FS = fs
	l := mustOpen(t, dir, o)
	syncs := &atomic.Int64{}
	fs.set(func(op, name string) error {
		if op == "sync" && name == journalFile {
			syncs.Add(1)
		}
		return nil
	})
	// No timer: it is set already, for a time that does not come.
	l.mu.Lock()
	l.armed = true
	l.mu.Unlock()
	return l, fs, syncs
}

func deferRecord(t *testing.T, l *Log, i int) *Receipt {
	t.Helper()
	rc, err := l.AppendDeferred(t.Context(), sample(i))
	if err != nil {
		t.Fatal(err)
	}
	return rc
}

// A deferred record and the one after it become durable in their order, by one sync.
func TestDeferredGoesAlong(t *testing.T) {
	dir := t.TempDir()
	l, _, syncs := deferredLog(t, dir, testOptions())
	const n = 5
	for i := range uint64(n) {
		intent := deferRecord(t, l, int(2*i))
		outcome, err := l.Append(t.Context(), sample(int(2*i+1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(outcome.Wait(t.Context()), intent.Wait(t.Context())); err != nil {
			t.Fatal(err)
		}
		if intent.Seq() != 2*i+1 || outcome.Seq() != 2*i+2 {
			t.Fatalf("places %d and %d", intent.Seq(), outcome.Seq())
		}
	}
	if got := syncs.Load(); got != n {
		t.Errorf("%d syncs for %d pairs", got, n)
	}
	mustClose(t, l)
	for i, e := range readAll(t, dir) {
		if e.Record.Disclosure != sample(i).Disclosure {
			t.Errorf("entry %d is %s", i, e.Record.Disclosure)
		}
	}
}

// What else syncs a deferred record: its own receipt's Wait, Close, a full queue, and time.
func TestDeferredAlone(t *testing.T) {
	t.Run("wait", func(t *testing.T) {
		l, _, _ := deferredLog(t, t.TempDir(), testOptions())
		defer l.Close()
		rc := deferRecord(t, l, 0)
		time.Sleep(5 * time.Millisecond)
		if last, _ := l.Head(); last != 0 {
			t.Fatal("synced though nobody asked")
		}
		if err := rc.Wait(t.Context()); err != nil || rc.Seq() != 1 {
			t.Fatal(rc.Seq(), err)
		}
	})
	t.Run("close", func(t *testing.T) {
		dir := t.TempDir()
		l, _, _ := deferredLog(t, dir, testOptions())
		rc := deferRecord(t, l, 0)
		mustClose(t, l)
		if err := rc.Wait(t.Context()); err != nil || len(readAll(t, dir)) != 1 {
			t.Fatal(err)
		}
	})
	t.Run("full queue", func(t *testing.T) {
		o := testOptions()
		o.QueueSize = 3
		l, _, _ := deferredLog(t, t.TempDir(), o)
		defer l.Close()
		for i := range 20 {
			deferRecord(t, l, i)
		}
	})
	t.Run("time", func(t *testing.T) {
		l := mustOpen(t, t.TempDir(), testOptions())
		defer l.Close()
		for i := range uint64(3) {
			deferRecord(t, l, int(i))
			for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				if last, _ := l.Head(); last == i+1 {
					break
				}
				if time.Now().After(end) {
					t.Fatal("never synced")
				}
			}
		}
	})
}

// A log that fails at a deferred record, mends, and takes the next one: the first receipt still says that its record is lost.
func TestDeferredIsLostAlone(t *testing.T) {
	dir := t.TempDir()
	l, fs, _ := deferredLog(t, dir, testOptions())
	intent := deferRecord(t, l, 0)
	fs.set(func(op, _ string) error {
		if op == "sync" {
			return unix.EIO
		}
		return nil
	})
	l.overdue()
	for l.Healthy() == nil {
		time.Sleep(time.Millisecond)
	}
	fs.set(nil)
	waitHealthy(t, l)
	outcome, err := l.Append(t.Context(), sample(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := outcome.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := intent.Wait(t.Context()); !errors.Is(err, unix.EIO) {
		t.Errorf("the intent: %v", err)
	}
	mustClose(t, l)
	if got := readAll(t, dir); len(got) != 1 || got[0].Record.Disclosure != sample(1).Disclosure {
		t.Errorf("%d entries", len(got))
	}
}
