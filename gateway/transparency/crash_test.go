package transparency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/entente-dev/entente/gateway/audit"
)

// childDir tells the test binary to be a gateway that writes until it is killed.
const childDir = "TRANSPARENCY_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, child(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func child(dir string) error {
	a, err := audit.Open(dir, audit.Options{Origin: testOrigin, SegmentSize: 128 << 10})
	if err != nil {
		return err
	}
	if _, err := Open(a, quiet()); err != nil {
		return err
	}
	fmt.Println("open")
	for {
		rc, err := a.Append(context.Background(), audit.Record{Disclosure: "d", Kind: audit.Outcome, Side: audit.Source})
		if err != nil {
			return err
		}
		if rand.IntN(8) == 0 {
			if err := rc.Wait(context.Background()); err != nil {
				return err
			}
		}
	}
}

// wantRoot is the root that the chain has, by Go's own tlog.
func wantRoot(t testing.TB, a *audit.Log, size int64) tlog.Hash {
	t.Helper()
	entries, err := chainOf(a)
	if err != nil {
		t.Fatal(err)
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i, e := range entries[:size] {
		hs, err := tlog.StoredHashes(int64(i), EncodeLeaf(e), reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
	}
	h, err := tlog.TreeHash(size, reader)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// exactlyOnce opens the log and insists that its tree is that of the chain.
func exactlyOnce(t *testing.T, dir string) (size int64) {
	t.Helper()
	a := openAudit(t, dir)
	l := mustOpen(t, a)
	c := await(t, l)
	head, _ := a.Head()
	if c.Size != head || tlog.Hash(c.Root) != wantRoot(t, a, int64(head)) {
		t.Errorf("the checkpoint of %d entries is not that of the chain of %d", c.Size, head)
	}
	if _, err := VerifyTree(t.Context(), dir, nil); err != nil {
		t.Error(err)
	}
	kill(l)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return int64(head)
}

// TestKill kills a gateway that writes and integrates, again and again, on one volume.
func TestKill(t *testing.T) {
	dir := tempDir(t)
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out := &strings.Builder{}
		cmd.Stderr = out
		ready, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, err = ready.Read(make([]byte, 5))
		time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if err != nil {
			t.Fatalf("the child did not start: %v %s", err, out)
		}
		t.Logf("%d entries", exactlyOnce(t, dir))
	}
}

// treeFiles reads the files of a tree.
func treeFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryCrashPoint builds the volume that a crash leaves after each file that an integration writes: the entries, the
// tiles in any order, the state and the checkpoint, either first; and goes on from it.
func TestEveryCrashPoint(t *testing.T) {
	whole := tempDir(t)
	a := openAudit(t, whole)
	l := mustOpen(t, a)
	appendN(t, a, 200)
	await(t, l)
	settle(t, l)
	kill(l)
	before := treeFiles(t, filepath.Join(whole, "tlog", "tree"))
	l = mustOpen(t, a)
	appendN(t, a, 400) // fills two tiles and begins a third
	await(t, l)
	settle(t, l)
	kill(l)
	after := treeFiles(t, filepath.Join(whole, "tlog", "tree"))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	var written []string
	for name, content := range after {
		if before[name] != content {
			written = append(written, name)
		}
	}
	for round := range 2 {
		rank := func(name string) int {
			switch {
			case strings.HasPrefix(name, filepath.FromSlash("tile/entries")):
				return 0
			case strings.HasPrefix(name, "tile"):
				return 1
			case name == layout.CheckpointPath:
				return 3 - round
			}
			return 2 + round
		}
		sort.Strings(written)
		if round == 1 {
			rand.Shuffle(len(written), func(i, j int) { written[i], written[j] = written[j], written[i] })
		}
		sort.SliceStable(written, func(i, j int) bool { return rank(written[i]) < rank(written[j]) })
		for n := 0; n <= len(written); n++ {
			t.Run(fmt.Sprintf("%d/%d", round, n), func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(tempDir(t), "log")
				if err := copyLog(dir, whole); err != nil {
					t.Fatal(err)
				}
				tree := filepath.Join(dir, "tlog", "tree")
				if err := os.RemoveAll(tree); err != nil {
					t.Fatal(err)
				}
				put := func(name, content string) {
					path := filepath.Join(tree, name)
					if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
						t.Fatal(err)
					}
				}
				for name, content := range before {
					put(name, content)
				}
				for _, name := range written[:n] {
					put(name, after[name])
				}
				if n < len(written) { // and the one after it half-written: a tile, or what is about to replace another
					next := written[n]
					half := after[next][:len(after[next])/2]
					if rank(next) > 1 {
						next += "123456"
					}
					put(next, half)
				}
				if size := exactlyOnce(t, dir); size != 600 {
					t.Errorf("%d entries", size)
				}
			})
		}
	}
}

