package transparency

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/entente-dev/entente/gateway/audit"
)

// What is in the tree is proven as before when its payload has been erased, and the erasure is in the tree too.
func TestProofsOutliveErasure(t *testing.T) {
	dir := filepath.Join(tempDir(t), "log")
	a := openAudit(t, dir)
	l := mustOpen(t, a)
	appendN(t, a, 300)
	before := await(t, l)
	n, err := a.Erase(t.Context(), audit.Selection{Before: time.Now().Add(time.Hour)}, audit.Order{Text: "all of it"})
	if err != nil || n != 300 {
		t.Fatalf("%d %v", n, err)
	}
	after := await(t, l)
	if after.Size != 301 {
		t.Fatalf("%d entries", after.Size)
	}
	files, err := VerifyTree(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Checkpoint{before, after} {
		for _, seq := range []uint64{1, 150, 256, 257, 300} {
			leaf, hashes, err := Inclusion(t.Context(), files.Tree, seq, c.Size)
			if err == nil {
				err = tlog.CheckRecord(goProof(hashes), int64(c.Size), tlog.Hash(c.Root), int64(seq-1), tlog.RecordHash(leaf))
			}
			if err != nil {
				t.Errorf("entry %d in the tree of %d: %v", seq, c.Size, err)
			}
		}
	}
	if rep, err := audit.Verify(dir, nil); err != nil || rep.Erased != 300 || rep.Unexplained != 0 {
		t.Errorf("%d erased, %d unexplained: %v", rep.Erased, rep.Unexplained, err)
	}
}
