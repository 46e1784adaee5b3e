package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const crashDir = "ENTENTE_AUDIT_CRASH_DIR"

// TestMain is also the child that is killed: it appends from several goroutines and prints what was acknowledged.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Fprintln(os.Stderr, crashChild(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func crashChild(dir string) error {
	l, err := Open(dir, Options{Origin: testOrigin, SegmentSize: minSegment})
	if err != nil {
		return err
	}
	errs := make(chan error)
	go func() {
		for i := 0; ; i++ {
			r := sample(os.Getpid()<<20 | i)
			rc, err := l.Append(context.Background(), r)
			if err == nil {
				err = rc.Wait(context.Background())
			}
			if err == nil {
				fmt.Printf("%d %s\n", rc.Seq(), r.Disclosure)
				_, err = l.Erase(context.Background(), Selection{Disclosure: r.Disclosure}, inError)
			}
			if err != nil {
				errs <- err
				return
			}
			fmt.Printf("0 %s\n", r.Disclosure) // erased
		}
	}()
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				acked, err := appendSome(l, w, w<<20|i<<1)
				if err != nil {
					errs <- err
					return
				}
				for seq, id := range acked {
					fmt.Printf("%d %s\n", seq, id) // one write: it is whole in the pipe, or not there
				}
			}
		}()
	}
	return <-errs
}

// appendSome appends as a gateway does and waits: every second worker a record, the others a deferred one and its outcome.
func appendSome(l *Log, worker, i int) (acked map[uint64]string, err error) {
	ctx := context.Background()
	var receipts []*Receipt
	if worker%2 == 0 {
		rc, err := l.AppendDeferred(ctx, sample(i))
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, rc)
	}
	rc, err := l.Append(ctx, sample(i+1))
	if err != nil {
		return nil, err
	}
	receipts = append(receipts, rc)
	acked = map[uint64]string{}
	for k, rc := range slices.Backward(receipts) {
		if err := rc.Wait(ctx); err != nil {
			return nil, err
		}
		acked[rc.Seq()] = sample(i + 1 - (len(receipts) - 1 - k)).Disclosure
	}
	return acked, nil
}

