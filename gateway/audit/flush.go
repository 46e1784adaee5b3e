package audit

import (
	"errors"
	"time"
)

// flusher syncs the files of a segment beside the writer, so that the journal need not keep what they have. It belongs to the writer,
// but for run.
type flusher struct {
	work chan *active
	done chan error
	due  *time.Timer // runs while something waits that no full half brings along
	busy bool

	// Runs of this segment: written, written when the sync began that goes on, and synced. Of each half of the journal, the last.
	written, begun, synced uint64
	last                   [2]uint64
	armed                  bool
}

// flushDelay is how long a run waits at most for its segment's files to be synced. A version that knows nothing of the journal finds in
// them what they have: few records are in the journal alone.
const flushDelay = 200 * time.Millisecond

func (f *flusher) init() {
	f.work, f.done = make(chan *active), make(chan error, 1)
	f.due = time.NewTimer(time.Hour)
	f.due.Stop()
}

func (f *flusher) run() {
	for seg := range f.work {
		f.done <- seg.sync()
	}
}

// sync has the files durable as they are.
func (a *active) sync() error { return errors.Join(a.payloadFile.Sync(), a.chainFile.Sync()) }

// reset begins with a segment, or a journal, of which everything is synced.
func (f *flusher) reset() { f.written, f.begun, f.synced, f.last = 0, 0, 0, [2]uint64{} }

// wrote counts a run.
func (f *flusher) wrote(half int) {
	f.written++
	f.last[half] = f.written
	f.arm()
}

func (f *flusher) arm() {
	if !f.armed {
		f.armed = true
		f.due.Reset(flushDelay)
	}
}

// begin has the files synced with all that has been written.
func (f *flusher) begin(seg *active) {
	f.begun, f.busy = f.written, true
	f.work <- seg
}

func (f *flusher) ended(err error) {
	if f.busy = false; err == nil {
		f.synced = f.begun
	}
}

// wait waits for the sync that goes on, if one does.
func (f *flusher) wait() error {
	if !f.busy {
		return nil
	}
	err := <-f.done
	f.ended(err)
	return err
}

// again begins a sync when the half that is not being filled waits for one.
func (f *flusher) again(seg *active, filling int) {
	if !f.busy && f.last[1-filling] > f.synced {
		f.begin(seg)
	}
}

// overdue begins a sync when anything waits for one.
func (f *flusher) overdue(seg *active) {
	f.armed = false
	switch {
	case seg == nil || f.written == f.synced:
	case f.busy:
		f.arm()
	default:
		f.begin(seg)
	}
}

// free waits until a half of the journal may be used again.
func (f *flusher) free(seg *active, half int) error {
	for f.last[half] > f.synced {
		if !f.busy {
			f.begin(seg)
		}
		if err := f.wait(); err != nil {
			return err
		}
	}
	return nil
}

// all has everything synced before it returns, also what others have written to the files.
func (f *flusher) all(seg *active) error {
	if err := f.wait(); err != nil {
		return err
	}
	err := seg.sync()
	if err == nil {
		f.synced = f.written
	}
	return err
}
