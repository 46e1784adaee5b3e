package witness

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/transparency"
)

// site is a witness that serves, and can be switched off.
type site struct {
	*Witness
	web  *httptest.Server
	logs string
	off  atomic.Bool
}

func newSite(t *testing.T, name string) *site {
	t.Helper()
	s := &site{logs: logsFile(t)}
	w, err := Open(t.TempDir(), Options{Name: name, LogsFile: s.logs, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	s.Witness = w
	s.web = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if s.off.Load() {
			http.Error(out, "off", http.StatusBadGateway)
			return
		}
		w.Handler().ServeHTTP(out, r)
	}))
	t.Cleanup(func() { s.web.Close(); _ = w.Close() })
	return s
}

// admit gives the witness the key of a log.
func (s *site) admit(t *testing.T, key string) {
	t.Helper()
	must(t, os.WriteFile(s.logs, []byte(key+"\n"), 0o600))
	must(t, os.Chtimes(s.logs, time.Now(), time.Now().Add(time.Hour)))
}

// policy of a number of witnesses.
func policy(k int, sites ...*site) string {
	var b, names strings.Builder
	for i, s := range sites {
		fmt.Fprintf(&b, "witness w%d %s %s\n", i, s.VerifierKey(), s.web.URL)
		fmt.Fprintf(&names, " w%d", i)
	}
	return fmt.Sprintf("%sgroup quorum-of %d%s\nquorum quorum-of\n", b.String(), k, names.String())
}

// volume is a gateway's log, open.
type volume struct {
	t     *testing.T
	dir   string
	audit *audit.Log
	log   *transparency.Log
}

func open(t *testing.T, dir, policy string, required time.Duration) *volume {
	t.Helper()
	v := &volume{t: t, dir: dir}
	g, err := transparency.ParsePolicy([]byte(policy))
	must(t, err)
	v.audit, err = audit.Open(dir, audit.Options{Origin: "police.example/gateway-0", SegmentSize: 128 << 10})
	must(t, err)
	v.log, err = transparency.Open(v.audit, transparency.Options{
		Witnesses: &transparency.Witnesses{Policy: g, Interval: time.Second, Required: required}, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	t.Cleanup(v.close)
	return v
}

func (v *volume) close() {
	_ = v.log.Close(v.t.Context())
	_ = v.audit.Close()
}

func (v *volume) append(n int) uint64 {
	v.t.Helper()
	var rc *audit.Receipt
	for range n {
		var err error
		rc, err = v.audit.Append(v.t.Context(), audit.Record{Disclosure: "d", Kind: audit.Outcome, Side: audit.Source})
		must(v.t, err)
	}
	must(v.t, rc.Wait(v.t.Context()))
	return rc.Seq()
}

// until waits for something to become true.
func (v *volume) until(what string, ok func() bool) {
	v.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w, _ := v.log.Witnessed()
			v.t.Fatalf("never: %s; %v; %+v %+v", what, v.audit.Healthy(), v.log.Status(), w)
		}
	}
}

func (v *volume) cosigned(size uint64) {
	v.t.Helper()
	v.until(fmt.Sprintf("%d entries cosigned", size), func() bool {
		w, _ := v.log.Witnessed()
		return w.Quorum && w.Cosigned >= size
	})
}

func TestQuorum(t *testing.T) {
	t.Parallel()
	one, two, three := newSite(t, "one.example/witness"), newSite(t, "two.example/witness"), newSite(t, "three.example/witness")
	dir := filepath.Join(t.TempDir(), "log")
	v := open(t, dir, policy(2, one, two, three), 0)
	v.append(3)
	v.until("that nobody knows the log", func() bool {
		w, _ := v.log.Witnessed()
		return !w.Quorum && len(w.Missing) == 3 && strings.Contains(w.Missing[0], "does not know this log")
	})
	if v.audit.Healthy() != nil || v.log.Cosigned().Raw != nil {
		t.Errorf("without a quorum: %v", v.audit.Healthy())
	}
	one.admit(t, v.log.VerifierKey())
	three.admit(t, v.log.VerifierKey())
	v.cosigned(3)
	n := v.append(300)
	v.cosigned(n)
	// Whoever knows log and witnesses can check it, with Go's own verifier.
	verifiers := []note.Verifier{}
	key, err := note.NewVerifier(v.log.VerifierKey())
	must(t, err)
	for _, s := range []*site{one, two, three} {
		c, err := fnote.NewVerifierForCosignatureV1(s.VerifierKey())
		must(t, err)
		verifiers = append(verifiers, c)
	}
	rec := httptest.NewRecorder()
	v.log.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, v.log.Path()+"checkpoint/cosigned", nil))
	signed, err := note.Open(rec.Body.Bytes(), note.VerifierList(append(verifiers, key)...))
	must(t, err)
	if len(signed.Sigs) != 3 || len(signed.UnverifiedSigs) != 0 {
		t.Errorf("signatures %v, and %v", signed.Sigs, signed.UnverifiedSigs)
	}
	// One goes away: no quorum any more, and the log goes on.
	one.off.Store(true)
	n = v.append(1)
	v.until("no quorum", func() bool { w, _ := v.log.Witnessed(); return !w.Quorum })
	v.until("checkpoint", func() bool { return v.log.Latest().Size == n })
	if v.audit.Healthy() != nil || v.log.Cosigned().Size >= n {
		t.Errorf("one is away: %v, cosigned %d", v.audit.Healthy(), v.log.Cosigned().Size)
	}
	// The log restarts, another witness is there, and the first comes back and is behind.
	v.close()
	two.admit(t, v.log.VerifierKey())
	v = open(t, dir, policy(2, one, two, three), 0)
	v.cosigned(v.append(20))
	one.off.Store(false)
	three.off.Store(true)
	v.cosigned(v.append(20))
}

