package audit

import (
	"fmt"
	"time"
)

// Entry is one entry of a log as it is read.
type Entry struct {
	Seq        uint64    `json:"seq"`
	Time       time.Time `json:"time"`
	Commitment Hash      `json:"commitment"`
	// Hash is the chain hash up to this entry.
	Hash Hash `json:"hash"`
	// Erased: the payload has been erased; Record is then empty.
	Erased bool   `json:"erased,omitempty"`
	Record Record `json:"record,omitzero"`
}

// Read calls fn for every entry of the log in dir, oldest first, checked. It may be called while a gateway writes: it then
// ends with what was there when it came to the end. An error of fn ends it and is returned; damage is a *CorruptError.
// Memory does not grow with the log.
func Read(dir string, fn func(Entry) error) error { return ReadFrom(dir, 1, fn) }

// ReadFrom is Read from an entry on. It passes over earlier segments unread.
func ReadFrom(dir string, seq uint64, fn func(Entry) error) error {
	id, err := readOrigin(dir)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return walk(dir, id, seq, nil, func(e *found) error {
		if e.seq < seq {
			return nil
		}
		out := Entry{Seq: e.seq, Time: time.Unix(0, e.nanos).UTC(), Commitment: e.commitment, Hash: e.hash, Erased: e.erased}
		if !e.erased {
			if out.Record, err = decodeRecord(e.frame[frameMin:]); err != nil {
				return fmt.Errorf("audit: entry %d: %w", e.seq, err)
			}
		}
		return fn(out)
	})
}

// walk scans the segments from the one that holds seq on. ended is called after each.
func walk(dir string, id identity, seq uint64, ended func(segment, scanned) error, visit func(*found) error) error {
	segs, err := listSegments(dir)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	pos := position{hash: genesis(id.raw)}
	for len(segs) > 1 && segs[1].first <= seq {
		p, ok, err := glance(segs[0], id, pos)
		if err != nil {
			return err
		}
		if !ok {
			break // a closer look, from here on
		}
		if err := segs[0].follows(pos); err != nil {
			return err
		}
		segs, pos = segs[1:], p
	}
	for i, s := range segs {
		if err := s.follows(pos); err != nil {
			return err
		}
		out, err := scan(s, id, pos, i == len(segs)-1, visit)
		if err != nil {
			return err
		}
		if ended != nil {
			if err := ended(s, out); err != nil {
				return err
			}
		}
		pos = out.pos
	}
	return nil
}
