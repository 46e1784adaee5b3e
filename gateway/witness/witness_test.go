package witness

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// fakeLog makes checkpoints and proofs with Go's own tlog.
type fakeLog struct {
	t      testing.TB
	signer note.Signer
	key    string
	stored []tlog.Hash
}

func newLog(t testing.TB, origin string) *fakeLog {
	t.Helper()
	secret, key, err := note.GenerateKey(rand.Reader, origin)
	must(t, err)
	signer, err := note.NewSigner(secret)
	must(t, err)
	return &fakeLog{t: t, signer: signer, key: key}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *fakeLog) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	for _, i := range indexes {
		out = append(out, l.stored[i])
	}
	return out, nil
}

// grow adds leaves up to a size.
func (l *fakeLog) grow(from, to int, seed string) {
	for i := from; i < to; i++ {
		hs, err := tlog.StoredHashes(int64(i), fmt.Appendf(nil, "%s %d", seed, i), l)
		must(l.t, err)
		l.stored = append(l.stored, hs...)
	}
}

// fork is a copy that can go another way.
func (l *fakeLog) fork() *fakeLog {
	c := *l
	c.stored = append([]tlog.Hash(nil), l.stored...)
	return &c
}

func (l *fakeLog) checkpoint(size int) string {
	l.t.Helper()
	root, err := tlog.TreeHash(int64(size), l)
	must(l.t, err)
	n, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", l.signer.Name(), size, base64.StdEncoding.EncodeToString(root[:]))}, l.signer)
	must(l.t, err)
	return string(n)
}

func (l *fakeLog) request(old, size int) string {
	l.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", old)
	if old > 0 && old < size {
		proof, err := tlog.ProveTree(int64(size), int64(old), l)
		must(l.t, err)
		for _, h := range proof {
			b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
		}
	}
	return b.String() + "\n" + l.checkpoint(size)
}

func logsFile(t testing.TB, keys ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "logs")
	must(t, os.WriteFile(name, []byte("# logs\n"+strings.Join(keys, "\n")+"\n"), 0o600))
	return name
}

