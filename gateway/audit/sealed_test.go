package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeRing is a key ring that can be away.
type fakeRing struct {
	away    atomic.Bool
	wraps   atomic.Int64
	unwraps atomic.Int64
	mu      sync.Mutex
	keys    map[string][]byte
}

var errAway = errors.New("the key ring is away")

func (r *fakeRing) Wrap(_ context.Context, key, bound []byte) (string, error) {
	if r.away.Load() {
		return "", errAway
	}
	r.wraps.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.keys = map[string][]byte{}
	}
	r.keys[string(bound)] = slices.Clone(key)
	return "fake:" + base64.StdEncoding.EncodeToString(bound), nil
}

func (r *fakeRing) Unwrap(_ context.Context, wrapped string, bound []byte) ([]byte, error) {
	if r.away.Load() {
		return nil, errAway
	}
	r.unwraps.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if wrapped != "fake:"+base64.StdEncoding.EncodeToString(bound) || r.keys[string(bound)] == nil {
		return nil, errors.New("unknown key")
	}
	return slices.Clone(r.keys[string(bound)]), nil
}

// secrets are what a raw log must not show; each so long that keys and sealed bytes do not show it by chance.
var secrets = []string{"Castellanos", "1980-01-01", "state-police", "u-5f1d3c", "TF-2026", "labor-trafficking", "0192f0c1", "wage", "family_name", "disclosure", "consultation"}

// Nothing of a record is readable in any file of the log, before and after it is closed.
func TestFilesShowNothing(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	appendN(t, l, 0, 20)
	check := func() {
		t.Helper()
		for name, b := range snapshot(t, dir) {
			if name == originFile {
				continue // its name is the log's, on purpose
			}
			for _, s := range secrets {
				if bytes.Contains(b, []byte(s)) {
					t.Errorf("%s shows %q", name, s)
				}
			}
		}
	}
	check()
	mustClose(t, l)
	check()
	if got := readAll(t, dir); len(got) != 20 || got[3].Record.Filter != sample(3).Filter {
		t.Fatalf("%d entries; the fourth: %+v", len(got), got[3].Record)
	}
}

// Without the key the chain verifies and says that the payloads were not looked into; records are not read as if they were
// empty; another log's key is refused.
func TestWithoutKey(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		l := mustOpen(t, d, testOptions())
		appendN(t, l, 0, 3)
		mustClose(t, l)
	}
	with, err := Verify(dir, nil)
	if err != nil || with.Sealed != 0 || with.Entries != 3 {
		t.Fatalf("%+v %v", with, err)
	}
	if err := os.Rename(LocalKeyFile(dir), LocalKeyFile(dir)+".away"); err != nil {
		t.Fatal(err)
	}
	without, err := Verify(dir, nil)
	if err != nil || without.Sealed != 3 || without.Head != with.Head {
		t.Errorf("%+v %v", without, err)
	}
	if err := Read(dir, func(Entry) error { return nil }); !errors.Is(err, ErrSealed) {
		t.Errorf("read without a key: %v", err)
	}
	wrong, err := ReadLocalKeys(LocalKeyFile(other))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Verify(dir, nil, WithKeys(t.Context(), wrong))
	var damage *CorruptError
	if err == nil || errors.As(err, &damage) || !strings.Contains(err.Error(), "local key is another one") {
		t.Errorf("another log's key: %v", err)
	}
}

// A log whose local key is gone refuses rather than make another one, which would not open what is there.
func TestLocalKeyGone(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	appendN(t, l, 0, 1)
	mustClose(t, l)
	key, err := os.ReadFile(LocalKeyFile(dir))
	if err != nil || os.Remove(LocalKeyFile(dir)) != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, dir, testOptions())
	if _, err := l.Append(t.Context(), sample(1)); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "local key") {
		t.Fatalf("%v", err)
	}
	if err := os.WriteFile(LocalKeyFile(dir), key, 0o600); err != nil {
		t.Fatal(err)
	}
	waitHealthy(t, l)
	appendN(t, l, 1, 1)
	mustClose(t, l)
	if got := readAll(t, dir); len(got) != 2 {
		t.Fatalf("%d entries", len(got))
	}
}

