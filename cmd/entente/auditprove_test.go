package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/transparency"
)

// publicLog is auditLog with its transparency log.
func publicLog(t *testing.T) string {
	t.Helper()
	dir := auditLog(t)
	l, err := audit.Open(dir, audit.Options{Origin: "labor-inspectorate.example/gateway-0"})
	if err != nil {
		t.Fatal(err)
	}
	public, err := transparency.Open(l, transparency.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := public.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAuditProve(t *testing.T) {
	dir := publicLog(t)
	out, _, err := runAudit(t, "verify", "--dir", dir)
	if err != nil || !strings.Contains(out, "checkpoint of 3 entries, cosigned by nobody") {
		t.Fatalf("%v\n%s", err, out)
	}
	out, _, err = runAudit(t, "checkpoint", "--dir", dir)
	if err != nil || !strings.HasPrefix(out, "labor-inspectorate.example/log/gateway-0/") {
		t.Fatalf("%v\n%s", err, out)
	}
	out, _, err = runAudit(t, "checkpoint", "--dir", dir, "-o", "json")
	var checkpoint struct{ Key, Checkpoint string }
	if err != nil || json.Unmarshal([]byte(out), &checkpoint) != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "proof.json")
	if _, _, err := runAudit(t, "prove", "--dir", dir, "--disclosure", "d-1", "--out", file); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode() != fs.FileMode(0o600) {
		t.Errorf("%v %v", st.Mode(), err)
	}
	if err := os.RemoveAll(dir); err != nil { // the proof is all there is
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", "--proof", file}, {"verify", "--proof", file, "--log-key", checkpoint.Key}} {
		out, _, err = runAudit(t, args...)
		if err != nil || strings.Count(out, "d-1") != 2 || !strings.Contains(out, "Proven: these records are in the log labor-inspectorate.example/log/gateway-0/") {
			t.Errorf("%v\n%s", err, out)
		}
		if own := strings.Contains(out, "Compare its key"); own != (len(args) == 3) {
			t.Errorf("%v: %s", args, out)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"the record": {`\"records\":7`, `\"records\":8`}, "the place": {`index 1`, `index 0`}, "the checkpoint": {`\n3\n`, `\n4\n`},
		"an unknown member": {`"entries":`, `"note": "", "entries":`}, "the form": {"log-proof/v1", "log-proof/v2"},
	} {
		bad := strings.Replace(string(b), change[0], change[1], 1)
		if bad == string(b) {
			t.Fatalf("%s: nothing to change in %s", name, b)
		}
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, _, err := runAudit(t, "verify", "--proof", file); err == nil {
			t.Errorf("%s: accepted\n%s", name, out)
		}
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	other := publicLog(t)
	out, _, err = runAudit(t, "checkpoint", "--dir", other, "-o", "json")
	if err != nil || json.Unmarshal([]byte(out), &checkpoint) != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, _, err := runAudit(t, "verify", "--proof", file, "--log-key", checkpoint.Key); err == nil {
		t.Error("another log's key was accepted")
	}
	if _, _, err := runAudit(t, "verify", "--proof", file, "--witness-key", checkpoint.Key); err == nil {
		t.Error("a witness that did not cosign was accepted")
	}
	if _, _, err := runAudit(t, "prove", "--dir", other, "--disclosure", "d-9"); err == nil {
		t.Error("a disclosure that is not there was proven")
	}
}

func TestAuditVerifyFindsADamagedTree(t *testing.T) {
	for _, name := range []string{"tile/0/000.p/3", "tile/entries/000.p/3", "checkpoint"} {
		dir := publicLog(t)
		file := filepath.Join(dir, "tlog", "tree", filepath.FromSlash(name))
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-20] ^= 1
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, _, err := runAudit(t, "verify", "--dir", dir)
		if err == nil || !strings.Contains(out, "DOES NOT MATCH") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestProofOutlivesErasure: what was proven stays proven, and the log stays whole, when the payload is erased.
func TestProofOutlivesErasure(t *testing.T) {
	dir := publicLog(t)
	file := filepath.Join(t.TempDir(), "proof.json")
	if _, _, err := runAudit(t, "prove", "--dir", dir, "--disclosure", "d-1", "--out", file); err != nil {
		t.Fatal(err)
	}
	if out, _, err := runAudit(t, "erase", "--dir", dir, "--disclosure", "d-1", "--reason", "entered in error", "--by", "records office"); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	if out, _, err := runAudit(t, "verify", "--proof", file); err != nil || strings.Count(out, "d-1") != 2 {
		t.Errorf("the proof: %v\n%s", err, out)
	}
	if out, _, err := runAudit(t, "verify", "--dir", dir); err != nil || !strings.Contains(out, "2 erased") || !strings.Contains(out, "as in the chain") {
		t.Errorf("the log: %v\n%s", err, out)
	}
	f, err := transparency.ReadFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = audit.Read(dir, func(e audit.Entry) error {
		if !e.Erased {
			return nil
		}
		p, err := f.Prove(t.Context(), e) // the entry can still be proven, and no longer what it said
		if err != nil || p.Record != "" || p.Salt != nil {
			t.Errorf("entry %d: %+v %v", e.Seq, p, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
