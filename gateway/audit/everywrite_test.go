package audit

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// life is a short life of a log in which everything is written that a log ever writes: origin, local key, data keys, segments
// that fill, records, erasures, destroyed keys, seals. It notes what was acknowledged.
type life struct {
	dir    string
	now    atomic.Int64
	acked  map[string]bool     // disclosures whose records are durable
	sealed map[string][][]byte // and what their payloads are sealed in
	erased map[string]bool     // of those, the ones whose erasure was confirmed
	asked  map[string]bool     // and those for which it was asked
}

func newLife(dir string) *life {
	l := &life{dir: dir, acked: map[string]bool{}, sealed: map[string][][]byte{}, erased: map[string]bool{}, asked: map[string]bool{}}
	l.now.Store(time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC).Unix())
	return l
}

func (lf *life) options(fs FS) Options {
	o := testOptions()
	o.FS, o.ProbeInterval, o.Now = fs, time.Hour, func() time.Time { return time.Unix(lf.now.Load(), 0) }
	return o
}

// live goes on until something fails, which is the crash.
func (lf *life) live(fs FS) {
	l, err := Open(lf.dir, lf.options(fs))
	if err != nil {
		return
	}
	defer l.Close()
	ctx := context.Background()
	add := func(i int, r Record) error {
		r.Disclosure = sample(i).Disclosure
		intent, err := l.AppendDeferred(ctx, r)
		if err != nil {
			return err
		}
		outcome, err := l.Append(ctx, r)
		if err != nil {
			return err
		}
		if err := outcome.Wait(ctx); err != nil {
			return err
		}
		if err := intent.Wait(ctx); err != nil {
			return err
		}
		lf.acked[r.Disclosure] = true
		return walk(lf.dir, l.id, intent.Seq(), nil, nil, func(e *found) error {
			if e.seq == intent.Seq() || e.seq == outcome.Seq() {
				lf.sealed[r.Disclosure] = append(lf.sealed[r.Disclosure], slices.Clone(e.frame[frameHead+sealHead:]))
			}
			return nil
		})
	}
	due := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	large := sample(0)
	large.Filter = strings.Repeat("x", 50_000)
	ask := func(ids ...int) {
		for _, i := range ids {
			lf.asked[sample(i).Disclosure] = true
		}
	}
	confirm := func() {
		for id := range lf.asked {
			lf.erased[id] = true
		}
	}
	steps := []func() error{
		func() error { return add(0, sample(0)) },
		func() error { return add(1, retained(1, due)) },
		func() error { return add(2, sample(2)) },
		func() error { l.k.renew(ctx); return l.Healthy() },
		func() error { return add(3, large) }, // the next ones need other segments
		func() error { return add(4, large) },
		func() error {
			ask(2, 3)
			for _, i := range []int{2, 3} {
				if _, err := l.Erase(ctx, Selection{Disclosure: sample(i).Disclosure}, inError); err != nil {
					return err
				}
			}
			confirm()
			return nil
		},
		func() error {
			ask(0)
			if _, err := l.Erase(ctx, Selection{Disclosure: sample(0).Disclosure}, inError); err != nil {
				return err
			}
			confirm()
			return nil
		},
		func() error {
			lf.now.Store(due.Unix())
			ask(1)
			if err := l.Sweep(ctx); err != nil { // the first data key has nothing left then
				return err
			}
			confirm()
			return nil
		},
		func() error { return add(5, sample(5)) },
	}
	for _, step := range steps {
		if step() != nil {
			return
		}
	}
}

