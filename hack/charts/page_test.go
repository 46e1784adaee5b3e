package charts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// newcomer is somebody who installs an agency by docs/install.md.
type newcomer struct {
	*agency
	// words of the page that are others here: names of hosts, and for the second agency the names of both.
	swap     *strings.Replacer
	replaced func(*newcomer) []string
	followed int
}

// read gives what the page says to this newcomer.
func (n *newcomer) read(text string) string {
	if n.swap != nil {
		text = n.swap.Replace(text)
	}
	return strings.NewReplacer(n.replaced(n)...).Replace(text)
}

func (n *newcomer) run(t *testing.T, command string) string {
	t.Helper()
	out, err := n.shell(t.Context(), command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", n.name, err, out)
	}
	n.followed++
	return out
}

// left needs a registry or nodes. Everything else must work.
var left = []string{"make image", "cd hack/image", "helm test", "kubectl exec"}

// step does one step of the page.
func (n *newcomer) step(t *testing.T, s step) (out string) {
	t.Helper()
	text := n.read(s.text)
	if s.file != "" {
		n.file(t, n.read(s.file), text)
		return ""
	}
	for _, l := range left {
		if strings.HasPrefix(text, l) {
			return ""
		}
	}
	out = n.run(t, text)
	switch {
	case strings.HasPrefix(text, "kubectl create configmap vault-authority"):
		// The cluster is the identity provider here.
		n.kubectl(t, "create", "configmap", "login-authority", "-n", n.name, "--from-file=ca.crt="+n.file(t, "login-ca.pem", string(n.Config().CAData)))
	case strings.HasPrefix(text, "helm upgrade --install entente charts/entente "):
		n.start(t) // before Vault is set up, as a cluster does
	case strings.HasPrefix(text, "entente bootstrap vault"):
		n.waitReady(t)
		if want := bootstrapCommand(t, n.helm.must(t, "get", "notes", "entente", "-n", n.name)); strings.Join(strings.Fields(want), " ") != strings.Join(strings.Fields(text), " ") {
			t.Errorf("the page says\n%s\nand the notes say\n%s", text, want)
		}
	}
	return out
}

