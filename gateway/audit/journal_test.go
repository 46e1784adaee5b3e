package audit

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// journaledLog makes a log of n entries, each a run of its own, of which only the journal is durable, as a power cut leaves it. before
// is what its files were without the entries.
func journaledLog(t testing.TB, dir string, n int) (before, after map[string][]byte) {
	t.Helper()
	l := mustOpen(t, dir, fastOptions())
	before = snapshot(t, dir)
	appendN(t, l, 0, n)
	crash(l)
	return before, snapshot(t, dir)
}

// with gives some files as they are in another snapshot.
func with(files, other map[string][]byte, names ...string) map[string][]byte {
	out := maps.Clone(files)
	for _, name := range names {
		out[name] = slices.Clone(other[name])
	}
	return out
}

// isCorrupt checks that an error is damage of a file, and says why.
func isCorrupt(t testing.TB, err error, file, reason string) {
	t.Helper()
	var damage *CorruptError
	if !errors.As(err, &damage) || filepath.Base(damage.File) != file || !strings.Contains(damage.Reason, reason) {
		t.Errorf("%v, want damage of %s: %s", err, file, reason)
	}
}

// checkSamples checks a log of exactly n samples, as it is and after it was opened and has taken another.
func checkSamples(t *testing.T, dir string, n int) {
	t.Helper()
	look := func(n int) {
		t.Helper()
		if rep, err := Verify(dir, nil); err != nil || rep.Entries != uint64(n) || rep.Sealed != 0 {
			t.Fatalf("%+v %v, want %d entries", rep, err, n)
		}
		for i, e := range readAll(t, dir) {
			if e.Record.Disclosure != sample(i).Disclosure {
				t.Fatalf("entry %d is %s", e.Seq, e.Record.Disclosure)
			}
		}
	}
	look(n)
	l := mustOpen(t, dir, fastOptions())
	appendN(t, l, n, 1)
	mustClose(t, l)
	look(n + 1)
	if b, err := os.ReadFile(journalPath(dir)); err != nil || !isZero(b[headerSize:]) {
		t.Fatalf("a closed log has something in its journal (%v)", err)
	}
}

// A power cut leaves of the segment any of the sectors that were written since: the journal has the rest, for whoever reads and for
// Open.
func TestJournalBringsBack(t *testing.T) {
	t.Parallel()
	const n = 12
	chain, payload := filepath.Base(segment{"", 1}.chain()), filepath.Base(segment{"", 1}.payload())
	for seed := range uint64(20) {
		dir := t.TempDir()
		before, files := journaledLog(t, dir, n)
		rng := rand.New(rand.NewPCG(seed, 1))
		for _, name := range []string{chain, payload} {
			b := slices.Clone(files[name])
			for at := 0; at < len(b); at += sector {
				if seed == 0 || rng.IntN(2) == 0 {
					copy(b[at:at+sector], before[name][at:])
				}
			}
			files[name] = b
		}
		restore(t, dir, files)
		if got, err := chainOf(dir, 0, n); err != nil || len(got) != n {
			t.Fatalf("%d of the chain, %v", len(got), err)
		}
		checkSamples(t, dir, n)
	}
}

// What somebody changed in a segment is damage, also where the journal has what it was: a crash leaves zeros, and nothing else.
func TestJournalHidesNothing(t *testing.T) {
	dir := t.TempDir()
	_, files := journaledLog(t, dir, 4)
	for _, name := range []string{filepath.Base(segment{"", 1}.chain()), filepath.Base(segment{"", 1}.payload())} {
		whole := files[name]
		end := bytes.LastIndexFunc(whole, func(r rune) bool { return r != 0 })
		for at := headerSize; at <= end; at += 37 {
			changed := slices.Clone(whole)
			changed[at] ^= 4
			files[name] = changed
			restore(t, dir, files)
			if _, err := Verify(dir, nil); err == nil {
				t.Errorf("%s: byte %d is changed, and Verify finds nothing", name, at)
			}
			if l, err := Open(dir, fastOptions()); err == nil {
				mustClose(t, l)
				t.Errorf("%s: byte %d is changed, and Open finds nothing", name, at)
			}
		}
		files[name] = whole
	}
}

