package audit

import "fmt"

// mend is what the last segment needs before another may follow it.
type mend struct {
	seg     segment
	seal    bool // cut and seal it at ending
	confirm bool // it has a seal, whose sync may have failed
	remove  bool // it has no entries
	ending  ending
	// What the journal has of it, and the entries among that whose payloads are erased.
	runs   []run
	erased ranges
}

func (m *mend) apply(fsys FS, nanos int64) error {
	switch {
	case m.seal:
		if err := replay(fsys, m.seg, m.runs, m.erased); err != nil {
			return err
		}
		return sealSegment(fsys, m.seg, m.ending, nanos)
	case m.confirm:
		return confirmSeal(fsys, m.seg)
	case m.remove:
		return removeSegment(fsys, m.seg)
	}
	return nil
}

// inspect reads the log up to its end and writes nothing. It checks that all segments are there and follow each other, and
// every entry of the last one when a crash left it open, to which belongs what the journal has. With known, the position up to
// which this process had made the log durable, it insists on that and keeps no more.
func inspect(dir string, id identity, known ...position) (position, mend, error) {
	pos := position{hash: genesis(id.raw)}
	segs, err := listSegments(dir)
	if err != nil {
		return pos, mend{}, err
	}
	j, err := readJournal(dir, id)
	if err != nil {
		return pos, mend{}, err
	}
	var m mend
	for i, s := range segs {
		if err := s.follows(pos); err != nil {
			return pos, m, err
		}
		last := i == len(segs)-1
		p, ok, err := glance(s, id, pos)
		if err != nil {
			return pos, m, err
		}
		if ok {
			pos, m = p, mend{seg: s, confirm: true}
			continue
		}
		// Not sealed, or not visibly so: the scan finds what is wrong, or where a crash ended it.
		var cut ending
		out, err := scan(s, id, pos, last, nil, func(e *found) error {
			if len(known) > 0 && e.seq == known[0].last {
				cut = ending{position{e.seq, e.hash}, headerSize + int64(e.seq-s.first+1)*recordSize, e.offset + int64(e.length), 0, 0}
				cut.batchChain, cut.batchPayload = cut.chainEnd, cut.payloadEnd
			}
			return nil
		})
		if err != nil {
			return pos, m, err
		}
		if len(known) > 0 && !out.sealed {
			if known[0].last < s.first {
				out.pos = pos // nothing in it had become durable
			} else if out.pos.last >= known[0].last {
				out.ending = cut
			}
		}
		m = mend{seg: s, ending: out.ending}
		m.remove = out.unmade || out.pos.last < s.first
		m.seal = !m.remove && !out.sealed
		m.confirm = out.sealed
		pos = out.pos
		if m.seal {
			m.erased = out.erased
			for _, r := range out.runs {
				if r.last() <= pos.last {
					m.runs = append(m.runs, r)
				}
			}
		}
	}
	if len(known) == 0 {
		return pos, m, j.check(dir, &m)
	}
	if pos != known[0] {
		return pos, m, &CorruptError{File: dir, Seq: known[0].last, Reason: fmt.Sprintf("entries that had been durable are gone, the last is %d", pos.last)}
	}
	return pos, m, nil
}

// follows checks that no segment is missing before s.
func (s segment) follows(pos position) error {
	if s.first == pos.last+1 {
		return nil
	}
	return &CorruptError{File: s.chain(), Seq: pos.last + 1, Reason: "a segment before this file is missing"}
}

// glance reads the header and the seal of a segment; false when either needs a closer look.
func glance(s segment, id identity, prev position) (position, bool, error) {
	w, err := openWindow(s.chain(), headerSize)
	if err != nil {
		return prev, false, nil
	}
	defer w.close()
	b, err := w.at(0, headerSize)
	if err != nil {
		return prev, false, err
	}
	h, ok := decodeHeader(b, magicChain)
	if !ok || h.id != id.id || h.first != s.first || h.prev != prev.hash {
		return prev, false, nil
	}
	n := (w.size() - headerSize) / recordSize
	if n < 2 || w.size() != headerSize+n*recordSize {
		return prev, false, nil
	}
	if b, err = w.at(headerSize+(n-1)*recordSize, recordSize); err != nil {
		return prev, false, err
	}
	r, ok := decodeChainRecord(b)
	if !ok || r.typ != typeSeal || r.seq != s.first+uint64(n-2) {
		return prev, false, nil
	}
	p, err := openWindow(s.payload(), headerSize)
	if err != nil {
		return prev, false, nil
	}
	defer p.close()
	return position{r.seq, r.hash}, p.size() == r.offset, nil
}
