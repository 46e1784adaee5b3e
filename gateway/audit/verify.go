package audit

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"time"
)

// Report is what Verify found, up to the first damage.
type Report struct {
	Origin  string
	ID      string
	Created time.Time
	// Segments, Entries, and how many of the entries have been erased.
	Segments int
	Entries  uint64
	Erased   uint64
	// Sealed entries were not looked into, for want of keys: of their payloads the checksum was recomputed, of all others the
	// commitment.
	Sealed uint64
	// Unexplained is how many of the erased entries no record of an erasure names.
	Unexplained uint64
	// First and Last are the times of the first and the last entry.
	First, Last time.Time
	// Back is how often an entry's time is more than a second before that of the one before it, and BackMost the most: the
	// clock was set back. The order of entries is that of their numbers, whatever their times.
	Back     uint64
	BackMost time.Duration
	// Head is the chain hash of the last entry: equal heads are equal logs.
	Head Hash
	// Open: the last segment is not sealed, because a gateway is writing or a crash ended it. Tail is then the bytes behind
	// its last whole entry; nobody was told that they are durable.
	Open bool
	Tail int64

	erased, named ranges
	limit         int
}

// backTolerance is the disorder that concurrent callers make.
const backTolerance = time.Second

// maxSpans bounds the memory for erased entries.
const maxSpans = 1 << 20

// visit counts an entry.
func (rep *Report) visit(e *found) error {
	at := time.Unix(0, e.nanos).UTC()
	if back := rep.Last.Sub(at); rep.Entries > 0 && back > backTolerance {
		rep.Back++
		rep.BackMost = max(rep.BackMost, back)
	}
	if rep.Entries++; rep.Entries == 1 {
		rep.First = at
	}
	rep.Last, rep.Head = at, e.hash
	switch {
	case e.erased:
		rep.Erased++
		if len(rep.erased) < maxSpans {
			rep.erased = rep.erased.add(e.seq)
		}
	case e.salted == nil:
		rep.Sealed++
	case e.frame[12] == encodingJSON && bytes.Contains(e.salted, []byte(`"kind":"Erasure"`)):
		r, err := decodeRecord(e.salted[saltSize:])
		if err != nil || r.Kind != Erasure || r.Entries == "" {
			return nil
		}
		set, err := parseRanges(r.Entries)
		if err != nil {
			return fmt.Errorf("audit: entry %d: %w", e.seq, err)
		}
		if rep.named = append(rep.named, set...); len(rep.named) > max(maxSpans, rep.limit) {
			rep.named = union(rep.named)
			rep.limit = 2 * len(rep.named)
		}
	}
	return nil
}

// Verify recomputes the whole chain of the log in dir, and the commitments of the payloads that it has keys for. Damage is a
// *CorruptError that says where the first is; the Report tells of what comes before it. progress, if not nil, is called now
// and then with bytes.
func Verify(dir string, progress func(done, total int64), with ...ReadOption) (Report, error) {
	id, err := readOrigin(dir)
	if err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	rep := Report{Origin: id.origin, ID: hex.EncodeToString(id.id[:]), Created: id.created, Head: genesis(id.raw)}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	open, err := openerOf(dir, id, with)
	if err != nil {
		return rep, err
	}
	if err := checkKeys(dir); err != nil {
		return rep, err
	}
	total, err := totalSize(dir)
	if err != nil {
		return rep, fmt.Errorf("audit: %w", err)
	}
	var done int64
	err = walk(dir, id, 1, open, func(s segment, out scanned) error {
		rep.Segments++
		if out.sealed || out.unmade {
			return nil
		}
		rep.Open = true
		rep.Tail, err = stray(s, out.ending)
		return err
	}, func(e *found) error {
		if done += recordSize + int64(e.length); rep.Entries%1024 == 0 {
			progress(done, max(done, total))
		}
		return rep.visit(e)
	})
	rep.Unexplained = rep.erased.count() - rep.erased.common(union(rep.named))
	if err == nil {
		progress(total, total)
	}
	return rep, err
}

func totalSize(dir string) (int64, error) {
	segs, err := listSegments(dir)
	var total int64
	for _, s := range segs {
		for _, name := range []string{s.chain(), s.payload()} {
			if st, err := os.Stat(name); err == nil {
				total += st.Size()
			}
		}
	}
	return total, err
}

// stray counts the bytes behind the entries of a segment, up to the last that is not zero.
func stray(s segment, e ending) (int64, error) {
	var n int64
	for _, part := range []struct {
		name string
		from int64
	}{{s.chain(), e.chainEnd}, {s.payload(), e.payloadEnd}} {
		w, err := openWindow(part.name, 64<<10)
		if err != nil {
			return n, err
		}
		var last int64
		for off, size := part.from, w.size(); off < size; {
			b, err := w.at(off, int(min(64<<10, size-off)))
			if err != nil || b == nil {
				w.close()
				return n + last, err
			}
			for i := len(b) - 1; i >= 0; i-- {
				if b[i] != 0 {
					last = off + int64(i) + 1 - part.from
					break
				}
			}
			off += int64(len(b))
		}
		w.close()
		n += last
	}
	return n, nil
}
