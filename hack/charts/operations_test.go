package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/entente-dev/entente/hack/testenv"
)

// Every alert has a page in docs/operations by its name, which the index names, and there is no page without an alert.
func TestEveryAlertHasAPage(t *testing.T) {
	folder := filepath.Join(root(t), "docs", "operations")
	index := read(t, filepath.Join(folder, "README.md"))
	var alerts, pages []string
	for _, m := range regexp.MustCompile(`\(dict "alert" "(\w+)"`).FindAllStringSubmatch(read(t, filepath.Join(chart(t, "entente"), "templates", "prometheusrule.yaml")), -1) {
		alerts = append(alerts, m[1])
	}
	files, err := filepath.Glob(filepath.Join(folder, "Entente*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".md")
		pages = append(pages, name)
		text := read(t, f)
		for _, want := range []string{"# " + name + "\n", "\n## What it means\n", "\n## What to look at\n", "\n## What to do\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %q", f, strings.TrimSpace(want))
			}
		}
		if !strings.Contains(index, "("+name+".md)") {
			t.Errorf("the index does not name %s", name)
		}
	}
	slices.Sort(alerts)
	if len(alerts) == 0 || !slices.Equal(alerts, pages) {
		t.Errorf("alerts\n%q\npages\n%q", alerts, pages)
	}
}

// What docs/operations/backup.md says of agreements, word by word: everything that people wrote but decisions comes back, as it was.
func TestBackupPage(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("no jq")
	}
	kube := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{filepath.Join(root(t), "config", "crd")}})
	dir := t.TempDir()
	config := filepath.Join(dir, "kubeconfig")
	if err := kube.WriteAdminKubeconfig(config); err != nil {
		t.Fatal(err)
	}
	shell := func(command string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", command)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "KUBECONFIG="+config, "PATH="+filepath.Dir(kube.KubectlPath())+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		return string(out)
	}
	const kinds = "agencies,exchangeschemas,datasets,taskforces,agreementprofiles,sharingagreements"
	specs := func() string {
		return shell("kubectl get -n state-police " + kinds + ` -o json | jq -S '.items[] | [.kind, .metadata.name, .metadata.labels, .spec]'`)
	}
	samples := filepath.Join(root(t), "config", "samples")
	shell("kubectl create namespace state-police")
	shell("kubectl apply -n state-police -f " + samples + "/agency.yaml -f " + samples + "/peers.yaml -f " + samples + "/exchangeschema-person.yaml -f " + samples +
		"/dataset-case-subjects.yaml -f " + samples + "/sharingagreement-harbor-task-force.yaml")
	shell(`kubectl patch -n state-police agency/state-police --subresource=status --type=merge -p '{"status":{"local":true}}'`)
	before, ran := specs(), 0
	for _, s := range readPage(read(t, filepath.Join(root(t), "docs", "operations", "backup.md"))) {
		switch {
		case strings.HasPrefix(s.text, "kubectl get") && strings.Contains(s.text, "-o json"):
			shell(s.text)
			ran++
		case strings.HasPrefix(s.text, "kubectl apply"):
			shell("kubectl delete -n state-police --all " + kinds)
			shell(s.text)
			ran++
		}
	}
	if after := specs(); ran != 3 || after != before || !strings.Contains(before, "harbor-task-force.v1") {
		t.Errorf("%d commands; before\n%s\nafter\n%s", ran, before, after)
	}
}
