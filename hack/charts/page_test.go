package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-dev/entente/hack/testenv"
)

// page is a Markdown page as somebody follows it: files to write and commands to run, in their order.
type page []step

type step struct{ file, text string }

// readPage takes YAML blocks that start with `# name.yaml` for files, and indented lines for commands.
func readPage(text string) (p page) {
	inYAML, file, block := false, "", ""
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "```yaml"):
			inYAML, file, block = true, "", ""
		case inYAML && strings.HasPrefix(line, "```"):
			if file != "" {
				p = append(p, step{file: file, text: block})
			}
			inYAML = false
		case inYAML:
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok && block == "" && strings.HasSuffix(name, ".yaml") {
				file = name
			}
			block += line
		case strings.HasPrefix(line, "    "):
			line = line[4:]
			if n := len(p); n > 0 && strings.HasSuffix(p[n-1].text, "\\\n") && p[n-1].file == "" {
				p[n-1].text += line
			} else {
				p = append(p, step{text: line})
			}
		}
	}
	return p
}

// docs/install.md, word by word: the addresses of Vault are the only thing that is changed.
func TestInstallPage(t *testing.T) {
	c := newCluster(t)
	vault := testenv.RequireVault(t, testenv.VaultOptions{})
	a := &agency{cluster: c, vault: vault, bin: c.programs(t), name: "state-police", trustDomain: "police.example.gov"}
	if err := os.Symlink(filepath.Join(root(t), "charts"), filepath.Join(c.dir, "charts")); err != nil {
		t.Fatal(err)
	}
	c.file(t, "vault-ca.pem", read(t, vault.CAFile()))
	for _, peer := range strings.Split(read(t, filepath.Join(root(t), "config", "samples", "peers.yaml")), "\n---\n") {
		if strings.Contains(peer, "name: border-service") {
			c.file(t, "border-service-agency.yaml", peer) // what the other side sent
		}
	}
	token := ""
	for _, v := range vault.Environment() {
		if value, ok := strings.CutPrefix(v, "VAULT_TOKEN="); ok {
			token = value
		}
	}
	here := strings.NewReplacer("https://vault.example.gov:8200", vault.Address(), "VAULT_TOKEN=...", "VAULT_TOKEN="+token)
	// What needs a registry or nodes. Everything else must work.
	left := []string{"make image", "cd hack/image", "helm test"}
	ran := 0
steps:
	for _, s := range readPage(read(t, filepath.Join(root(t), "docs", "install.md"))) {
		if s.file != "" {
			c.file(t, s.file, here.Replace(s.text))
			continue
		}
		for _, l := range left {
			if strings.HasPrefix(s.text, l) {
				continue steps
			}
		}
		if strings.HasPrefix(s.text, "helm rollback") || strings.HasPrefix(s.text, "helm uninstall") {
			a.quiet(t)
		}
		if out, err := a.shell(t.Context(), here.Replace(s.text)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		ran++
		switch {
		case strings.HasPrefix(s.text, "helm upgrade --install entente charts/entente "):
			a.start(t) // before Vault is set up, as a cluster does
		case strings.HasPrefix(s.text, "entente bootstrap vault"):
			a.waitReady(t)
			if want := bootstrapCommand(t, c.helm.must(t, "get", "notes", "entente", "-n", a.name)); strings.Join(strings.Fields(want), " ") != strings.Join(strings.Fields(s.text), " ") {
				t.Errorf("the page says\n%s\nand the notes say\n%s", s.text, want)
			}
		}
	}
	if ran < 15 {
		t.Errorf("only %d commands found on the page", ran)
	}
}
