package audit

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// writer is the one goroutine that writes. What was handed over while it synced forms its next batch; it never waits for
// more to come.
type writer struct {
	l   *Log
	seg *active // nil while the log has failed
	pos position

	journal  journal
	flush    flusher
	chainBuf []byte // the chain entries of a run
	spareBuf []byte // of the last batch, for the next
	spare    []item

	retry    *time.Timer // runs while the log has failed
	wait     time.Duration
	closeErr error // set before l.done is closed
}

// open mends the log and starts its first segment. Only faults of what is there are errors; that nothing can be written is
// a state of the log.
func (w *writer) open(l *Log) error {
	w.l = l
	w.retry = time.NewTimer(time.Hour)
	w.retry.Stop()
	w.wait = l.o.ProbeInterval
	w.journal = journal{fs: l.o.FS, dir: l.dir, id: l.id, half: halfFor(l.o.SegmentSize)}
	w.flush.init()
	pos, m, err := inspect(l.dir, l.id)
	if err != nil {
		return err
	}
	w.pos = pos
	l.head = pos
	if err := w.start(m); err != nil {
		w.fail(err)
	}
	return nil
}

// start mends the last segment and opens a new one behind it, for which the journal then is.
func (w *writer) start(m mend) error {
	if err := m.apply(w.l.o.FS, w.l.o.Now().UnixNano()); err != nil {
		return err
	}
	seg, err := createSegment(w.l.o.FS, w.l.dir, w.l.id, w.pos, w.l.o.SegmentSize)
	if err != nil {
		return err
	}
	if err := w.journal.begin(seg.first); err != nil {
		seg.close()
		return errors.Join(err, w.journal.drop())
	}
	w.seg = seg
	w.flush.reset()
	return nil
}

func (w *writer) run() {
	l := w.l
	defer close(l.done)
	go w.flush.run()
	defer close(w.flush.work)
	for {
		select {
		case <-l.wake:
			w.next()
		case <-w.retry.C:
			w.recover()
		case err := <-w.flush.done:
			if w.flush.ended(err); err != nil {
				w.fail(err)
			} else {
				w.flush.again(w.seg, w.journal.cur)
			}
		case <-w.flush.due.C:
			w.flush.overdue(w.seg)
		case do := <-l.calls:
			do(w)
		case <-l.closing:
			w.next()
			w.end()
			return
		}
	}
}

// next writes what has been handed over. First whoever is ready to run may hand over, too: where processors are scarce, one sync
// serves them all; where they are not, nobody is ready and nothing waits.
func (w *writer) next() {
	runtime.Gosched()
	l := w.l
	l.mu.Lock()
	b := l.cur
	if len(b.items) == 0 {
		l.mu.Unlock()
		return
	}
	l.cur = l.newBatch()
	l.cur.buf, l.cur.items = w.spareBuf[:0], w.spare[:0]
	close(l.space)
	l.space = make(chan struct{})
	l.mu.Unlock()

	b.first = w.pos.last + 1
	if err := w.write(b); err != nil {
		b.err = w.fail(err)
	} else {
		l.mu.Lock()
		l.head = w.pos
		l.mu.Unlock()
	}
	settled(b.items)
	w.spareBuf, w.spare = b.buf, b.items
	b.buf, b.items = nil, nil // receipts outlive the batch
	close(b.done)
}

// fail puts the log out of service and fails what has been handed over since.
func (w *writer) fail(cause error) error {
	w.flush.wait()
	if w.seg != nil {
		w.seg.close()
		w.seg = nil
	}
	w.journal.drop()
	err := fmt.Errorf("%w: %w", ErrUnavailable, cause)
	l := w.l
	l.mu.Lock()
	b := l.cur
	l.failed = err
	l.failures.Add(1)
	l.cur = l.newBatch()
	close(l.space)
	l.space = make(chan struct{})
	l.mu.Unlock()
	b.err = err
	settled(b.items)
	close(b.done)
	w.retry.Reset(w.wait)
	w.wait = min(2*w.wait, 16*w.l.o.ProbeInterval)
	return err
}

// write makes a batch durable, in as many runs as it needs segments.
func (w *writer) write(b *batch) error {
	buf, items := b.buf, b.items
	for len(items) > 0 {
		if !w.seg.room(items[0].length) {
			if err := w.rotate(); err != nil {
				return err
			}
		}
		n, size, err := w.writeRun(buf, items)
		if err != nil {
			return err
		}
		buf, items = buf[size:], items[n:]
	}
	return nil
}

