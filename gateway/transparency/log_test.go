package transparency

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/entente-dev/entente/gateway/audit"
)

const testOrigin = "police.example/gateway-0"

func openAudit(t testing.TB, dir string) *audit.Log {
	t.Helper()
	l, err := audit.Open(dir, audit.Options{Origin: testOrigin, SegmentSize: 128 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func quiet() Options { return Options{Logger: slog.New(slog.DiscardHandler)} }

func mustOpen(t testing.TB, a *audit.Log) *Log {
	t.Helper()
	l, err := Open(a, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(l) })
	return l
}

// tempDir is where a log is.
func tempDir(t testing.TB) string { return t.TempDir() }

// kill leaves the log as a killed process does: whatever is under way may or may not be finished.
func kill(l *Log) {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	if !closed {
		close(l.stop)
	}
	l.wg.Wait()
}

func appendN(t testing.TB, a *audit.Log, n int) {
	t.Helper()
	var last *audit.Receipt
	for range n {
		rc, err := a.Append(t.Context(), audit.Record{Disclosure: "0192f0c1-7b1e-7c3a-9d54-3b7f1f0a2c11", Kind: audit.Outcome, Side: audit.Source, Filter: `family_name == "Castellanos"`})
		if err != nil {
			t.Fatal(err)
		}
		last = rc
	}
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// await waits until the latest checkpoint covers all.
func await(t testing.TB, l *Log) Checkpoint {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if s := l.Status(); s.Published == s.Head && l.Latest().Raw != nil {
			return l.Latest()
		}
	}
	t.Fatalf("no checkpoint: %+v", l.Status())
	return Checkpoint{}
}

// goTiles lets golang.org/x/mod/sumdb/tlog read a log in the paths of C2SP tlog-tiles. Nothing else of it is ours.
type goTiles struct {
	t    testing.TB
	base string
}

func (g goTiles) Height() int { return 8 }

func (g goTiles) ReadTiles(tiles []tlog.Tile) (out [][]byte, err error) {
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1) // the height is not in C2SP's
		b, status := get(g.t, g.base+path)
		if status != http.StatusOK { // the full one may have taken its place
			full := tile
			full.W = 256
			b, status = get(g.t, g.base+strings.Replace(full.Path(), "tile/8/", "tile/", 1))
			if status == http.StatusOK {
				b = b[:tile.W*tlog.HashSize]
			}
		}
		if status != http.StatusOK {
			return nil, fmt.Errorf("%s: %d", path, status)
		}
		out = append(out, b)
	}
	return out, nil
}

func (g goTiles) SaveTiles([]tlog.Tile, [][]byte) {}

func get(t testing.TB, url string) ([]byte, int) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b, r.StatusCode
}

// goTree opens a checkpoint with Go's own note verifier.
func goTree(t testing.TB, raw []byte, key string) tlog.Tree {
	t.Helper()
	v, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(n.Text, "\n")
	var tree tlog.Tree
	if _, err := fmt.Sscan(lines[1], &tree.N); err != nil || lines[0] != v.Name() {
		t.Fatalf("checkpoint %q: %v", n.Text, err)
	}
	h, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || copy(tree.Hash[:], h) != tlog.HashSize {
		t.Fatalf("checkpoint %q: %v", n.Text, err)
	}
	return tree
}

func goProof(hashes [][]byte) (out []tlog.Hash) {
	for _, h := range hashes {
		out = append(out, tlog.Hash(h))
	}
	return out
}

