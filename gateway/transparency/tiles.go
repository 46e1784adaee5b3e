package transparency

import (
	"encoding/binary"

	"github.com/transparency-dev/tessera/api/layout"
)

// tiles makes the tiles of a tree from its leaves, and has the rightmost of each level.
type tiles struct {
	// bundle is the entries under the rightmost tile of hashes.
	bundle []byte
	levels []level
	// full is called for each tile that has become full, before it is forgotten.
	full func(level int) error
}

// level is the tile that is being filled at one level.
type level struct {
	index uint64
	tile  []byte
}

// leaf adds a leaf, whose hash is known.
func (t *tiles) leaf(leaf, hash []byte) error {
	t.bundle = binary.BigEndian.AppendUint16(t.bundle, uint16(len(leaf)))
	t.bundle = append(t.bundle, leaf...)
	return t.hash(0, hash)
}

// hash adds a hash at a level. When it fills a tile, the tile's root goes one level up.
func (t *tiles) hash(n int, h []byte) error {
	if n == len(t.levels) {
		t.levels = append(t.levels, level{})
	}
	l := &t.levels[n]
	l.tile = append(l.tile, h...)
	if len(l.tile) < layout.TileWidth*len(h) {
		return nil
	}
	if err := t.full(n); err != nil {
		return err
	}
	root, err := subtreeRoot(l.tile)
	if err != nil {
		return err
	}
	l.index++
	l.tile = l.tile[:0]
	if n == 0 {
		t.bundle = t.bundle[:0]
	}
	return t.hash(n+1, root)
}

// partial is how many hashes the rightmost tile of a level has.
func (t *tiles) partial(n int) uint8 { return uint8(len(t.levels[n].tile) / 32) }

// root of the tree; of an empty one that of RFC 6962.
func (t *tiles) root() ([]byte, error) {
	all := ranges.NewEmptyRange(0)
	for n := len(t.levels) - 1; n >= 0; n-- {
		for i := 0; i < len(t.levels[n].tile); i += 32 {
			// A hash at level n stands for 256^n entries: appended in order, as a range of that many.
			sub, err := ranges.NewRange(all.End(), all.End()+1<<(layout.TileHeight*n), [][]byte{t.levels[n].tile[i : i+32]})
			if err != nil {
				return nil, err
			}
			if err := all.AppendRange(sub, nil); err != nil {
				return nil, err
			}
		}
	}
	return rootOf(all)
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
