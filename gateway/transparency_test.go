package gateway_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/transparency"
	"github.com/entente-dev/entente/gateway/witness"
)

// public gets from a gateway's log, as a stranger: no certificate, no token.
func (a *agency) public(path string) (int, string) {
	a.t.Helper()
	return getWith(a.t, a.client(""), "https://"+a.addrs.REST+path)
}

// TestLogIsPublic: what a gateway logged is soon under a checkpoint, which a stranger can get and check.
func TestLogIsPublic(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 100}), startAgency(t, "state-police", options{people: 100})
	agree("agr", persons(src, rec), src, rec)
	if code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`)); code != 200 || len(a.Records) != 1 {
		t.Fatalf("%d %+v", code, a)
	}
	for _, a := range []*agency{src, rec} {
		var info transparency.Info
		deadline := time.Now().Add(2 * time.Minute)
		for head, _ := a.log.Head(); info.Size < head; {
			code, body := a.public("/log/")
			if err := json.Unmarshal([]byte(body), &info); err != nil || code != 200 || time.Now().After(deadline) {
				t.Fatalf("%d %s: %v", code, body, err)
			}
		}
		v, err := note.NewVerifier(info.Key)
		must(t, err)
		if want := a.party.TrustDomain + "/log/gateway-0/"; !strings.HasPrefix(v.Name(), want) || v.Name() != info.Origin {
			t.Errorf("origin %s, key of %s, want %s…", info.Origin, v.Name(), want)
		}
		n := 0
		must(t, audit.Read(a.logDir, func(e audit.Entry) error {
			n++
			code, body := a.public(fmt.Sprintf("%sproof/inclusion?seq=%d", info.Path, e.Seq))
			var p transparency.InclusionProof
			if err := json.Unmarshal([]byte(body), &p); err != nil || code != 200 {
				t.Fatalf("%d %s: %v", code, body, err)
			}
			c, err := transparency.ParseCheckpoint([]byte(p.Checkpoint), v)
			if err == nil {
				err = proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, p.Size, rfc6962.DefaultHasher.HashLeaf(p.Leaf), p.Hashes, c.Root)
			}
			leaf, err2 := transparency.DecodeLeaf(p.Leaf)
			if err != nil || err2 != nil || leaf.Commitment != e.Commitment || leaf.Hash != e.Hash {
				t.Errorf("entry %d: %+v, %v, %v", e.Seq, leaf, err, err2)
			}
			return nil
		}))
		if n == 0 {
			t.Errorf("%s has no entries", a.party.Agency)
		}
		if code, _ := a.public(strings.Replace(info.Path, "/log/", "/log/0", 1) + "checkpoint"); code != 404 {
			t.Errorf("another log's checkpoint: %d", code)
		}
	}
	if _, body := get(t, "http://"+src.addrs.Health+"/metrics"); !strings.Contains(body, "entente_gateway_log_integration_lag_seconds 0") {
		t.Error("metrics do not have the lag")
	}
}

// TestMergeDelay: a gateway whose log is no longer integrated refuses, and answers again when it is.
func TestMergeDelay(t *testing.T) {
	o := options{people: 100, mergeDelay: time.Millisecond}
	src, rec := startAgency(t, "border-service", o), startAgency(t, "state-police", options{people: 100})
	agree("agr", persons(src, rec), src, rec)
	c := rec.client("alice")
	tile := filepath.Join(src.logDir, "tlog", "tree", "tile")
	must(t, os.WriteFile(tile, nil, 0o600)) // where a folder belongs: the tree cannot be written
	deadline := time.Now().Add(2 * time.Minute)
	for refused := false; !refused; {
		code, a := rec.query(t, c, q(`person_number == "P000042"`))
		if code != 200 || time.Now().After(deadline) {
			t.Fatalf("%d %+v", code, a)
		}
		refused = a.Sources[0].Outcome == "UNAVAILABLE" && a.Sources[0].Reason == "AuditLog"
	}
	if code, body := get(t, "http://"+src.addrs.Health+"/readyz"); code != 503 || !strings.Contains(body, "not ready: log") {
		t.Errorf("readyz %d %s", code, body)
	}
	must(t, os.Remove(tile))
	for answered := false; !answered; {
		code, a := rec.query(t, c, q(`person_number == "P000042"`))
		if code != 200 || time.Now().After(deadline) {
			t.Fatalf("%d %+v", code, a)
		}
		answered = len(a.Records) == 1
	}
}

// TestWitnessedByAPeer: one agency's gateway witnesses the log of another's, over TLS, and both say so.
func TestWitnessedByAPeer(t *testing.T) {
	logs := filepath.Join(t.TempDir(), "logs")
	must(t, os.WriteFile(logs, nil, 0o600))
	w, err := witness.Open(t.TempDir(), witness.Options{Name: "border-service.example/witness", LogsFile: logs})
	must(t, err)
	src := startAgency(t, "border-service", options{people: 100, witness: w})
	policy, err := transparency.ParsePolicy(fmt.Appendf(nil, "witness peer %s https://%s\nquorum peer\n", w.VerifierKey(), src.addrs.Witness))
	must(t, err)
	rec := startAgency(t, "state-police", options{people: 100, witnesses: &transparency.Witnesses{Policy: policy, Interval: time.Second, Client: src.client("")}})
	agree("agr", persons(src, rec), src, rec)
	if code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`)); code != 200 || len(a.Records) != 1 {
		t.Fatalf("%d %+v", code, a)
	}
	ready := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			code, body := get(t, "http://"+rec.addrs.Health+"/readyz")
			if code != 200 || time.Now().After(deadline) {
				t.Fatalf("%d %s, want %q", code, body, want)
			}
			if strings.Contains(body, want) {
				return
			}
		}
	}
	ready("no quorum of witnesses: border-service.example/witness: it does not know this log")
	var info transparency.Info
	_, body := rec.public("/log/")
	must(t, json.Unmarshal([]byte(body), &info))
	must(t, os.WriteFile(logs, []byte(info.Key+"\n"), 0o600))
	must(t, os.Chtimes(logs, time.Now(), time.Now().Add(time.Minute)))
	ready("witnessed up to entry")
	if code, body := rec.public(info.Path + "checkpoint/cosigned"); code != 200 || !strings.Contains(body, "\n— border-service.example/witness ") {
		t.Errorf("%d %s", code, body)
	}
	for a, want := range map[*agency]string{rec: "entente_gateway_log_witness_quorum 1", src: `entente_witness_requests_total{result="cosigned"}`} {
		if _, body := get(t, "http://"+a.addrs.Health+"/metrics"); !strings.Contains(body, want) {
			t.Errorf("metrics of %s have no %s", a.party.Agency, want)
		}
	}
}
