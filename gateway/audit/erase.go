package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
)

// An erasure has four steps, each durable before the next:
//
//  1. the file erasing names the entries: from now on their payloads count as erased, whatever a crash leaves of them;
//  2. a record of the erasure is in the log;
//  3. the payloads are overwritten with zeros, in their segments and then in the journal;
//  4. the file erasing is removed.
//
// The next Open does what a crash left undone of it.
const erasingFile = "erasing"

// Reasons of erasures.
const (
	// ReasonRetention: the record's retain-until has passed.
	ReasonRetention = "Retention"
	// ReasonRequest: somebody asked for it.
	ReasonRequest = "Request"
)

// erasing is the file of that name.
type erasing struct {
	Format     int    `json:"format"`
	Disclosure string `json:"disclosure"`
	Entries    string `json:"entries"`
	Reason     string `json:"reason"`
	Message    string `json:"message,omitempty"`
	By         string `json:"by,omitempty"`
}

// readErasing reads the file; nil when there is none.
func readErasing(dir string) (*erasing, ranges, error) {
	path := filepath.Join(dir, erasingFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("audit: %w", err)
	}
	var j erasing
	err = decodeSummed(b, &j)
	if err == nil && j.Format != 1 {
		err = errors.New("is in a form that this version does not know")
	}
	var set ranges
	if err == nil {
		set, err = parseRanges(j.Entries)
	}
	if err != nil {
		return nil, nil, &CorruptError{File: path, Reason: "the list of entries to erase " + err.Error()}
	}
	return &j, set, nil
}

func erasingIn(dir string) (ranges, error) {
	_, set, err := readErasing(dir)
	return set, err
}

// Selection says which payloads are to be erased; exactly one member is set. Those of erasures are never.
type Selection struct {
	// Disclosure: all records of this disclosure.
	Disclosure string `json:"disclosure,omitempty"`
	// Before: all that is older.
	Before time.Time `json:"before,omitzero"`
}

// Order is why something is erased, and who wants it. Both are kept in the clear: they must not name the person concerned.
type Order struct {
	Text string `json:"text"`
	By   string `json:"by,omitempty"`
}

func (s Selection) validate(o Order) error {
	switch {
	case (s.Disclosure == "") == s.Before.IsZero():
		return fmt.Errorf("%w: erase either one disclosure or what is older than a time", ErrInvalid)
	case o.Text == "":
		return fmt.Errorf("%w: an erasure needs a reason", ErrInvalid)
	case len(o.Text) > 512 || len(o.By) > 256 || len(s.Disclosure) > 256:
		return fmt.Errorf("%w: the reason has at most 512 bytes, names 256", ErrInvalid)
	}
	return nil
}

