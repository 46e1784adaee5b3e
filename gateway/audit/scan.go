package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// CorruptError says where a log is damaged. It repeats nothing of the log's content.
type CorruptError struct {
	// File that is damaged, and Offset of the entry, header or frame that holds the first damage.
	File   string
	Offset int64
	// Seq of the entry; 0 when it is none.
	Seq    uint64
	Reason string
	// whole: the entry is whole, so no crash explains it.
	whole bool
}

func (e *CorruptError) Error() string {
	if e.Seq == 0 {
		return fmt.Sprintf("audit: %s is damaged at byte %d: %s", filepath.Base(e.File), e.Offset, e.Reason)
	}
	return fmt.Sprintf("audit: %s is damaged at byte %d, entry %d: %s", filepath.Base(e.File), e.Offset, e.Seq, e.Reason)
}

// found is what a scan shows of one entry. It is valid until the visitor returns.
type found struct {
	chainRecord
	frame  []byte
	erased bool
	// salted is salt and record; nil when they are erased, or sealed and the reader has no keys.
	salted []byte
}

// scanned is how a segment ended.
type scanned struct {
	ending
	// sealed: closed for good. Otherwise it is being written, or a crash ended it.
	sealed bool
	// unmade: a crash ended its making; it has no entries and can go.
	unmade bool
	// runs of the journal that agree with it, and their entries whose payloads are erased.
	runs   []run
	erased ranges
}

// scanner reads one segment. last says that no other follows, so that it may have an unfinished tail.
type scanner struct {
	segment
	id             identity
	last           bool
	open           *opener // nil: sealed payloads are not looked into
	erasing        ranges  // entries whose erasure has begun
	runs           []run   // that the journal has of the last segment
	chainW, frameW *window
}

// scan checks every entry of a segment that follows prev and shows it to visit. Whatever it does not report as damage it
// has checked, up to the ending that it returns; what is sealed, as far as open opens it. Where a crash has kept from the last
// segment what the journal has, that is what is shown.
func scan(s segment, id identity, prev position, last bool, open *opener, visit func(*found) error) (out scanned, err error) {
	sc := &scanner{segment: s, id: id, last: last, open: open}
	if err := sc.beside(); err != nil {
		return scanned{}, err
	}
	chain, err := openWindow(s.chain(), 64<<10)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return scanned{}, err
	}
	defer chain.close() // a nil window too
	payload, err := openWindow(s.payload(), 256<<10)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return scanned{}, err
	}
	defer payload.close()
	sc.chainW, sc.frameW = chain, payload

	if made, err := sc.headers(prev); err != nil || !made {
		return scanned{ending: ending{pos: prev}, unmade: err == nil}, err
	}
	out, err = sc.entries(prev, visit)
	out.runs = sc.runs
	return out, err
}

// beside reads what there is beside the segment's files.
func (sc *scanner) beside() (err error) {
	if sc.erasing, err = erasingIn(sc.dir); err != nil || !sc.last {
		return err
	}
	j, err := readJournal(sc.dir, sc.id)
	if sc.runs = nil; j.first == sc.first {
		sc.runs = j.runs
	}
	return err
}

// headers checks both headers; false means that the segment was never finished and holds nothing.
func (sc *scanner) headers(prev position) (bool, error) {
	for _, f := range []struct {
		w      *window
		name   string
		magics []string
	}{{sc.chainW, sc.chain(), []string{magicChain}}, {sc.frameW, sc.payload(), []string{magicPayload, magicPayloadClear}}} {
		b, err := f.w.at(0, headerSize)
		if err != nil {
			return false, err
		}
		h, ok := decodeHeader(b, f.magics...)
		fault := ""
		switch {
		case f.w == nil:
			fault = "the file is missing"
		case !ok:
			fault = "header is not valid"
		case h.id != sc.id.id:
			fault = "the file belongs to another log"
		case h.first != sc.first:
			fault = "the file belongs to another place in the log"
		case h.prev != prev.hash && prev.last == 0:
			fault = "the file does not continue from the origin file"
		case h.prev != prev.hash:
			fault = "the file does not continue the one before it"
		default:
			continue
		}
		if !ok && sc.last {
			if used, err := sc.used(); err != nil || !used {
				return false, err
			}
		}
		return false, &CorruptError{File: f.name, Reason: fault}
	}
	return true, nil
}

