package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// index is what a sweep remembers of sealed segments, by first entry, so that the next one need not read them.
type index map[uint64]segmentState

type segmentState struct {
	end position
	// due is the earliest retain-until of its payloads, Unix seconds; 0: none has one.
	due int64
	// keys that payloads in it are sealed with.
	keys []uint32
}

// sweepEntries bounds what one erasure takes on, and with it the memory of a sweep.
const sweepEntries = 1 << 16

// Sweep erases the payloads whose retain-until has passed, and destroys the data keys that seal nothing any more. A Log does
// it by itself, from an hour after Open on; it is safe to call at any time.
func (l *Log) Sweep(ctx context.Context) error {
	l.k.erasing.Lock()
	defer l.k.erasing.Unlock()
	if err := l.resumeErasure(ctx); err != nil {
		return err
	}
	for {
		// Before the look: what was in flight is then among what it finds.
		idle, err := l.k.idle()
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		due, used, err := l.look(ctx, l.o.Now().Unix())
		if err != nil {
			return err
		}
		if len(due) == 0 {
			return l.destroyKeys(ctx, slices.DeleteFunc(idle, func(n uint32) bool { return used[n] }))
		}
		if err := l.erase(ctx, due, erasing{Reason: ReasonRetention}); err != nil {
			return err
		}
	}
}

// look finds the entries that are due at now, and the data keys that are in use when none is.
func (l *Log) look(ctx context.Context, now int64) (due ranges, used map[uint32]bool, err error) {
	segs, err := listSegments(l.dir)
	if err != nil {
		return nil, nil, err
	}
	head, _ := l.Head()
	used = map[uint32]bool{}
	pos := position{hash: genesis(l.id.raw)}
	n := 0
	for i, s := range segs {
		if err := s.follows(pos); err != nil {
			return nil, nil, err
		}
		state, known := l.k.index[s.first]
		if !known || state.due != 0 && state.due <= now {
			state = segmentState{}
			began := time.Now()
			out, err := scan(s, l.id, pos, i == len(segs)-1, nil, func(e *found) error {
				if err := ctx.Err(); err != nil || e.erased {
					return err
				}
				retain, err := state.count(e)
				if retain != 0 && retain <= now && e.seq <= head && n < sweepEntries {
					due = due.add(e.seq)
					n++
				}
				return err
			})
			if err != nil {
				return nil, nil, err
			}
			if state.end = out.pos; out.sealed {
				l.k.index[s.first] = state
			}
			if !rest(ctx, time.Since(began)) {
				return nil, nil, ctx.Err()
			}
		}
		pos = state.end
		for _, k := range state.keys {
			used[k] = true
		}
	}
	return due, used, nil
}

// rest leaves the machine to others for as long as a segment took: nobody waits for a sweep.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(min(d, time.Second))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// count adds an entry that has a payload, and gives its retain-until.
func (st *segmentState) count(e *found) (int64, error) {
	var retain int64
	if e.salted == nil {
		retain = frameRetain(e.frame)
		if k := frameKey(e.frame); !slices.Contains(st.keys, k) {
			st.keys = append(st.keys, k)
		}
	} else {
		r, err := decodeRecord(e.salted[saltSize:])
		if err != nil {
			return 0, fmt.Errorf("audit: entry %d: %w", e.seq, err)
		}
		if !r.RetainUntil.IsZero() && r.Kind != Erasure {
			retain = r.RetainUntil.Unix()
		}
	}
	if retain != 0 && (st.due == 0 || retain < st.due) {
		st.due = retain
	}
	return retain, nil
}

// destroyKeys destroys data keys, and says so in the log before. What copies there are of the payloads they sealed, on worn
// blocks of a disk or in a backup, cannot be opened any more with what this log has.
func (l *Log) destroyKeys(ctx context.Context, numbers []uint32) error {
	if len(numbers) == 0 {
		return nil
	}
	var b strings.Builder
	for i, n := range numbers {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
		if b.Len() > 4000 {
			numbers = numbers[:i+1] // the others next time
			break
		}
	}
	err := l.appendErasure(ctx, Record{
		Disclosure: uuid.Must(uuid.NewV7()).String(), Reason: ReasonRetention,
		Message: "data keys destroyed, every payload under them having been erased: " + b.String(),
	})
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if err := removeKey(l.o.FS, l.dir, n); err != nil {
			return fmt.Errorf("audit: data key %d: %w", n, err)
		}
		l.k.known.put(n, nil)
		l.k.mu.Lock()
		delete(l.k.retired, n)
		l.k.mu.Unlock()
	}
	return nil
}
