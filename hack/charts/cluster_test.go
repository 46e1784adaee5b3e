package charts

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-dev/entente/hack/testenv"
)

// cluster is a real API server, with Helm and kubectl.
type cluster struct {
	*testenv.Kube
	helm helm
	dir  string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	needHelm(t)
	k := testenv.RequireKube(t, testenv.KubeOptions{PublicIssuer: true})
	c := &cluster{Kube: k, dir: t.TempDir()}
	c.helm = helm{home: t.TempDir(), kubeconfig: filepath.Join(c.dir, "kubeconfig")}
	if err := k.WriteAdminKubeconfig(c.helm.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return c
}

// kubectl runs as the admin and must succeed.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// file writes a file for kubectl or Helm to read.
func (c *cluster) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// restricted makes a namespace whose pods must pass the restricted standard.
func (c *cluster) restricted(t *testing.T, name string) {
	t.Helper()
	c.kubectl(t, "apply", "-f", c.file(t, "namespace-"+name+".yaml", `apiVersion: v1
kind: Namespace
metadata:
  name: `+name+`
  labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/enforce-version: latest}
`))
}

// installCRDs installs the chart of what is of the cluster.
func (c *cluster) installCRDs(t *testing.T) {
	t.Helper()
	c.helm.must(t, "upgrade", "--install", "entente-crds", chart(t, "entente-crds"), "-n", "entente-system", "--create-namespace")
	c.kubectl(t, "wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/part-of=entente", "--timeout=120s")
}

// installOthersCRDs installs the definitions of kinds that the chart has optional objects of, from the projects that they belong to.
func (c *cluster) installOthersCRDs(t *testing.T) {
	t.Helper()
	for module, files := range map[string][]string{
		"sigs.k8s.io/gateway-api": {"config/crd/standard/gateway.networking.k8s.io_tlsroutes.yaml"},
		"github.com/prometheus-operator/prometheus-operator": {
			"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
		},
	} {
		cmd := exec.Command("go", "mod", "download", "-json", module)
		cmd.Dir = filepath.Join(root(t), "hack", "tools", "crds")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go mod download %s: %v: %s", module, err, out)
		}
		var m struct{ Dir string }
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			c.kubectl(t, "apply", "--server-side", "-f", filepath.Join(m.Dir, f))
		}
	}
	c.kubectl(t, "wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
}

// refused runs kubectl, which must be refused with a message that has want in it.
func (c *cluster) refused(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...)
	if err == nil {
		t.Errorf("kubectl %s is allowed: %.200s", strings.Join(args, " "), out)
	} else if !strings.Contains(err.Error(), want) {
		t.Errorf("%v\ndoes not say %q", err, want)
	}
}

// uids of every object of Entente, definitions included, by kind and name: what must never be made anew.
func (c *cluster) uids(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, args := range [][]string{
		{"get", "crd", "-l", "app.kubernetes.io/part-of=entente"},
		{"get", "validatingadmissionpolicy,validatingadmissionpolicybinding"},
		{"get", "entente", "-A"},
	} {
		const format = `jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.uid}{"\n"}{end}`
		for line := range strings.Lines(c.kubectl(t, append(args, "-o", format)...)) {
			name, uid, _ := strings.Cut(strings.TrimSpace(line), " ")
			found[name] = uid
		}
	}
	return found
}

// same fails when something of before is gone or was made anew.
func (c *cluster) same(t *testing.T, before map[string]string, after string) {
	t.Helper()
	now := c.uids(t)
	for name, uid := range before {
		switch now[name] {
		case uid:
		case "":
			t.Errorf("%s is gone after %s", name, after)
		default:
			t.Errorf("%s was deleted and made anew by %s", name, after)
		}
	}
}
