package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var inError = Order{Text: "entered in error", By: "records office"}

// Erasing a disclosure takes all its records and nothing else, is in the log, and the chain stays as it was.
func TestErase(t *testing.T) {
	dir := t.TempDir()
	bare := keyless(t, dir)
	l := mustOpen(t, dir, testOptions())
	for range 2 { // an intent and an outcome
		appendN(t, l, 0, 4)
	}
	_, head := l.Head()
	n, err := l.Erase(t.Context(), Selection{Disclosure: sample(2).Disclosure}, inError)
	if err != nil || n != 2 {
		t.Fatalf("%d %v", n, err)
	}
	if n, err = l.Erase(t.Context(), Selection{Disclosure: sample(2).Disclosure}, inError); err != nil || n != 0 {
		t.Errorf("again: %d %v", n, err)
	}
	appendN(t, l, 5, 1)
	check := func() {
		t.Helper()
		got := readAll(t, dir)
		if len(got) != 10 || got[7].Hash != head {
			t.Fatalf("%d entries", len(got))
		}
		for i, e := range got {
			if want := i == 2 || i == 6; e.Erased != want || e.Erased && e.Record.Disclosure != "" {
				t.Errorf("entry %d: erased %v", e.Seq, e.Erased)
			}
		}
		r := got[8].Record
		if r.Kind != Erasure || r.Operation != OperationErasure || r.Entries != "3,7" || r.Reason != ReasonRequest || r.Message != inError.Text ||
			r.LocalUser != inError.By || r.Disclosure != sample(2).Disclosure {
			t.Errorf("%+v", r)
		}
		for _, dir := range []string{dir, bare} {
			if rep, err := Verify(dir, nil); err != nil || rep.Erased != 2 || rep.Unexplained != 0 {
				t.Errorf("%+v %v", rep, err)
			}
		}
	}
	check()
	mustClose(t, l)
	check()
	l = mustOpen(t, dir, testOptions())
	check()
	if n, err := l.Erase(t.Context(), Selection{Before: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}, inError); err != nil || n != 7 {
		t.Errorf("the rest, but not the record of the erasure: %d %v", n, err)
	}
	mustClose(t, l)
	if rep, err := Verify(dir, nil); err != nil || rep.Erased != 9 || rep.Unexplained != 0 || rep.Entries != 11 {
		t.Errorf("%+v %v", rep, err)
	}
}

