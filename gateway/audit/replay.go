package audit

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// run is entries that were written to the journal at once, as it has them.
type run struct {
	entries []chainRecord
	payload []byte // their frames
}

func (r *run) first() uint64 { return r.entries[0].seq }
func (r *run) last() uint64  { return r.entries[len(r.entries)-1].seq }

// frame is the payload frame of the entry seq.
func (r *run) frame(e *chainRecord) []byte {
	off := e.offset - r.entries[0].offset
	return r.payload[off : off+int64(e.length)]
}

// entryOf is the entry seq in runs, and its frame; nil when it is in none.
func entryOf(runs []run, seq uint64) (*chainRecord, []byte) {
	i, found := slices.BinarySearchFunc(runs, seq, func(r run, seq uint64) int { return cmp.Compare(r.first(), seq) })
	if !found {
		i--
	}
	if i < 0 || seq > runs[i].last() {
		return nil, nil
	}
	e := &runs[i].entries[seq-runs[i].first()]
	return e, runs[i].frame(e)
}

// journaled is what the journal holds: the runs, in order, of the segment that starts with first.
type journaled struct {
	first uint64 // 0: nothing is to be replayed
	runs  []run
}

// check finds that the log has lost, or given to others, entries that the journal shows to have been durable: all of its runs but the
// last had been, when that was begun. A version that knows nothing of the journal cuts them as a torn tail. What a crash left open, of
// which m is, was compared when it was scanned.
func (j *journaled) check(dir string, m *mend) error {
	if len(j.runs) < 2 || m.seal && m.seg.first == j.first {
		return nil
	}
	r := &j.runs[len(j.runs)-2]
	want := r.entries[len(r.entries)-1]
	got, ok, err := segment{dir, j.first}.entry(want.seq)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || ok && got == want {
		return err
	}
	return &CorruptError{File: journalPath(dir), Seq: want.seq, Reason: "the entry had been durable, and is not in its segment"}
}

// readJournalHeader reads the header of the journal; fs.ErrNotExist when there is none.
func readJournalHeader(path string, id identity) (journalHeader, error) {
	f, err := os.Open(path)
	if err != nil {
		return journalHeader{}, err
	}
	defer f.Close()
	return headerOfJournal(f, id)
}

func headerOfJournal(f *os.File, id identity) (journalHeader, error) {
	var h journalHeader
	ok := false
	for try := 0; try < 3 && !ok; try++ { // a gateway may be writing it
		b := make([]byte, headerSize)
		if n, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
			return h, err
		} else if h, ok = decodeJournalHeader(b[:n]); !ok {
			continue
		}
	}
	switch {
	case !ok:
		return h, &CorruptError{File: f.Name(), Reason: "header is not valid"}
	case h.id != id.id:
		return h, &CorruptError{File: f.Name(), Reason: "the file belongs to another log"}
	}
	return h, nil
}

// readJournal reads the runs that the journal holds. What is not whole is not there.
func readJournal(dir string, id identity) (journaled, error) {
	f, err := os.Open(journalPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return journaled{}, nil
	}
	if err != nil {
		return journaled{}, err
	}
	defer f.Close()
	h, err := headerOfJournal(f, id)
	if err != nil || h.first == 0 {
		return journaled{}, err
	}
	out := journaled{first: h.first}
	b := make([]byte, 2*h.half)
	if _, err := f.ReadAt(b, journalBlock); err == io.EOF {
		return out, &CorruptError{File: f.Name(), Reason: "the file is too short"}
	} else if err != nil {
		return out, fmt.Errorf("audit: read the journal: %w", err)
	}
	for i := range int64(2) {
		for half := b[i*h.half : (i+1)*h.half]; len(half) > 0; {
			r, size := decodeRun(half, h.epoch, h.first)
			if size > 0 {
				out.runs = append(out.runs, r)
			}
			half = half[max(size, journalBlock):]
		}
	}
	slices.SortFunc(out.runs, func(a, b run) int { return cmp.Compare(a.first(), b.first()) })
	for i := 1; i < len(out.runs); i++ {
		if out.runs[i].first() <= out.runs[i-1].last() {
			return out, &CorruptError{File: f.Name(), Seq: out.runs[i].first(), Reason: "the entry is there twice"}
		}
	}
	return out, nil
}

// decodeRun reads the run that b starts with, if it is whole, of this epoch, and of the segment that starts with first; size is then
// the length of its blocks, and otherwise 0.
func decodeRun(b []byte, epoch, first uint64) (r run, size int) {
	if len(b) < runHead || string(b[:8]) != magicRun || binary.BigEndian.Uint64(b[8:]) != epoch || !isZero(b[24:28]) {
		return r, 0
	}
	chain, payload := int64(binary.BigEndian.Uint32(b[16:])), int64(binary.BigEndian.Uint32(b[20:]))
	n := runHead + chain + payload
	if chain == 0 || chain%recordSize != 0 || n > int64(len(b)) || binary.BigEndian.Uint32(b[28:]) != runSum(b[:n]) {
		return r, 0
	}
	r.payload = b[runHead+chain : n]
	r.entries = make([]chainRecord, 0, chain/recordSize)
	var length int64
	for off := int64(runHead); off < runHead+chain; off += recordSize {
		e, ok := decodeChainRecord(b[off : off+recordSize])
		if !ok || e.typ != typeEntry || e.length < clearMin || e.length > frameMax {
			return r, 0
		}
		r.entries = append(r.entries, e)
		start := &r.entries[0]
		if e.seq != start.seq+uint64(len(r.entries)-1) || e.batch != start.seq || e.offset != start.offset+length {
			return r, 0
		}
		length += int64(e.length)
	}
	if start := &r.entries[0]; length != payload || start.seq < first || start.offset < headerSize {
		return r, 0
	}
	return r, int(min(runSize(int(chain), int(payload)), int64(len(b))))
}

// replay writes to the files of a segment what the journal has of it. All of it: what is there already may be in the page cache
// only, marked as written, when a sync has failed. Payloads that are erased stay so.
func replay(fsys FS, s segment, runs []run, erased ranges) error {
	if len(runs) == 0 {
		return nil
	}
	payload, err := fsys.OpenFile(s.payload(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer payload.Close()
	chain, err := fsys.OpenFile(s.chain(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer chain.Close()
	for _, r := range runs {
		frames, entries := slices.Clone(r.payload), []byte(nil)
		for i := range r.entries {
			e := &r.entries[i]
			if erased.contains(e.seq) {
				off := e.offset - r.entries[0].offset
				f := frames[off : off+int64(e.length)]
				eraseFrame(f, e.seq, f[12])
			}
			entries = e.append(entries)
		}
		if _, err := payload.WriteAt(frames, r.entries[0].offset); err != nil {
			return err
		}
		if _, err := chain.WriteAt(entries, headerSize+int64(r.first()-s.first)*recordSize); err != nil {
			return err
		}
	}
	return errors.Join(payload.Sync(), chain.Sync())
}
