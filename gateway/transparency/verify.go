package transparency

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"

	"github.com/entente-dev/entente/gateway/audit"
)

// ErrNone is the error of reading a transparency log where there is none yet.
var ErrNone = errors.New("the log has no transparency log yet")

// Files is what the folder of a log has of its transparency log, for those who may read the files.
type Files struct {
	Origin string
	// Key is the verifier key.
	Key string
	// Latest and Cosigned are the latest checkpoint and the latest cosigned one; of size 0 and without Raw: none.
	Latest, Cosigned Checkpoint
	// Tree reads the tiles.
	Tree Tree
}

// ReadFiles reads the transparency log in the folder of a log; the checkpoints' own signatures are checked.
func ReadFiles(dir string) (Files, error) {
	id, err := audit.ReadIdentity(dir)
	if err != nil {
		return Files{}, err
	}
	f := Files{Origin: Origin(id), Tree: files(dir)}
	key, err := os.ReadFile(filepath.Join(dir, "tlog", "key.pub"))
	if missing(err) {
		return f, ErrNone
	}
	if err != nil {
		return f, err
	}
	f.Key = strings.TrimSpace(string(key))
	v, err := note.NewVerifier(f.Key)
	if err != nil || v.Name() != f.Origin {
		return f, fmt.Errorf("%w: key.pub is not the key of %s", ErrMismatch, f.Origin)
	}
	for name, c := range map[string]*Checkpoint{"tree/checkpoint": &f.Latest, "cosigned": &f.Cosigned} {
		raw, err := os.ReadFile(filepath.Join(dir, "tlog", filepath.FromSlash(name)))
		if missing(err) {
			continue
		}
		if err == nil {
			*c, err = ParseCheckpoint(raw, v)
		}
		if err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
	}
	return f, nil
}

// VerifyTree compares the transparency log in the folder of a log with its chain: every leaf, every tile and the root of the
// latest checkpoint and of the cosigned one. What has no checkpoint yet is not looked at. It may run beside a gateway;
// memory does not grow with the log. progress, if not nil, is called now and then with entries.
func VerifyTree(ctx context.Context, dir string, progress func(done, total uint64)) (Files, error) {
	f, err := ReadFiles(dir)
	if err != nil {
		return f, err
	}
	chain, err := audit.OpenChain(dir, 0)
	if err != nil {
		return f, err
	}
	defer chain.Close()
	c := comparison{ctx: ctx, tree: f.Tree, size: f.Latest.Size}
	err = chain.Next(f.Latest.Size, func(e audit.ChainEntry) error {
		if e.Seq%1024 == 1 {
			if progress != nil {
				progress(e.Seq, f.Latest.Size)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if err := c.leaf(EncodeLeaf(e)); err != nil {
			return err
		}
		if e.Seq == f.Cosigned.Size {
			return c.root(f.Cosigned)
		}
		return nil
	})
	if err == nil {
		err = c.rest()
	}
	if err == nil && f.Latest.Size > 0 {
		err = c.root(f.Latest)
	}
	if err == nil && f.Cosigned.Size > f.Latest.Size {
		err = fmt.Errorf("%w: the cosigned checkpoint is of %d entries, the latest of %d", ErrMismatch, f.Cosigned.Size, f.Latest.Size)
	}
	return f, err
}

// comparison makes the tiles of a tree from its leaves and compares them with those that are there.
type comparison struct {
	ctx    context.Context
	tree   Tree
	size   uint64
	bundle []byte
	levels []level
}

// level is the tile that is being filled at one level.
type level struct {
	index uint64
	tile  []byte
}

func (c *comparison) leaf(leaf []byte) error {
	c.bundle = binary.BigEndian.AppendUint16(c.bundle, uint16(len(leaf)))
	c.bundle = append(c.bundle, leaf...)
	return c.hash(0, leafHash(leaf))
}

// hash adds a hash at a level. A tile that is full is compared, and its root goes one level up.
func (c *comparison) hash(n int, h []byte) error {
	if n == len(c.levels) {
		c.levels = append(c.levels, level{})
	}
	l := &c.levels[n]
	l.tile = append(l.tile, h...)
	if len(l.tile) < layout.TileWidth*len(h) {
		return nil
	}
	if err := c.compare(n, 0); err != nil {
		return err
	}
	root, err := subtreeRoot(l.tile)
	if err != nil {
		return err
	}
	l.index++
	l.tile = l.tile[:0]
	return c.hash(n+1, root)
}

// compare compares the tile at a level, and at the lowest the entries under it.
func (c *comparison) compare(n int, partial uint8) error {
	l := c.levels[n]
	got, err := c.tree.ReadTile(c.ctx, uint64(n), l.index, partial)
	if err == nil && !bytes.HasPrefix(got, l.tile) {
		err = errors.New("it is not that of the chain")
	}
	if err != nil {
		return fmt.Errorf("%w: tile %d/%d: %w", ErrMismatch, n, l.index, err)
	}
	if n > 0 {
		return nil
	}
	got, err = c.tree.ReadEntryBundle(c.ctx, l.index, partial)
	if err == nil && !bytes.HasPrefix(got, c.bundle) {
		err = errors.New("they are not those of the chain")
	}
	if err != nil {
		return fmt.Errorf("%w: entries of tile %d: %w", ErrMismatch, l.index, err)
	}
	c.bundle = c.bundle[:0]
	return nil
}

// rest compares the partial tiles.
func (c *comparison) rest() error {
	for n, l := range c.levels {
		if len(l.tile) > 0 {
			if err := c.compare(n, uint8(len(l.tile)/32)); err != nil {
				return err
			}
		}
	}
	return nil
}

// root compares the root of what came so far with a checkpoint's.
func (c *comparison) root(want Checkpoint) error {
	all := ranges.NewEmptyRange(0)
	for n := len(c.levels) - 1; n >= 0; n-- {
		for i := 0; i < len(c.levels[n].tile); i += 32 {
			// A hash at level n stands for 256^n entries: appended in order, as a range of that many.
			sub, err := ranges.NewRange(all.End(), all.End()+1<<(layout.TileHeight*n), [][]byte{c.levels[n].tile[i : i+32]})
			if err != nil {
				return err
			}
			if err := all.AppendRange(sub, nil); err != nil {
				return err
			}
		}
	}
	root, err := all.GetRootHash(nil)
	if err != nil {
		return err
	}
	if !bytes.Equal(root, want.Root) {
		return fmt.Errorf("%w: the checkpoint of %d entries has another root than the chain", ErrMismatch, want.Size)
	}
	return nil
}

func subtreeRoot(tile []byte) ([]byte, error) {
	r := ranges.NewEmptyRange(0)
	for i := 0; i < len(tile); i += 32 {
		if err := r.Append(tile[i:i+32:i+32], nil); err != nil {
			return nil, err
		}
	}
	return r.GetRootHash(nil)
}