// The last run of the journal, torn at any block or byte of its first, is cut when its segment does not have it. One before it had
// been durable: that it is nowhere is damage.
func TestTornRun(t *testing.T) {
	dir := t.TempDir()
	before, files := journaledLog(t, dir, 4)
	old := with(files, before, filepath.Base(segment{"", 1}.chain()), filepath.Base(segment{"", 1}.payload()))
	j := files[journalFile]
	runs := []int{}
	for at := 0; at < len(j); at += journalBlock {
		if bytes.HasPrefix(j[at:], []byte(magicRun)) {
			runs = append(runs, at)
		}
	}
	if len(runs) != 4 {
		t.Fatalf("runs at %v", runs)
	}
	size := bytes.LastIndexFunc(j, func(r rune) bool { return r != 0 }) + 1 - runs[3]
	for at := 0; at < size; at += 1 + at/8 {
		torn := slices.Clone(j)
		clear(torn[runs[3]+at:])
		old[journalFile] = torn
		restore(t, dir, old)
		checkSamples(t, dir, 3)
		torn = slices.Clone(j)
		torn[runs[3]+at] ^= 1
		old[journalFile] = torn
		restore(t, dir, old)
		checkSamples(t, dir, 3)
		files[journalFile] = torn // and the segment has what it should
		restore(t, dir, files)
		checkSamples(t, dir, 4)
	}
	for _, at := range runs[:3] {
		torn := slices.Clone(j)
		clear(torn[at : at+sector])
		old[journalFile] = torn
		restore(t, dir, old)
		_, err := Open(dir, fastOptions())
		isCorrupt(t, err, filepath.Base(segment{"", 1}.chain()), "chain entry is not valid")
		_, err = Verify(dir, nil)
		isCorrupt(t, err, filepath.Base(segment{"", 1}.chain()), "chain entry is not valid")
		files[journalFile] = torn
		restore(t, dir, files)
		checkSamples(t, dir, 4)
	}
}

// A journal that is not this log's, or not whole, is damage; one that is missing has nothing.
func TestOtherJournals(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	_, files := journaledLog(t, dir, 4)
	_, foreign := journaledLog(t, other, 4)
	refused := func(files map[string][]byte, file, reason string) {
		t.Helper()
		restore(t, dir, files)
		_, err := Open(dir, fastOptions())
		isCorrupt(t, err, file, reason)
		_, err = Verify(dir, nil)
		isCorrupt(t, err, file, reason)
		if now := snapshot(t, dir); !maps.EqualFunc(now, files, bytes.Equal) {
			t.Errorf("%s: something was changed", reason)
		}
	}
	refused(with(files, foreign, journalFile), journalFile, "another log")
	for _, n := range []int{0, 1, headerSize, journalBlock, len(files[journalFile]) - 1} {
		short := with(files, files)
		short[journalFile] = short[journalFile][:n]
		reason := "header is not valid"
		if n >= headerSize {
			reason = "too short"
		}
		refused(short, journalFile, reason)
	}
	for at := range headerSize {
		flipped := with(files, files, journalFile)
		flipped[journalFile][at] ^= 1 << (at % 8)
		refused(flipped, journalFile, "header is not valid")
	}
	gone := with(files, files)
	delete(gone, journalFile)
	restore(t, dir, gone)
	checkSamples(t, dir, 4)
}

// An earlier journal beside a later log, and the other way round, is either no loss or found.
func TestJournalOfAnotherTime(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, fastOptions())
	appendN(t, l, 0, 3)
	early := snapshot(t, dir)
	appendN(t, l, 3, 3)
	later := snapshot(t, dir)
	if err := l.inWriter(func(w *writer) error { return w.scrub(1) }); err != nil {
		t.Fatal(err)
	}
	appendN(t, l, 6, 3)
	scrubbed := snapshot(t, dir)
	crash(l)
	l = mustOpen(t, dir, fastOptions())
	appendN(t, l, 9, 3)
	next := snapshot(t, dir)
	crash(l)
	chain, payload := filepath.Base(segment{"", 1}.chain()), filepath.Base(segment{"", 1}.payload())
	for _, tc := range []struct {
		name   string
		files  map[string][]byte
		n      int
		file   string
		reason string
	}{
		{"the journal is older", with(later, early, journalFile), 6, "", ""},
		{"the journal was overwritten since", with(scrubbed, early, journalFile), 9, "", ""},
		{"the journal is of the segment before", with(next, scrubbed, journalFile), 12, "", ""},
		{"the segment is older", with(later, early, chain, payload), 6, "", ""},
		{"the segment is older than the journal reaches", with(scrubbed, early, chain, payload), 0, chain, "chain entry is not valid"},
		{"the segment is missing", with(early, next, journalFile), 0, journalFile, "had been durable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			restore(t, dir, tc.files)
			if tc.reason == "" {
				checkSamples(t, dir, tc.n)
				return
			}
			_, err := Open(dir, fastOptions())
			isCorrupt(t, err, tc.file, tc.reason)
		})
	}
}

