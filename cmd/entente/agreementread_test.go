package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-dev/entente/controllers/words"
)

const agreementV1 = `
apiVersion: entente.dev/v1alpha1
kind: SharingAgreement
metadata: {name: anvil.v1}
spec:
  terms:
    id: anvil
    version: 1
    title: Anvil
    type: MemorandumOfUnderstanding
    parties:
      - {agency: state-police, trustDomain: police.example}
      - {agency: labor-inspectorate, trustDomain: labor.example}
    purposeStatement: To find persons who are held in forced labor.
    term: {notBefore: "2026-01-01T00:00:00Z", notAfter: "2027-01-01T00:00:00Z"}
    clauses:
      - name: wages
        source: labor-inspectorate
        recipients: [{agency: state-police}]
        schema: {name: person, version: 1, digest: "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
        purposes: ["entente:trafficking-investigation"]
        granularity: Records
        fields: [employer, monthly_wage]
        filterFields: [document_number]
`

const agreementV2Edit = "supersedes: 1"

// agreementFolder has an agency, its agreement and an amendment that shows a field more.
func agreementFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	two := strings.NewReplacer("anvil.v1", "anvil.v2", "    version: 1\n", "    version: 2\n    "+agreementV2Edit+"\n", "[employer, monthly_wage]", "[employer, monthly_wage, bank_account]").Replace(agreementV1)
	for name, text := range map[string]string{
		"agency.yaml": `
apiVersion: entente.dev/v1alpha1
kind: Agency
metadata: {name: labor-inspectorate}
spec: {displayName: Labor Inspectorate, trustDomain: labor.example}
`,
		"dataset.yaml": `
apiVersion: entente.dev/v1alpha1
kind: Dataset
metadata: {name: wage-records}
spec:
  schema: {name: person, version: 1}
  source: {sqlite: {path: labor.db}}
  relation: wages
  fields: [{field: employer, column: employer}]
`,
		"anvil.v1.yaml": agreementV1, "anvil.v2.yaml": two,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func runAgreement(t *testing.T, args ...string) (out string, code int, err error) {
	t.Helper()
	out, errs, err := runCommand(newAgreementCommand(), args...)
	return out + errs, exitCode(err), err
}

func TestAgreementCommands(t *testing.T) {
	dir := agreementFolder(t)
	one, two := filepath.Join(dir, "anvil.v1.yaml"), filepath.Join(dir, "anvil.v2.yaml")
	for _, c := range []struct {
		name string
		args []string
		code int
		want string // in the output, or in the error
	}{
		{"show at a desk", []string{"show", "anvil.v1", "--config", dir}, 0, "labor-inspectorate (labor.example): Labor Inspectorate"},
		{"show a file", []string{"show", "-f", one}, 0, "labor-inspectorate lets state-police see employer and monthly_wage"},
		{"show what is not there", []string{"show", "anvil.v9", "--config", dir}, 1, `the folder has no SharingAgreement "anvil.v9" (anvil.v1, anvil.v2)`},
		{"show nothing", []string{"show"}, 1, "name an agreement"},
		{"show as XML", []string{"show", "-f", one, "-o", "xml"}, 1, `--output "xml": use text, json, yaml`},
		{"show one of several", []string{"show", "anvil.v2", "-f", one, "-f", two}, 0, "supersedes version 1"},
		{"show several", []string{"show", "-f", one, "-f", two}, 1, "name one of anvil.v1, anvil.v2"},
		{"diff with what it supersedes", []string{"diff", "anvil.v2", "--config", dir}, 1, "+ state-police may see bank_account"},
		{"diff a file with what is on file", []string{"diff", two, "--config", dir}, 1, "widens   clauses[wages].fields"},
		{"diff two files, the other way round", []string{"diff", two, one}, 1, "- state-police may no longer see bank_account"},
		{"diff of the same", []string{"diff", one, one}, 0, "No difference in what is agreed."},
		{"diff of the first version", []string{"diff", "anvil.v1", "--config", dir}, 2, "supersedes no version"},
		{"diff of what is not there", []string{"diff", "anvil.v1", "anvil.v3", "--config", dir}, 2, `no SharingAgreement "anvil.v3"`},
		{"diff with a wrong flag", []string{"diff", "--wrong"}, 2, "unknown flag"},
		{"diff with too much", []string{"diff", "a", "b", "c"}, 2, "not 3"},
		{"verify without signatures", []string{"verify", "-f", one}, 1, "2 of 2 parties have no good signature on anvil.v1: state-police, labor-inspectorate"},
		{"coverage", []string{"coverage", "-f", one}, 0, "clauses[wages].fields"},
		{"export a document", []string{"export", "-f", one}, 0, "## (K) Oversight"},
		{"export the canonical form", []string{"export", "-f", one, "--format", "json"}, 0, `"id":"anvil"`},
		{"export an entry", []string{"export", "-f", one, "--format", "register"}, 0, `"start": "2026-01-01"`},
		{"export as PDF", []string{"export", "-f", one, "--format", "pdf"}, 1, "use md, json or register"},
		{"nobody sees what nobody signed", []string{"who-can-see", "wage-records", "--config", dir}, 0, "No other agency may see dataset wage-records"},
		{"who sees what is not there", []string{"who-can-see", "wages", "--config", dir}, 1, `there is no Dataset "wages" here (wage-records)`},
		{"who sees it some day", []string{"who-can-see", "wage-records", "--at", "monday", "--config", dir}, 1, "neither a date"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, code, err := runAgreement(t, c.args...)
			if err != nil {
				out += err.Error()
			}
			if code != c.code || !strings.Contains(out, c.want) {
				t.Errorf("exit code %d, want %d; no %q in\n%s", code, c.code, c.want, out)
			}
		})
	}
	// Commands that read leave nothing behind.
	if _, err := os.Stat(filepath.Join(dir, ".entente")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a state folder was made: %v", err)
	}
}

// TestAgreementDiffJSON: scripts branch on the kind.
func TestAgreementDiffJSON(t *testing.T) {
	dir := agreementFolder(t)
	out, code, _ := runAgreement(t, "diff", "anvil.v2", "--config", dir, "-o", "json")
	var d words.Diff
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 1 {
		t.Fatalf("%v, exit code %d\n%s", err, code, out)
	}
	if len(d.Changes) != 1 || d.Changes[0].Kind != words.Widens || d.Changes[0].Term != "clauses[wages].fields" || len(d.Becomes) != 1 || d.Becomes[0].Fields[0] != "bank_account" {
		t.Errorf("%+v", d)
	}
}

// TestAgreementUnknownMember: what the digest does not cover is not shown as if it had been agreed.
func TestAgreementUnknownMember(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	text := strings.Replace(agreementV1, "granularity: Records", "granularity: Records\n        rowFiltre: employer != null", 1)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"show"}, {"verify"}, {"coverage"}, {"export"}} {
		if _, _, err := runAgreement(t, append(args, "-f", path)...); err == nil || !strings.Contains(err.Error(), "rowFiltre") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