func mustOpen(t testing.TB, dir, logs string) *Witness {
	t.Helper()
	w, err := Open(dir, Options{Name: "oversight.example/witness", LogsFile: logs, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func post(t testing.TB, w *Witness, body string) (int, string, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader(body)))
	return rec.Code, rec.Header().Get("Content-Type"), rec.Body.String()
}

// TestAddCheckpoint goes through what C2SP tlog-witness asks for.
func TestAddCheckpoint(t *testing.T) {
	l, stranger := newLog(t, "police.example/log/a"), newLog(t, "other.example/log/b")
	l.grow(0, 30, "true")
	stranger.grow(0, 5, "x")
	impostor := newLog(t, "police.example/log/a") // the origin with another key
	impostor.stored = l.stored
	dir := t.TempDir()
	logs := logsFile(t, l.key)
	w := mustOpen(t, dir, logs)
	v, err := fnote.NewVerifierForCosignatureV1(w.VerifierKey())
	must(t, err)
	cosigned := func(request, answer string) {
		t.Helper()
		_, raw, _ := strings.Cut(request, "\n\n")
		if n, err := note.Open([]byte(raw+answer), note.VerifierList(v)); err != nil || len(n.Sigs) != 1 || n.Sigs[0].Name != "oversight.example/witness" {
			t.Errorf("answer %q: %v", answer, err)
		}
	}
	for _, step := range []struct {
		name, body string
		status     int
		answer     string // for 409
	}{
		{"an unknown log", stranger.request(0, 5), 404, ""},
		{"another key", impostor.request(0, 5), 403, ""},
		{"beyond the checkpoint", l.request(6, 5), 400, ""},
		{"not from here", l.request(3, 5), 409, "0\n"},
		{"a proof from nothing", strings.Replace(l.request(0, 5), "\n\n", "\n"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n\n", 1), 422, ""},
		{"the first", l.request(0, 5), 200, ""},
		{"the same again, from nothing", l.request(0, 5), 409, "5\n"},
		{"the same again", l.request(5, 5), 200, ""},
		{"a proof of the same", strings.Replace(l.request(5, 5), "\n\n", "\n"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n\n", 1), 422, ""},
		{"more", l.request(5, 12), 200, ""},
		{"more, from before", l.request(5, 20), 409, "12\n"},
		{"fewer", l.request(5, 11), 409, "12\n"},
		{"a wrong proof", strings.Replace(l.request(12, 20), "\n\n", "\n"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n\n", 1), 422, ""},
		{"no proof", "old 12\n\n" + l.checkpoint(20), 422, ""},
		{"more still", l.request(12, 30), 200, ""},
	} {
		status, kind, answer := post(t, w, step.body)
		if status != step.status || step.answer != "" && (answer != step.answer || kind != "text/x.tlog.size") {
			t.Errorf("%s: %d %s %q, want %d %q", step.name, status, kind, answer, step.status, step.answer)
		}
		if status == 200 {
			cosigned(step.body, answer)
		}
	}
	good := l.request(30, 30)
	for name, body := range map[string]string{
		"nothing": "", "no checkpoint": "old 30\n\n", "no old": strings.TrimPrefix(good, "old 30\n"), "old with a zero": strings.Replace(good, "old 30", "old 030", 1),
		"old with a sign": strings.Replace(good, "old 30", "old +30", 1), "no empty line": strings.Replace(good, "\n\n", "\n", 1),
		"a short hash": strings.Replace(good, "\n\n", "\nAAAA\n\n", 1), "64 hashes": strings.Replace(good, "\n\n", strings.Repeat("\n"+base64.StdEncoding.EncodeToString(make([]byte, 32)), 64)+"\n\n", 1),
		"too long": good + strings.Repeat("x", maxBody),
	} {
		if status, _, answer := post(t, w, body); status != 400 && status != 404 {
			t.Errorf("%s: %d %q", name, status, answer)
		}
	}
	// It has all that on disk.
	must(t, w.Close())
	w = mustOpen(t, dir, logs)
	if status, _, answer := post(t, w, l.request(12, 30)); status != 409 || answer != "30\n" {
		t.Errorf("after a restart: %d %q", status, answer)
	}
	if raw, ok := w.Latest(l.signer.Name()); !ok || string(raw) != l.checkpoint(30) {
		t.Errorf("latest: %q", raw)
	}
	// A log can be admitted while it runs.
	must(t, os.WriteFile(logs, []byte("log "+l.key+"\nlog "+stranger.key+" https://other.example/log\n"), 0o600))
	must(t, os.Chtimes(logs, w.read.Add(1e9), w.read.Add(1e9)))
	if status, _, answer := post(t, w, stranger.request(0, 5)); status != 200 {
		t.Errorf("a log that was admitted: %d %q", status, answer)
	}
	// A file that cannot be read takes no log away, and adds none.
	must(t, os.WriteFile(logs, []byte("nonsense here\n"), 0o600))
	if status, _, answer := post(t, w, l.request(30, 30)); status != 200 {
		t.Errorf("with a broken file: %d %q", status, answer)
	}
}

// TestFork: of two histories under one key the one that was seen first is cosigned, at every size, and the other is kept as
// evidence.
func TestFork(t *testing.T) {
	l := newLog(t, "police.example/log/a")
	l.grow(0, 10, "true")
	other := l.fork()
	l.grow(10, 40, "true")
	other.grow(10, 40, "false")
	for _, size := range []int{11, 12, 16, 20, 33, 40} {
		for _, larger := range []int{size, size + 1, 40} {
			if larger > 40 {
				continue
			}
			w := mustOpen(t, t.TempDir(), logsFile(t, l.key))
			if status, _, answer := post(t, w, l.request(0, size)); status != 200 {
				t.Fatalf("%d %q", status, answer)
			}
			status, _, answer := post(t, w, other.request(size, larger))
			if want := map[bool]int{true: 409, false: 422}[size == larger]; status != want || strings.HasPrefix(answer, "—") {
				t.Errorf("seen %d, then %d of the other: %d %q", size, larger, status, answer)
			}
			if w.Count(Forked)+w.Count(Unproven) != 1 {
				t.Error("it was not counted")
			}
			kept, err := filepath.Glob(filepath.Join(w.dir, "logs", "*.*"))
			if err != nil || len(kept) != 1 {
				t.Fatalf("evidence: %v %v", kept, err)
			}
			if b, err := os.ReadFile(kept[0]); err != nil || string(b) != other.checkpoint(larger) {
				t.Errorf("evidence %q: %v", b, err)
			}
			if raw, _ := w.Latest("police.example/log/a"); string(raw) != l.checkpoint(size) {
				t.Error("the other history was taken")
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	l := newLog(t, "police.example/log/a")
	l.grow(0, 3, "x")
	dir, logs := t.TempDir(), logsFile(t, l.key)
	w := mustOpen(t, dir, logs)
	o := w.o
	if _, err := Open(dir, o); err == nil {
		t.Error("opened twice")
	}
	if status, _, _ := post(t, w, l.request(0, 3)); status != 200 {
		t.Fatal(status)
	}
	must(t, w.Close())
	renamed := o
	renamed.Name = "oversight.example/other"
	if _, err := Open(dir, renamed); err == nil {
		t.Error("the key of another name was taken")
	}
	must(t, os.Remove(filepath.Join(dir, "key")))
	if _, err := Open(dir, o); err == nil {
		t.Error("a new key took over what another had seen")
	}
	for _, bad := range []string{"x", l.key + "\n" + l.key, "witness a b c", "log"} {
		name := filepath.Join(t.TempDir(), "logs")
		must(t, os.WriteFile(name, []byte(bad), 0o600))
		if _, err := Open(t.TempDir(), Options{Name: "w", LogsFile: name}); err == nil {
			t.Errorf("logs %q were taken", bad)
		}
	}
}

func FuzzAddCheckpoint(f *testing.F) {
	l := newLog(f, "police.example/log/a")
	l.grow(0, 10, "x")
	f.Add([]byte(l.request(0, 5)))
	f.Add([]byte(l.request(5, 10)))
	f.Add([]byte("old 0\n\npolice.example/log/a\n5\nAAAA\n\n— police.example/log/a AAAA\n"))
	logs := logsFile(f, l.key)
	w := mustOpen(f, f.TempDir(), logs)
	valid := map[string]bool{}
	for size := range 11 {
		valid[l.checkpoint(size)] = true
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		lines, _, result, _ := w.add(body)
		_, raw, _ := bytes.Cut(body, []byte("\n\n"))
		head, _, _ := bytes.Cut(raw, []byte("\n\n"))
		if result != Cosigned {
			if lines != nil {
				t.Error("a cosignature beside a refusal")
			}
			return
		}
		for c := range valid {
			if want, _, _ := strings.Cut(c, "\n\n"); want == string(head) {
				return
			}
		}
		t.Errorf("cosigned %q", raw)
	})
}

// TestStrangersDoNotFillTheProcessLog: whoever has kept old checkpoints, which are public, may send them in turn.
func TestStrangersDoNotFillTheProcessLog(t *testing.T) {
	l := newLog(t, "police.example/log/a")
	l.grow(0, 30, "true")
	var out bytes.Buffer
	w, err := Open(t.TempDir(), Options{Name: "oversight.example/witness", LogsFile: logsFile(t, l.key), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	must(t, err)
	defer w.Close()
	if code, _, body := post(t, w, l.request(0, 20)); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	for range 10 {
		for size := 1; size < 20; size++ {
			post(t, w, l.request(0, size))
		}
		post(t, w, "old 20\n"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n\n"+l.checkpoint(30))
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines:\n%.500s", n, out.String())
	}
}