// The key ring may be away: a log that has a data key goes on, over the end of the day too; one that has none refuses, says
// so, and goes on when the ring is back. Records never ask the ring.
func TestRingAway(t *testing.T) {
	dir, ring := t.TempDir(), &fakeRing{}
	var now atomic.Int64
	now.Store(time.Date(2026, 11, 3, 23, 59, 0, 0, time.UTC).Unix())
	var notices atomic.Int64
	o := testOptions()
	o.Keys, o.Now, o.Notice = ring, func() time.Time { return time.Unix(now.Add(1), 0) }, func(error) { notices.Add(1) }
	l := mustOpen(t, dir, o)
	l.k.stop() // the test does its steps
	appendN(t, l, 0, 50)
	if n := ring.wraps.Load(); n != 1 {
		t.Errorf("%d data keys for 50 records", n)
	}
	now.Add(3600)
	ring.away.Store(true)
	l.k.step(t.Context())
	if l.Healthy() != nil || notices.Load() == 0 {
		t.Errorf("day over, ring away: %v, %d notices", l.Healthy(), notices.Load())
	}
	if err := l.ReadSince(time.Time{}, func(Record) error { return nil }); err != nil {
		t.Errorf("the log cannot read what it wrote itself: %v", err)
	}
	if made := l.KeyMade(); made.Day() != 3 {
		t.Errorf("the data key is of %v", made)
	}
	appendN(t, l, 50, 5)
	said := notices.Load()
	l.k.step(t.Context())
	if notices.Load() != said {
		t.Error("the ring is asked each second")
	}
	ring.away.Store(false)
	l.k.later = time.Time{}
	l.k.step(t.Context())
	appendN(t, l, 55, 5)
	if n := ring.wraps.Load(); n != 2 {
		t.Errorf("%d data keys on two days", n)
	}
	now.Add(-7200) // the clock is set back: another key, in the order of their numbers
	l.k.step(t.Context())
	appendN(t, l, 60, 5)
	mustClose(t, l)

	ring.away.Store(true)
	l = mustOpen(t, dir, o)
	if err := l.Healthy(); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errAway) {
		t.Fatalf("no data key: %v", err)
	}
	if _, err := l.Append(t.Context(), sample(0)); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("no data key: %v", err)
	}
	ring.away.Store(false)
	waitHealthy(t, l)
	appendN(t, l, 65, 5)
	mustClose(t, l)

	n := 0
	if err := Read(dir, func(e Entry) error {
		if e.Record.Disclosure != sample(n).Disclosure {
			t.Errorf("entry %d is %s", e.Seq, e.Record.Disclosure)
		}
		n++
		return nil
	}, WithKeys(t.Context(), ring)); err != nil || n != 70 {
		t.Fatalf("%d entries, %v", n, err)
	}
	if n := ring.unwraps.Load(); n != 4 {
		t.Errorf("a reader asked the ring %d times for 4 data keys", n)
	}
	ring.away.Store(true)
	var damage *CorruptError
	if _, err := Verify(dir, nil, WithKeys(t.Context(), ring)); !errors.Is(err, errAway) || errors.As(err, &damage) {
		t.Errorf("a ring that is away is no damage: %v", err)
	}
	rep, err := Verify(dir, nil)
	if err != nil || rep.Sealed != 70 || rep.Back != 1 || rep.BackMost < time.Hour {
		t.Errorf("%+v %v", rep, err)
	}
}

// A data key that is missing or another one is found, and named.
func TestDataKeyDamage(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		l := mustOpen(t, dir, fastOptions())
		appendN(t, l, 0, 2)
		mustClose(t, l)
	}
	files, bare := snapshot(t, dir), keyless(t, dir)
	one, two := filepath.Base(keyPath(dir, 1)), filepath.Base(keyPath(dir, 2))
	for _, tc := range []struct {
		name   string
		change func(map[string][]byte)
		file   string
		want   string
	}{
		{"removed", func(f map[string][]byte) { delete(f, one) }, one, "missing"},
		{"zeroed", func(f map[string][]byte) { f[two] = make([]byte, len(f[two])) }, two, "missing"},
		{"emptied", func(f map[string][]byte) { f[two] = nil }, two, "missing"},
		{"cut", func(f map[string][]byte) { f[two] = f[two][:40] }, two, "checksum"},
		{"swapped", func(f map[string][]byte) { f[one], f[two] = f[two], f[one] }, one, "another one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			changed := snapshotWith(files, originFile, files[originFile])
			tc.change(changed)
			restore(t, dir, changed)
			for _, dir := range []string{dir, bare} {
				_, err := Verify(dir, nil)
				var damage *CorruptError
				if !errors.As(err, &damage) || filepath.Base(damage.File) != tc.file || !strings.Contains(damage.Reason, tc.want) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// A log that was begun in the first form, with its payloads in the clear, is read, goes on sealed, and its old payloads are
// erased like the others.
func TestFirstForm(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/form1")); err != nil {
		t.Fatal(err)
	}
	before, err := Verify(dir, nil)
	if err != nil || before.Entries != 6 || before.Sealed != 0 {
		t.Fatalf("%+v %v", before, err)
	}
	var now atomic.Int64
	now.Store(time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC).Unix())
	o := testOptions()
	o.Now = func() time.Time { return time.Unix(now.Load(), 0) }
	l := mustOpen(t, dir, o)
	appendN(t, l, 6, 3)
	mustClose(t, l)
	got := readAll(t, dir)
	if len(got) != 9 || got[5].Hash != before.Head {
		t.Fatalf("%d entries", len(got))
	}
	for i, e := range got {
		if e.Record.Disclosure != sample(i).Disclosure || e.Record.Filter == "" {
			t.Errorf("entry %d: %+v", e.Seq, e.Record)
		}
	}
	now.Store(time.Date(2028, 12, 31, 0, 0, 0, 0, time.UTC).Unix())
	l = mustOpen(t, dir, o)
	if err := l.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	rep, err := Verify(dir, nil)
	if err != nil || rep.Erased != 4 || rep.Unexplained != 0 { // of 2027 and 2028 in both segments
		t.Fatalf("%+v %v", rep, err)
	}
	inClear := []byte(`family_name == \"Doe\"`) // as it stands in the first form; too long to be there by chance
	for name, b := range snapshot(t, dir) {
		if n := bytes.Count(b, inClear); filepath.Ext(name) == payloadSuffix && n > 1 {
			t.Errorf("%s has %d payloads", name, n)
		}
	}
}
