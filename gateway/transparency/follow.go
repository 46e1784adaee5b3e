package transparency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"github.com/entente-dev/entente/gateway/audit"
)

// follower hands the entries of the chain over to the tree, one batch at a time.
type follower struct {
	*Log
	// out are the checkpoints that are known to be out. Each is compared when the tree reaches its size.
	out   []Checkpoint
	chain *audit.Chain
	tree  *compact.Range // what the tree must be at chain.At()
	files *tree
	dirty bool // chain, tree and files may not be at one size
}

// run integrates whenever there is something, until the log is closed, and what there is then.
func (f *follower) run() {
	defer func() { f.chain.Close() }()
	f.report(f.integrate())
	for {
		select {
		case <-f.work:
			f.report(f.integrate())
		case <-f.stop:
			f.report(f.integrate())
			return
		}
	}
}

// report keeps a fault for Status and says it once.
func (f *follower) report(err error) {
	f.mu.Lock()
	before := f.fault
	f.fault = err
	f.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		f.o.Logger.Error("the transparency log does not grow", "error", err)
	case err == nil && before != nil:
		f.o.Logger.Info("the transparency log grows again")
	}
}

// resume finds out where the tree ends, checks that it is the chain's, and goes on from there.
func (f *follower) resume() error {
	ctx := f.ctx
	f.mu.Lock()
	doubt := f.doubt
	f.mu.Unlock()
	state, err := f.readState()
	if err != nil {
		return err
	}
	size, reader := state.Size, fetcher(f.treeDir())
	if head, _ := f.audit.Head(); size > head {
		return fmt.Errorf("%w: the tree has %d entries, the write-ahead log %d: it was cut or rolled back. This log has ended; start another in an empty folder",
			ErrMismatch, size, head)
	}
	for _, c := range f.out {
		if head, _ := f.audit.Head(); c.Size > head {
			return fmt.Errorf("%w: a checkpoint of %d entries is out, the write-ahead log has %d: it was cut or rolled back. This log has ended; start another in an empty folder",
				ErrMismatch, c.Size, head)
		}
	}
	hashes, err := client.FetchRangeNodes(ctx, size, reader.ReadTile)
	if err != nil {
		return fmt.Errorf("read the tree: %w", err)
	}
	tree, err := ranges.NewRange(0, size, hashes)
	if err != nil {
		return fmt.Errorf("read the tree: %w", err)
	}
	root, err := rootOf(tree)
	if err != nil {
		return err
	}
	written, err := loadTree(ctx, f.treeDir(), size)
	if err != nil {
		return fmt.Errorf("read the tree: %w", err)
	}
	chain, err := f.compare(ctx, size)
	if err != nil {
		return err
	}
	for _, c := range f.out {
		if c.Size > 0 && c.Size <= size {
			if err := f.compareRoot(ctx, c, size); err != nil {
				return err
			}
		}
	}
	if f.chain != nil {
		f.chain.Close()
	}
	f.chain, f.tree, f.files, f.dirty = chain, tree, written, false
	f.allow(size, root)
	f.mu.Lock()
	f.integrated, f.root = size, root
	if doubt { // one that came up since is for the next time
		f.doubt = false
	}
	f.mu.Unlock()
	return nil
}

// catchUp takes in what the tree lacks of the checkpoints that are out, since its files are not durable at once: a chain that does not
// lead to one of them is found out before anything is answered.
func (f *follower) catchUp() error {
	last := uint64(0)
	for _, c := range f.out {
		last = max(last, c.Size)
	}
	for f.chain.At() < last {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		f.dirty = true // until the batch is through
		if err := f.batch(min(last, f.chain.At()+batchSize)); err != nil {
			return err
		}
		f.dirty = false
	}
	return nil
}

func (f *follower) allow(size uint64, root []byte) {
	if size > 0 {
		f.guard.allow(size, root)
	}
}

// mismatch says the way out of a tree that is damaged.
func (l *Log) mismatch(format string, args ...any) error {
	return fmt.Errorf("%w: %s. When `entente audit verify` finds the log whole, remove the folder %s: the tree is built anew from the log",
		ErrMismatch, fmt.Sprintf(format, args...), l.treeDir())
}

// compare checks the last leaves of the tree against the chain, and leaves the chain behind them. The last leaf's chain hash
// covers all before.
func (f *follower) compare(ctx context.Context, size uint64) (_ *audit.Chain, err error) {
	var bundle [][]byte
	var leaves [][]byte
	first := uint64(0)
	if size > 0 {
		index := (size - 1) / layout.EntryBundleWidth
		first = index * layout.EntryBundleWidth
		b, err := client.GetEntryBundle(ctx, fetcher(f.treeDir()).ReadEntryBundle, index, size)
		if err != nil {
			return nil, fmt.Errorf("read the tree: %w", err)
		}
		if leaves, err = client.FetchLeafHashes(ctx, fetcher(f.treeDir()).ReadTile, first, size-first, size); err != nil {
			return nil, fmt.Errorf("read the tree: %w", err)
		}
		if bundle = b.Entries; uint64(len(bundle)) < size-first || uint64(len(leaves)) < size-first {
			return nil, f.mismatch("the last tile of %d entries is short", size)
		}
	}
	chain, err := audit.OpenChain(f.audit.Dir(), first)
	if err != nil {
		return nil, err
	}
	err = chain.Next(size, func(e audit.ChainEntry) error {
		leaf := EncodeLeaf(e)
		if i := e.Seq - 1 - first; !bytes.Equal(bundle[i], leaf) || !bytes.Equal(leaves[i], leafHash(leaf)) {
			return f.mismatch("the tree has another entry %d", e.Seq)
		}
		return nil
	})
	if err != nil {
		chain.Close()
		return nil, err
	}
	return chain, nil
}

