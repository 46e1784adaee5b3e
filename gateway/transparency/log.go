package transparency

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	flog "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/entente-dev/entente/gateway/audit"
)

// Options of a Log; the zero value is usual.
type Options struct {
	// MergeDelay is how long an entry may wait for its checkpoint before the write-ahead log refuses what begins; 0:
	// DefaultMergeDelay.
	MergeDelay time.Duration
	// Witnesses of the log; nil: none.
	Witnesses *Witnesses
	// settle is how often the tree is made durable; 0: settleInterval.
	settle time.Duration
	// Rand is where the signing key comes from; nil: crypto/rand.
	Rand   io.Reader
	Logger *slog.Logger
}

// DefaultMergeDelay leaves a machine that was stalled time to catch up.
const DefaultMergeDelay = time.Minute

const (
	// interval is how often new entries are looked for. It keeps a checkpoint well within a second of an entry
	// (BenchmarkCheckpointDelay).
	interval = 400 * time.Millisecond
	// batchSize is the most entries of one integration.
	batchSize = 4096
	// settleInterval is how often the tree is made durable: what is written of it since is written again after a crash.
	settleInterval = 10 * time.Second
)

// ErrMismatch is wrapped by errors that say that tree and chain do not belong together. Nothing is signed then.
var ErrMismatch = errors.New("transparency log and write-ahead log do not match")

// Log is the transparency log of an open write-ahead log. Its methods are safe for concurrent use.
type Log struct {
	o     Options
	audit *audit.Log
	dir   string // <log>/tlog
	key   Key
	guard *guard
	check note.Verifier // of key

	folder *os.File        // the tree's
	ctx    context.Context // of what runs in the background
	cancel context.CancelFunc

	left   Checkpoint // that was there at the start
	follow *follower  // the integrating goroutine's own

	stop chan struct{}
	work chan struct{}
	wg   sync.WaitGroup

	mu         sync.Mutex
	integrated uint64
	root       []byte   // of the tree at that size
	stale      []string // folders of partial tiles whose full ones are in the tree at that size
	published  Checkpoint
	marks      []mark // heads that no checkpoint covers yet, oldest first
	lag        time.Duration
	fault      error // why integration does not go on
	ended      error // why the log can never go on
	opened     time.Time
	cosigned   Checkpoint
	witnessed  WitnessStatus
	closed     bool
	doubt      bool // what was written may be lost

	settling sync.Mutex
	settled  uint64 // guarded by settling
}

// mark is when the log was first seen to have an entry.
type mark struct {
	seq uint64
	at  time.Time
}

// Checkpoint is a signed one.
type Checkpoint struct {
	Size uint64
	Root []byte
	// Raw is the signed note.
	Raw []byte
}

func (l *Log) treeDir() string { return filepath.Join(l.dir, "tree") }

// Open opens the transparency log of a log, or makes it, and follows the log from then on. It fails with ErrMismatch when
// the tree is not that of the log; when the tree's folder is removed it is built anew. Close it before the log.
func Open(log *audit.Log, o Options) (_ *Log, err error) {
	if o.MergeDelay == 0 {
		o.MergeDelay = DefaultMergeDelay
	}
	if o.settle == 0 {
		o.settle = settleInterval
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	l := &Log{
		o: o, audit: log, dir: filepath.Join(log.Dir(), "tlog"),
		stop: make(chan struct{}), work: make(chan struct{}, 1), opened: time.Now(),
	}
	if w := l.o.Witnesses; w != nil {
		mine := *w
		if mine.Interval == 0 {
			mine.Interval = DefaultWitnessInterval
		}
		if mine.Client == nil {
			mine.Client = &http.Client{Timeout: witnessTimeout}
		}
		l.o.Witnesses = &mine
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("transparency: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("transparency: %w", err)
		}
	}()
	out, err := l.openKey(Origin(log.Identity()))
	if err != nil {
		return nil, err
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			l.cancel()
			if l.folder != nil {
				_ = l.folder.Close()
			}
		}
	}()
	if err := l.openTree(); err != nil {
		return nil, err
	}
	l.follow = &follower{Log: l, out: out}
	if err := l.follow.resume(); err != nil {
		return nil, err
	}
	if err := l.follow.catchUp(); err != nil {
		l.follow.chain.Close()
		return nil, err
	}
	l.wg.Go(l.watch)
	l.wg.Go(l.follow.run)
	l.wg.Go(l.settleNowAndThen)
	if l.o.Witnesses != nil {
		l.wg.Go(l.witness)
	}
	return l, nil
}

