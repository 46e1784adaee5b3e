package transparency

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	flog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"
)

// tree writes the files of a tree. They are a function of the chain, which is durable, so that none is synced when it is written: from
// time to time all are, and the state says up to which size (settle). Behind that size a crash may leave anything; it is written again
// from the chain.
type tree struct {
	tiles
	dir string
	// stale are folders of partial tiles whose full ones are there.
	stale []string
	// started says of each level whether partial tiles of the rightmost one are there; again, that a process before may have left some.
	started []bool
	again   bool
}

// treeState is what is durable. The form is that of Tessera's POSIX driver, which wrote the trees of earlier versions.
type treeState struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

func (l *Log) stateFile() string { return filepath.Join(l.treeDir(), ".state", "treeState") }

func (l *Log) readState() (s treeState, err error) {
	b, err := os.ReadFile(l.stateFile())
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		err = fmt.Errorf("read the tree's state: %w", err)
	}
	return s, err
}

func (l *Log) writeState(s treeState) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replace(l.stateFile(), b, true)
}

// openTree makes the folders and the state of a tree that is not there yet.
func (l *Log) openTree() (err error) {
	if err := os.MkdirAll(filepath.Dir(l.stateFile()), 0o755); err != nil {
		return err
	}
	if l.folder, err = os.Open(l.treeDir()); err != nil {
		return err
	}
	if _, err := os.Stat(l.stateFile()); missing(err) {
		return l.writeState(treeState{Root: rfc6962.DefaultHasher.EmptyRoot()})
	}
	return nil
}

// load reads the rightmost tiles of the tree at a size.
func loadTree(ctx context.Context, dir string, size uint64) (*tree, error) {
	t := &tree{dir: dir, again: true}
	t.full = t.writeFull
	from := fetcher(dir)
	for n := 0; size>>(layout.TileHeight*n) > 0; n++ {
		hashes := size >> (layout.TileHeight * n)
		l, p := level{index: hashes / layout.TileWidth}, uint8(hashes%layout.TileWidth)
		if p > 0 {
			b, err := from.ReadTile(ctx, uint64(n), l.index, p)
			if err == nil && len(b) < 32*int(p) {
				err = errors.New("it is cut short")
			}
			if err != nil {
				return nil, fmt.Errorf("tile %d/%d: %w", n, l.index, err)
			}
			l.tile = b[: 32*int(p) : 32*int(p)]
			if n == 0 {
				if t.bundle, err = readBundle(ctx, from, l.index, p); err != nil {
					return nil, err
				}
			}
		}
		t.levels, t.started = append(t.levels, l), append(t.started, p > 0)
	}
	return t, nil
}

// readBundle reads the first entries of a bundle.
func readBundle(ctx context.Context, from Tree, index uint64, p uint8) ([]byte, error) {
	b, err := from.ReadEntryBundle(ctx, index, p)
	if err != nil {
		return nil, fmt.Errorf("entries of tile %d: %w", index, err)
	}
	end := 0
	for range p {
		if len(b) < end+2 {
			return nil, fmt.Errorf("entries of tile %d: they are cut short", index)
		}
		end += 2 + int(b[end])<<8 + int(b[end+1])
	}
	if len(b) < end {
		return nil, fmt.Errorf("entries of tile %d: they are cut short", index)
	}
	return b[:end:end], nil
}

func (t *tree) writeFull(n int) error {
	for n >= len(t.started) {
		t.started = append(t.started, false)
	}
	if t.started[n] || t.again {
		t.stale = append(t.stale, layout.TilePath(uint64(n), t.levels[n].index, 0)+".p")
		if n == 0 {
			t.stale = append(t.stale, layout.EntriesPath(t.levels[0].index, 0)+".p")
		}
		t.started[n] = false
	}
	return t.write(n, 0)
}

// flush writes the partial tiles: then all of the tree at its size is in its files.
func (t *tree) flush() error {
	for n := range t.levels {
		for n >= len(t.started) {
			t.started = append(t.started, false)
		}
		if p := t.partial(n); p > 0 {
			t.started[n] = true
			if err := t.write(n, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes the rightmost tile of a level, and at the lowest the entries under it.
func (t *tree) write(n int, p uint8) error {
	l := t.levels[n]
	if n == 0 {
		if err := t.put(layout.EntriesPath(l.index, p), t.bundle); err != nil {
			return err
		}
	}
	return t.put(layout.TilePath(uint64(n), l.index, p), l.tile)
}

// put writes a file that is never written otherwise. What is there, a crash has left, or a sync that failed: even when it reads as it
// should, it may not be what is on the disk.
func (t *tree) put(path string, content []byte) error {
	name := filepath.Join(t.dir, filepath.FromSlash(path))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if missing(err) {
		if err = os.MkdirAll(filepath.Dir(name), 0o755); err == nil {
			f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		}
	}
	switch {
	case errors.Is(err, os.ErrExist):
		return replace(name, content, false)
	case err != nil:
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// replace puts another file in the place of one; whoever reads sees one or the other.
func replace(name string, content []byte, durably bool) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name))
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil && durably {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// publish has the checkpoint of the tree at its size out: the one that is out already, or a new one. It is signed only when the tree's
// root is that of the chain.
func (f *follower) publish() error {
	f.mu.Lock()
	size, root := f.integrated, f.root
	published := f.published
	f.mu.Unlock()
	if published.Raw != nil && published.Size >= size || size < f.guard.least() {
		return nil // on the way to what is out
	}
	c := f.left
	if c.Raw == nil || c.Size != size || !bytes.Equal(c.Root, root) {
		raw, err := note.Sign(&note.Note{Text: string(flog.Checkpoint{Origin: f.Origin(), Size: size, Hash: root}.Marshal())}, f.guard)
		if err != nil {
			return fmt.Errorf("sign a checkpoint: %w", err)
		}
		if err := replace(filepath.Join(f.treeDir(), layout.CheckpointPath), raw, false); err != nil {
			return fmt.Errorf("publish a checkpoint: %w", err)
		}
		c = Checkpoint{Size: size, Root: root, Raw: raw}
	}
	f.guard.published(size)
	f.mu.Lock()
	f.published = c
	f.mu.Unlock()
	return nil
}

// settle makes what is written durable, and then says so in the state.
func (l *Log) settle() error {
	l.settling.Lock()
	defer l.settling.Unlock()
	l.mu.Lock()
	s, stale, doubt := treeState{l.integrated, l.root}, l.stale, l.doubt
	l.mu.Unlock()
	if doubt {
		// The next sync would succeed: an error is told once. Nothing is durable before it is written again.
		select {
		case l.work <- struct{}{}:
		default: // it works
		}
		return nil
	}
	if s.Root == nil || s.Size == l.settled {
		return nil
	}
	if err := syncFiles(l.folder); err != nil {
		// What could not be written may be lost, and look as if it were not: it is written again from the state on.
		l.mu.Lock()
		l.doubt = true
		l.mu.Unlock()
		return fmt.Errorf("sync the tree: %w", err)
	}
	if err := l.writeState(s); err != nil {
		return fmt.Errorf("write the tree's state: %w", err)
	}
	l.settled = s.Size
	// Until here a start would have needed them.
	for _, path := range stale {
		_ = os.RemoveAll(filepath.Join(l.treeDir(), filepath.FromSlash(path))) // they are in nobody's way
	}
	l.mu.Lock()
	l.stale = l.stale[len(stale):]
	l.mu.Unlock()
	return nil
}