// compareRoot checks that the tree, which has size entries, has the root of a checkpoint at the checkpoint's.
func (f *follower) compareRoot(ctx context.Context, c Checkpoint, size uint64) error {
	root, err := treeRoot(ctx, fetcher(f.treeDir()), c.Size, size)
	if err != nil {
		return err
	}
	if !bytes.Equal(root, c.Root) {
		return f.mismatch("the tree has another root at %d entries than the checkpoint that is out", c.Size)
	}
	return nil
}

// integrate takes in all that is durable when it begins. What comes meanwhile is for the next time, unless it fills a batch: a busy log
// would have tiles of a few entries each, and a checkpoint, written without a pause, which costs more than the queries do.
func (f *follower) integrate() error {
	head, _ := f.audit.Head()
	for f.ctx.Err() == nil {
		f.mu.Lock()
		doubt := f.doubt
		f.mu.Unlock()
		if f.dirty || doubt {
			if err := f.resume(); err != nil {
				return err
			}
		}
		if now, _ := f.audit.Head(); now >= f.chain.At()+batchSize {
			head = now
		}
		if head <= f.chain.At() {
			err := f.publish()
			f.dirty = err != nil
			return err
		}
		f.dirty = true // until the batch is through
		if err := f.batch(min(head, f.chain.At()+batchSize)); err != nil {
			return err
		}
		if err := f.publish(); err != nil {
			return err
		}
		f.dirty = false
	}
	return f.ctx.Err()
}

// batch takes in the entries up to one, or fewer.
func (f *follower) batch(upTo uint64) error {
	var known *Checkpoint
	for i, c := range f.out {
		if c.Size > f.chain.At() && c.Size <= upTo {
			upTo, known = c.Size, &f.out[i]
		}
	}
	err := f.chain.Next(upTo, func(e audit.ChainEntry) error {
		leaf := EncodeLeaf(e)
		hash := leafHash(leaf)
		if err := f.tree.Append(hash, nil); err != nil {
			return err
		}
		return f.files.leaf(leaf, hash)
	})
	if err != nil {
		return err
	}
	root, err := f.tree.GetRootHash(nil)
	if err != nil {
		return err
	}
	if known != nil && !bytes.Equal(root, known.Root) {
		return fmt.Errorf("%w: a checkpoint of %d entries is out that is not of this chain: the log was rolled back. It has ended; start another in an empty folder", ErrMismatch, upTo)
	}
	if err := f.files.flush(); err != nil {
		return fmt.Errorf("write the tree: %w", err)
	}
	written, err := f.files.root()
	if err != nil {
		return err
	}
	f.allow(upTo, root)
	f.mu.Lock()
	f.integrated, f.root = upTo, written
	f.stale = append(f.stale, f.files.stale...)
	f.mu.Unlock()
	f.files.stale, f.files.again = nil, f.files.again && upTo < f.left.Size
	return nil
}

// settleNowAndThen makes the tree durable beside those who wait for nothing of it.
func (l *Log) settleNowAndThen() {
	tick := time.NewTicker(l.o.settle)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			if err := l.settle(); err != nil {
				l.o.Logger.Error("the transparency log is not durable", "error", err)
			}
		}
	}
}

// watch looks for new entries and new checkpoints, and holds the log when they are too far apart.
func (l *Log) watch() {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	held := false
	for {
		select {
		case <-l.stop:
			return
		case now := <-tick.C:
			l.look(now)
			err := l.Healthy()
			if held != (err != nil) {
				held = err != nil
				if held {
					l.o.Logger.Error("queries are refused", "error", err)
				} else {
					l.o.Logger.Info("queries are answered again: the transparency log has caught up")
				}
			}
			l.audit.Hold(err)
		}
	}
}

// maxMarks bounds the memory of a log that lags for long.
const maxMarks = 1024

// look has new entries integrated, and sees how long the oldest without a checkpoint has waited.
func (l *Log) look(now time.Time) {
	head, _ := l.audit.Head()
	l.mu.Lock()
	published, integrated := l.published.Size, l.integrated
	l.mu.Unlock()
	if published == head && l.Latest().Raw != nil {
		l.mu.Lock()
		l.marks, l.lag = l.marks[:0], 0 // of what was waited for before
		l.mu.Unlock()
		return
	}
	if head > integrated || published < integrated {
		select {
		case l.work <- struct{}{}:
		default: // it works
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := len(l.marks) - 1; last < 0 || l.marks[last].seq < head {
		if len(l.marks) < maxMarks {
			l.marks = append(l.marks, mark{head, now})
		} else {
			l.marks[last].seq = head
		}
	}
	for len(l.marks) > 0 && l.marks[0].seq <= l.published.Size {
		l.marks = l.marks[1:]
	}
	l.lag = 0
	if len(l.marks) > 0 {
		l.lag = now.Sub(l.marks[0].at)
	}
}

// ErrLag is wrapped by the reason of a log that refuses because its checkpoints lag.
var ErrLag = errors.New("checkpoints of the log lag behind")

// Healthy is nil while checkpoints follow within the merge delay, and otherwise says why not.
func (l *Log) Healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended != nil:
		return l.ended
	case errors.Is(l.fault, ErrMismatch):
		return l.fault
	case l.lag <= l.o.MergeDelay:
		return l.quorumLost(time.Now())
	case l.fault != nil:
		return fmt.Errorf("%w: %w", ErrLag, l.fault)
	}
	return fmt.Errorf("%w: by more than %s", ErrLag, l.o.MergeDelay)
}