// used says whether the segment holds anything behind its headers.
func (sc *scanner) used() (bool, error) {
	if sc.chainW == nil {
		b, err := sc.frameW.at(headerSize, clearMin)
		return !isZero(b), err
	}
	for off := int64(headerSize); ; off += recordSize {
		b, err := sc.chainW.at(off, recordSize)
		if err != nil || b == nil {
			return false, err
		}
		if _, ok := decodeChainRecord(b); ok {
			return true, nil
		}
	}
}

// entries checks the entries one by one.
func (sc *scanner) entries(prev position, visit func(*found) error) (scanned, error) {
	out := scanned{ending: ending{pos: prev, chainEnd: headerSize, payloadEnd: headerSize, batchChain: headerSize, batchPayload: headerSize}}
	batch := uint64(0)
	var e found
	for {
		sealed, fault, err := sc.entry(&out.ending, batch, &e)
		if err != nil {
			return out, err
		}
		if fault != nil {
			damaged := !sc.last || fault.whole
			if !damaged {
				if damaged, err = sc.durable(out.chainEnd, fault.Seq); err != nil {
					return out, err
				}
			}
			if !damaged {
				return out, nil
			}
			// A gateway may be writing, or erasing: look at the entry again before calling it damaged.
			if err = sc.beside(); err != nil {
				return out, err
			}
			sc.chainW.forget()
			sc.frameW.forget()
			var again *CorruptError
			if sealed, again, err = sc.entry(&out.ending, batch, &e); err != nil {
				return out, err
			}
			if again != nil {
				return out, again
			}
		}
		if sealed {
			out.sealed = true
			return out, nil
		}
		if e.erased {
			if kept, _ := entryOf(sc.runs, e.seq); kept != nil {
				out.erased = out.erased.add(e.seq)
			}
		}
		if e.batch != batch {
			batch = e.batch
			out.batchChain, out.batchPayload = out.chainEnd, out.payloadEnd
		}
		out.pos = position{e.seq, e.hash}
		out.chainEnd += recordSize
		out.payloadEnd += int64(e.length)
		if visit != nil {
			if err := visit(&e); err != nil {
				return out, err
			}
		}
	}
}

// entry reads and checks the entry that follows at. A CorruptError is returned apart, because at the end of the last
// segment it is no error.
func (sc *scanner) entry(at *ending, batch uint64, e *found) (sealed bool, fault *CorruptError, err error) {
	seq := at.pos.last + 1
	bad := func(reason string, whole bool) (bool, *CorruptError, error) {
		return false, &CorruptError{File: sc.chain(), Offset: at.chainEnd, Seq: seq, Reason: reason, whole: whole}, nil
	}
	badPayload := func(reason string) (bool, *CorruptError, error) {
		return false, &CorruptError{File: sc.payload(), Offset: at.payloadEnd, Seq: seq, Reason: reason}, nil
	}
	b, err := sc.chainW.at(at.chainEnd, recordSize)
	if err != nil {
		return false, nil, err
	}
	r, ok := decodeChainRecord(b)
	kept, keptFrame := entryOf(sc.runs, seq)
	if kept != nil && ok && r.typ == typeEntry && r != *kept {
		last := len(sc.runs) - 1
		if seq < sc.runs[last].first() {
			return bad("chain entry is another than the journal has", true)
		}
		// Nobody was told of the journal's last run when its sync failed, or a crash followed it.
		sc.runs, kept, keptFrame = sc.runs[:last], nil, nil
	}
	switch {
	case kept != nil && !ok && lacks(b, kept.append(nil), at.chainEnd):
		r = *kept
	case kept != nil && !ok:
		return bad("chain entry is not valid, and a crash leaves none like it", true)
	case b == nil:
		return bad("the file ends without a seal", false)
	case !ok:
		// A file that was cut to its entries holds one more thing, its seal, which a crash cannot tear: it lies in one sector.
		cut := !isZero(b) && sc.chainW.size() == at.chainEnd+recordSize
		return bad("chain entry is not valid", cut)
	}
	if r.typ == typeSeal {
		switch {
		case r.seq != at.pos.last || r.hash != at.pos.hash || r.offset != at.payloadEnd:
			return bad("the seal does not match the entries before it", true)
		case sc.chainW.size() != at.chainEnd+recordSize:
			return bad("bytes follow the seal", true)
		case sc.frameW.size() > at.payloadEnd:
			return badPayload("bytes follow the last entry of a sealed segment")
		}
		return true, nil, nil
	}
	switch {
	case r.seq != seq:
		return bad("chain entry is out of sequence", true)
	case r.hash != link(at.pos.hash, r.seq, r.nanos, r.commitment):
		return bad("chain hash does not follow from the entry before it", true)
	case r.offset != at.payloadEnd || r.length < clearMin || r.length > frameMax:
		return bad("chain entry points to a wrong place", true)
	case r.batch != seq && (r.batch != batch || batch == 0):
		return bad("chain entry names a wrong batch", true)
	}
	f, err := sc.frameW.at(r.offset, int(r.length))
	if err != nil {
		return false, nil, err
	}
	if f == nil {
		f = keptFrame
	}
	if f == nil {
		return badPayload("the file ends within the entry")
	}
	*e = found{chainRecord: r, frame: f}
	if sc.erasing.contains(seq) {
		e.erased = true // or will be, before long
		return false, nil, nil
	}
	var reason string
	e.erased, reason = checkFrame(f, &r)
	if keptFrame != nil && !e.erased {
		if !lacks(f, keptFrame, r.offset) {
			_, fault, _ := badPayload("payload is another than the journal has")
			fault.whole = true
			return false, fault, nil
		}
		f, e.frame = keptFrame, keptFrame
		e.erased, reason = checkFrame(f, &r)
	}
	if reason != "" {
		return badPayload(reason)
	}
	switch {
	case e.erased:
	case f[12] == encodingJSON:
		e.salted = f[frameHead:]
	case sc.open != nil:
		if e.salted, fault, err = sc.open.open(f, &r); fault != nil {
			fault.Seq, fault.whole = seq, true
			if fault.File == "" {
				fault.File, fault.Offset = sc.payload(), at.payloadEnd
			}
			return false, fault, nil
		}
	}
	return false, nil, err
}