func TestGoClientVerifies(t *testing.T) {
	a := openAudit(t, tempDir(t))
	l := mustOpen(t, a)
	web := httptest.NewServer(l.Handler())
	defer web.Close()
	base := web.URL + l.Path()

	var info Info
	b, _ := get(t, web.URL+Prefix)
	if err := json.Unmarshal(b, &info); err != nil || info.Path != l.Path() || !strings.HasPrefix(info.Origin, "police.example/log/gateway-0/") {
		t.Fatalf("info %s: %v", b, err)
	}
	var trees []tlog.Tree
	for _, n := range []int{1, 4, 250, 1, 300, 1} { // 1, 5, 255, 256, 556, 557
		appendN(t, a, n)
		await(t, l)
		raw, status := get(t, base+"checkpoint")
		if status != http.StatusOK {
			t.Fatalf("checkpoint: %d", status)
		}
		trees = append(trees, goTree(t, raw, info.Key))
	}
	last := trees[len(trees)-1]
	if last.N != 557 {
		t.Fatalf("the last checkpoint is of %d entries", last.N)
	}
	// Go's client reads our tiles, which it authenticates against the checkpoint, and makes the proofs itself.
	hashes := tlog.TileHashReader(last, goTiles{t, base})
	entries, err := chainOf(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []int64{1, 2, 255, 256, 257, 512, 513, 556, 557} {
		leaf := tlog.RecordHash(EncodeLeaf(entries[seq-1]))
		proof, err := tlog.ProveRecord(last.N, seq-1, hashes)
		if err == nil {
			err = tlog.CheckRecord(proof, last.N, last.Hash, seq-1, leaf)
		}
		if err != nil {
			t.Errorf("entry %d: %v", seq, err)
		}
		// And it takes our proofs.
		var p InclusionProof
		b, status := get(t, fmt.Sprintf("%sproof/inclusion?seq=%d", base, seq))
		if err := json.Unmarshal(b, &p); err != nil || status != http.StatusOK {
			t.Fatalf("inclusion of %d: %d %s", seq, status, b)
		}
		if tree := goTree(t, []byte(p.Checkpoint), info.Key); tree != last {
			t.Errorf("the proof's checkpoint is of %d", tree.N)
		}
		if err := tlog.CheckRecord(goProof(p.Hashes), last.N, last.Hash, int64(p.Index), tlog.RecordHash(p.Leaf)); err != nil {
			t.Errorf("our proof of entry %d: %v", seq, err)
		}
		if got, err := DecodeLeaf(p.Leaf); err != nil || got != entries[seq-1] {
			t.Errorf("leaf %d: %+v, %v", seq, got, err)
		}
	}
	for _, tree := range trees {
		proof, err := tlog.ProveTree(last.N, tree.N, hashes)
		if err == nil {
			err = tlog.CheckTree(proof, last.N, last.Hash, tree.N, tree.Hash)
		}
		if err != nil {
			t.Errorf("tree %d: %v", tree.N, err)
		}
		var p ConsistencyProof
		b, status := get(t, fmt.Sprintf("%sproof/consistency?from=%d", base, tree.N))
		if err := json.Unmarshal(b, &p); err != nil || status != http.StatusOK {
			t.Fatalf("consistency from %d: %d %s", tree.N, status, b)
		}
		if err := tlog.CheckTree(goProof(p.Hashes), last.N, last.Hash, tree.N, tree.Hash); err != nil {
			t.Errorf("our proof from %d: %v", tree.N, err)
		}
	}
}

// chainOf reads the chain of a log up to its head.
func chainOf(a *audit.Log) (out []audit.ChainEntry, err error) {
	c, err := audit.OpenChain(a.Dir(), 0)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	head, _ := a.Head()
	err = c.Next(head, func(e audit.ChainEntry) error { out = append(out, e); return nil })
	return out, err
}

func TestServesNothingElse(t *testing.T) {
	a := openAudit(t, tempDir(t))
	l := mustOpen(t, a)
	appendN(t, a, 300)
	await(t, l)
	handler := l.Handler()
	p := l.Path()
	for _, path := range []string{
		"/log", "/log/other/checkpoint", p, p + "key", p + "../key", p + "tile/../../key", p + "tile/entries/../../../key", p + ".state/treeState",
		p + "tree/checkpoint", p + "tile/0/001.p/45", p + "tile/0/002", p + "tile/0/1", p + "tile/00/000", p + "tile/0/000.p/0", p + "tile/0/000.p/256",
		p + "tile/9/000", p + "tile/63/000", p + "tile/0/x000/000", p + "tile/entries/002", p + "tile/0/000/", p + "tile//000", p + "tile/-1/000",
		p + "tile/0/x999/x999/x999/x999/x999/x999/999", p + "checkpoint/cosigned",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = path
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
	for query, want := range map[string]int{
		"proof/inclusion": 400, "proof/inclusion?seq=0": 400, "proof/inclusion?seq=301": 400, "proof/inclusion?seq=x": 400, "proof/inclusion?seq=-1": 400,
		"proof/inclusion?seq=1&size=301": 400, "proof/inclusion?seq=5&size=4": 400, "proof/inclusion?seq=5&size=5": 200,
		"proof/consistency?from=301": 400, "proof/consistency?from=2&to=1": 400, "proof/consistency?from=0": 200, "proof/consistency?from=300": 200,
		"tile/0/001.p/44": 200, "tile/0/000": 200, "tile/1/000.p/1": 200, "tile/entries/000": 200,
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, p+query, nil))
		if w.Code != want {
			t.Errorf("%s: %d %q, want %d", query, w.Code, w.Body, want)
		}
		if bytes.Contains(w.Body.Bytes(), []byte("Castellanos")) {
			t.Errorf("%s shows a record", query)
		}
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, p+"checkpoint", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestCloseIntegratesAll(t *testing.T) {
	dir := tempDir(t)
	a := openAudit(t, dir)
	l := mustOpen(t, a)
	appendN(t, a, 500)
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "tlog", "tree", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	if tree := goTree(t, raw, l.VerifierKey()); tree.N != 500 {
		t.Errorf("the last checkpoint is of %d", tree.N)
	}
	again := mustOpen(t, a)
	if again.Origin() != l.Origin() || again.VerifierKey() != l.VerifierKey() {
		t.Error("another key, or another origin")
	}
	appendN(t, a, 1)
	if c := await(t, again); c.Size != 501 {
		t.Errorf("size %d", c.Size)
	}
}

// TestFaults: what keeps the tree from being written, or a checkpoint from being published, does so only as long as it lasts.
func TestFaults(t *testing.T) {
	dir := tempDir(t)
	a := openAudit(t, dir)
	l := mustOpen(t, a)
	appendN(t, a, 3)
	await(t, l)
	tree := filepath.Join(dir, "tlog", "tree")
	t.Run("a checkpoint cannot be published", func(t *testing.T) {
		name := filepath.Join(tree, "checkpoint")
		if err := errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "x"), 0o700)); err != nil {
			t.Fatal(err)
		}
		appendN(t, a, 1)
		for deadline := time.Now().Add(time.Minute); l.Status().Fault == nil; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no fault: %+v", l.Status())
			}
		}
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
		await(t, l)
		if s := l.Status(); s.Fault != nil || l.Healthy() != nil {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a folder is in the way", func(t *testing.T) { // a batch fails, and is handed over again
		tile := filepath.Join(tree, "tile", "0", "000.p", "6")
		if err := os.MkdirAll(filepath.Join(tile, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		appendN(t, a, 2)
		for deadline := time.Now().Add(time.Minute); l.Status().Fault == nil; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no fault: %+v", l.Status())
			}
		}
		if err := os.RemoveAll(tile); err != nil {
			t.Fatal(err)
		}
		appendN(t, a, 300)
		if c := await(t, l); c.Size != 306 || tlog.Hash(c.Root) != wantRoot(t, a, 306) {
			t.Errorf("checkpoint of %d entries", c.Size)
		}
	})
}