// Erase erases payloads, and gives the number of entries. The record that says so is in the log before. What has been erased
// already is left out; that nothing is left is no error.
func (l *Log) Erase(ctx context.Context, s Selection, o Order) (uint64, error) {
	if err := s.validate(o); err != nil {
		return 0, err
	}
	l.k.erasing.Lock()
	defer l.k.erasing.Unlock()
	if err := l.resumeErasure(ctx); err != nil {
		return 0, err
	}
	var open *opener
	var prefix []byte // of the records that are wanted
	if s.Disclosure != "" {
		prefix = appendString([]byte(`{"disclosure":`), s.Disclosure)
		var err error
		if open, err = openerOf(l.dir, l.id, []ReadOption{l.withOwnKeys(ctx)}); err != nil {
			return 0, err
		}
	}
	last, _ := l.Head()
	var set ranges
	err := walk(l.dir, l.id, 1, open, nil, func(e *found) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.erased || e.seq > last || !s.Before.IsZero() && e.nanos >= s.Before.UnixNano() {
			return nil
		}
		if e.salted != nil { // in the clear, or opened for its disclosure id
			record := e.salted[saltSize:]
			if !bytes.HasPrefix(record, prefix) {
				return nil
			}
			r, err := decodeRecord(record)
			if err != nil {
				return fmt.Errorf("audit: entry %d: %w", e.seq, err)
			}
			if r.Kind == Erasure {
				return nil
			}
		}
		set = set.add(e.seq)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return set.count(), l.erase(ctx, set, erasing{Disclosure: s.Disclosure, Reason: ReasonRequest, Message: o.Text, By: o.By})
}

// spansPerErasure bounds the record of an erasure.
const spansPerErasure = 1024

// erase erases the payloads of a set of entries, all of which are durable.
func (l *Log) erase(ctx context.Context, set ranges, j erasing) error {
	j.Format = 1
	for part := range slices.Chunk(set, spansPerErasure) {
		j := j
		if j.Disclosure == "" {
			j.Disclosure = uuid.Must(uuid.NewV7()).String()
		}
		j.Entries = part.String()
		b, err := encodeSummed(j)
		if err != nil {
			return err
		}
		if err := writeFile(l.o.FS, filepath.Join(l.dir, erasingFile), b); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		if err := l.completeErasure(ctx, &j, part); err != nil {
			return err
		}
	}
	return nil
}

// resumeBegun ends an erasure that a crash or a fault cut short.
func (l *Log) resumeBegun(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(l.dir, erasingFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	l.k.erasing.Lock()
	defer l.k.erasing.Unlock()
	return l.resumeErasure(ctx)
}

// resumeErasure ends an erasure that has begun. l.k.erasing is held.
func (l *Log) resumeErasure(ctx context.Context) error {
	j, set, err := readErasing(l.dir)
	if j == nil || err != nil {
		return err
	}
	return l.completeErasure(ctx, j, set)
}

// completeErasure does what comes after the first step.
func (l *Log) completeErasure(ctx context.Context, j *erasing, set ranges) error {
	if err := l.appendErasure(ctx, Record{Disclosure: j.Disclosure, Reason: j.Reason, Message: j.Message, LocalUser: j.By, Entries: j.Entries}); err != nil {
		return err
	}
	if err := l.overwrite(ctx, set); err != nil {
		return fmt.Errorf("audit: erasing: %w", err)
	}
	if err := l.inWriter(func(w *writer) error { return w.scrub(set[len(set)-1].last) }); err != nil {
		return fmt.Errorf("audit: erasing: %w", err)
	}
	if err := l.o.FS.Remove(filepath.Join(l.dir, erasingFile)); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return l.o.FS.SyncDir(l.dir)
}

// appendErasure logs an erasure and waits.
func (l *Log) appendErasure(ctx context.Context, r Record) error {
	r.Kind, r.Operation = Erasure, OperationErasure
	rc, err := l.Append(ctx, r)
	if err != nil {
		return err
	}
	return rc.Wait(ctx)
}

// overwrite writes zeros over the payloads, again where a crash or a failed sync may have left them half written.
func (l *Log) overwrite(ctx context.Context, set ranges) error {
	segs, err := listSegments(l.dir)
	if err != nil || len(set) == 0 {
		return err
	}
	var at segment
	var file File
	var failures uint64 // of the log, when it was opened
	end := func() error {
		if file == nil {
			return nil
		}
		// One sync that fails can take with it what another was to make durable. So while the writer writes to the segment, nobody else
		// syncs it.
		own := false
		err := l.inWriter(func(w *writer) (err error) {
			own, err = w.syncErased(at.first, failures)
			return err
		})
		if err == nil && !own {
			err = file.Sync()
		}
		err = errors.Join(err, file.Close())
		file = nil
		return err
	}
	last := set[len(set)-1].last
	err = walk(l.dir, l.id, set[0].first, nil, nil, func(e *found) error {
		switch {
		case e.seq > last:
			return errStop
		case !set.contains(e.seq):
			return ctx.Err()
		}
		i, hit := slices.BinarySearchFunc(segs, e.seq, func(s segment, seq uint64) int { return int(int64(s.first) - int64(seq)) })
		if !hit {
			i--
		}
		if file == nil || at != segs[i] {
			if err := end(); err != nil {
				return err
			}
			at = segs[i]
			delete(l.k.index, at.first)
			failures = l.failures.Load()
			if file, err = l.o.FS.OpenFile(at.payload(), os.O_RDWR, 0); err != nil {
				return err
			}
		}
		f := slices.Clone(e.frame)
		eraseFrame(f, e.seq, e.frame[12]) // the encoding is the same before and after, so no crash tears it
		_, err := file.WriteAt(f, e.offset)
		return err
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return errors.Join(err, end())
}

// inWriter runs do between two batches.
func (l *Log) inWriter(do func(*writer) error) error {
	done := make(chan error, 1)
	select {
	case l.calls <- func(w *writer) { done <- do(w) }:
		return <-done
	case <-l.done:
		return ErrClosed
	}
}

// errStop ends a walk early.
var errStop = errors.New("enough")
