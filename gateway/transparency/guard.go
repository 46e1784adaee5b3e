package transparency

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"sync"

	flog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

var ranges = &compact.RangeFactory{Hash: hashChildren}

// hashChildren is rfc6962.DefaultHasher.HashChildren, with one allocation.
func hashChildren(l, r []byte) []byte {
	var b [1 + 2*sha256.Size]byte
	b[0] = rfc6962.RFC6962NodeHashPrefix
	n := 1 + copy(b[1:], l)
	n += copy(b[n:], r)
	sum := sha256.Sum256(b[:n])
	return sum[:]
}

// guard is the signer of checkpoints. It signs a root only when it was told that the chain has it at that size: what the
// tree on disk says is not enough.
type guard struct {
	note.Signer
	mu sync.Mutex
	// roots that the chain has, by size
	roots map[uint64][]byte
	// floor is the size of the largest checkpoint that is known to be out: nothing smaller is signed again, but for the
	// empty tree, which says nothing.
	floor uint64
}

func newGuard(s note.Signer) *guard {
	return &guard{Signer: s, roots: map[uint64][]byte{0: rfc6962.DefaultHasher.EmptyRoot()}}
}

// allow tells it a root.
func (g *guard) allow(size uint64, root []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.roots[size] = root
}

// root of the chain at a size; nil: it was never told.
func (g *guard) root(size uint64) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.roots[size]
}

// published forgets the roots of smaller trees.
func (g *guard) published(size uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.roots {
		if s != 0 && s < size {
			delete(g.roots, s)
		}
	}
	g.floor = max(g.floor, size)
}

// least is the size of the smallest checkpoint that may follow.
func (g *guard) least() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.floor
}

// end has it sign nothing more.
func (g *guard) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.floor = math.MaxUint64
}

// Sign implements note.Signer.
func (g *guard) Sign(msg []byte) ([]byte, error) {
	var c flog.Checkpoint
	if rest, err := c.Unmarshal(msg); err != nil || len(rest) > 0 || c.Origin != g.Name() {
		return nil, fmt.Errorf("not a checkpoint of %s", g.Name())
	}
	root := g.root(c.Size)
	g.mu.Lock()
	floor := g.floor
	g.mu.Unlock()
	switch {
	case c.Size != 0 && c.Size < floor:
		return nil, fmt.Errorf("a checkpoint of %d entries is out; none of %d is signed", floor, c.Size)
	case root == nil:
		return nil, fmt.Errorf("the tree has %d entries, where none was handed over", c.Size)
	case !bytes.Equal(root, c.Hash):
		return nil, fmt.Errorf("the tree of %d entries is not that of the chain", c.Size)
	}
	return g.Signer.Sign(msg)
}