// lacks says whether what is in a file at off is what was to be written there, but for what a crash has left as it was, zero: sectors that
// never reached the disk, and the rest of one that was begun. Anything else no crash leaves.
func lacks(have, written []byte, off int64) bool {
	const sector = 512
	for len(have) > 0 {
		n := min(len(have), sector-int(off%sector))
		same := 0
		for same < n && have[same] == written[same] {
			same++
		}
		if !isZero(have[same:n]) {
			return false
		}
		have, written, off = have[n:], written[n:], off+int64(n)
	}
	return true
}

// durable says whether the entry seq, which should be at off, had been durable: a later batch, or a seal, was begun only
// after it was.
func (sc *scanner) durable(off int64, seq uint64) (bool, error) {
	if n := len(sc.runs); n > 0 && sc.runs[n-1].first() > seq {
		return true, nil
	}
	for ; ; off += recordSize {
		b, err := sc.chainW.at(off, recordSize)
		if err != nil || b == nil {
			return false, err
		}
		r, ok := decodeChainRecord(b)
		if ok && (r.typ == typeSeal || r.batch > seq) {
			return true, nil
		}
	}
}

// window reads a file in large pieces and hands out small ones. A nil window is a file that does not exist.
type window struct {
	f   *os.File
	off int64
	buf []byte
	n   int
}

func openWindow(name string, size int) (*window, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &window{f: f, buf: make([]byte, min(int64(size), max(st.Size(), headerSize)))}, nil
}

// at returns n bytes from off, valid until the next call, or nil when the file ends before.
func (w *window) at(off int64, n int) ([]byte, error) {
	if w == nil {
		return nil, nil
	}
	if off < w.off || off+int64(n) > w.off+int64(w.n) {
		if n > len(w.buf) {
			w.buf = make([]byte, n)
		}
		m, err := w.f.ReadAt(w.buf, off)
		if err != nil && err != io.EOF {
			w.n = 0
			return nil, fmt.Errorf("audit: read at byte %d: %w", off, err)
		}
		w.off, w.n = off, m
	}
	if off+int64(n) > w.off+int64(w.n) {
		return nil, nil
	}
	return w.buf[off-w.off:][:n], nil
}

// forget has the next call read the file.
func (w *window) forget() {
	if w != nil {
		w.n = 0
	}
}

// size is the file's size now.
func (w *window) size() int64 {
	if w == nil {
		return 0
	}
	st, err := w.f.Stat()
	if err != nil {
		return -1
	}
	return st.Size()
}

func (w *window) close() {
	if w != nil {
		w.f.Close()
	}
}
