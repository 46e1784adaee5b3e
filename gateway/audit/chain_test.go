package audit

import (
	"errors"
	"os"
	"testing"
)

// chainOf reads the chain from behind an entry on.
func chainOf(dir string, after, upTo uint64) (out []ChainEntry, err error) {
	c, err := OpenChain(dir, after)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	err = c.Next(upTo, func(e ChainEntry) error { out = append(out, e); return nil })
	return out, err
}

func TestChainIsWhatReadShows(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	follower, err := OpenChain(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	var got []ChainEntry
	const n = 700 // several segments
	for i := 0; i < n; i += 50 {
		appendN(t, l, i, 50)
		head, hash := l.Head()
		if err := follower.Next(head, func(e ChainEntry) error { got = append(got, e); return nil }); err != nil {
			t.Fatal(err)
		}
		if follower.At() != head || got[len(got)-1].Hash != hash {
			t.Fatalf("follower is at %d, the log at %d", follower.At(), head)
		}
		if i == 300 { // a crash and a new segment
			crash(l)
			l = mustOpen(t, dir, testOptions())
		}
	}
	mustClose(t, l)
	entries := readAll(t, dir)
	if len(entries) != n || len(got) != n {
		t.Fatalf("%d entries read, %d followed, want %d", len(entries), len(got), n)
	}
	for i, e := range entries {
		if c := got[i]; c.Seq != e.Seq || c.Nanos != e.Time.UnixNano() || c.Commitment != e.Commitment || c.Hash != e.Hash {
			t.Fatalf("entry %d: the chain has %+v", e.Seq, c)
		}
	}
	for _, after := range []uint64{0, 1, 99, 350, 351, n - 1, n} {
		part, err := chainOf(dir, after, n)
		if err != nil || len(part) != int(n-after) || after < n && part[0] != got[after] {
			t.Errorf("after %d: %d entries, %v", after, len(part), err)
		}
	}
	var damage *CorruptError
	if _, err := chainOf(dir, n+1, n+1); !errors.As(err, &damage) {
		t.Errorf("behind an entry that is not there: %v", err)
	}
	if _, err := chainOf(dir, 0, n+1); err == nil {
		t.Error("an entry that is not there was passed")
	}
}

func TestChainFindsAFlippedBit(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, testOptions())
	appendN(t, l, 0, 5)
	mustClose(t, l)
	segs, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(segs[0].chain())
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < headerSize+5*recordSize; off += 13 {
		bad := append([]byte(nil), whole...)
		bad[off] ^= 1
		if err := os.WriteFile(segs[0].chain(), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		var damage *CorruptError
		if _, err := chainOf(dir, 0, 5); !errors.As(err, &damage) {
			t.Errorf("a bit at %d: %v", off, err)
		}
	}
}

func TestHold(t *testing.T) {
	l := mustOpen(t, t.TempDir(), testOptions())
	defer mustClose(t, l)
	why := errors.New("integration lags")
	l.Hold(why)
	begins, ends := sample(1), sample(1)
	begins.Kind = Intent
	if _, err := l.Append(t.Context(), begins); !errors.Is(err, why) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("an intent on a held log: %v", err)
	}
	if err := l.Healthy(); !errors.Is(err, why) {
		t.Errorf("Healthy: %v", err)
	}
	rc, err := l.Append(t.Context(), ends)
	if err == nil {
		err = rc.Wait(t.Context())
	}
	if err != nil {
		t.Errorf("the outcome of what had begun: %v", err)
	}
	l.Hold(nil)
	if _, err := l.Append(t.Context(), begins); err != nil || l.Healthy() != nil {
		t.Errorf("after the hold: %v, %v", err, l.Healthy())
	}
}