func TestEraseRefuses(t *testing.T) {
	l := mustOpen(t, t.TempDir(), testOptions())
	defer l.Close()
	for _, tc := range []struct {
		name string
		s    Selection
		o    Order
	}{
		{"nothing", Selection{}, inError},
		{"both", Selection{Disclosure: "a", Before: time.Now()}, inError},
		{"no reason", Selection{Disclosure: "a"}, Order{}},
		{"an essay", Selection{Disclosure: "a"}, Order{Text: strings.Repeat("x", 513)}},
	} {
		if _, err := l.Erase(t.Context(), tc.s, tc.o); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// retained is a record with a date.
func retained(i int, until time.Time) Record {
	r := sample(i)
	r.RetainUntil = until
	return r
}

// Each payload goes on its day; a data key goes when nothing is sealed with it any more; what has no date stays.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	day := func(d int) time.Time { return time.Date(2026, 11, d, 12, 0, 0, 0, time.UTC) }
	var now atomic.Pointer[time.Time]
	set := func(at time.Time) { now.Store(&at) }
	set(day(1))
	o := testOptions()
	o.Now = func() time.Time { return *now.Load() }
	l := mustOpen(t, dir, o)
	l.k.stop() // the test does its steps
	sweep := func() {
		t.Helper()
		l.k.step(t.Context()) // the data key of the day
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const each = 300 // more than a segment
	for d := 1; d <= 3; d++ {
		set(day(d))
		sweep()
		for i := range each {
			r := retained(d*1000+i, day(10+d))
			if i == 0 && d == 3 {
				r.RetainUntil = time.Time{}
			}
			rc, err := l.Append(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if i%50 == 0 && rc.Wait(t.Context()) != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		day    int
		erased uint64
		keys   []uint32
	}{
		// On each day that the process sees there is one more key, the active one.
		{10, 0, []uint32{1, 2, 3, 4}},
		{11, each, []uint32{2, 3, 5}}, // the fourth was never used
		{12, 2 * each, []uint32{3, 6}},
		{13, 3*each - 1, []uint32{3, 7}},
		{30, 3*each - 1, []uint32{3, 8}},
	} {
		set(day(tc.day))
		sweep()
		rep, err := Verify(dir, nil)
		if err != nil || rep.Erased != tc.erased || rep.Unexplained != 0 {
			t.Fatalf("day %d: %+v %v", tc.day, rep, err)
		}
		if keys, err := listKeys(dir); err != nil || !slices.Equal(keys, tc.keys) {
			t.Errorf("day %d: data keys %v, want %v (%v)", tc.day, keys, tc.keys, err)
		}
	}
	before, _ := l.Head()
	sweep()
	if after, _ := l.Head(); after != before {
		t.Error("a sweep that finds nothing logs something")
	}
	mustClose(t, l)
	left := 0
	for _, e := range readAll(t, dir) {
		if e.Record.Disclosure == sample(3000).Disclosure {
			left++
		} else if !e.Erased && e.Record.Kind != Erasure {
			t.Errorf("entry %d is still there", e.Seq)
		}
	}
	if left != 1 {
		t.Errorf("%d records without a date", left)
	}
}

// A key that a record was sealed with and that is not on disk yet is not destroyed.
func TestKeyInFlight(t *testing.T) {
	dir := t.TempDir()
	fs := &faultFS{}
	o := testOptions()
	o.FS = fs
	l := mustOpen(t, dir, o)
	l.mu.Lock()
	l.armed = true // nothing syncs a deferred record but what the test does
	l.mu.Unlock()
	rc := deferRecord(t, l, 0)
	l.k.stop()
	l.k.renew(t.Context())
	idle, err := l.k.idle()
	if err != nil || len(idle) != 0 {
		t.Fatalf("%v %v", idle, err)
	}
	if err := rc.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if idle, err = l.k.idle(); err != nil || !slices.Equal(idle, []uint32{1}) {
		t.Fatalf("%v %v", idle, err)
	}
	if err := l.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	if got := readAll(t, dir); len(got) != 1 {
		t.Fatalf("%d entries", len(got))
	}
}

// A clock that was set wrong erases nothing until it has been steady for an hour.
func TestSteadyClock(t *testing.T) {
	wall, mono := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC), time.Now()
	s := steadySince(wall, mono)
	look := func(wallPassed, monoPassed time.Duration) bool {
		wall, mono = wall.Add(wallPassed), mono.Add(monoPassed)
		return s.look(wall, mono)
	}
	for _, tc := range []struct {
		wall, mono time.Duration
		want       bool
	}{
		{time.Second, time.Second, false},
		{59 * time.Minute, 59 * time.Minute, false},
		{time.Minute, time.Minute, true},
		{time.Second, 2 * time.Second, true},
		{10 * 365 * 24 * time.Hour, time.Second, false}, // forwards
		{30 * time.Minute, 30 * time.Minute, false},
		{-10 * 365 * 24 * time.Hour, time.Second, false}, // and back
		{40 * time.Minute, 40 * time.Minute, false},
		{20 * time.Minute, 20 * time.Minute, true},
	} {
		if got := look(tc.wall, tc.mono); got != tc.want {
			t.Errorf("%v in %v: %v", tc.wall, tc.mono, got)
		}
	}
}

// Whatever write of an erasure fails: it is not confirmed, nothing else is lost, and it is done when the disk is well again.
func TestEraseFaults(t *testing.T) {
	for _, tc := range []struct{ op, file string }{
		{"open", erasingFile + ".tmp"}, {"write", erasingFile + ".tmp"}, {"sync", erasingFile + ".tmp"}, {"syncdir", ""},
		{"open", payloadSuffix}, {"write", payloadSuffix}, {"sync", payloadSuffix}, {"sync", chainSuffix}, {"remove", erasingFile},
	} {
		t.Run(tc.op+" "+tc.file, func(t *testing.T) {
			dir := t.TempDir()
			fs := &faultFS{}
			o := testOptions()
			o.FS = fs
			l := mustOpen(t, dir, o)
			appendN(t, l, 0, 5)
			fs.set(func(op, name string) error {
				if op == tc.op && strings.HasSuffix(name, tc.file) {
					return unix.EIO
				}
				return nil
			})
			if _, err := l.Erase(t.Context(), Selection{Disclosure: sample(1).Disclosure}, inError); !errors.Is(err, unix.EIO) {
				t.Fatalf("%v", err)
			}
			if _, err := Verify(dir, nil); err != nil {
				t.Errorf("while it is half done: %v", err)
			}
			fs.set(nil)
			waitHealthy(t, l)
			if _, err := l.Erase(t.Context(), Selection{Disclosure: sample(1).Disclosure}, inError); err != nil {
				t.Fatal(err)
			}
			mustClose(t, l)
			checkErased(t, dir, 1, 5)
		})
	}
}

// An erasure that a crash cut short is completed by the process that opens the log next; until then its payload counts as
// erased. A bit flipped in the list of what is to be erased is found.
func TestErasureResumes(t *testing.T) {
	dir := t.TempDir()
	fs := &faultFS{}
	o := testOptions()
	o.FS = fs
	l := mustOpen(t, dir, o)
	appendN(t, l, 0, 5)
	fs.set(func(op, name string) error {
		if op == "open" && strings.HasSuffix(name, payloadSuffix) {
			return unix.EIO
		}
		return nil
	})
	if _, err := l.Erase(t.Context(), Selection{Disclosure: sample(1).Disclosure}, inError); err == nil {
		t.Fatal("confirmed")
	}
	crash(l)
	if rep, err := Verify(dir, nil); err != nil || rep.Erased != 1 {
		t.Fatalf("%+v %v", rep, err)
	}
	path := filepath.Join(dir, erasingFile)
	list, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range list {
		bad := slices.Clone(list)
		bad[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		var damage *CorruptError
		if _, err := Verify(dir, nil); !errors.As(err, &damage) || damage.File != path {
			t.Fatalf("bit of byte %d: %v", at, err)
		}
	}
	if err := os.WriteFile(path, list, 0o600); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, dir, testOptions())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is not completed")
		}
	}
	mustClose(t, l)
	checkErased(t, dir, 1, 5)
}

// checkErased checks a log of n samples of which one was erased.
func checkErased(t *testing.T, dir string, erased, n int) {
	t.Helper()
	rep, err := Verify(dir, nil)
	if err != nil || rep.Erased != 1 || rep.Unexplained != 0 {
		t.Fatalf("%+v %v", rep, err)
	}
	for i, e := range readAll(t, dir)[:n] {
		if e.Erased != (i == erased) {
			t.Errorf("entry %d: erased %v", e.Seq, e.Erased)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, erasingFile)); !os.IsNotExist(err) {
		t.Errorf("%s: %v", erasingFile, err)
	}
}

// A command asks the process that has the log open, and gets its answer.
func TestRequestErasure(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	appendN(t, l, 0, 3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := RequestErasure(ctx, dir, Selection{Disclosure: sample(1).Disclosure}, inError)
	if err != nil || n != 1 {
		t.Fatalf("%d %v", n, err)
	}
	if n, err = RequestErasure(ctx, dir, Selection{Disclosure: "none"}, inError); err != nil || n != 0 {
		t.Errorf("%d %v", n, err)
	}
	mustClose(t, l)
	checkErased(t, dir, 1, 3)
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := RequestErasure(short, dir, Selection{Disclosure: "none"}, inError); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody is there: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, requestFile+"*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// Readers beside an eraser never call the log damaged.
func TestReadWhileErasing(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	appendN(t, l, 0, 60)
	var done atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; i < 60 && !t.Failed(); i++ {
			if _, err := l.Erase(t.Context(), Selection{Disclosure: sample(i).Disclosure}, inError); err != nil {
				t.Error(err)
			}
		}
		done.Store(true)
	}()
	for !done.Load() && !t.Failed() {
		if rep, err := Verify(dir, nil); err != nil {
			t.Errorf("%+v %v", rep, err)
		}
	}
	<-ended
	mustClose(t, l)
	if rep, err := Verify(dir, nil); err != nil || rep.Erased != 60 || rep.Unexplained != 0 {
		t.Errorf("%+v %v", rep, err)
	}
}

func TestRanges(t *testing.T) {
	var r ranges
	for _, seq := range []uint64{1, 2, 3, 7, 9, 10} {
		r = r.add(seq)
	}
	if r.String() != "1-3,7,9-10" || r.count() != 6 {
		t.Fatalf("%s %d", r, r.count())
	}
	back, err := parseRanges(r.String())
	if err != nil || !slices.Equal(back, r) {
		t.Fatalf("%v %v", back, err)
	}
	for seq, want := range map[uint64]bool{0: false, 1: true, 3: true, 4: false, 7: true, 8: false, 10: true, 11: false} {
		if r.contains(seq) != want {
			t.Errorf("%d: %v", seq, !want)
		}
	}
	if got := union(r, ranges{{3, 6}, {11, 12}}); got.String() != "1-7,9-12" {
		t.Errorf("union %s", got)
	}
	if got := r.common(ranges{{2, 8}, {10, 20}}); got != 4 {
		t.Errorf("common %d", got)
	}
	for _, bad := range []string{"", ",", "0", "3-2", "1,1", "5,3", "a", "1-", "-1", "1-2-3", "18446744073709551616"} {
		if got, err := parseRanges(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// sweptFS has something done when a data key has come to the disk and is not yet in use.
type sweptFS struct {
	fastFS
	between atomic.Pointer[func()]
}

func (f *sweptFS) Rename(from, to string) error {
	err := f.fastFS.Rename(from, to)
	if do := f.between.Swap(nil); do != nil && strings.HasSuffix(to, keySuffix) {
		(*do)()
	}
	return err
}

// A sweep that a command asks for while the next data key is being made leaves that key alone: what it seals must be openable after
// the next start.
func TestSweepLeavesTheNextKey(t *testing.T) {
	dir, now := t.TempDir(), &atomic.Int64{}
	now.Store(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).Unix())
	fs, o := &sweptFS{}, testOptions()
	o.FS, o.Now = fs, func() time.Time { return time.Unix(now.Load(), 0) }
	l := mustOpen(t, dir, o)
	appendN(t, l, 0, 1)
	var swept error
	sweep := func() { swept = l.Sweep(t.Context()) }
	fs.between.Store(&sweep)
	now.Add(24 * 60 * 60)
	for deadline := time.Now().Add(time.Minute); l.k.active.Load().number == 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no second data key")
		}
	}
	appendN(t, l, 1, 1)
	mustClose(t, l)
	if swept != nil {
		t.Error(swept)
	}
	if got := readAll(t, dir); got[len(got)-1].Record.Disclosure == "" {
		t.Errorf("%+v", got)
	}
}
