package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Log. Only Origin is required.
type Options struct {
	// Origin is the name of the log, for example state-police.example/gateway-0: one for each replica and volume. It is
	// bound to the directory when the log is made.
	Origin string
	// Now is the clock of the records; nil: time.Now. Safe for concurrent use.
	Now func() time.Time
	// Rand is where salts come from; nil: crypto/rand. Safe for concurrent use.
	Rand io.Reader
	// Keys wrap the data keys that seal payloads; nil: a key in the file LocalKeyFile(dir).
	Keys KeyRing
	// Notice is told of what fails in the background: a data key that cannot be renewed, payloads that cannot be erased, damage
	// found meanwhile. nil: nobody is.
	Notice func(error)
	// SweepInterval is how often payloads past their retain-until are looked for; 0: 1 h.
	SweepInterval time.Duration
	// QueueSize is how many records wait for the writer before Append blocks; 0: 1024.
	QueueSize int
	// SegmentSize is the size of a segment's payload file; 0: 32 MiB. At least 128 KiB.
	SegmentSize int64
	// ProbeInterval is the time until a failed log is first tried again; 0: 1 s. It doubles at each failure, 16 times at most.
	ProbeInterval time.Duration
	// FS is for tests.
	FS FS
}

const minSegment = 128 << 10

func (o *Options) setDefaults() error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.QueueSize == 0 {
		o.QueueSize = 1024
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = 32 << 20
	}
	if o.ProbeInterval == 0 {
		o.ProbeInterval = time.Second
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = time.Hour
	}
	if o.Notice == nil {
		o.Notice = func(error) {}
	}
	if o.FS == nil {
		o.FS = osFS{}
	}
	if o.SweepInterval < 0 || o.QueueSize < 1 || o.SegmentSize < minSegment || o.SegmentSize > 1<<40 || o.ProbeInterval < 0 {
		return errors.New("audit: queue size, segment size or an interval out of bounds")
	}
	return checkOrigin(o.Origin)
}

// Errors that a caller branches on.
var (
	// ErrUnavailable is wrapped by every refusal because the log cannot write; the cause is wrapped too.
	ErrUnavailable = errors.New("audit: the log cannot be written")
	// ErrClosed is the error of a Log after Close.
	ErrClosed = errors.New("audit: the log is closed")
)

// Log is an open log. Its methods are safe for concurrent use.
type Log struct {
	o    Options
	dir  string
	id   identity
	lock *os.File // held until Close

	closing chan struct{} // closed by Close
	done    chan struct{} // closed when the writer has ended
	wake    chan struct{} // to the writer: cur has records
	calls   chan func(*writer)

	later *time.Timer // wakes the writer for deferred records

	mu     sync.Mutex
	cur    *batch
	armed  bool          // later runs
	space  chan struct{} // closed when the writer takes cur
	failed error         // why nothing can be written; nil when healthy
	held   error         // why nothing new may begin; nil when not held
	closed bool
	head   position

	failures atomic.Uint64 // how often the log failed

	w writer // the writer's own
	k keeper
}

// batch is records that become durable together.
type batch struct {
	buf   []byte // their payload frames, heads to be filled in by the writer
	items []item
	done  chan struct{} // closed when first and err are set
	first uint64
	err   error
}

type item struct {
	length     int
	nanos      int64
	commitment Hash
	key        *dataKey // nil: in the clear
}

// settled: nothing of these records is on its way to the disk any more.
func settled(items []item) {
	for i := range items {
		if k := items[i].key; k != nil {
			k.inFlight.Add(-1)
		}
	}
}

// batchBytes bounds the memory of a batch, with QueueSize.
const batchBytes = 4 << 20

func (l *Log) newBatch() *batch { return &batch{done: make(chan struct{})} }