// check opens what a crash left, has it mended, and looks.
func (lf *life) check(fs *powerFS, name string) error {
	if _, err := os.Stat(filepath.Join(lf.dir, originFile)); os.IsNotExist(err) && len(lf.acked) == 0 {
		return nil // it was never made
	}
	if rep, err := Verify(lf.dir, nil); err != nil {
		return fmt.Errorf("as it was left: %+v %w", rep, err)
	}
	if err := lf.gone(lf.erased); err != nil {
		return fmt.Errorf("as it was left: %w", err)
	}
	l, err := Open(lf.dir, lf.options(fs))
	if err != nil {
		return err
	}
	if err := l.Sweep(context.Background()); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	rc, err := l.Append(context.Background(), sample(9))
	if err == nil {
		err = rc.Wait(context.Background())
	}
	if err != nil {
		return err
	}
	if err := lf.gone(lf.erased); err != nil {
		return fmt.Errorf("mended: %w", err)
	}
	if err := l.Close(); err != nil {
		return err
	}
	rep, err := Verify(lf.dir, nil)
	if err != nil || rep.Sealed != 0 || rep.Unexplained != 0 || rep.Open {
		return fmt.Errorf("mended: %+v %w", rep, err)
	}
	seen := map[string]int{}
	if err := Read(lf.dir, func(e Entry) error {
		if e.Record.Kind != Erasure {
			seen[e.Record.Disclosure]++
		}
		return nil
	}); err != nil {
		return err
	}
	for id := range lf.acked {
		if seen[id] != 2 && !lf.asked[id] {
			return fmt.Errorf("acknowledged, and %d of 2 records are there: %s", seen[id], id)
		}
	}
	for id := range lf.erased {
		if seen[id] > 0 {
			return fmt.Errorf("erased, and there: %s", id)
		}
	}
	return nil
}

// gone looks for what the payloads of disclosures were sealed in, in all files of the log.
func (lf *life) gone(ids map[string]bool) error {
	files, err := os.ReadDir(lf.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(lf.dir, f.Name()))
		if err != nil {
			return err
		}
		for id := range ids {
			for _, sealed := range lf.sealed[id] {
				for part := range slices.Chunk(sealed, 64) {
					if len(part) == 64 && bytes.Contains(b, part) {
						return fmt.Errorf("erased, and some of its payload is in %s: %s", f.Name(), id)
					}
				}
			}
		}
	}
	return nil
}

// A crash at each single operation that changes a file or a directory, of which the disk keeps all, nothing or some of what
// was not synced: the log opens, what was acknowledged is there, what was erased is gone, an erasure that had begun is ended,
// and all of it verifies. One crash while the crash is mended, too.
func TestCrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	count := &powerFS{rng: rand.New(rand.NewPCG(1, 1)), files: map[string]*powerDisk{}}
	whole := newLife(t.TempDir())
	whole.live(count)
	if len(whole.acked) != 6 || len(whole.erased) != 4 {
		t.Fatalf("%d acknowledged, %d erased", len(whole.acked), len(whole.erased))
	}
	if err := whole.check(count, "whole"); err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	t.Logf("%d operations", count.ops)
	parent := t.TempDir()
	for stop := 1; stop <= count.ops; stop += step {
		for _, leave := range []int{leaveSome, 1 + stop%(ways-1), 1 + (stop+1)%(ways-1)} {
			name := fmt.Sprintf("operation %d, leaving %d", stop, leave)
			dir := filepath.Join(parent, "log")
			lf := newLife(dir)
			fs := &powerFS{rng: rand.New(rand.NewPCG(uint64(stop), uint64(leave))), files: map[string]*powerDisk{}, stop: stop}
			lf.live(fs)
			fs.cut(t, leave)
			if _, err := os.Stat(dir); os.IsNotExist(err) {
				continue
			}
			// The first try to mend it crashes too, somewhere.
			again := fs.after(t, dir)
			again.stop = 1 + fs.rng.IntN(30)
			if l, err := Open(dir, lf.options(again)); err == nil {
				_ = l.Sweep(t.Context())
				_ = l.Close()
			}
			again.cut(t, leave)
			if err := lf.check(again.after(t, dir), name); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			os.Remove(LocalKeyFile(dir))
		}
	}
}
