package audit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// fastFS is the real file system without waiting for the disk: for tests about bytes, not about crashes.
type fastFS struct{ osFS }

type fastFile struct{ File }

func (fastFile) Sync() error        { return nil }
func (fastFS) SyncDir(string) error { return nil }
func (f fastFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	file, err := f.osFS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return fastFile{file}, nil
}

func fastOptions() Options {
	o := testOptions()
	o.FS = fastFS{}
	return o
}

// restore gives dir exactly these files.
func restore(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	old, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range old {
		if _, ok := files[f.Name()]; !ok {
			os.Remove(filepath.Join(dir, f.Name()))
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func snapshot(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name()] = b
	}
	return out
}

// tearJournal makes the journal's last run one that a crash has torn.
func tearJournal(t testing.TB, dir string) {
	t.Helper()
	f, err := os.OpenFile(journalPath(dir), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(b, []byte(magicRun))
	if _, err := f.WriteAt([]byte{0xa5}, int64(at)+runHead); at < 0 || err != nil {
		t.Fatal(at, err)
	}
}

// A crash can cut the last entry at any byte of either file, with nothing or with zeros behind. When the journal does not have it
// either, it is then cut, the others are kept, and the log goes on.
func TestTornTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := mustOpen(t, dir, fastOptions())
	appendN(t, l, 0, 3)
	chainEnd, payloadEnd := l.w.seg.chainEnd, l.w.seg.payloadEnd
	before := readAll(t, dir)
	appendN(t, l, 3, 1)
	chainStop, payloadStop := l.w.seg.chainEnd, l.w.seg.payloadEnd
	crash(l)
	tearJournal(t, dir)
	files, s := snapshot(t, dir), segment{dir, 1}
	id, err := readOrigin(dir)
	if err != nil {
		t.Fatal(err)
	}

	for _, part := range []struct {
		name       string
		start, end int64
	}{{s.chain(), chainEnd, chainStop}, {s.payload(), payloadEnd, payloadStop}} {
		base := filepath.Base(part.name)
		restore(t, dir, files)
		for at := part.start; at < part.end; at++ {
			for _, zeros := range []bool{false, true} {
				torn := slices.Clone(files[base][:at])
				if zeros {
					torn = append(torn, make([]byte, len(files[base])-len(torn))...)
				}
				want := 3
				if slices.Equal(torn, files[base]) {
					want = 4 // the bytes that were lost are zeros
				}
				if err := os.WriteFile(part.name, torn, 0o600); err != nil {
					t.Fatal(err)
				}
				if rep, err := Verify(dir, nil); err != nil || rep.Entries != uint64(want) || !rep.Open {
					t.Fatalf("%s at %d, zeros %v: %+v %v", base, at, zeros, rep, err)
				}
				pos, m, err := inspect(dir, id)
				if err != nil || pos.last != uint64(want) || !m.seal {
					t.Fatalf("%s at %d, zeros %v: %+v %+v %v", base, at, zeros, pos, m, err)
				}
				if at%16 != 0 && at != part.start && at != part.end-1 {
					continue // Open does as inspect says, and takes longer
				}
				l, err := Open(dir, fastOptions())
				if err != nil {
					t.Fatalf("%s at %d, zeros %v: %v", base, at, zeros, err)
				}
				appendN(t, l, 9, 1)
				mustClose(t, l)
				got := readAll(t, dir)
				if len(got) != want+1 || got[2].Hash != before[2].Hash {
					t.Fatalf("%s at %d, zeros %v: %d entries, want %d", base, at, zeros, len(got), want+1)
				}
				if rep, err := Verify(dir, nil); err != nil || rep.Open || rep.Tail != 0 {
					t.Fatalf("%s at %d, zeros %v: after mending %+v %v", base, at, zeros, rep, err)
				}
				restore(t, dir, files)
			}
		}
	}
}

func snapshotWith(files map[string][]byte, name string, content []byte) map[string][]byte {
	out := map[string][]byte{}
	for k, v := range files {
		out[k] = v
	}
	out[name] = content
	return out
}

// gateFS holds syncs back while its gate is closed, so that a test decides what is in a batch.
type gateFS struct {
	fastFS
	gate chan struct{} // each receive lets one sync through
	of   string        // files whose names end so
}

type gateFile struct {
	File
	gate chan struct{}
}

func (f gateFile) Sync() error { <-f.gate; return nil }

func (f gateFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	file, err := f.fastFS.OpenFile(name, flag, perm)
	if err == nil && strings.HasSuffix(name, f.of) {
		file = gateFile{file, f.gate}
	}
	return file, err
}

// batches makes a log of batches of the given sizes, as a crash leaves it.
func batches(t *testing.T, dir string, sizes ...int) {
	t.Helper()
	o := fastOptions()
	fs := gateFS{gate: make(chan struct{}, 100), of: journalFile}
	o.FS = fs
	fs.gate <- struct{}{} // the header
	l := mustOpen(t, dir, o)
	n := 0
	for _, size := range sizes {
		// The batch before has one record that holds the writer in its sync while this one queues.
		var receipts []*Receipt
		for i := range size {
			rc, err := l.Append(t.Context(), sample(n))
			if err != nil {
				t.Fatal(err)
			}
			n++
			receipts = append(receipts, rc)
			if i == 0 && size > 1 {
				for len(l.wake) > 0 { // until the writer has taken it
					runtime.Gosched()
				}
			}
		}
		for range size {
			fs.gate <- struct{}{}
		}
		for _, rc := range receipts {
			if err := rc.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		for len(fs.gate) > 0 {
			<-fs.gate
		}
	}
	crash(l)
}

// Within the last batch nothing is known to be durable: a hole in it ends the log. A hole in an earlier batch, though the
// later ones are whole, is damage: Open refuses rather than drop what somebody was told is durable.
func TestHoleInBatch(t *testing.T) {
	// How records fall into batches depends on when the writer looks: again until the last batch has enough of them.
	var dir string
	var starts []uint64
	for range 100 {
		dir, starts = t.TempDir(), nil
		batches(t, dir, 1, 1, 6)
		id, err := readOrigin(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := walk(dir, id, 1, nil, nil, func(e *found) error { starts = append(starts, e.batch); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(starts) != 8 {
			t.Fatalf("batches %v", starts)
		}
		if starts[7] <= 5 {
			break
		}
	}
	lastBatch := int(starts[7])
	if lastBatch > 5 {
		t.Fatalf("the last batch has too few entries to test: %v", starts)
	}
	files, s := snapshot(t, dir), segment{dir, 1}
	for seq := 1; seq <= 8; seq++ {
		b := slices.Clone(files[filepath.Base(s.chain())])
		clear(b[headerSize+(seq-1)*recordSize:][:recordSize])
		holed := snapshotWith(files, filepath.Base(s.chain()), b)
		restore(t, dir, holed)
		if got := readAll(t, dir); len(got) != 8 {
			t.Errorf("hole at %d, and the journal whole: %d entries", seq, len(got))
		}
		// The same hole in the journal.
		b = slices.Clone(files[journalFile])
		copy(b[bytes.Index(b, files[filepath.Base(s.chain())][headerSize+(seq-1)*recordSize:][:recordSize]):], make([]byte, recordSize))
		holed[journalFile] = b
		restore(t, dir, holed)
		l, err := Open(dir, fastOptions())
		if seq < lastBatch {
			var damage *CorruptError
			if !errors.As(err, &damage) || damage.Seq != uint64(seq) || damage.File != s.chain() || damage.Offset != int64(headerSize+(seq-1)*recordSize) {
				t.Errorf("hole at %d of batches %v: %v", seq, starts, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("hole at %d of batches %v: %v", seq, starts, err)
			continue
		}
		mustClose(t, l)
		if got := readAll(t, dir); len(got) != seq-1 {
			t.Errorf("hole at %d: %d entries kept", seq, len(got))
		}
	}
}

// keyless is another path of dir, beside which there is no key.
func keyless(t *testing.T, dir string) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "copy")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// A flipped bit anywhere in a closed log is found, with keys and without, and located to its header, chain entry, seal,
// payload frame or data key.
func TestFlippedBit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		l := mustOpen(t, dir, fastOptions())
		appendN(t, l, 0, 2)
		if _, err := l.Erase(t.Context(), Selection{Disclosure: sample(0).Disclosure}, Order{Text: "in error"}); err != nil {
			t.Fatal(err)
		}
		mustClose(t, l)
	}
	files, bare := snapshot(t, dir), keyless(t, dir)
	if len(files) != 8 {
		t.Fatalf("%d files", len(files))
	}
	frames := map[string][]int64{} // where each part of a payload file starts
	segs, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	id, err := readOrigin(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := walk(dir, id, 1, nil, nil, func(e *found) error {
		s := segs[0]
		if e.seq >= segs[1].first {
			s = segs[1]
		}
		name := filepath.Base(s.payload())
		frames[name] = append(frames[name], e.offset)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	start := func(name string, at int64) int64 {
		switch filepath.Ext(name) {
		case chainSuffix:
			return at / recordSize * recordSize
		case payloadSuffix:
			i, _ := slices.BinarySearch(frames[name], at+1)
			if i > 0 {
				return frames[name][i-1]
			}
		}
		return 0
	}
	for name, b := range files {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for at := range b {
			if name == journalFile && at >= headerSize {
				break // nothing is to be replayed
			}
			for bit := range 8 {
				if len(b) > 1000 && bit != at%8 {
					continue // one bit of each byte of the large files
				}
				f.WriteAt([]byte{b[at] ^ 1<<bit}, int64(at))
				for _, dir := range []string{dir, bare} {
					_, err := Verify(dir, nil)
					var damage *CorruptError
					if !errors.As(err, &damage) {
						t.Fatalf("%s: bit %d of byte %d is not noticed: %v", name, bit, at, err)
					}
					if name != originFile {
						if want := start(name, int64(at)); filepath.Base(damage.File) != name || damage.Offset != want {
							t.Fatalf("%s: byte %d is in what starts at %d, found at: %v", name, at, want, err)
						}
					}
				}
			}
			f.WriteAt(b[at:at+1], int64(at))
		}
		f.Close()
	}
	if _, err := Verify(dir, nil); err != nil {
		t.Fatal(err)
	}
}

// Whoever changes a sealed payload and mends its checksum is found out by those who have the keys, at any byte.
func TestForgedPayload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := mustOpen(t, dir, fastOptions())
	appendN(t, l, 0, 3)
	mustClose(t, l)
	id, err := readOrigin(dir)
	if err != nil {
		t.Fatal(err)
	}
	var frame []byte
	var offset int64
	if err := walk(dir, id, 1, nil, nil, func(e *found) error {
		if e.seq == 2 {
			frame, offset = slices.Clone(e.frame), e.offset
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(segment{dir, 1}.payload(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at := frameHead; at < len(frame); at++ {
		forged := slices.Clone(frame)
		forged[at] ^= 1 << (at % 8)
		finishFrame(forged, 2, encodingSealed, 0)
		f.WriteAt(forged, offset)
		var damage *CorruptError
		_, err := Verify(dir, nil)
		if !errors.As(err, &damage) || damage.Seq != 2 || damage.Offset != offset && at >= frameHead+4 {
			t.Fatalf("byte %d of the frame: %v", at, err)
		}
	}
	f.WriteAt(frame, offset)
	if rep, err := Verify(dir, nil); err != nil || rep.Sealed != 0 {
		t.Fatalf("%+v %v", rep, err)
	}
}

// The damage that Open finds is not mended away.
func TestOpenKeepsDamage(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, fastOptions())
	appendN(t, l, 0, 3)
	if err := l.inWriter(func(w *writer) error { return w.scrub(3) }); err != nil {
		t.Fatal(err)
	}
	appendN(t, l, 3, 2)
	crash(l)
	f, err := os.OpenFile(segment{dir, 1}.payload(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte{0xff}, headerSize+200)
	f.Close()
	before := snapshot(t, dir)
	var damage *CorruptError
	if _, err := Open(dir, fastOptions()); !errors.As(err, &damage) || damage.Seq != 1 || damage.Offset != headerSize {
		t.Fatalf("%v", err)
	}
	for name, b := range snapshot(t, dir) {
		if !slices.Equal(b, before[name]) {
			t.Errorf("%s was changed", name)
		}
	}
}

// Bytes put behind a sealed segment are no part of the log, and are noticed.
func TestBytesBehindSeal(t *testing.T) {
	for _, suffix := range []string{chainSuffix, payloadSuffix} {
		dir := t.TempDir()
		l := mustOpen(t, dir, fastOptions())
		appendN(t, l, 0, 2)
		mustClose(t, l)
		f, err := os.OpenFile(strings.TrimSuffix(segment{dir, 1}.chain(), chainSuffix)+suffix, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, "x")
		f.Close()
		if _, err := Verify(dir, nil); err == nil || !strings.Contains(err.Error(), "bytes follow") {
			t.Errorf("%s: %v", suffix, err)
		}
	}
}

// A payload that has been erased leaves the proof whole; one that only claims to be is damage.
func TestErasedPayload(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, fastOptions())
	appendN(t, l, 0, 3)
	_, head := l.Head()
	mustClose(t, l)
	id, err := readOrigin(dir)
	if err != nil {
		t.Fatal(err)
	}
	var at int64
	var frame []byte
	if err := walk(dir, id, 1, nil, nil, func(e *found) error {
		if e.seq == 2 {
			at, frame = e.offset, slices.Clone(e.frame)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		f, err := os.OpenFile(segment{dir, 1}.payload(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	encoding := frame[12]
	finishFrame(frame, 2, encoding, flagErased)
	write(frame)
	if _, err := Verify(dir, nil); err == nil {
		t.Error("marked as erased, still there, and verified")
	}
	eraseFrame(frame, 2, encoding)
	write(frame)
	rep, err := Verify(dir, nil)
	if err != nil || rep.Erased != 1 || rep.Unexplained != 1 || rep.Entries != 3 || rep.Head != head {
		t.Errorf("%+v %v", rep, err)
	}
	got := readAll(t, dir)
	if !got[1].Erased || got[1].Record.Disclosure != "" || got[2].Record.Disclosure == "" {
		t.Errorf("%+v", got)
	}
}
