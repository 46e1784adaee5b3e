package transparency

import (
	"crypto/rand"
	"fmt"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
)

// TestGuard: a checkpoint is signed for a root that was told, and for nothing else.
func TestGuard(t *testing.T) {
	secret, _, err := note.GenerateKey(rand.Reader, "police.example/log/x")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(signer)
	tree := ranges.NewEmptyRange(0)
	roots := [][]byte{}
	leaf := func(i int) []byte { return leafHash([]byte(fmt.Sprint("leaf", i))) }
	for i := range 20 {
		if err := tree.Append(leaf(i), nil); err != nil {
			t.Fatal(err)
		}
		root, err := tree.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root)
	}
	sign := func(size int, root []byte) error {
		_, err := g.Sign(flog.Checkpoint{Origin: "police.example/log/x", Size: uint64(size), Hash: root}.Marshal())
		return err
	}
	for i := 4; i < 20; i++ {
		g.allow(uint64(i+1), roots[i])
	}
	for size := 1; size <= 20; size++ {
		err := sign(size, roots[size-1])
		if known := size >= 5; known != (err == nil) {
			t.Errorf("%d entries: %v", size, err)
		}
		if sign(size, roots[(size+7)%20]) == nil {
			t.Errorf("%d entries: another root was signed", size)
		}
	}
	if sign(21, roots[0]) == nil {
		t.Error("a size that was not told was signed")
	}
	g.published(12)
	if sign(11, roots[10]) == nil || sign(12, roots[11]) != nil {
		t.Error("a checkpoint before the one that is out was signed, or that one not")
	}
	for _, text := range []string{"police.example/log/y\n12\n" + fmt.Sprint(roots[11]) + "\n", "police.example/log/x\n12\n", "", "statement\n"} {
		if _, err := g.Sign([]byte(text)); err == nil {
			t.Errorf("%q was signed", text)
		}
	}
}
