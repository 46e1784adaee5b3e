package transparency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
	c := comparison{ctx: ctx, tree: f.Tree}
	c.full = func(n int) error { return c.compare(n, 0) }
	err = chain.Next(f.Latest.Size, func(e audit.ChainEntry) error {
		if e.Seq%1024 == 1 {
			if progress != nil {
				progress(e.Seq, f.Latest.Size)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		leaf := EncodeLeaf(e)
		if err := c.leaf(leaf, leafHash(leaf)); err != nil {
			return err
		}
		if e.Seq == f.Cosigned.Size {
			return c.compareRoot(f.Cosigned)
		}
		return nil
	})
	if err == nil {
		err = c.rest()
	}
	if err == nil && f.Latest.Size > 0 {
		err = c.compareRoot(f.Latest)
	}
	if err == nil && f.Cosigned.Size > f.Latest.Size {
		err = fmt.Errorf("%w: the cosigned checkpoint is of %d entries, the latest of %d", ErrMismatch, f.Cosigned.Size, f.Latest.Size)
	}
	return f, err
}

// comparison makes the tiles of a tree from its leaves and compares them with those that are there.
type comparison struct {
	tiles
	ctx  context.Context
	tree Tree
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
	return nil
}

// rest compares the partial tiles.
func (c *comparison) rest() error {
	for n := range c.levels {
		if p := c.partial(n); p > 0 {
			if err := c.compare(n, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareRoot compares the root of what came so far with a checkpoint's.
func (c *comparison) compareRoot(want Checkpoint) error {
	root, err := c.root()
	if err != nil {
		return err
	}
	if !bytes.Equal(root, want.Root) {
		return fmt.Errorf("%w: the checkpoint of %d entries has another root than the chain", ErrMismatch, want.Size)
	}
	return nil
}