// writeRun writes as many of the items as fit in the segment, and half of the journal. Then they are durable, and their segment's files
// have them for whoever reads.
func (w *writer) writeRun(buf []byte, items []item) (n, size int, err error) {
	seg, pos := w.seg, w.pos
	chain := w.chainBuf[:0]
	for _, it := range items {
		if seg.payloadEnd+int64(size+it.length) > seg.payloadCap || seg.chainEnd+int64(len(chain))+2*recordSize > seg.chainCap ||
			runSize(len(chain)+recordSize, size+it.length) > w.journal.half {
			break
		}
		seq := pos.last + 1
		pos = position{seq, link(pos.hash, seq, it.nanos, it.commitment)}
		encoding := byte(encodingSealed)
		if it.key == nil {
			encoding = encodingJSON
		}
		finishFrame(buf[size:size+it.length], seq, encoding, 0)
		r := chainRecord{
			typ: typeEntry, length: uint32(it.length), seq: seq, nanos: it.nanos, batch: w.pos.last + 1,
			offset: seg.payloadEnd + int64(size), commitment: it.commitment, hash: pos.hash,
		}
		chain = r.append(chain)
		size += it.length
		n++
	}
	w.chainBuf = chain
	if !w.journal.room(runSize(len(chain), size)) {
		if err := w.turn(); err != nil {
			return 0, 0, err
		}
	}
	if err := w.journal.write(w.pos.last+1, chain, buf[:size]); err != nil {
		return 0, 0, err
	}
	if _, err := seg.payloadFile.WriteAt(buf[:size], seg.payloadEnd); err != nil {
		return 0, 0, err
	}
	if _, err := seg.chainFile.WriteAt(chain, seg.chainEnd); err != nil {
		return 0, 0, err
	}
	w.flush.wrote(w.journal.cur)
	seg.chainEnd += int64(len(chain))
	seg.payloadEnd += int64(size)
	seg.pos, w.pos = pos, pos
	return n, size, nil
}

// turn goes on in the other half of the journal, when the segment's files have been synced since that was full.
func (w *writer) turn() error {
	if err := w.flush.free(w.seg, 1-w.journal.cur); err != nil {
		return err
	}
	w.journal.turn()
	w.flush.again(w.seg, w.journal.cur)
	return nil
}

// syncErased has durable what was overwritten in the segment that starts with first, when that is the one that is being written. It
// may be lost if the log failed meanwhile.
func (w *writer) syncErased(first, failures uint64) (own bool, err error) {
	switch {
	case w.seg == nil:
		return false, w.l.writable()
	case w.l.failures.Load() != failures:
		return false, errors.New("the log failed meanwhile: the next try overwrites it again")
	case w.seg.first != first:
		return false, nil
	}
	if err := w.flush.all(w.seg); err != nil {
		return true, w.fail(err)
	}
	return true, nil
}

// scrub overwrites the journal if it may hold an entry up to last.
func (w *writer) scrub(last uint64) error {
	if w.seg == nil {
		return w.l.writable()
	}
	if oldest := w.journal.oldest; oldest == 0 || last < oldest {
		return nil
	}
	err := w.flush.all(w.seg)
	if err == nil {
		err = w.journal.scrub(w.seg.first)
	}
	if err != nil {
		return w.fail(err)
	}
	w.flush.reset()
	return nil
}

// ending of the active segment: all of it is durable.
func (w *writer) ending() ending {
	s := w.seg
	return ending{s.pos, s.chainEnd, s.payloadEnd, s.chainEnd, s.payloadEnd}
}

// rotate seals the segment, which is full, and starts the next.
func (w *writer) rotate() error {
	if err := w.flush.all(w.seg); err != nil {
		return err
	}
	m := mend{seg: w.seg.segment, seal: true, ending: w.ending()}
	w.seg.close()
	w.seg = nil
	return w.start(m)
}

// recover tries to get a failed log going again. Nothing of the segment that failed is trusted but what had been synced, with it or
// in the journal: it must still be there, and only it is kept.
func (w *writer) recover() {
	err := w.reopen()
	if err != nil {
		w.fail(err)
		return
	}
	w.wait = w.l.o.ProbeInterval
	w.l.mu.Lock()
	w.l.failed = nil
	w.l.mu.Unlock()
}

func (w *writer) reopen() error {
	_, m, err := inspect(w.l.dir, w.l.id, w.pos)
	if err != nil {
		return err
	}
	return w.start(m)
}

// end seals the log.
func (w *writer) end() {
	w.retry.Stop()
	w.flush.due.Stop()
	if w.seg == nil {
		w.closeErr = w.l.failed // nobody else writes it any more
		return
	}
	err := w.flush.all(w.seg)
	m := mend{seg: w.seg.segment, seal: !w.seg.empty(), remove: w.seg.empty(), ending: w.ending()}
	w.seg.close()
	w.seg = nil
	if err == nil {
		err = m.apply(w.l.o.FS, w.l.o.Now().UnixNano())
	}
	if err == nil {
		err = w.journal.close()
	}
	w.closeErr = errors.Join(err, w.journal.drop())
}