// openKey also reads the checkpoints that are known to be out: what is signed next must follow from them.
func (l *Log) openKey(origin string) (out []Checkpoint, err error) {
	var raws [][]byte
	var names []string
	for _, name := range []string{filepath.Join(l.treeDir(), "checkpoint"), l.cosignedFile(), l.evidenceFile()} {
		raw, err := os.ReadFile(name)
		// A checkpoint is not synced when it is published: a crash of the machine may leave its file without content. What was
		// published is the chain's in any case.
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.Trim(raw, "\x00")) == 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		raws = append(raws, raw)
		names = append(names, name)
	}
	if _, err := os.Stat(filepath.Join(l.treeDir(), ".state", "treeState")); missing(err) {
		if _, err := os.Stat(filepath.Join(l.treeDir(), "checkpoint")); err == nil {
			return nil, l.mismatch("the tree has lost its state")
		}
	}
	if l.key, err = OpenKey(filepath.Join(l.dir, "key"), origin, len(raws) == 0, l.o.Rand); err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(l.key.Secret)
	if err != nil {
		return nil, err
	}
	if l.check, err = note.NewVerifier(l.key.Public); err != nil {
		return nil, err
	}
	l.guard = newGuard(signer)
	for i, raw := range raws {
		name := names[i]
		c, err := ParseCheckpoint(raw, l.check)
		if err != nil {
			return nil, fmt.Errorf("%w: %s is not a checkpoint of this log: %w", ErrMismatch, name, err)
		}
		out = append(out, c)
		l.guard.published(c.Size)
		switch name {
		case filepath.Join(l.treeDir(), "checkpoint"):
			l.left = c
		case l.cosignedFile():
			l.cosigned, l.witnessed.Cosigned = c, c.Size
		}
	}
	return out, nil
}

// ParseCheckpoint reads a checkpoint that v's key signed. Other signatures on it are kept and not judged.
func ParseCheckpoint(raw []byte, v note.Verifier) (Checkpoint, error) {
	c, rest, _, err := flog.ParseCheckpoint(raw, v.Name(), v)
	if err != nil {
		return Checkpoint{}, err
	}
	if len(rest) > 0 || len(c.Hash) != 32 {
		return Checkpoint{}, errors.New("checkpoint is not three lines")
	}
	return Checkpoint{Size: c.Size, Root: c.Hash, Raw: raw}, nil
}

// Close integrates what the write-ahead log has, publishes a last checkpoint, as far as ctx allows, and stops. What is left
// then is integrated after the next Open.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	ended := make(chan struct{})
	go func() { l.wg.Wait(); close(ended) }()
	var err error
	select {
	case <-ended:
		l.mu.Lock()
		err = cmp.Or(l.ended, l.fault)
		l.mu.Unlock()
		if err == nil {
			err = l.settle()
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.cancel()
	_ = l.folder.Close()
	if err != nil {
		return fmt.Errorf("transparency: the last entries wait for the next start: %w", err)
	}
	return nil
}

// Origin is the name of the log.
func (l *Log) Origin() string { return l.key.Name }

// VerifierKey is the public key of the log, in the form of C2SP signed-note.
func (l *Log) VerifierKey() string { return l.key.Public }

// Status is how far integration is.
type Status struct {
	// Entries that the write-ahead log has, that the tree has, and that the latest checkpoint covers.
	Head, Integrated, Published uint64
	// Lag is how long the oldest entry without a checkpoint has waited.
	Lag time.Duration
	// Fault is why integration does not go on.
	Fault error
}

// Status of the log.
func (l *Log) Status() Status {
	head, _ := l.audit.Head()
	l.mu.Lock()
	defer l.mu.Unlock()
	return Status{Head: head, Integrated: l.integrated, Published: l.published.Size, Lag: l.lag, Fault: l.fault}
}

// Latest is the latest checkpoint.
func (l *Log) Latest() Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.published
}