// docs/install.md, word by word, by two agencies: names of hosts are all that is changed, and for the second agency the names of both. It
// ends with a query of the first, answered by the second.
func TestInstallPage(t *testing.T) {
	c := newCluster(t)
	vault := testenv.RequireVault(t, testenv.VaultOptions{})
	records := testenv.RequirePostgres(t, testenv.PostgresOptions{NoSync: true})
	bin := c.programs(t)
	token := ""
	for _, v := range vault.Environment() {
		if value, ok := strings.CutPrefix(v, "VAULT_TOKEN="); ok {
			token = value
		}
	}
	databaseCA, err := json.Marshal(read(t, records.CAFile()))
	if err != nil {
		t.Fatal(err)
	}
	today := time.Now().UTC().Truncate(24 * time.Hour)
	replaced := func(n *newcomer) []string {
		domain := n.trustDomain
		here := []string{
			"https://vault.example.gov:8200", vault.Address(), "VAULT_TOKEN=...", "VAULT_TOKEN=" + token,
			`issuerURL: "https://login.` + domain + `"`, fmt.Sprintf("issuerURL: %q, ca: {configMap: login-authority}", c.Issuer()),
			"postgresql://{{username}}:{{password}}@db.border.example.gov:5432/border?sslmode=verify-full", records.VaultURL("border"),
			"host: db.border.example.gov", fmt.Sprintf("host: 127.0.0.1, port: %d, caBundle: %s", records.Port(), databaseCA),
			"2026-01-01T00:00:00Z", today.AddDate(0, 0, -1).Format(time.RFC3339), "2028-01-01T00:00:00Z", today.AddDate(1, 0, 0).Format(time.RFC3339),
		}
		if n.bound != nil {
			here = append(here,
				"gateway."+domain+":9443", n.bound["entente-gateway-0 --peer-address"],
				"exchange."+domain+":9444", n.bound["entente-operator-0 --exchange-address"],
				"data."+domain+":8444", n.bound["entente-gateway-0 --grpc-address"])
		}
		return append(here, "data."+domain, "127.0.0.1")
	}
	newcomers := map[string]*newcomer{}
	for name, domain := range map[string]string{"state-police": "police.example.gov", "border-service": "border.example.gov"} {
		own := *c
		own.dir = t.TempDir()
		if err := os.Symlink(filepath.Join(root(t), "charts"), filepath.Join(own.dir, "charts")); err != nil {
			t.Fatal(err)
		}
		n := &newcomer{agency: &agency{cluster: &own, vault: vault, bin: bin, name: name, trustDomain: domain}, replaced: replaced}
		n.file(t, "vault-ca.pem", read(t, vault.CAFile()))
		newcomers[name] = n
	}
	police, border := newcomers["state-police"], newcomers["border-service"]
	border.swap = strings.NewReplacer("state-police", "border-service", "border-service", "state-police", "police.example.gov", "border.example.gov", "border.example.gov", "police.example.gov")

	steps := readPage(read(t, filepath.Join(root(t), "docs", "install.md")))
	until := func(from int, prefix string) int {
		t.Helper()
		for i := from; i < len(steps); i++ {
			if strings.HasPrefix(steps[i].text, prefix) {
				return i + 1
			}
		}
		t.Fatalf("the page has no %q", prefix)
		return 0
	}
	both := func(from, to int) {
		t.Helper()
		for _, n := range []*newcomer{border, police} {
			for _, s := range steps[from:to] {
				n.step(t, s)
			}
		}
	}
	// 1 to 7: each for itself; then they send each other what they print.
	exported := until(0, "entente agency export -n state-police >")
	both(0, exported)
	for _, pair := range [][2]*newcomer{{police, border}, {border, police}} {
		file := pair[0].name + "-agency.yaml"
		pair[1].file(t, file, read(t, filepath.Join(pair[0].dir, file)))
	}
	connected := until(exported, "kubectl wait -n state-police --for=condition=Accepted agency/border-service")
	both(exported, connected)

	// 8: one shares, the other asks.
	for _, sql := range []string{
		"CREATE ROLE border_admin LOGIN CREATEROLE PASSWORD 'of-the-test'", "GRANT pg_signal_backend TO border_admin", "CREATE DATABASE border OWNER border_admin",
	} {
		if err := records.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := records.Exec(t.Context(), "border", "SET ROLE border_admin; CREATE TABLE travellers (travel_document text, permit text, permit_until date, notes text); "+
		"INSERT INTO travellers VALUES ('P-77231', 'Seasonal', '2031-03-31', 'stays here')"); err != nil {
		t.Fatal(err)
	}
	border.file(t, "admin.pw", "of-the-test")
	border.file(t, "db-ca.pem", read(t, records.CAFile()))
	if err := c.EnsureServiceAccount(t.Context(), "default", "analyst"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteToken(t.Context(), filepath.Join(police.dir, "token"), "default", "analyst", testenv.TokenOptions{Audience: "entente"}); err != nil {
		t.Fatal(err)
	}
	asked := until(connected, "entente query")
	for _, s := range steps[connected:asked] {
		switch {
		case s.file == "permits.v1.yaml": // the same at both
			digest := strings.Fields(police.run(t, "entente schema digest -f permit.yaml"))[0]
			text := strings.ReplaceAll(s.text, "sha256:DIGEST", digest)
			text = strings.NewReplacer(replaced(police)...).Replace(text)
			police.file(t, s.file, text)
			border.file(t, s.file, text)
		case s.file == "travellers.yaml":
			border.file(t, s.file, strings.NewReplacer(replaced(border)...).Replace(s.text))
		case strings.HasPrefix(s.text, "kubectl apply -n border-service"):
			border.run(t, s.text)
		case strings.HasPrefix(s.text, "--database "):
			command := strings.TrimRight(bootstrapCommand(t, border.helm.must(t, "get", "notes", "entente", "-n", border.name)), "\n")
			border.run(t, command+" "+strings.NewReplacer(replaced(border)...).Replace(s.text))
		case strings.HasPrefix(s.text, "entente query"):
			out := police.step(t, s)
			if !strings.Contains(out, "2031-03-31") || !strings.Contains(out, "Seasonal") || strings.Contains(out, "stays here") {
				t.Errorf("the answer is\n%s", out)
			}
		case strings.HasPrefix(s.text, "kubectl get agency/state-police"): // the analyst's side only
			police.step(t, s)
		default:
			border.step(t, s)
			police.step(t, s)
		}
	}
	// And away.
	for _, s := range steps[asked:] {
		if strings.HasPrefix(s.text, "helm rollback") || strings.HasPrefix(s.text, "helm uninstall") {
			police.quiet(t)
		}
		police.step(t, s)
	}
	if police.followed < 22 {
		t.Errorf("only %d commands found on the page", police.followed)
	}
}
