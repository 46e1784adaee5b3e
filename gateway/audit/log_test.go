package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sample is a record as a gateway writes it; its JSON is about 700 bytes.
func sample(i int) Record {
	return Record{
		Disclosure: fmt.Sprintf("0192f0c1-7b1e-7c3a-9d54-%012x", i), Kind: Outcome, Side: Source, Operation: Consultation,
		Agreement: "labor-trafficking", Version: 3, Clause: "wages", Purpose: "entente:trafficking-investigation",
		Justification: Justification{CaseReference: "TF-2026-00417", SubjectRole: "victim", Aim: "identify", Jurisdiction: "US"},
		Claims:        []byte(`{"roles":["analyst"],"sworn":true}`),
		Source:        "labor-inspectorate", Recipient: "state-police", RecipientAddress: "1 Main Street, Capital City",
		User: "u-5f1d3c", Dataset: "wage-records", Granularity: "Records",
		Fields:       []string{"given_name", "family_name", "birth_date", "employer", "wage"},
		Filter:       `family_name == "Castellanos" && birth_date == date("1980-01-01")`,
		SubjectToken: "st-0c7be1c6f1f54b55", Records: 1, Outcome: "OK",
		RouteDigest: "sha256:RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o", QueryDigest: "sha256:n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
		RetainUntil: time.Date(2031, 12, 31, 0, 0, 0, 0, time.UTC),
	}
}

const testOrigin = "labor-inspectorate.example/gateway-0"

// testClock ticks one millisecond at each look.
func testClock() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Millisecond)
		return now
	}
}

func testOptions() Options {
	return Options{Origin: testOrigin, Now: testClock(), SegmentSize: minSegment, ProbeInterval: time.Millisecond}
}