// Open opens the log in dir, or makes it, and mends what a crash left unfinished. It fails when the log is another one, is
// open elsewhere, is damaged, or cannot be read. When it can be read and not written (a full disk, a read-only volume) the
// Log that Open returns refuses, says why in Healthy, and goes on when it can.
func Open(dir string, o Options) (*Log, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := makeDir(o.FS, dir); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	id, err := openOrigin(o.FS, dir, o.Origin, o.Rand, o.Now())
	if err != nil {
		unlockDir(lock)
		return nil, err
	}
	if o.Keys == nil {
		o.Keys = &defaultKeys{fs: o.FS, dir: dir, random: o.Rand}
	}
	l := &Log{
		o: o, dir: dir, id: id, lock: lock,
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		calls:   make(chan func(*writer)),
		space:   make(chan struct{}),
	}
	l.cur = l.newBatch()
	l.later = time.AfterFunc(time.Hour, l.overdue)
	l.later.Stop()
	if err := l.w.open(l); err != nil {
		unlockDir(lock)
		return nil, err
	}
	go l.w.run()
	l.k.start(l)
	return l, nil
}

// makeDir makes dir for its owner alone, durably.
func makeDir(fsys FS, dir string) error {
	if st, err := os.Stat(dir); err == nil {
		if !st.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(dir))
}

// scratch is where a record is encoded, behind the domain of its commitment, and sealed.
type scratch struct{ buf, sealed []byte }

var scratches = sync.Pool{New: func() any {
	return &scratch{buf: append(make([]byte, 0, 2048), domainCommitment...), sealed: make([]byte, 0, 2048)}
}}

// Append hands a record over and returns at once, unless the queue is full. It does not wait for the disk: the caller
// does, with the receipt, before it releases anything. It refuses when ctx ends, when the log cannot write, and when the
// record is invalid. It keeps nothing of r.
func (l *Log) Append(ctx context.Context, r Record) (*Receipt, error) { return l.append(ctx, r, true) }

// MaxDelay is how long a deferred record waits for a sync at most, the sync itself and a failed log apart.
const MaxDelay = 50 * time.Millisecond

// AppendDeferred is Append for a record whose caller will soon append another, and will not wait for this one before: both
// are synced together. What syncs it is whichever comes first: any later Append, Wait on its receipt, Close, or MaxDelay.
// Its place in the order is that of the call, and a Receipt says of it what it says of any record: the caller still waits for
// both.
func (l *Log) AppendDeferred(ctx context.Context, r Record) (*Receipt, error) {
	return l.append(ctx, r, false)
}

func (l *Log) append(ctx context.Context, r Record, prompt bool) (_ *Receipt, err error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	r.Time = l.o.Now().Round(0).UTC()
	r.RetainUntil = r.RetainUntil.Round(0).UTC()

	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	n := len(domainCommitment)
	s.buf = append(s.buf[:n], make([]byte, saltSize)...)
	if _, err := io.ReadFull(l.o.Rand, s.buf[n:]); err != nil {
		return nil, fmt.Errorf("audit: randomness: %w", err)
	}
	s.buf = appendRecord(s.buf, &r)
	if len(s.buf)-n-saltSize > MaxRecord {
		err := fmt.Errorf("%w: %d bytes, at most %d", ErrInvalid, len(s.buf)-n-saltSize, MaxRecord)
		s.buf = append([]byte(nil), domainCommitment...) // the pool keeps no giants
		return nil, err
	}
	it := item{nanos: r.Time.UnixNano(), commitment: sha256.Sum256(s.buf)}
	body := s.buf[n:]
	if r.Kind != Erasure {
		if it.key, err = l.k.use(); err != nil {
			return nil, err
		}
		var head [sealHead]byte
		binary.BigEndian.PutUint32(head[:], it.key.number)
		if !r.RetainUntil.IsZero() {
			binary.BigEndian.PutUint64(head[4:], uint64(r.RetainUntil.Unix()))
		}
		s.sealed = append(s.sealed[:0], head[:]...)
		s.sealed = it.key.aead.Seal(s.sealed, nil, body, s.sealed)
		body = s.sealed
	}
	it.length = frameHead + len(body)
	rc, err := l.enqueue(ctx, it, body, prompt, r.Kind != Outcome && r.Kind != Erasure)
	if err != nil {
		settled([]item{it})
	}
	return rc, err
}

// tell wakes the writer.
func (l *Log) tell() {
	select {
	case l.wake <- struct{}{}:
	default: // it has been told
	}
}

// overdue is when a deferred record has waited long enough.
func (l *Log) overdue() {
	l.mu.Lock()
	l.armed = false
	l.mu.Unlock()
	l.tell()
}

