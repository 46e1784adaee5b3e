package transparency

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
)

// ErrRange is the error of a proof of what the tree does not have, or not yet.
var ErrRange = errors.New("not in the tree")

// Tree reads the tiles of a tree.
type Tree interface {
	// ReadTile and ReadEntryBundle give a partial tile, or the full one that has taken its place; os.ErrNotExist: neither.
	ReadTile(ctx context.Context, level, index uint64, p uint8) ([]byte, error)
	ReadEntryBundle(ctx context.Context, index uint64, p uint8) ([]byte, error)
}

// files is the tree in a log's folder, as anyone may read it who may read the files.
func files(dir string) client.FileFetcher {
	return fetcher(filepath.Join(dir, "tlog", "tree"))
}

func fetcher(dir string) client.FileFetcher { return client.FileFetcher{Root: dir} }

// Inclusion is the proof (RFC 6962, section 2.1.1) that entry seq is in the tree of a size, and its leaf.
func Inclusion(ctx context.Context, t Tree, seq, size uint64) (leaf []byte, hashes [][]byte, err error) {
	if seq < 1 || seq > size {
		return nil, nil, fmt.Errorf("entry %d is %w of %d entries", seq, ErrRange, size)
	}
	index := seq - 1
	b, err := client.GetEntryBundle(ctx, t.ReadEntryBundle, index/layout.EntryBundleWidth, size)
	if err != nil {
		return nil, nil, err
	}
	i := index % layout.EntryBundleWidth
	if i >= uint64(len(b.Entries)) {
		return nil, nil, fmt.Errorf("the entries of tile %d are cut short", index/layout.EntryBundleWidth)
	}
	builder, err := client.NewProofBuilder(ctx, size, t.ReadTile)
	if err != nil {
		return nil, nil, err
	}
	hashes, err = builder.InclusionProof(ctx, index)
	return b.Entries[i], hashes, err
}

// Consistency is the proof (RFC 6962, section 2.1.2) that the tree of one size is the beginning of that of another.
func Consistency(ctx context.Context, t Tree, from, to uint64) ([][]byte, error) {
	if from > to {
		return nil, fmt.Errorf("a tree of %d entries is %w of %d", from, ErrRange, to)
	}
	if from == 0 || from == to {
		return [][]byte{}, nil
	}
	builder, err := client.NewProofBuilder(ctx, to, t.ReadTile)
	if err != nil {
		return nil, err
	}
	return builder.ConsistencyProof(ctx, from, to)
}

// treeRoot is the root that a tree of whole entries had at a size. Another writer's tree, and one that was built anew, have no
// partial tile of that size of their own: it is the beginning of what the whole tree has in its place.
func treeRoot(ctx context.Context, t Tree, size, whole uint64) ([]byte, error) {
	hashes, err := client.FetchRangeNodes(ctx, size, func(ctx context.Context, level, index uint64, p uint8) ([]byte, error) {
		b, err := t.ReadTile(ctx, level, index, layout.PartialTileSize(level, index, whole))
		if width := int(p) * rfc6962.DefaultHasher.Size(); err == nil && p > 0 {
			b = b[:min(width, len(b))]
		}
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree: %w", err)
	}
	r, err := ranges.NewRange(0, size, hashes)
	if err != nil {
		return nil, fmt.Errorf("read the tree: %w", err)
	}
	return rootOf(r)
}

// rootOf is the root of a tree, also of an empty one.
func rootOf(r *compact.Range) ([]byte, error) {
	if r.End() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	return r.GetRootHash(nil)
}

// missing says whether an error is that a file is not there.
func missing(err error) bool { return errors.Is(err, os.ErrNotExist) }
