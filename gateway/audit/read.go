package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	// Opening is the salt and the record as it was committed to: what shows, with Commitment's function, that the record is
	// this entry's. It is valid until the visitor returns.
	Opening []byte `json:"-"`
}

// Commitment is what the chain has of an entry with this opening.
func Commitment(opening []byte) Hash { return commit(opening) }

// SplitOpening takes an opening apart: the salt, and the record as JSON.
func SplitOpening(opening []byte) (salt, record []byte, ok bool) {
	if len(opening) < saltSize {
		return nil, nil, false
	}
	return opening[:saltSize], opening[saltSize:], true
}

// ReadOption says how a log is read.
type ReadOption func(*opener)

// WithKeys opens sealed payloads with a key ring. The local key beside the log, if there is one, is tried without it, and
// opens what is wrapped under it in any case.
func WithKeys(ctx context.Context, ring KeyRing) ReadOption {
	return func(o *opener) { o.ctx, o.ring = ctx, ring }
}

// withOwnKeys is WithKeys for the log itself, which knows the data keys of its own process whether its key ring is there or not.
func (l *Log) withOwnKeys(ctx context.Context) ReadOption {
	return func(o *opener) { o.ctx, o.ring, o.known = ctx, l.o.Keys, &l.k.known }
}

// ErrSealed is the error of Read for a payload that the reader has no key for.
var ErrSealed = errors.New("audit: the payloads are sealed, and the key is not here")

// openerOf is what the options say.
func openerOf(dir string, id identity, with []ReadOption) (*opener, error) {
	o := &opener{ctx: context.Background(), dir: dir, id: id}
	for _, w := range with {
		w(o)
	}
	if _, local := o.ring.(*LocalKeys); local {
		return o, nil
	}
	var err error
	if o.local, err = ReadLocalKeys(LocalKeyFile(dir)); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return o, err
}

// Read calls fn for every entry of the log in dir, oldest first, checked. It may be called while a gateway writes: it then
// ends with what was there when it came to the end. An error of fn ends it and is returned; damage is a *CorruptError, a
// payload that cannot be opened for want of a key ErrSealed. Memory does not grow with the log.
func Read(dir string, fn func(Entry) error, with ...ReadOption) error {
	return ReadFrom(dir, 1, fn, with...)
}

// ReadFrom is Read from an entry on. It passes over earlier segments unread.
func ReadFrom(dir string, seq uint64, fn func(Entry) error, with ...ReadOption) error {
	id, err := readOrigin(dir)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	open, err := openerOf(dir, id, with)
	if err != nil {
		return err
	}
	return walk(dir, id, seq, open, nil, func(e *found) error {
		if e.seq < seq {
			return nil
		}
		out := Entry{Seq: e.seq, Time: time.Unix(0, e.nanos).UTC(), Commitment: e.commitment, Hash: e.hash, Erased: e.erased}
		switch {
		case e.erased:
		case e.salted == nil:
			return fmt.Errorf("entry %d: %w", e.seq, ErrSealed)
		default:
			if out.Record, err = decodeRecord(e.salted[saltSize:]); err != nil {
				return fmt.Errorf("audit: entry %d: %w", e.seq, err)
			}
			out.Opening = e.salted
		}
		return fn(out)
	})
}

// walk scans the segments from the one that holds seq on. ended is called after each.
func walk(dir string, id identity, seq uint64, open *opener, ended func(segment, scanned) error, visit func(*found) error) error {
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
		out, err := scan(s, id, pos, i == len(segs)-1, open, visit)
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
