package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const taskForce = `
apiVersion: entente.dev/v1alpha1
kind: TaskForce
metadata: {name: quay.v%d}
spec:
  name: quay
  version: %[1]d
  objective: To watch the quay.
  lead: state-police
  members:%s
    - {agency: state-police, trustDomain: police.example}
    - {agency: labor-inspectorate, trustDomain: labor.example}
  window: {notBefore: "2026-01-01T00:00:00Z", notAfter: "2026-07-01T00:00:00Z"}
`

// TestTaskForceCommands: who joins by a new version of a task force is told from files, and from a folder.
func TestTaskForceCommands(t *testing.T) {
	dir := agreementFolder(t)
	for version, joins := range map[int]string{1: "", 2: "\n    - {agency: border-service, trustDomain: border.example}"} {
		force := fmt.Sprintf(taskForce, version, joins)
		path := filepath.Join(dir, fmt.Sprintf("quay.v%d.yaml", version))
		if err := os.WriteFile(path, []byte(force), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := newTaskForceCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs([]string{"digest", "-f", path})
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		digest, name, _ := strings.Cut(strings.TrimSpace(out.String()), "  ")
		if name != fmt.Sprintf("quay.v%d", version) {
			t.Fatalf("digest printed %q", out.String())
		}
		terms := strings.Replace(agreementV1, "{agency: state-police}]", fmt.Sprintf("{taskForce: {name: quay, version: %d, digest: %q}}]", version, digest), 1)
		if version == 2 {
			terms = strings.NewReplacer("anvil.v1", "anvil.v2", "    version: 1\n", "    version: 2\n    supersedes: 1\n",
				"    purposeStatement", "      - {agency: border-service, trustDomain: border.example}\n    purposeStatement").Replace(terms)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("anvil.v%d.yaml", version)), []byte(terms), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	both := filepath.Join(t.TempDir(), "both.yaml")
	var text []string
	for _, name := range []string{"quay.v2.yaml", "anvil.v2.yaml"} {
		data, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, string(data))
	}
	if err := os.WriteFile(both, []byte(strings.Join(text, "---\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"show in a folder", []string{"show", "anvil.v1", "--config", dir}, 0, "members of task force quay.v1 (state-police, until 2026-07-01)"},
		{"show files", []string{"show", "-f", file("anvil.v1.yaml"), "-f", file("quay.v1.yaml")}, 0, "To watch the quay."},
		{"show a file without it", []string{"show", "-f", file("anvil.v1.yaml")}, 0, "quay.v1: it is not here"},
		{"diff in a folder", []string{"diff", "anvil.v2", "--config", dir}, 1, "+ border-service may see employer and monthly_wage"},
		{"diff a file with what is on file", []string{"diff", both, "--config", dir}, 1, "task force quay.v2 instead of quay.v1"},
		{"lint a folder", []string{"lint", "--config", dir}, 0, "0 errors"},
		{"coverage", []string{"coverage", "anvil.v1", "--config", dir}, 0, "clauses[wages].recipients[0].taskForce"},
		{"export a document", []string{"export", "anvil.v2", "--config", dir}, 0, "## Task forces"},
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
}