// enqueue adds the frame to the current batch when there is room.
func (l *Log) enqueue(ctx context.Context, it item, body []byte, prompt, opens bool) (*Receipt, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l.mu.Lock()
		if l.closed || l.failed != nil || l.held != nil && opens {
			err := l.unwritable()
			l.mu.Unlock()
			return nil, err
		}
		if b := l.cur; len(b.items) < l.o.QueueSize && len(b.buf)+it.length <= batchBytes {
			var head [frameHead]byte
			b.buf = append(b.buf, head[:]...)
			b.buf = append(b.buf, body...)
			b.items = append(b.items, it)
			rc := &Receipt{batch: b, index: len(b.items) - 1, commitment: it.commitment}
			if !prompt {
				rc.deferred = l
				if !l.armed {
					l.armed = true
					l.later.Reset(MaxDelay)
				}
			}
			l.mu.Unlock()
			if prompt {
				l.tell()
			}
			return rc, nil
		}
		space := l.space
		l.mu.Unlock()
		l.tell() // all that there is may be deferred
		select {
		case <-space:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Healthy is nil while records can be written, and otherwise says why not. A log that failed tries again by itself.
func (l *Log) Healthy() error {
	l.mu.Lock()
	err := l.unwritable()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.k.healthy()
}

// Queued is how many records wait for the writer.
func (l *Log) Queued() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.cur.items)
}

// KeyMade is when the data key was made that records are sealed with now; zero: there is none. One of an earlier day says that the
// key ring does not answer.
func (l *Log) KeyMade() time.Time {
	if k := l.k.active.Load(); k != nil {
		return k.made
	}
	return time.Time{}
}

// writable is nil while the writer writes, whatever else keeps records from beginning.
func (l *Log) writable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return l.failed
}

// unwritable says why a record that begins something is refused. l.mu is held.
func (l *Log) unwritable() error {
	switch {
	case l.closed:
		return ErrClosed
	case l.failed != nil:
		return l.failed
	}
	return l.held
}

// Hold has the log refuse what begins (intents and denials) for a reason that lies outside it, until it is called with nil.
// Outcomes of what had begun are taken.
func (l *Log) Hold(reason error) {
	if reason != nil {
		reason = fmt.Errorf("%w: %w", ErrUnavailable, reason)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = reason
}

// Head is the sequence number and the chain hash of the last durable entry; 0 when there is none.
func (l *Log) Head() (uint64, Hash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head.last, l.head.hash
}

// Identity is the log's name and its random id.
func (l *Log) Identity() Identity { return l.id.public() }

// Dir is the log's directory.
func (l *Log) Dir() string { return l.dir }

// Keys is what wraps the log's data keys; other small keys of a gateway may be wrapped by it, too.
func (l *Log) Keys() KeyRing { return l.o.Keys }

// Close writes what was handed over, seals the log and gives up its lock. Append refuses from its start on. An error says
// that the log may not be sealed; the next Open mends that.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		<-l.done
		return ErrClosed
	}
	l.closed = true
	l.mu.Unlock()
	l.k.stop()
	l.later.Stop()
	close(l.closing)
	<-l.done
	return errors.Join(l.w.closeErr, unlockDir(l.lock))
}

// Receipt is the promise that a record becomes durable.
type Receipt struct {
	batch      *batch
	index      int
	commitment Hash
	deferred   *Log // nil: the writer has been told
}

// Wait returns nil once the record is durable, and an error when it may not be: then nothing may be released. When ctx
// ends first the record may still become durable. Records become durable in the order of their Appends, so that waiting
// for the last of several takes no longer than for all; wait for each nevertheless, because a log may fail at one, mend,
// and take the next.
func (rc *Receipt) Wait(ctx context.Context) error {
	select {
	case <-rc.batch.done:
		return rc.batch.err
	default:
	}
	if l := rc.deferred; l != nil {
		l.mu.Lock()
		waiting := l.cur == rc.batch
		l.mu.Unlock()
		if waiting {
			l.tell()
		}
	}
	select {
	case <-rc.batch.done:
		return rc.batch.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Seq is the sequence number of the record, from 1. It is 0 until Wait has returned nil.
func (rc *Receipt) Seq() uint64 {
	select {
	case <-rc.batch.done:
		if rc.batch.err == nil {
			return rc.batch.first + uint64(rc.index)
		}
	default:
	}
	return 0
}

// Commitment is what the chain has of the record.
func (rc *Receipt) Commitment() Hash { return rc.commitment }
