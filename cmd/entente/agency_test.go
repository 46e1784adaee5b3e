package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/controllers/standalone"
	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/hack/testenv"
)

func runAgency(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := newAgencyCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	var out bytes.Buffer
	cmd.SetIn(&bytes.Buffer{})
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// try runs the command and wants text in its output or its error.
func try(t *testing.T, fails bool, want string, args ...string) string {
	t.Helper()
	out, err := runAgency(t, args...)
	all := out
	if err != nil {
		all += err.Error()
	}
	if (err != nil) != fails || !strings.Contains(all, want) {
		t.Errorf("%v: error %v; no %q in\n%s", args, err, want, all)
	}
	return out
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const ownAgency = `# Who we are.
apiVersion: entente.dev/v1alpha1
kind: Agency
metadata: {name: NAME}
spec:
  displayName: Agency NAME
  trustDomain: NAME.example
  endpoints: {gateway: "gateway.NAME.example:9443", exchange: "exchange.NAME.example:9444"}
`

// folderOf is a folder with an agency of its own.
func folderOf(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "agency.yaml", strings.ReplaceAll(ownAgency, "NAME", name))
	return dir
}

// TestAgencyImport: what one agency prints, another shows with the same fingerprints, and applies when it is told to.
func TestAgencyImport(t *testing.T) {
	border, police := folderOf(t, "border"), folderOf(t, "police")
	exported := try(t, false, "kind: Agency", "export", "--config", border)
	file := write(t, t.TempDir(), "border.yaml", exported)
	prints := try(t, false, "signing key", "export", "--fingerprints", "--config", border)
	at := []string{"import", "-f", file, "--config", police}
	peers := func() int {
		x, err := standalone.Folder{ConfigDir: police}.Index()
		if err != nil {
			t.Fatal(err)
		}
		return len(x.Agencies) - 1
	}
	if out := try(t, false, "+ a peer that is new here", append(at, "--dry-run")...); !strings.HasPrefix(out, prints) {
		t.Errorf("shows\n%s\nand the other side\n%s", out, prints)
	}
	try(t, true, "nothing was applied: compare the fingerprints", at...)
	if peers() != 0 {
		t.Fatal("applied without a word")
	}
	try(t, false, "agency border applied", append(at, "--yes")...)
	try(t, false, "nothing to change", at...)
	if peers() != 1 {
		t.Fatal("not applied")
	}

	// In the place of the one that is there, in a file that holds more.
	if err := os.Remove(filepath.Join(police, "agency-border.yaml")); err != nil {
		t.Fatal(err)
	}
	write(t, police, "agency.yaml", strings.ReplaceAll(ownAgency, "NAME", "police")+"---\n# A peer.\n"+exported)
	moved := write(t, t.TempDir(), "border.yaml", strings.Replace(exported, "exchange.border.example:9444", "exchange.border.example:443", 1))
	try(t, false, "~ exchange: exchange.border.example:443 instead of exchange.border.example:9444", "import", "-f", moved, "--config", police, "--yes")
	text, err := os.ReadFile(filepath.Join(police, "agency.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Who we are.", "# A peer.", "exchange.border.example:443", "exchange.police.example:9444"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	try(t, false, "nothing to change", "import", "-f", moved, "--config", police)

	// Another authority and another key under the same name: seen for what they are.
	other := folderOf(t, "border")
	swapped := write(t, t.TempDir(), "border.yaml", try(t, false, "", "export", "--config", other))
	try(t, false, "- signing key", "import", "-f", swapped, "--config", police, "--dry-run")
	try(t, false, "- authority", "import", "-f", swapped, "--config", police, "--dry-run")
}

// TestAgencyImportSamples: the peers of the samples, one of which docs/install.md imports.
func TestAgencyImportSamples(t *testing.T) {
	text, err := os.ReadFile("../../config/samples/peers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	police := folderOf(t, "state-police")
	for _, peer := range strings.Split(string(text), "\n---\n") {
		file := write(t, t.TempDir(), "peer.yaml", peer)
		try(t, false, "Nothing was applied", "import", "-f", file, "--config", police, "--dry-run")
		try(t, false, "applied", "import", "-f", file, "--config", police, "--yes")
	}
}

// TestAgencyImportRefuses files that are not what another agency prints.
func TestAgencyImportRefuses(t *testing.T) {
	border, police := folderOf(t, "border"), folderOf(t, "police")
	exported := try(t, false, "", "export", "--config", border)
	own := try(t, false, "", "export", "--config", police)
	write(t, police, "peer.yaml", strings.NewReplacer("name: border", "name: known", "border.example", "known.example").Replace(exported))
	edit := func(old, new string) string {
		if !strings.Contains(exported, old) {
			t.Fatalf("no %q in %s", old, exported)
		}
		return strings.Replace(exported, old, new, 1)
	}
	for name, c := range map[string]struct{ text, want string }{
		"an unknown member":          {edit("  displayName:", "  motto: yes\n  displayName:"), "spec.motto"},
		"a member in another case":   {edit("  displayName:", "  DisplayName:"), "spec.DisplayName"},
		"a member twice":             {exported + "  displayName: other\n", "displayName"},
		"two agencies":               {exported + "---\n" + own, "not one Agency"},
		"another kind":               {edit("kind: Agency", "kind: Dataset"), "Dataset"},
		"no trust bundle":            {edit("trustBundle:", "postalAddress:"), "spec.trustBundle (empty)"},
		"a bundle that is none":      {edit("BEGIN CERTIFICATE", "BEGIN RSA PUBLIC KEY"), "spec.trustBundle"},
		"a key that is none":         {edit("crv: P-256", "crv: Ed25519"), "spec.signingKeys"},
		"this agency itself":         {own, "is this agency itself"},
		"its trust domain":           {edit("trustDomain: border.example", "trustDomain: police.example"), `that of Agency "police", too`},
		"another's trust domain":     {edit("trustDomain: border.example", "trustDomain: known.example"), `that of Agency "known", too`},
		"another's name":             {edit("name: border", "name: known"), "the name known is that of the agency with the trust domain known.example"},
		"a name that steers":         {edit("name: border", "name: \"b\\e[2J\""), "metadata.name"},
		"an endpoint that is none":   {edit("exchange: exchange.border.example:9444", "exchange: https://border.example"), "spec.endpoints.exchange"},
		"no name to people":          {edit("displayName: Agency border", `displayName: ""`), "spec.displayName"},
		"a private key in its place": {edit("kty: EC", "kty: EC\n      d: AAAA"), "signingKeys.keys[0].d"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, t.TempDir(), "in.yaml", c.text)
			try(t, true, c.want, "import", "-f", file, "--config", police, "--yes")
		})
	}
}

// TestAgencyImportCluster: on a real API server, as the platform team, and refused to whoever may not.
func TestAgencyImportCluster(t *testing.T) {
	kube := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{"../../config/crd"}})
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := kube.WriteAdminKubeconfig(kubeconfig); err != nil {
		t.Fatal(err)
	}
	own := write(t, t.TempDir(), "own.yaml", strings.ReplaceAll(ownAgency, "NAME", "police"))
	for _, args := range [][]string{
		{"create", "namespace", "police"},
		{"apply", "-n", "police", "-k", "../../config/rbac"},
		{"create", "rolebinding", "platform", "-n", "police", "--role=entente-platform", "--user=platform"},
		{"create", "rolebinding", "decider", "-n", "police", "--role=entente-decider", "--user=decider"},
		{"apply", "-n", "police", "-f", own},
	} {
		if _, err := kube.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	border := folderOf(t, "border")
	exported := try(t, false, "kind: Agency", "export", "--config", border)
	file := write(t, t.TempDir(), "border.yaml", exported)
	at := func(as string, more ...string) []string {
		return append([]string{"import", "--kubeconfig", kubeconfig, "-n", "police", "--as", as}, more...)
	}
	try(t, true, "see that its operator runs", at("platform", "-f", file, "--yes")...)
	if _, err := kube.Kubectl(t.Context(), "patch", "-n", "police", "agency/police", "--subresource=status", "--type=merge", "-p", `{"status":{"local":true}}`); err != nil {
		t.Fatal(err)
	}
	try(t, false, "Nothing was applied", at("decider", "-f", file, "--dry-run")...)
	try(t, true, "forbidden", at("decider", "-f", file, "--yes")...)
	try(t, false, "agency border applied", at("platform", "-f", file, "--yes")...)
	try(t, false, "nothing to change", at("platform", "-f", file)...)
	moved := write(t, t.TempDir(), "border.yaml", strings.Replace(exported, "exchange.border.example:9444", "exchange.border.example:443", 1))
	try(t, false, "~ exchange: exchange.border.example:443", at("platform", "-f", moved, "--yes")...)
	out, err := kube.Kubectl(t.Context(), "get", "-n", "police", "agency/border", "-o", "jsonpath={.spec.endpoints.exchange} {.spec.signingKeys.keys[*].kty}")
	if err != nil || strings.TrimSpace(out) != "exchange.border.example:443 EC" {
		t.Errorf("%q %v", out, err)
	}
	try(t, true, "is this agency itself", at("platform", "-f", own, "--yes")...)
}

// TestAgencyCheck: between two folders, one of which runs until it is stopped.
func TestAgencyCheck(t *testing.T) {
	border, police := folderOf(t, "border"), folderOf(t, "police")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const any = "127.0.0.1:0"
	ready, ended := make(chan standalone.Bound, 1), make(chan error, 1)
	go func() {
		ended <- standalone.Run(ctx, standalone.Options{
			Folder: standalone.Folder{ConfigDir: border}, Listen: gateway.Addrs{REST: any, GRPC: any, Peer: any, Health: any}, Exchange: any,
			Ready: func(b standalone.Bound) { ready <- b }, Logger: slog.New(slog.DiscardHandler),
		})
	}()
	var bound standalone.Bound
	select {
	case bound = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	exported := strings.Replace(try(t, false, "", "export", "--config", border), "exchange.border.example:9444", bound.Exchange, 1)
	try(t, false, "applied", "import", "-f", write(t, t.TempDir(), "border.yaml", exported), "--config", police, "--yes")

	check := []string{"check", "border", "--config", police}
	try(t, true, "have the other agency import", check...) // it does not know us yet
	write(t, border, "peer.yaml", try(t, false, "", "export", "--config", police))
	for deadline := time.Now().Add(time.Minute); ; { // it watches its folder
		if _, err := runAgency(t, check...); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	out := try(t, false, "identity     ok         the other side is spiffe://border.example/operator", check...)
	if !strings.Contains(out, "exchange     ok         answers; agreements and decisions travel by file") {
		t.Error(out)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	try(t, true, "connection   FAILED", check...)
	try(t, true, "is this agency itself", "check", "police", "--config", police)
	try(t, true, `no agency "nobody"`, "check", "nobody", "--config", police)
	try(t, true, "--agency and --trust-domain", "check", "border")
}