func mustOpen(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// appendN appends records one by one, each durable before the next.
func appendN(t testing.TB, l *Log, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		rc, err := l.Append(t.Context(), sample(i))
		if err == nil {
			err = rc.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func readAll(t testing.TB, dir string) []Entry {
	t.Helper()
	var out []Entry
	if err := Read(dir, func(e Entry) error { out = append(out, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// crash lets go of a log's files and lock as a killed process does: nothing is flushed or sealed.
func crash(l *Log) {
	l.k.cancel()
	l.w.flush.due.Stop()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	unlockDir(l.lock)
}

func TestAppendReopenVerify(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	for round := range 3 {
		l := mustOpen(t, dir, testOptions())
		appendN(t, l, round*300, 300) // more than one segment
		seq, hash := l.Head()
		mustClose(t, l)

		rep, err := Verify(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := uint64(300 * (round + 1))
		if rep.Entries != want || seq != want || rep.Head != hash || rep.Open || rep.Origin != testOrigin {
			t.Fatalf("round %d: %+v, head of the log %d %x", round, rep, seq, hash)
		}
		if rep.Segments <= round+1 {
			t.Fatalf("%d segments after %d opens: none was filled", rep.Segments, round+1)
		}
	}
	entries := readAll(t, dir)
	for i, e := range entries {
		want := sample(i)
		want.Time = e.Time
		if got, w := fmt.Sprint(e.Record), fmt.Sprint(want); got != w || e.Seq != uint64(i+1) || e.Time.IsZero() {
			t.Fatalf("entry %d:\n%s\nwant\n%s", e.Seq, got, w)
		}
	}
	if len(entries) != 900 {
		t.Fatalf("%d entries", len(entries))
	}
	var from []uint64
	if err := ReadFrom(dir, 555, func(e Entry) error { from = append(from, e.Seq); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(from) != 900-554 || from[0] != 555 {
		t.Fatalf("ReadFrom(555): %d entries from %d", len(from), from[0])
	}
}

func TestReceipt(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	defer l.Close()
	for want := range uint64(3) {
		rc, err := l.Append(t.Context(), sample(0))
		if err != nil {
			t.Fatal(err)
		}
		if err := rc.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rc.Seq() != want+1 {
			t.Fatalf("seq %d, want %d", rc.Seq(), want+1)
		}
		var found bool
		if err := Read(dir, func(e Entry) error { found = found || e.Commitment == rc.Commitment() && e.Seq == rc.Seq(); return nil }); err != nil || !found {
			t.Fatalf("durable, and a reader does not find it (%v)", err)
		}
	}
}

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "audit")
	l := mustOpen(t, dir, testOptions())
	appendN(t, l, 0, 1)
	mustClose(t, l)
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v %v", st.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 5 {
		t.Fatalf("%v %v", files, err)
	}
	for _, f := range files {
		if st, err := f.Info(); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f.Name(), st.Mode(), err)
		}
	}
}

// The chain may be shown to anyone: nothing of a record is in it.
func TestChainHasNothingOfTheRecord(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	appendN(t, l, 0, 5)
	mustClose(t, l)
	b, err := os.ReadFile(segment{dir, 1}.chain())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"Castellanos", "state-police", "u-5f1d3c", "TF-2026", "labor", "0192f0c1", "wage"} {
		if strings.Contains(string(b), s) {
			t.Errorf("the chain has %q", s)
		}
	}
	entries := readAll(t, dir)
	if a, b := entries[0].Commitment, entries[1].Commitment; a == b {
		t.Error("two commitments are equal")
	}
}

// Equal records have different commitments, so that one cannot be confirmed by guessing.
func TestCommitmentIsSalted(t *testing.T) {
	o := testOptions()
	o.Now = func() time.Time { return time.Unix(1, 0) }
	l := mustOpen(t, t.TempDir(), o)
	defer l.Close()
	a, err := l.Append(t.Context(), sample(0))
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Append(t.Context(), sample(0))
	if err != nil {
		t.Fatal(err)
	}
	if a.Commitment() == b.Commitment() {
		t.Error("the same record gave the same commitment twice")
	}
}

func TestEmptyLogLeavesNoSegment(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		mustClose(t, mustOpen(t, dir, testOptions()))
		crash(mustOpen(t, dir, testOptions()))
	}
	mustClose(t, mustOpen(t, dir, testOptions()))
	if segs, err := listSegments(dir); err != nil || len(segs) != 0 {
		t.Fatalf("%v %v", segs, err)
	}
	if rep, err := Verify(dir, nil); err != nil || rep.Entries != 0 {
		t.Fatalf("%+v %v", rep, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	made := func(t *testing.T) string {
		dir := t.TempDir()
		l := mustOpen(t, dir, fastOptions())
		appendN(t, l, 0, 400)
		mustClose(t, l)
		return dir
	}
	segs := func(t *testing.T, dir string) []segment {
		s, err := listSegments(dir)
		if err != nil || len(s) < 3 {
			t.Fatalf("%v %v", s, err)
		}
		return s
	}
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, dir string, o *Options)
		want   string
	}{
		{"another origin", func(_ *testing.T, _ string, o *Options) { o.Origin = "state-police.example/gateway-0" }, "holds another log"},
		{"no origin given", func(_ *testing.T, _ string, o *Options) { o.Origin = "" }, "origin"},
		{"origin with a space", func(_ *testing.T, _ string, o *Options) { o.Origin = "a b" }, "origin"},
		{"tiny segments", func(_ *testing.T, _ string, o *Options) { o.SegmentSize = 1 }, "out of bounds"},
		{"origin file removed", func(t *testing.T, dir string, _ *Options) { os.Remove(filepath.Join(dir, originFile)) }, "origin file is missing"},
		{"origin file emptied", func(t *testing.T, dir string, _ *Options) { os.Truncate(filepath.Join(dir, originFile), 0) }, "does not parse"},
		{"origin file of another log", func(t *testing.T, dir string, _ *Options) {
			b, err := os.ReadFile(filepath.Join(made(t), originFile))
			if err != nil || os.WriteFile(filepath.Join(dir, originFile), b, 0o600) != nil {
				t.Fatal(err)
			}
		}, "belongs to another log"},
		{"first segment removed", func(t *testing.T, dir string, _ *Options) {
			s := segs(t, dir)[0]
			os.Remove(s.chain())
			os.Remove(s.payload())
		}, "missing"},
		{"middle segment removed", func(t *testing.T, dir string, _ *Options) {
			s := segs(t, dir)[1]
			os.Remove(s.chain())
			os.Remove(s.payload())
		}, "missing"},
		{"middle chain removed", func(t *testing.T, dir string, _ *Options) { os.Remove(segs(t, dir)[1].chain()) }, "missing"},
		{"middle payload removed", func(t *testing.T, dir string, _ *Options) { os.Remove(segs(t, dir)[1].payload()) }, "missing"},
		{"last chain removed", func(t *testing.T, dir string, _ *Options) { s := segs(t, dir); os.Remove(s[len(s)-1].chain()) }, "missing"},
		{"last payload removed", func(t *testing.T, dir string, _ *Options) { s := segs(t, dir); os.Remove(s[len(s)-1].payload()) }, "missing"},
		{"middle payload cut", func(t *testing.T, dir string, _ *Options) { os.Truncate(segs(t, dir)[1].payload(), 5000) }, "ends within the entry"},
		{"middle chain cut", func(t *testing.T, dir string, _ *Options) { os.Truncate(segs(t, dir)[1].chain(), 1280) }, "ends without a seal"},
		{"segment swapped in from another log", func(t *testing.T, dir string, _ *Options) {
			other := segs(t, made(t))[0]
			for from, to := range map[string]string{other.chain(): segs(t, dir)[0].chain(), other.payload(): segs(t, dir)[0].payload()} {
				b, err := os.ReadFile(from)
				if err != nil || os.WriteFile(to, b, 0o600) != nil {
					t.Fatal(err)
				}
			}
		}, "belongs to another log"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, o := made(t), testOptions()
			tc.change(t, dir, &o)
			l, err := Open(dir, o)
			if err == nil {
				l.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
			if tc.want == "holds another log" && !errors.Is(err, ErrOrigin) {
				t.Error("not ErrOrigin")
			}
			// The refusal holds no lock.
			if d, err := lockDir(dir); err != nil {
				t.Error(err)
			} else {
				unlockDir(d)
			}
		})
	}
}

// A process that is being started has every file of its parent for a moment. It does not keep a closed log locked.
func TestLockEndsWithClose(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	child, err := unix.Dup(int(l.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child)
	mustClose(t, l)
	mustClose(t, mustOpen(t, dir, testOptions()))
}

func TestSecondOpenerIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	if _, err := Open(dir, testOptions()); !errors.Is(err, ErrLocked) {
		t.Fatalf("%v, want ErrLocked", err)
	}
	mustClose(t, l)
	mustClose(t, mustOpen(t, dir, testOptions()))
}

func TestAppendRefuses(t *testing.T) {
	l := mustOpen(t, t.TempDir(), testOptions())
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name   string
		ctx    context.Context
		change func(*Record)
		want   error
	}{
		{"no disclosure", t.Context(), func(r *Record) { r.Disclosure = "" }, ErrInvalid},
		{"no kind", t.Context(), func(r *Record) { r.Kind = "" }, ErrInvalid},
		{"unknown side", t.Context(), func(r *Record) { r.Side = "Middle" }, ErrInvalid},
		{"too large when escaped", t.Context(), func(r *Record) { r.Filter = strings.Repeat("\x01", MaxRecord/2) }, ErrInvalid},
		{"too large", t.Context(), func(r *Record) { r.Filter = strings.Repeat("secret", MaxRecord/6) }, ErrInvalid},
		{"ended context", done, func(*Record) {}, context.Canceled},
	} {
		r := sample(0)
		tc.change(&r)
		if _, err := l.Append(tc.ctx, r); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error repeats the record", tc.name)
		}
	}
	mustClose(t, l)
	if _, err := l.Append(t.Context(), sample(0)); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if err := l.Healthy(); !errors.Is(err, ErrClosed) {
		t.Errorf("healthy after Close: %v", err)
	}
}

// Many writers: all is durable, in the order of the receipts, also across segments and under back-pressure.
func TestConcurrentWriters(t *testing.T) {
	dir := t.TempDir()
	o := testOptions()
	o.QueueSize = 7
	l := mustOpen(t, dir, o)
	const writers, each = 64, 30
	got := make([]map[uint64]string, writers)
	var wg sync.WaitGroup
	for w := range writers {
		got[w] = map[uint64]string{}
		wg.Go(func() {
			for i := range each {
				r := sample(w*each + i)
				rc, err := l.Append(t.Context(), r)
				if err == nil {
					err = rc.Wait(t.Context())
				}
				if err != nil {
					t.Error(err)
					return
				}
				got[w][rc.Seq()] = r.Disclosure
			}
		})
	}
	wg.Wait()
	mustClose(t, l)
	entries := readAll(t, dir)
	if len(entries) != writers*each {
		t.Fatalf("%d entries, want %d", len(entries), writers*each)
	}
	for w := range writers {
		last := uint64(0)
		for seq, id := range got[w] {
			last = max(last, seq)
			if entries[seq-1].Seq != seq || entries[seq-1].Record.Disclosure != id {
				t.Fatalf("entry %d is not the record whose receipt says so", seq)
			}
		}
		if len(got[w]) != each {
			t.Fatalf("writer %d has %d receipts", w, len(got[w]))
		}
	}
}

// Readers beside a writer see a growing, whole log and never call it damaged.
func TestReadWhileWriting(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				rc, err := l.Append(t.Context(), sample(w))
				if err == nil {
					err = rc.Wait(t.Context())
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	last := uint64(0)
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
		durable, _ := l.Head()
		rep, err := Verify(dir, nil)
		if err != nil {
			t.Error(err)
			break
		}
		if rep.Entries < durable || rep.Entries < last {
			t.Errorf("a reader sees %d entries, %d are durable, it saw %d", rep.Entries, durable, last)
			break
		}
		last = rep.Entries
	}
	close(stop)
	wg.Wait()
	mustClose(t, l)
}
