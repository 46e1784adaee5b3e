package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/gateway/audit"
)

// auditLog makes a closed log of four entries: one disclosure two days ago, and a denial now.
func auditLog(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "audit")
	now := time.Now().Add(-48 * time.Hour)
	l, err := audit.Open(dir, audit.Options{Origin: "labor-inspectorate.example/gateway-0", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	add := func(r audit.Record) {
		t.Helper()
		r.Side, r.Agreement, r.Version, r.Clause, r.Purpose = audit.Source, "anvil", 2, "wages", "entente:trafficking-investigation"
		rc, err := l.Append(t.Context(), r)
		if err == nil {
			err = rc.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add(audit.Record{Disclosure: "d-1", Kind: audit.Intent, Granularity: "Records", Filter: `family_name == "Castellanos" && wage > 3`})
	add(audit.Record{Disclosure: "d-1", Kind: audit.Outcome, Granularity: "Records", Records: 7, Outcome: "OK"})
	now = time.Now()
	add(audit.Record{Disclosure: "d-2", Kind: audit.Denial, Outcome: "DENIED", Reason: "purpose\x1b[2J"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runAudit(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := newAuditCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestAuditShow(t *testing.T) {
	dir := auditLog(t)
	for _, tc := range []struct {
		name string
		args []string
		rows int
		want []string
	}{
		{"all", nil, 3, []string{"TIME", "DISCLOSURE", "anvil.v2", "Intent", "Outcome", "Denial", "7"}},
		{"one disclosure", []string{"--disclosure", "d-1"}, 2, []string{"d-1"}},
		{"the last hour", []string{"--since", "1h"}, 1, []string{"d-2", "DENIED"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, _, err := runAudit(t, append([]string{"show", "--dir", dir}, tc.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out, "\n") - 1; n != tc.rows {
				t.Errorf("%d rows, want %d:\n%s", n, tc.rows, out)
			}
			for _, w := range tc.want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in\n%s", w, out)
				}
			}
			if strings.Contains(out, "Castellanos") || strings.Contains(out, "\x1b") {
				t.Errorf("the table shows a filter, or steers the terminal:\n%q", out)
			}
		})
	}
}

func TestAuditShowMachineReadable(t *testing.T) {
	dir := auditLog(t)
	out, _, err := runAudit(t, "show", "--dir", dir, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Seq        uint64       `json:"seq"`
		Commitment string       `json:"commitment"`
		Record     audit.Record `json:"record"`
	}
	if err := json.Unmarshal([]byte(out), &entries); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if len(entries) != 3 || entries[1].Record.Records != 7 || entries[2].Seq != 3 || !strings.HasPrefix(entries[0].Commitment, "sha256:") {
		t.Errorf("%+v", entries)
	}
	if !strings.Contains(out, `&& wage > 3`) {
		t.Errorf("the filter is not as it was written:\n%s", out)
	}
	out, _, err = runAudit(t, "show", "--dir", dir, "-o", "yaml", "--disclosure", "d-1")
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.Split(out, "---\n")
	if len(docs) != 2 {
		t.Fatalf("%d documents:\n%s", len(docs), out)
	}
	for _, d := range docs {
		if err := yaml.UnmarshalStrict([]byte(d), &map[string]any{}); err != nil {
			t.Error(err)
		}
	}
	if out, _, err := runAudit(t, "show", "--dir", dir, "-o", "json", "--since", "1ns"); err != nil || strings.TrimSpace(out) != "[]" {
		t.Errorf("nothing as JSON: %q %v", out, err)
	}
}

func TestAuditRefuses(t *testing.T) {
	dir := auditLog(t)
	for _, tc := range []struct {
		args string
		want string
	}{
		{"show", `"dir" not set`},
		{"show --dir " + t.TempDir(), "is not a gateway's log"},
		{"verify --dir " + t.TempDir(), "is not a gateway's log"},
		{"show --dir " + dir + " -o xml", "use table, json or yaml"},
		{"show --dir " + dir + " --since -1h", "--since"},
		{"show --dir " + dir + " --disclosure d-9", "no entry of disclosure d-9"},
		{"show --dir " + dir + " extra", "unknown command"},
	} {
		if _, _, err := runAudit(t, strings.Fields(tc.args)...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.args, err, tc.want)
		}
	}
}

func TestAuditVerify(t *testing.T) {
	dir := auditLog(t)
	out, _, err := runAudit(t, "verify", "--dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"labor-inspectorate.example/gateway-0", "Entries:   3\n", "Payloads:  3 opened", "First:", "Last:", "Head:      sha256:", "Result:    whole\n"} {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in\n%s", w, out)
		}
	}
	// One flipped bit in the second entry's record: behind a header of 128 bytes and the first entry's frame, whose length
	// stands in it.
	payload := filepath.Join(dir, fmt.Sprintf("%020d.payload", 1))
	b, err := os.ReadFile(payload)
	if err != nil {
		t.Fatal(err)
	}
	b[128+binary.BigEndian.Uint32(b[128+8:])+100] ^= 1
	if err := os.WriteFile(payload, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err = runAudit(t, "verify", "--dir", dir)
	if err == nil || !strings.Contains(err.Error(), filepath.Base(payload)) || !strings.Contains(err.Error(), "entry 2") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(out, "DAMAGED") || !strings.Contains(out, "1 before the damage") {
		t.Errorf("%s", out)
	}
	if _, _, err := runAudit(t, "show", "--dir", dir); err == nil {
		t.Error("show passes over damage")
	}
}