// settle makes the tree durable, as happens every few seconds.
func settle(t *testing.T, l *Log) {
	t.Helper()
	if err := l.settle(); err != nil {
		t.Fatal(err)
	}
}

// TestLostPages: what a crash of the machine took of a tree that was not durable is written again, whatever is in its place.
func TestLostPages(t *testing.T) {
	dir := tempDir(t)
	a := openAudit(t, dir)
	l := mustOpen(t, a)
	appendN(t, a, 300)
	await(t, l)
	settle(t, l)
	appendN(t, a, 700)
	out := await(t, l)
	kill(l)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(dir, "tlog", "tree")
	for name, spoil := range map[string]func(string) error{
		"tile/0/001":             func(p string) error { return os.Truncate(p, 100) },
		"checkpoint":             func(p string) error { return os.Truncate(p, 0) },
		"tile/0/002":             func(p string) error { return os.WriteFile(p, make([]byte, 8192), 0o644) },
		"tile/entries/002":       os.Remove,
		"tile/1/000.p/3":         func(p string) error { return os.Truncate(p, 0) },
		"tile/entries/003.p/232": os.Remove,
		"tile/0/003.p/232":       func(p string) error { return os.WriteFile(p, []byte("x"), 0o644) },
	} {
		if err := spoil(filepath.Join(tree, filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := VerifyTree(t.Context(), dir, nil); err == nil {
		t.Error("nothing was lost")
	}
	a = openAudit(t, dir)
	l = mustOpen(t, a)
	if c := await(t, l); !bytes.Equal(c.Raw, out.Raw) {
		t.Errorf("a checkpoint of %d entries in place of the one that is out", c.Size)
	}
	if _, err := VerifyTree(t.Context(), dir, nil); err != nil {
		t.Error(err)
	}
}

// TestFailedSync: after a sync that failed, nothing of what it was for counts as durable before it is written again. The next sync does not
// tell of the error any more.
func TestFailedSync(t *testing.T) {
	dir := tempDir(t)
	a := openAudit(t, dir)
	l := mustOpen(t, a)
	appendN(t, a, 300)
	await(t, l)
	settle(t, l)
	l.settling.Lock() // the log's own settling keeps out of the way
	appendN(t, a, 700)
	await(t, l)
	for name, spoil := range map[string]func(string) error{
		"tile/0/002":       func(p string) error { return os.WriteFile(p, make([]byte, 8192), 0o644) },
		"tile/entries/001": os.Remove,
	} {
		if err := spoil(filepath.Join(dir, "tlog", "tree", filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
	doubt := func(set bool) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.doubt = l.doubt || set
		return l.doubt
	}
	doubt(true)
	l.settling.Unlock()
	settle(t, l)
	if s, err := l.readState(); err != nil || s.Size > 300 {
		t.Errorf("%d entries are said to be durable, %v", s.Size, err)
	}
	for deadline := time.Now().Add(time.Minute); doubt(false) || l.Status().Integrated < 1000; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is written again")
		}
	}
	settle(t, l)
	if s, err := l.readState(); err != nil || s.Size != 1000 {
		t.Errorf("%d entries are durable, %v", s.Size, err)
	}
	kill(l)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyTree(t.Context(), dir, nil); err != nil {
		t.Error(err)
	}
}

func TestRefusesWhatIsNotItsTree(t *testing.T) {
	whole := tempDir(t)
	a := openAudit(t, whole)
	l := mustOpen(t, a)
	appendN(t, a, 300)
	await(t, l)
	settle(t, l)
	kill(l)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	other := tempDir(t) // another history of the same length
	b := openAudit(t, other)
	ol := mustOpen(t, b)
	appendN(t, b, 300)
	await(t, ol)
	settle(t, ol)
	kill(ol)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	flip := func(name string, at int) func(dir string) error {
		return func(dir string) error {
			path := filepath.Join(dir, "tlog", "tree", filepath.FromSlash(name))
			content, err := os.ReadFile(path)
			if err == nil {
				content[at] ^= 1
				err = os.WriteFile(path, content, 0o644)
			}
			return err
		}
	}
	for name, spoil := range map[string]func(dir string) error{
		"an entry":           flip("tile/entries/001.p/44", 100),
		"a leaf hash":        flip("tile/0/001.p/44", 7),
		"a hash further up":  flip("tile/1/000.p/1", 7),
		"a root":             flip("checkpoint", strings.Index(string(l.Latest().Raw), "\n300\n")+8),
		"the tree of others": func(dir string) error { return swap(dir, other, "tlog/tree") },
		"a tree too short": func(dir string) error {
			return os.Remove(filepath.Join(dir, "tlog", "tree", ".state", "treeState"))
		},
		"a chain too short": func(dir string) error {
			chain, err := filepath.Glob(filepath.Join(dir, "0*"))
			for _, name := range chain {
				err = errors.Join(err, os.Remove(name))
			}
			return err
		},
		"another key": func(dir string) error { return swap(dir, other, "tlog/key") },
		"no key":      func(dir string) error { return os.Remove(filepath.Join(dir, "tlog", "key")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(tempDir(t), "log")
			if err := errors.Join(copyLog(dir, whole), spoil(dir)); err != nil {
				t.Fatal(err)
			}
			a := openAudit(t, dir)
			l, err := Open(a, quiet())
			if err == nil {
				kill(l)
				t.Fatal("it was opened")
			}
			t.Log(err)
		})
	}
	t.Run("removed", func(t *testing.T) { // the tree alone: it is built anew, and goes on where the witnesses know it
		dir := filepath.Join(tempDir(t), "log")
		if err := errors.Join(copyLog(dir, whole), os.Rename(filepath.Join(dir, "tlog/tree/checkpoint"), filepath.Join(dir, "tlog/cosigned")),
			os.RemoveAll(filepath.Join(dir, "tlog/tree"))); err != nil {
			t.Fatal(err)
		}
		if size := exactlyOnce(t, dir); size != 300 {
			t.Errorf("%d entries", size)
		}
	})
	t.Run("a chain rolled back", func(t *testing.T) { // a checkpoint is out that the chain does not lead to
		dir := filepath.Join(tempDir(t), "log")
		if err := copyLog(dir, whole); err != nil {
			t.Fatal(err)
		}
		a := openAudit(t, dir)
		l := mustOpen(t, a)
		appendN(t, a, 50)
		out := await(t, l)
		kill(l)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		back := filepath.Join(tempDir(t), "log")
		if err := errors.Join(copyLog(back, whole), os.RemoveAll(filepath.Join(back, "tlog/tree")),
			os.WriteFile(filepath.Join(back, "tlog/cosigned"), out.Raw, 0o600)); err != nil {
			t.Fatal(err)
		}
		a = openAudit(t, back)
		if l, err := Open(a, quiet()); !errors.Is(err, ErrMismatch) {
			kill(l)
			t.Fatalf("it was opened: %v", err)
		}
		appendN(t, a, 60) // as a gateway of an earlier release would
		if l, err := Open(a, quiet()); !errors.Is(err, ErrMismatch) {
			kill(l)
			t.Fatalf("with other entries in the place of the lost ones it was opened: %v", err)
		}
	})
}

func swap(dir, other, name string) error {
	name = filepath.FromSlash(name)
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		return err
	}
	if st, err := os.Stat(filepath.Join(other, name)); err != nil || st.IsDir() {
		return os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(other, name)))
	}
	b, err := os.ReadFile(filepath.Join(other, name))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
	}
	return err
}

// copyLog copies a log with its key.
func copyLog(to, from string) error {
	key, err := os.ReadFile(audit.LocalKeyFile(from))
	return errors.Join(err, os.WriteFile(audit.LocalKeyFile(to), key, 0o600), os.CopyFS(to, os.DirFS(from)))
}
