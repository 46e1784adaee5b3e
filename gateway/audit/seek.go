package audit

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// Seek gives a sequence number to read from in order to find the entries that were written at t or later: the beginning of a
// segment, by the time of its first entry. It checks nothing; whoever reads from there does. Times are those of the log's clock: what
// was dated ahead before the clock was set back may be passed over.
func Seek(dir string, t time.Time) (uint64, error) {
	segs, err := listSegments(dir)
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	for i := len(segs) - 1; i > 0; i-- {
		begun, ok, err := segs[i].begun()
		if err != nil {
			return 0, fmt.Errorf("audit: %w", err)
		}
		if ok && begun.Before(t) {
			return segs[i].first, nil
		}
	}
	return 1, nil
}

// begun is the time of the segment's first entry; ok is false while it has none.
func (s segment) begun() (t time.Time, ok bool, err error) {
	r, ok, err := s.entry(s.first)
	if err != nil || !ok {
		return time.Time{}, false, err
	}
	return time.Unix(0, r.nanos).UTC(), true, nil
}

// entry is the entry seq of the segment's chain; ok is false when it has none.
func (s segment) entry(seq uint64) (r chainRecord, ok bool, err error) {
	f, err := os.Open(s.chain())
	if err != nil {
		return r, false, err
	}
	defer f.Close()
	b := make([]byte, recordSize)
	if _, err := f.ReadAt(b, headerSize+int64(seq-s.first)*recordSize); err == io.EOF {
		return r, false, nil
	} else if err != nil {
		return r, false, err
	}
	r, ok = decodeChainRecord(b)
	return r, ok && r.typ == typeEntry, nil
}

// ReadSince calls fn for the records of the log in dir that were written at from or later and are not erased; earlier ones may come
// too. See Read.
func ReadSince(dir string, from time.Time, fn func(Record) error, with ...ReadOption) error {
	seq, err := Seek(dir, from)
	if err != nil {
		return err
	}
	return ReadFrom(dir, seq, func(e Entry) error {
		if e.Erased {
			return nil
		}
		return fn(e.Record)
	}, with...)
}

// ReadSince is the function of that name for this log, with its keys.
func (l *Log) ReadSince(from time.Time, fn func(Record) error) error {
	return ReadSince(l.dir, from, fn, l.withOwnKeys(context.Background()))
}