// The journal rewrites nothing: an entry or a payload that is whole in the segment, and another one in the journal, is damage.
func TestJournalDiffers(t *testing.T) {
	dir := t.TempDir()
	_, files := journaledLog(t, dir, 4)
	id, err := readOrigin(dir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := readJournal(dir, id)
	if err != nil || len(j.runs) != 4 {
		t.Fatal(j.runs, err)
	}
	h, err := readJournalHeader(journalPath(dir), id)
	if err != nil {
		t.Fatal(err)
	}
	chain, payload := filepath.Base(segment{"", 1}.chain()), filepath.Base(segment{"", 1}.payload())
	// forge gives the journal in which an entry's time, or its payload, is another one, and all checksums are right.
	forge := func(i int, change func(e *chainRecord, frame []byte)) map[string][]byte {
		r := j.runs[i]
		e, frame := r.entries[0], slices.Clone(r.payload)
		change(&e, frame)
		out := with(files, files, journalFile)
		b := out[journalFile]
		at := bytes.Index(b, r.entries[0].append(nil)) - runHead
		copy(b[at:], appendRun(nil, h.epoch, e.append(nil), frame))
		return out
	}
	other := func(e *chainRecord, _ []byte) { e.nanos++; e.hash = link(Hash{}, e.seq, e.nanos, e.commitment) }
	for i := range 3 {
		restore(t, dir, forge(i, other))
		_, err := Open(dir, fastOptions())
		isCorrupt(t, err, chain, "another than the journal has")
		restore(t, dir, forge(i, func(e *chainRecord, f []byte) {
			f[len(f)-1] ^= 1
			finishFrame(f, e.seq, f[12], 0)
		}))
		_, err = Open(dir, fastOptions())
		isCorrupt(t, err, payload, "another than the journal has")
	}
	// Nobody was told of the last run when it failed: what the segment has counts.
	restore(t, dir, forge(3, other))
	checkSamples(t, dir, 4)
	// Not even when the segment lacks it does a run count that does not follow.
	forged := forge(3, other)
	copy(forged[chain][headerSize+3*recordSize:], make([]byte, recordSize))
	restore(t, dir, forged)
	_, err = Open(dir, fastOptions())
	isCorrupt(t, err, chain, "does not follow")
}

// A version that knows nothing of the journal has mended a log after a power cut, and cut what only the journal had. That is found,
// but for the last run, of which nobody may have been told.
func TestEarlierVersionHasCut(t *testing.T) {
	for _, lost := range []int{0, 1, 2, 4} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			dir := t.TempDir()
			_, files := journaledLog(t, dir, 4)
			journal := files[journalFile]
			chain := slices.Clone(files[filepath.Base(segment{"", 1}.chain())])
			clear(chain[headerSize+(4-lost)*recordSize:])
			files[filepath.Base(segment{"", 1}.chain())] = chain
			delete(files, journalFile)
			restore(t, dir, files)
			l := mustOpen(t, dir, fastOptions())
			appendN(t, l, 4-lost, 3)
			mustClose(t, l)
			if err := os.WriteFile(journalPath(dir), journal, 0o600); err != nil {
				t.Fatal(err)
			}
			if lost < 2 {
				checkSamples(t, dir, 7-lost)
				return
			}
			_, err := Open(dir, fastOptions())
			isCorrupt(t, err, journalFile, "had been durable")
		})
	}
}

