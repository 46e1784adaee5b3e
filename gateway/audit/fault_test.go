package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// faultFS fails the operations that its hook says.
type faultFS struct {
	fastFS
	mu   sync.Mutex
	hook func(op, name string) error
	seen map[string]int // operations that failed
}

func (f *faultFS) set(hook func(op, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

func (f *faultFS) ask(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hook == nil {
		return nil
	}
	err := f.hook(op, filepath.Base(name))
	if err != nil {
		if f.seen == nil {
			f.seen = map[string]int{}
		}
		f.seen[op]++
	}
	return err
}

func (f *faultFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	if err := f.ask("open", name); err != nil {
		return nil, err
	}
	file, err := f.fastFS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f, name}, nil
}

func (f *faultFS) SyncDir(name string) error { return f.ask("syncdir", name) }

func (f *faultFS) Remove(name string) error {
	if err := f.ask("remove", name); err != nil {
		return err
	}
	return f.fastFS.Remove(name)
}

type faultFile struct {
	File
	fs   *faultFS
	name string
}

func (f *faultFile) Sync() error { return f.fs.ask("sync", f.name) }

func (f *faultFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.fs.ask("write", f.name); err != nil {
		n, _ := f.File.WriteAt(b[:len(b)/2], off) // as a full disk does
		return n, err
	}
	return f.File.WriteAt(b, off)
}

func (f *faultFile) Allocate(size int64) error {
	if err := f.fs.ask("allocate", f.name); err != nil {
		return err
	}
	return f.File.Allocate(size)
}

func (f *faultFile) Truncate(size int64) error {
	if err := f.fs.ask("truncate", f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// waitHealthy waits until the log has mended itself.
func waitHealthy(t testing.TB, l *Log) {
	t.Helper()
	for end := time.Now().Add(time.Minute); l.Healthy() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still %v", l.Healthy())
		}
	}
}

// Whatever operation fails on the way of a record: its receipt fails, everything after is refused with the cause, and when
// the fault is gone the log goes on with every record that had been acknowledged.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		op, file string
		cause    error
	}{
		{"sync", journalFile, unix.EIO},
		{"write", journalFile, unix.ENOSPC},
		{"sync", payloadSuffix, unix.EIO},
		{"sync", chainSuffix, unix.EIO},
		{"write", payloadSuffix, unix.ENOSPC},
		{"write", chainSuffix, unix.EROFS},
		{"allocate", "", unix.ENOSPC}, // at the next segment
		{"open", "", unix.EROFS},
		{"truncate", "", unix.EIO},
		{"syncdir", "", unix.EIO},
	} {
		t.Run(tc.op+tc.file, func(t *testing.T) {
			dir := t.TempDir()
			fs := &faultFS{}
			o := testOptions()
			o.FS = fs
			l := mustOpen(t, dir, o)
			appendN(t, l, 0, 10)
			fs.set(func(op, name string) error {
				if op == tc.op && strings.HasSuffix(name, tc.file) {
					return tc.cause
				}
				return nil
			})
			acked, failed := 10, false
			for range 1000 { // enough to need another segment
				rc, err := l.Append(t.Context(), sample(acked))
				if err == nil {
					err = rc.Wait(t.Context())
				}
				if err != nil {
					failed = true
					if !errors.Is(err, ErrUnavailable) || !errors.Is(err, tc.cause) {
						t.Fatalf("%v does not say %v", err, tc.cause)
					}
					if rc != nil && rc.Seq() != 0 {
						t.Fatal("a failed receipt has a sequence number")
					}
					break
				}
				acked++
			}
			if !failed {
				t.Fatal("the fault did not show")
			}
			time.Sleep(5 * time.Millisecond) // some probes, in vain
			if err := l.Healthy(); !errors.Is(err, tc.cause) {
				t.Fatalf("health: %v", err)
			}
			if _, err := l.Append(t.Context(), sample(0)); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("append while failed: %v", err)
			}
			fs.set(nil)
			waitHealthy(t, l)
			appendN(t, l, acked, 5)
			mustClose(t, l)
			got := readAll(t, dir)
			if len(got) != acked+5 {
				t.Fatalf("%d entries, want %d", len(got), acked+5)
			}
			for i, e := range got {
				if e.Record.Disclosure != sample(i).Disclosure {
					t.Fatalf("entry %d is %s", e.Seq, e.Record.Disclosure)
				}
			}
			if rep, err := Verify(dir, nil); err != nil || rep.Open {
				t.Fatalf("%+v %v", rep, err)
			}
		})
	}
}

// A failed sync fails everybody who waits, not only those whose records were in that batch.
func TestFailureReachesAllWaiters(t *testing.T) {
	fs := &faultFS{}
	o := testOptions()
	o.FS, o.QueueSize, o.ProbeInterval = fs, 4, time.Hour
	l := mustOpen(t, t.TempDir(), o)
	defer l.Close()
	release := make(chan struct{})
	var once sync.Once
	fs.set(func(op, name string) error {
		if op != "sync" {
			return nil
		}
		once.Do(func() { <-release })
		return unix.EIO
	})
	const callers = 20 // more than the batch and the queue hold
	errs := make(chan error, callers)
	for i := range callers {
		go func() {
			rc, err := l.Append(t.Context(), sample(i))
			if err == nil {
				err = rc.Wait(t.Context())
			}
			errs <- err
		}()
	}
	time.Sleep(20 * time.Millisecond)
	close(release)
	for range callers {
		if err := <-errs; !errors.Is(err, unix.EIO) {
			t.Errorf("%v", err)
		}
	}
}

// A full queue holds callers back until their context ends, and lets them go on when there is room.
func TestBackPressure(t *testing.T) {
	fs := &faultFS{}
	o := testOptions()
	o.FS, o.QueueSize = fs, 3
	l := mustOpen(t, t.TempDir(), o)
	release := make(chan struct{})
	fs.set(func(op, _ string) error {
		if op == "sync" {
			<-release
		}
		return nil
	})
	var receipts []*Receipt
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		rc, err := l.Append(ctx, sample(0))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && len(receipts) < o.QueueSize {
			continue // there is room: this machine is busy
		}
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if receipts = append(receipts, rc); len(receipts) > 6 {
			t.Fatal("the queue has no bound")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := receipts[0].Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("wait: %v", err)
	}
	close(release)
	for _, rc := range receipts {
		if err := rc.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	appendN(t, l, 0, 1)
	mustClose(t, l)
}

// A gateway starts on a full or read-only volume, refuses, and goes on when it can write.
func TestOpenWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, fastOptions())
	appendN(t, l, 0, 3)
	crash(l) // so that there is something to mend, too
	for _, op := range []string{"allocate", "open", "truncate"} {
		fs := &faultFS{hook: func(o, _ string) error {
			if o == op {
				return unix.ENOSPC
			}
			return nil
		}}
		o := testOptions()
		o.FS = fs
		l := mustOpen(t, dir, o)
		if err := l.Healthy(); op != "truncate" && !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: %v", op, err)
		}
		if op == "allocate" {
			if err := l.Close(); !errors.Is(err, unix.ENOSPC) {
				t.Errorf("close: %v", err)
			}
			continue
		}
		fs.set(nil)
		waitHealthy(t, l)
		appendN(t, l, 3, 1)
		mustClose(t, l)
	}
	if rep, err := Verify(dir, nil); err != nil || rep.Entries != 5 {
		t.Fatalf("%+v %v", rep, err)
	}
}
