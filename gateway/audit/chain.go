package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Identity names a log: its origin, and the random id that was made with it, so that two logs of one name differ.
type Identity struct {
	Origin  string
	ID      string // 32 hexadecimal digits
	Created time.Time
}

func (id identity) public() Identity {
	return Identity{Origin: id.origin, ID: hex.EncodeToString(id.id[:]), Created: id.created}
}

// ReadIdentity reads the identity of the log in dir.
func ReadIdentity(dir string) (Identity, error) {
	id, err := readOrigin(dir)
	if err != nil {
		return Identity{}, fmt.Errorf("audit: %w", err)
	}
	return id.public(), nil
}

// ChainEntry is what the chain has of an entry: nothing of its record, so that it may be shown to anyone.
type ChainEntry struct {
	Seq        uint64
	Nanos      int64 // time of the entry, Unix nanoseconds
	Commitment Hash
	// Hash is the chain hash up to this entry; it covers every entry before.
	Hash Hash
}

// Chain reads the chain of a log in order and leaves the payloads alone. It may be used while a gateway writes, up to what
// Log.Head says. It is for one goroutine.
type Chain struct {
	dir  string
	id   identity
	pos  position
	prev position // before the open segment
	seg  segment
	w    *window // of the open segment's chain file; nil: none is open
	runs []run   // of the open segment, when it lacked an entry
}

// OpenChain opens the chain of the log in dir behind the entry after; 0: at its beginning. That the chain follows from its
// beginning to there is taken from the file: Verify proves it.
func OpenChain(dir string, after uint64) (*Chain, error) {
	id, err := readOrigin(dir)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	c := &Chain{dir: dir, id: id, pos: position{hash: genesis(id.raw)}}
	if after == 0 {
		return c, nil
	}
	segs, err := listSegments(dir)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	for i, s := range segs {
		if s.first > after || i+1 < len(segs) && segs[i+1].first <= after {
			continue
		}
		if err := c.open(s, nil); err != nil {
			return nil, err
		}
		r, err := c.record(after)
		if err == nil && r.typ == typeSeal {
			err = &CorruptError{File: s.chain(), Seq: after, Reason: "the entry is missing"}
		}
		if err != nil {
			c.Close()
			return nil, err
		}
		c.pos = position{after, r.hash}
		return c, nil
	}
	return nil, &CorruptError{File: dir, Seq: after, Reason: "the entry is missing"}
}

// open opens a segment's chain file and checks that it is the log's. With prev it must continue from there.
func (c *Chain) open(s segment, prev *position) error {
	w, err := openWindow(s.chain(), 64<<10)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return &CorruptError{File: s.chain(), Seq: s.first, Reason: "the file is missing"}
		}
		return err
	}
	b, err := w.at(0, headerSize)
	if err != nil {
		w.close()
		return err
	}
	h, ok := decodeHeader(b, magicChain)
	fault := ""
	switch {
	case !ok:
		fault = "header is not valid"
	case h.id != c.id.id:
		fault = "the file belongs to another log"
	case h.first != s.first:
		fault = "the file belongs to another place in the log"
	case prev != nil && h.prev != prev.hash:
		fault = "the file does not continue the one before it"
	}
	if fault != "" {
		w.close()
		return &CorruptError{File: s.chain(), Reason: fault}
	}
	c.Close()
	c.seg, c.w, c.runs, c.prev = s, w, nil, position{s.first - 1, h.prev}
	return nil
}

// record reads the entry seq of the open segment, from the journal where a crash has kept it from the segment.
func (c *Chain) record(seq uint64) (chainRecord, error) {
	off := headerSize + int64(seq-c.seg.first)*recordSize
	for again := false; ; again = true {
		b, err := c.w.at(off, recordSize)
		if err != nil {
			return chainRecord{}, err
		}
		if r, ok := decodeChainRecord(b); ok && (r.typ == typeSeal || r.seq == seq) {
			return r, nil
		}
		if kept, _ := entryOf(c.runs, seq); kept != nil && lacks(b, kept.append(nil), off) {
			return *kept, nil
		}
		if again {
			return chainRecord{}, &CorruptError{File: c.seg.chain(), Offset: off, Seq: seq, Reason: "chain entry is not valid"}
		}
		c.w.forget() // it may have been written since
		j, err := readJournal(c.dir, c.id)
		if err != nil {
			return chainRecord{}, err
		}
		if c.runs = nil; j.first == c.seg.first {
			c.runs = j.runs
		}
	}
}

// Next calls fn for the entries that follow, up to and with upTo, which must be durable: Log.Head says what is. Each is
// checked to follow from the one before. An error of fn ends it, and the entry is then not passed.
func (c *Chain) Next(upTo uint64, fn func(ChainEntry) error) error {
	c.w.forget() // what was read beyond the last upTo may never have become durable
	c.runs = nil
	for c.pos.last < upTo {
		seq := c.pos.last + 1
		if c.w == nil {
			if err := c.open(segment{c.dir, seq}, &c.pos); err != nil {
				return err
			}
		}
		r, err := c.record(seq)
		if err != nil {
			return err
		}
		if r.typ == typeSeal {
			if r.seq != c.pos.last || r.hash != c.pos.hash {
				return &CorruptError{File: c.seg.chain(), Seq: seq, Reason: "the seal does not match the entries before it"}
			}
			c.Close()
			continue
		}
		if r.hash != link(c.pos.hash, r.seq, r.nanos, r.commitment) {
			return &CorruptError{File: c.seg.chain(), Offset: headerSize + int64(seq-c.seg.first)*recordSize, Seq: seq,
				Reason: "chain hash does not follow from the entry before it"}
		}
		if err := fn(ChainEntry{Seq: seq, Nanos: r.nanos, Commitment: r.commitment, Hash: r.hash}); err != nil {
			return err
		}
		c.pos = position{seq, r.hash}
	}
	return nil
}

// At is the sequence number of the last entry that was passed.
func (c *Chain) At() uint64 { return c.pos.last }

// Close lets go of the open file. Next opens it again if need be.
func (c *Chain) Close() {
	if c.w != nil {
		c.w.close()
		c.w, c.runs = nil, nil
	}
}