func TestQuorumRequired(t *testing.T) {
	t.Parallel()
	s := newSite(t, "one.example/witness")
	v := open(t, filepath.Join(t.TempDir(), "log"), policy(1, s), time.Second)
	v.append(1)
	v.until("refusal", func() bool { return errors.Is(v.audit.Healthy(), transparency.ErrQuorum) })
	s.admit(t, v.log.VerifierKey())
	v.until("answer", func() bool { return v.audit.Healthy() == nil })
}

// copyOf copies a log's folder, as a snapshot of its volume.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	c := filepath.Join(t.TempDir(), "log")
	must(t, os.CopyFS(c, os.DirFS(dir)))
	key, err := os.ReadFile(audit.LocalKeyFile(dir))
	must(t, err)
	must(t, os.WriteFile(audit.LocalKeyFile(c), key, 0o600))
	return c
}

// TestVolumeRolledBack: a volume is put back to a snapshot; it is found out, proven and ended, before and after it has
// more entries than before.
func TestVolumeRolledBack(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "one.example/witness")
			dir := filepath.Join(t.TempDir(), "log")
			v := open(t, dir, policy(1, s), 0)
			s.admit(t, v.log.VerifierKey())
			v.append(100)
			v.close()
			snapshot := copyOf(t, dir)
			v = open(t, dir, policy(1, s), 0)
			last := v.append(50)
			v.cosigned(last)
			kept := v.log.Cosigned()
			v.close()

			back := open(t, snapshot, policy(1, s), 0)
			back.append(n)
			back.until("end", func() bool { return errors.Is(back.audit.Healthy(), transparency.ErrMismatch) })
			if w, _ := back.log.Witnessed(); w.Quorum || w.Conflicts == 0 {
				t.Errorf("%+v", w)
			}
			if s.Count(Behind)+s.Count(Unproven) == 0 {
				t.Error("the witness did not count it")
			}
			latest := back.log.Latest().Size
			back.append(1) // the outcome of what had begun
			time.Sleep(1500 * time.Millisecond)
			if now := back.log.Latest().Size; now != latest {
				t.Errorf("a checkpoint of %d entries was signed after the end", now)
			}
			back.close()
			// It does not start again either: it has the evidence.
			a, err := audit.Open(snapshot, audit.Options{Origin: "police.example/gateway-0", SegmentSize: 128 << 10})
			must(t, err)
			defer a.Close()
			l, err := transparency.Open(a, transparency.Options{Logger: slog.New(slog.DiscardHandler)})
			if !errors.Is(err, transparency.ErrMismatch) {
				_ = l.Close(t.Context())
				t.Errorf("it was opened again: %v", err)
			}
			if evidence, err := os.ReadFile(filepath.Join(snapshot, "tlog", "evidence")); err != nil || !strings.HasPrefix(string(kept.Raw), string(evidence)) {
				t.Errorf("evidence %q: %v", evidence, err)
			}
		})
	}
}

// TestClonedVolume: two gateways run on copies of one volume. One of them goes on, the other ends, whichever is longer: the
// one that comes first is cosigned, and the other's tree need not have had that size.
func TestClonedVolume(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]int{"shorter": 2, "longer": 7, "by a tile": 300} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "one.example/witness")
			dir := filepath.Join(t.TempDir(), "log")
			first := open(t, dir, policy(1, s), 0)
			s.admit(t, first.log.VerifierKey())
			first.append(100)
			first.close()
			clone := copyOf(t, dir)
			first = open(t, dir, policy(1, s), 0)
			first.cosigned(first.append(5))
			second := open(t, clone, policy(1, s), 0)
			second.append(late)
			second.until("the second ends", func() bool { return errors.Is(second.audit.Healthy(), transparency.ErrMismatch) })
			first.cosigned(first.append(10))
			if err := first.audit.Healthy(); err != nil {
				t.Errorf("both ended: %v", err)
			}
		})
	}
}