// kill -9 at any moment, again and again on one log: every record that was acknowledged is there, but for those that were
// erased, and they are gone.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acked, erased := map[uint64]string{}, map[string]bool{}
	kills := 8
	if testing.Short() {
		kills = 3
	}
	for range kills {
		before := len(acked)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var kill sync.Once
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var seq uint64
			var id string
			if _, err := fmt.Sscanf(lines.Text(), "%d %s", &seq, &id); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			if seq == 0 {
				erased[id] = true
				kill.Do(func() {
					time.AfterFunc(time.Duration(rand.IntN(40_000))*time.Microsecond, func() { cmd.Process.Kill() })
				})
				continue
			}
			if old, ok := acked[seq]; ok {
				t.Fatalf("sequence %d was given twice: %s, %s", seq, old, id)
			}
			acked[seq] = id
		}
		cmd.Wait()
		if len(acked) == before {
			t.Fatal("nothing was acknowledged")
		}
		if rep, err := Verify(dir, nil); err != nil {
			t.Fatalf("left by the kill: %+v %v", rep, err)
		}
	}
	l := mustOpen(t, dir, testOptions())
	if err := l.Sweep(t.Context()); err != nil { // ends an erasure that a kill cut short
		t.Fatal(err)
	}
	mustClose(t, l)
	if rep, err := Verify(dir, nil); err != nil || rep.Unexplained > 0 || rep.Erased < uint64(len(erased)) || rep.Erased > uint64(len(erased)+kills) || len(erased) == 0 {
		t.Fatalf("%d were erased: %+v %v", len(erased), rep, err)
	}
	n := uint64(0)
	if err := Read(dir, func(e Entry) error {
		n++
		if e.Record.Kind != Erasure && erased[e.Record.Disclosure] {
			t.Errorf("erased, and there: entry %d", e.Seq)
		}
		if id, ok := acked[e.Seq]; ok && id != e.Record.Disclosure && !e.Erased {
			t.Errorf("entry %d: %s, acknowledged was %s", e.Seq, e.Record.Disclosure, id)
		}
		delete(acked, e.Seq)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(acked) > 0 {
		t.Fatalf("%d acknowledged records are gone, of %d", len(acked), n)
	}
}

// powerFS loses, at a power cut, what was not synced: each sector that was written since may be there or not, so may be a
// cut of the file's length, and so may a file whose directory was not synced. A sync that fails loses it at once while the
// page cache goes on to show it.
type powerFS struct {
	mu    sync.Mutex
	rng   *rand.Rand
	files map[string]*powerDisk
	gone  map[string]*powerDisk // removed, and the directory not synced
	off   bool
	ops   int // that change something; the power goes before number stop
	stop  int
	sick  float64 // probability that a sync fails
	count int     // of syncs of files with the suffix; the one that brings it to 0 fails, and loses everything
	of    string
}

// powerDisk is a file as it is on the disk.
type powerDisk struct {
	data    []byte
	pending []powerOp
	named   bool // its directory entry is durable
}

type powerOp struct {
	off  int64 // of a sector; -1: the length becomes size
	data []byte
	size int64
}

var errPower = errors.New("power is off")

// op counts an operation, and says whether there is power for it. p.mu is held.
func (p *powerFS) op() error {
	if p.ops++; p.ops == p.stop {
		p.off = true
	}
	if p.off {
		return errPower
	}
	return nil
}

const sector = 512

func (d *powerDisk) apply(op powerOp) {
	if op.off < 0 {
		d.data = append(d.data, make([]byte, max(0, op.size-int64(len(d.data))))...)[:op.size]
		return
	}
	if end := op.off + int64(len(op.data)); end > int64(len(d.data)) {
		d.data = append(d.data, make([]byte, end-int64(len(d.data)))...)
	}
	copy(d.data[op.off:], op.data)
}

func (p *powerFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.op(); err != nil {
		return nil, err
	}
	f, err := osFS{}.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	if p.files[name] == nil || flag&os.O_TRUNC != 0 {
		p.files[name] = &powerDisk{}
	}
	return &powerFile{f, p, name}, nil
}

func (p *powerFS) Remove(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.op(); err != nil {
		return err
	}
	if p.gone == nil {
		p.gone = map[string]*powerDisk{}
	}
	p.gone[name] = p.files[name]
	delete(p.files, name)
	return os.Remove(name)
}

func (p *powerFS) Rename(from, to string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.op(); err != nil {
		return err
	}
	p.files[to] = p.files[from]
	delete(p.files, from)
	return os.Rename(from, to)
}

func (p *powerFS) SyncDir(dir string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.op(); err != nil {
		return err
	}
	for name, d := range p.files {
		if filepath.Dir(name) == dir {
			d.named = true
		}
	}
	for name := range p.gone {
		if filepath.Dir(name) == dir {
			delete(p.gone, name)
		}
	}
	return nil
}

// What a cut leaves of that which was not synced.
const (
	leaveSome = iota
	leaveAll  // the process was killed, and the page cache lives
	leaveNone
	leaveJournal  // all of the journal, nothing of other files
	leaveSegments // all of the segments, nothing of other files
	ways
)

// cut turns the power off and leaves on the real file system what a disk would hold.
func (p *powerFS) cut(t *testing.T, leave int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = true
	mode := leave
	some := func() bool { return leave == leaveAll || leave == leaveSome && p.rng.IntN(2) == 0 }
	for name, d := range p.gone {
		if d != nil && d.named && !some() && p.files[name] == nil {
			p.files[name] = d
		}
	}
	for name, d := range p.files {
		switch base := filepath.Base(name); mode {
		case leaveJournal, leaveSegments:
			leave = leaveNone
			if mode == leaveJournal && base == journalFile || mode == leaveSegments && (strings.HasSuffix(base, chainSuffix) || strings.HasSuffix(base, payloadSuffix)) {
				leave = leaveAll
			}
		}
		if !d.named && !some() {
			os.Remove(name)
			continue
		}
		lengths := map[int]int{leaveSome: p.rng.IntN(len(d.pending) + 1), leaveAll: len(d.pending)}[leave] // changes of length happen in order
		for i, op := range d.pending {
			if op.off < 0 && i < lengths || op.off >= 0 && some() {
				d.apply(op)
			}
		}
		if err := os.WriteFile(name, d.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// after is the file system of the next life, which sees what is on the disk.
func (p *powerFS) after(t *testing.T, dir string) *powerFS {
	next := &powerFS{rng: p.rng, files: map[string]*powerDisk{}}
	for name, b := range snapshot(t, dir) {
		next.files[filepath.Join(dir, name)] = &powerDisk{data: b, named: true}
	}
	return next
}

type powerFile struct {
	File
	fs   *powerFS
	name string
}

func (f *powerFile) disk() *powerDisk { return f.fs.files[f.name] }

func (f *powerFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.op(); err != nil {
		return 0, err
	}
	n := len(b)
	for at := off; len(b) > 0; {
		m := min(int64(len(b)), sector-at%sector)
		f.disk().pending = append(f.disk().pending, powerOp{off: at, data: append([]byte(nil), b[:m]...)})
		b, at = b[m:], at+m
	}
	_, err := f.File.WriteAt(f.disk().tail(n), off)
	return n, err
}

// tail is the last n bytes that were written.
func (d *powerDisk) tail(n int) []byte {
	b := make([]byte, n)
	for i := len(d.pending) - 1; n > 0; i-- {
		n -= copy(b[n-len(d.pending[i].data):], d.pending[i].data)
	}
	return b
}

func (f *powerFile) resize(size int64, do func(int64) error) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.op(); err != nil {
		return err
	}
	f.disk().pending = append(f.disk().pending, powerOp{off: -1, size: size})
	return do(size)
}

func (f *powerFile) Truncate(size int64) error { return f.resize(size, f.File.Truncate) }
func (f *powerFile) Allocate(size int64) error { return f.resize(size, f.File.Allocate) }

func (f *powerFile) Sync() error {
	time.Sleep(50 * time.Microsecond) // so that a batch forms
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.op(); err != nil {
		return err
	}
	d, sick := f.disk(), f.fs.rng.Float64() < f.fs.sick
	lost := false
	if f.fs.of != "" && strings.HasSuffix(f.name, f.fs.of) {
		f.fs.count--
		lost = f.fs.count == 0
	}
	sick = sick || lost
	for _, op := range d.pending {
		if !sick || op.off < 0 || !lost && f.fs.rng.IntN(2) == 0 {
			d.apply(op)
		}
	}
	d.pending = nil
	if sick {
		return errors.New("input/output error")
	}
	return nil
}

// After a failed sync the page cache shows what the disk does not have. The process ends, the next one opens the log and
// sees it; then the power goes. What the next one relied on is on the disk all the same, whichever sync it was that failed.
func TestLyingPageCache(t *testing.T) {
	for _, tc := range []struct {
		file    string
		failing int
		closing bool
	}{
		{payloadSuffix, 1, false}, {payloadSuffix, 2, false}, {payloadSuffix, 3, false},
		{chainSuffix, 1, false}, {chainSuffix, 2, false}, {chainSuffix, 3, false}, {chainSuffix, 4, false},
		{payloadSuffix, 1, true}, {chainSuffix, 1, true}, {chainSuffix, 2, true},
		{journalFile, 1, false}, {journalFile, 2, false}, {journalFile, 3, false}, {journalFile, 4, false}, {journalFile, 1, true}, {journalFile, 2, true},
	} {
		t.Run(fmt.Sprintf("sync %d of %s, closing %v", tc.failing, tc.file, tc.closing), func(t *testing.T) {
			dir := t.TempDir()
			fs := &powerFS{rng: rand.New(rand.NewPCG(1, 2)), files: map[string]*powerDisk{}}
			o := testOptions()
			o.FS, o.ProbeInterval = fs, time.Hour
			l := mustOpen(t, dir, o)
			appendN(t, l, 0, 3)
			fs.mu.Lock()
			fs.count, fs.of = tc.failing, tc.file
			fs.mu.Unlock()
			acked := 3
			add := func(l *Log, n int) {
				for range n {
					if rc, err := l.Append(t.Context(), sample(acked)); err != nil || rc.Wait(t.Context()) != nil {
						return
					}
					acked++
				}
			}
			if tc.closing {
				l.Close()
			} else {
				add(l, 2)
				crash(l)
			}
			for range 2 {
				l = mustOpen(t, dir, o)
				add(l, 1)
				crash(l)
			}
			fs.cut(t, leaveSome)
			if rep, err := Verify(dir, nil); err != nil || rep.Entries < uint64(acked) {
				t.Errorf("%d were acknowledged: %+v %v", acked, rep, err)
			}
		})
	}
}

// Power cuts at random moments, on a disk whose syncs fail now and then: what was acknowledged is there, what was erased is not, and
// the log opens.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		sick float64
	}{{"healthy disk", 0}, {"sick disk", 0.01}} {
		t.Run(tc.name, func(t *testing.T) {
			rounds := 25
			if testing.Short() {
				rounds = 10
			}
			for seed := range rounds {
				powerCuts(t, uint64(seed), tc.sick)
			}
		})
	}
}

func powerCuts(t *testing.T, seed uint64, sick float64) {
	dir := t.TempDir()
	fs := &powerFS{rng: rand.New(rand.NewPCG(seed, 1)), files: map[string]*powerDisk{}}
	o := testOptions()
	o.FS = fs
	acked, erased := map[uint64]string{}, map[string]bool{}
	for life := range 3 {
		l, err := Open(dir, o)
		if err != nil {
			t.Fatalf("seed %d, life %d: %v", seed, life, err)
		}
		fs.mu.Lock()
		fs.sick = sick
		fs.mu.Unlock()
		var mu sync.Mutex
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for w := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					some, err := appendSome(l, w, life<<24|w<<20|i<<1)
					if err != nil {
						time.Sleep(100 * time.Microsecond) // it mends itself, or the power is off
						continue
					}
					mu.Lock()
					maps.Copy(acked, some)
					mu.Unlock()
				}
			})
		}
		wg.Go(func() { // the eraser
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r := sample(life<<24 | 1<<23 | i)
				rc, err := l.Append(t.Context(), r)
				if err == nil {
					err = rc.Wait(t.Context())
				}
				n := uint64(0)
				if err == nil {
					n, err = l.Erase(t.Context(), Selection{Disclosure: r.Disclosure}, inError)
				}
				if err != nil || n != 1 { // after the cut it may read what is left
					time.Sleep(100 * time.Microsecond)
					continue
				}
				mu.Lock()
				erased[r.Disclosure] = true
				mu.Unlock()
			}
		})
		longest := 6_000
		if seed%5 == 0 {
			longest = 60_000 // the journal's halves are used again and again
		}
		fs.mu.Lock()
		pause := time.Duration(fs.rng.IntN(longest)) * time.Microsecond
		fs.mu.Unlock()
		time.Sleep(pause)
		fs.cut(t, int(seed+uint64(life))%ways)
		close(stop)
		wg.Wait()
		l.Close()

		fs = fs.after(t, dir)
		o.FS = fs
		if rep, err := Verify(dir, nil); err != nil {
			t.Fatalf("seed %d, life %d: left by the cut: %+v %v", seed, life, rep, err)
		}
	}
	l, err := Open(dir, o)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	mustClose(t, l)
	if err := Read(dir, func(e Entry) error {
		if id, ok := acked[e.Seq]; ok && id == e.Record.Disclosure {
			delete(acked, e.Seq)
		}
		if e.Record.Kind != Erasure && erased[e.Record.Disclosure] {
			t.Errorf("seed %d: erased, and there: entry %d", seed, e.Seq)
		}
		return nil
	}); err != nil && err != io.EOF {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if len(acked) > 0 {
		t.Fatalf("seed %d: %d acknowledged records are gone", seed, len(acked))
	}
}
