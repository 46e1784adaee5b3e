package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDuties: what is owed by the terms, and an attestation of what is not owed is refused before it is filed.
func TestDuties(t *testing.T) {
	dir := agreementFolder(t)
	path := filepath.Join(dir, "anvil.v1.yaml")
	text := strings.Replace(agreementV1, "    clauses:\n", `    security: Access is reviewed every quarter.
    duties:
      - {name: access-review, agency: labor-inspectorate, what: review who may query, term: security, everyDays: 91}
    clauses:
`, 1) + "        obligations: {retentionDays: 30}\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	want := []string{"DUTY", "access-review  labor-inspectorate  not owed  every 91 days", "destruction    state-police        not owed  within 30 days of the end", "2 duties, 0 overdue."}
	for _, args := range [][]string{{"duties", "anvil.v1", "--config", dir}, {"duties", "-f", path}} {
		out, code, err := runAgreement(t, args...)
		if err != nil || code != 0 {
			t.Fatal(code, err)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%v: no %q in\n%s", args, w, out)
			}
		}
	}
	if out, _, err := runAgreement(t, "duties", "--config", dir); err != nil || out != "labor-inspectorate owes nothing.\n" {
		t.Errorf("%q, %v", out, err)
	}
	decide := func(flags ...string) (string, error) {
		out, _, err := runAgreement(t, append([]string{"decide", "anvil.v1", "--decided-by", "dana", "--config", dir}, flags...)...)
		return out, err
	}
	for flags, problem := range map[string]string{
		"--attest destruction":            `agency labor-inspectorate owes no duty "destruction" under anvil.v1: it owes access-review`,
		"--attest access-review --accept": "none of the others can be",
		"--attest ":                       `owes no duty ""`,
	} {
		if out, err := decide(strings.SplitN(flags, " ", 3)...); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %q, %v", flags, out, err)
		}
	}
	out, err := decide("--attest", "access-review")
	if err != nil || !strings.Contains(out, "anvil-v1-attest-access-review-") || !strings.Contains(out, "created: Attest access-review anvil.v1, digest sha256:") {
		t.Errorf("%q, %v", out, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "decision-*.yaml"))
	if err != nil || len(files) != 1 {
		t.Errorf("%q, %v", files, err)
	}
}