// A half of the journal is used again only when the segment's files have been synced; until then the log holds its callers back.
func TestJournalWaitsForTheSegment(t *testing.T) {
	dir := t.TempDir()
	fs := gateFS{gate: make(chan struct{}, 1), of: payloadSuffix}
	o := fastOptions()
	o.FS, o.SegmentSize = fs, 1<<20
	fs.gate <- struct{}{} // the header
	l := mustOpen(t, dir, o)
	acked := make(chan int, 1000)
	go func() {
		defer close(acked)
		for i := range 200 {
			rc, err := l.Append(t.Context(), sample(i))
			if err == nil {
				err = rc.Wait(t.Context())
			}
			if err != nil {
				t.Error(err)
				return
			}
			acked <- i
		}
	}()
	most := 2 * minHalf / journalBlock
	for range most {
		<-acked
	}
	select {
	case <-acked:
		t.Error("a half of the journal was used again before the segment was synced")
	case <-time.After(50 * time.Millisecond):
	}
	close(fs.gate)
	for range acked {
	}
	crash(l)
	checkSamples(t, dir, 200)
}

// The sync of a segment fails in the background: the log mends itself with all that had been acknowledged, from the journal when the
// page cache has lost it.
func TestSegmentSyncFails(t *testing.T) {
	for _, suffix := range []string{chainSuffix, payloadSuffix} {
		dir := t.TempDir()
		fs := &faultFS{}
		o := testOptions()
		o.FS = fs
		l := mustOpen(t, dir, o)
		empty := snapshot(t, dir)
		appendN(t, l, 0, 5)
		failed := false
		fs.set(func(op, name string) error {
			if op != "sync" || failed || !strings.HasSuffix(name, suffix) {
				return nil
			}
			failed = true
			for name, b := range empty { // the pages are dropped
				if filepath.Ext(name) == chainSuffix || filepath.Ext(name) == payloadSuffix {
					f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
					if err == nil {
						_, err = f.WriteAt(b, 0)
						f.Close()
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
			return unix.EIO
		})
		for end := time.Now().Add(time.Minute); l.failures.Load() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the segment is never synced while nothing is written")
			}
		}
		waitHealthy(t, l)
		appendN(t, l, 5, 2)
		mustClose(t, l)
		checkSamples(t, dir, 7)
	}
}

// Once Erase has returned, nothing that the payload was sealed in is left in any file, also after a crash.
func TestErasedFromTheJournal(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, fastOptions())
	appendN(t, l, 0, 4)
	var sealed []byte
	id := l.id
	if err := walk(dir, id, 1, nil, nil, func(e *found) error {
		if e.seq == 2 {
			sealed = slices.Clone(e.frame[frameHead+sealHead:])
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	in := func() (names []string) {
		for name, b := range snapshot(t, dir) {
			if bytes.Contains(b, sealed) {
				names = append(names, name)
			}
		}
		return names
	}
	if got := in(); len(got) != 2 {
		t.Fatalf("sealed in %v", got)
	}
	if n, err := l.Erase(t.Context(), Selection{Disclosure: sample(1).Disclosure}, inError); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if got := in(); len(got) != 0 {
		t.Errorf("erased, and in %v", got)
	}
	appendN(t, l, 4, 1)
	crash(l)
	l = mustOpen(t, dir, fastOptions())
	mustClose(t, l)
	if got := in(); len(got) != 0 {
		t.Errorf("opened again: in %v", got)
	}
	checkErased(t, dir, 1, 4)
}

// An erasure that has overwritten the segment, and not yet the journal, is ended after a crash: the journal does not bring the payload
// back.
func TestJournalBringsNoErasedPayloadBack(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, fastOptions())
	appendN(t, l, 0, 4)
	journal, err := os.ReadFile(journalPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	b, err := encodeSummed(erasing{Format: 1, Disclosure: sample(1).Disclosure, Entries: "2", Reason: ReasonRequest})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.overwrite(t.Context(), ranges{{2, 2}}); err != nil {
		t.Fatal(err)
	}
	crash(l)
	os.WriteFile(journalPath(dir), journal, 0o600)
	os.WriteFile(filepath.Join(dir, erasingFile), b, 0o600)
	files := snapshot(t, dir)
	for _, torn := range []bool{false, true} {
		restore(t, dir, files)
		if torn { // the disk has neither the payload nor what it was overwritten with
			b := with(files, files, filepath.Base(segment{"", 1}.payload()))
			clear(b[filepath.Base(segment{"", 1}.payload())][headerSize:])
			restore(t, dir, b)
		}
		id, err := readOrigin(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, m, err := inspect(dir, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.apply(fastFS{}, 0); err != nil {
			t.Fatal(err)
		}
		erased := 0
		if err := os.Remove(filepath.Join(dir, erasingFile)); err != nil {
			t.Fatal(err)
		}
		os.Remove(journalPath(dir))
		if err := walk(dir, id, 1, nil, nil, func(e *found) error {
			if e.erased {
				erased++
			}
			if e.erased != (e.seq == 2) {
				t.Errorf("torn %v: entry %d: erased %v", torn, e.seq, e.erased)
			}
			return nil
		}); err != nil || erased != 1 {
			t.Errorf("torn %v: %d erased, %v", torn, erased, err)
		}
		restore(t, dir, files)
		l := mustOpen(t, dir, fastOptions())
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustClose(t, l)
		checkErased(t, dir, 1, 4)
	}
}

// Segments of another size have a journal of another size, whatever the last one left.
func TestJournalOfAnotherSize(t *testing.T) {
	dir := t.TempDir()
	n := 0
	for _, size := range []int64{minSegment, 2 << 20, 4 << 20, 32 << 20, minSegment} {
		o := fastOptions()
		o.SegmentSize = size
		l := mustOpen(t, dir, o)
		appendN(t, l, n, 3)
		n += 3
		if size == 2<<20 {
			crash(l)
		} else {
			mustClose(t, l)
		}
		if st, err := os.Stat(journalPath(dir)); err != nil || st.Size() != journalBlock+2*halfFor(size) {
			t.Errorf("segments of %d: %v %v", size, st.Size(), err)
		}
	}
	checkSamples(t, dir, n)
}

// A run is what was written, or nothing; nothing that a file may hold makes the reader fail.
func FuzzDecodeRun(f *testing.F) {
	dir := f.TempDir()
	_, files := journaledLog(f, dir, 2)
	id, err := readOrigin(dir)
	if err != nil {
		f.Fatal(err)
	}
	h, err := readJournalHeader(journalPath(dir), id)
	if err != nil {
		f.Fatal(err)
	}
	j := files[journalFile]
	at := bytes.Index(j, []byte(magicRun))
	f.Add(j[at:at+journalBlock], h.epoch, uint64(1))
	f.Add(j[at+journalBlock:at+2*journalBlock], h.epoch, uint64(1))
	f.Add(j[at:at+2*journalBlock], h.epoch, uint64(2))
	f.Add([]byte{}, uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, epoch, first uint64) {
		if len(b) >= runHead { // checksums that are right lead further
			sealRun(b)
		}
		r, size := decodeRun(b, epoch, first)
		if size == 0 {
			return
		}
		if size > len(b) || r.first() < first || r.last() < r.first() {
			t.Fatalf("%d of %d bytes, entries %d to %d of a segment from %d", size, len(b), r.first(), r.last(), first)
		}
		var chain []byte
		for i := range r.entries {
			chain = r.entries[i].append(chain)
			if f := r.frame(&r.entries[i]); len(f) != int(r.entries[i].length) {
				t.Fatal("frame and entry differ")
			}
		}
		if again := appendRun(nil, epoch, chain, r.payload); !bytes.Equal(again, b[:len(again)]) {
			t.Fatal("decoded and encoded, it is another one")
		}
	})
}

// sealRun gives a run and its chain entries their checksums, as far as they are there.
func sealRun(b []byte) {
	chain, payload := int64(be32(b[16:])), int64(be32(b[20:]))
	n := runHead + chain + payload
	if n > int64(len(b)) {
		return
	}
	for at := int64(runHead); at+recordSize <= runHead+chain; at += recordSize {
		putSum(b[at : at+recordSize])
	}
	sum := runSum(b[:n])
	b[28], b[29], b[30], b[31] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
