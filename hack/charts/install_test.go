package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Every object of every value set is made for real, with strict validation, and every pod passes the restricted standard.
func TestEveryObjectIsAccepted(t *testing.T) {
	c := newCluster(t)
	c.installCRDs(t)
	c.installOthersCRDs(t)
	api, err := client.New(c.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for set, file := range valueSets(t) {
		t.Run(set, func(t *testing.T) {
			namespace := "set-" + set
			c.restricted(t, namespace)
			text := c.helm.must(t, "template", "entente", chart(t, "entente"), "-n", namespace, "-f", file)
			out := c.kubectl(t, "apply", "--server-side", "--validate=strict", "-f", c.file(t, set+".yaml", text))
			if strings.Contains(out, "Warning") {
				t.Errorf("%s", out)
			}
			for id, template := range podSpecs(t, objects(t, text)) {
				if strings.HasPrefix(id, "StatefulSet ") { // whose controller adds the claims' volumes
					template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: "state", VolumeSource: corev1.VolumeSource{
						PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "state-0"},
					}})
				}
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "try-", Labels: template.Labels}, Spec: template.Spec}
				if err := api.Create(t.Context(), pod); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	t.Run("the namespace would refuse others", func(t *testing.T) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "set-minimal", Name: "root"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "root", Image: "root"}}},
		}
		if err := api.Create(t.Context(), pod); err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
			t.Errorf("%v", err)
		}
	})
}

// config/default passes the API server as it stands.
func TestDefaultKustomization(t *testing.T) {
	c := newCluster(t)
	dir := filepath.Join(root(t), "config", "default")
	// A dry run makes no namespace, and objects in it need one.
	c.kubectl(t, "apply", "--server-side", "-f", filepath.Join(dir, "namespace.yaml"))
	c.kubectl(t, "apply", "--server-side", "--validate=strict", "--dry-run=server", "-k", dir)
	c.kubectl(t, "apply", "--server-side", "--validate=strict", "-k", dir)
	c.kubectl(t, "wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
	c.kubectl(t, "apply", "-n", "state-police", "-f", filepath.Join(root(t), "config", "samples"))
	label := c.kubectl(t, "get", "namespace", "state-police", "-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`)
	if label != "restricted" {
		t.Errorf("enforce=%q", label)
	}
	t.Run("overlay", func(t *testing.T) {
		if err := os.CopyFS(filepath.Join(c.dir, "entente", "config"), os.DirFS(filepath.Join(root(t), "config"))); err != nil {
			t.Fatal(err)
		}
		_, block, _ := strings.Cut(read(t, filepath.Join(dir, "README.md")), "```yaml\n")
		block, _, _ = strings.Cut(block, "```")
		overlay := filepath.Dir(c.file(t, "overlay/kustomization.yaml", block))
		text := c.kubectl(t, "kustomize", overlay)
		for _, other := range []string{"state-police", "police.state.example", "vault.vault.svc", "registry.example.gov"} {
			if strings.Contains(text, other) {
				t.Errorf("the overlay leaves %s", other)
			}
		}
		for _, want := range []string{"--agency=border-service", "--name=entente-gateway.border-service.svc.cluster.local"} {
			if !strings.Contains(text, want) {
				t.Errorf("the overlay has no %s", want)
			}
		}
		c.restricted(t, "border-service")
		c.kubectl(t, "apply", "--server-side", "--validate=strict", "--dry-run=server", "-k", overlay)
	})
}

// Two agencies in one cluster; their life through upgrades, rollbacks and the removal of everything that Helm installed.
func TestTwoAgencies(t *testing.T) {
	c := newCluster(t)
	c.installCRDs(t)
	agencies := []string{"state-police", "border-service"}
	for _, a := range agencies {
		c.restricted(t, a)
		out := c.helm.must(t, "upgrade", "--install", "entente", chart(t, "entente"), "-n", a, "-f", valueSets(t)["minimal"], "--set", "agency.name="+a)
		for _, want := range []string{"entente bootstrap vault --agency " + a, "--gateway-name entente-gateway." + a + ".svc", "entente agency export", "helm test entente"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: the notes do not say %q:\n%s", a, want, out)
			}
		}
	}
	samples := filepath.Join(root(t), "config", "samples")
	c.kubectl(t, "apply", "-n", "state-police", "-f", samples)
	c.kubectl(t, "apply", "-n", "border-service", "-f", filepath.Join(samples, "peers.yaml"))
	t.Run("rights", func(t *testing.T) { c.checkRights(t) })
	before := c.uids(t)
	if len(before) < 7+2+5 {
		t.Fatalf("only %d objects: %v", len(before), before)
	}
	t.Run("upgrade and rollback", func(t *testing.T) { c.checkUpgrade(t, before) })
	t.Run("uninstall", func(t *testing.T) {
		for _, a := range agencies {
			c.helm.must(t, "uninstall", "entente", "-n", a)
		}
		out := c.helm.must(t, "uninstall", "entente-crds", "-n", "entente-system")
		if !strings.Contains(out, "kept due to the resource policy") {
			t.Errorf("Helm does not say what it keeps: %s", out)
		}
		c.same(t, before, "helm uninstall")
		if left := c.kubectl(t, "get", "deployment,statefulset,service,role,rolebinding,serviceaccount", "-n", "border-service", "-o", "name", "-l", "app.kubernetes.io/name=entente"); left != "" {
			t.Errorf("left over: %s", left)
		}
		c.installCRDs(t)
		c.helm.must(t, "upgrade", "--install", "entente", chart(t, "entente"), "-n", "state-police", "-f", valueSets(t)["minimal"])
		c.same(t, before, "helm install after helm uninstall")
	})
}

// checkUpgrade goes to later charts, one of which forgets a definition, and back.
func (c *cluster) checkUpgrade(t *testing.T, before map[string]string) {
	later := filepath.Join(c.dir, "later")
	for _, name := range []string{"entente-crds", "entente"} {
		if err := os.CopyFS(filepath.Join(later, name), os.DirFS(chart(t, name))); err != nil {
			t.Fatal(err)
		}
		edit(t, filepath.Join(later, name, "Chart.yaml"), "version: 0.1.0\n", "version: 0.2.0\n")
		edit(t, filepath.Join(later, name, "Chart.yaml"), `appVersion: "0.1.0"`, `appVersion: "0.2.0"`)
	}
	agencies := filepath.Join(later, "entente-crds", "templates", "crd-agencies.yaml")
	edit(t, agencies, "    - agency\n", "    - agency\n    - authority\n")
	shortNames := func() string {
		return c.kubectl(t, "get", "crd", "agencies.entente.dev", "-o", "jsonpath={.spec.names.shortNames}")
	}
	image := func() string {
		return c.kubectl(t, "get", "statefulset", "entente-gateway", "-n", "state-police", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	}

	c.helm.must(t, "upgrade", "entente-crds", filepath.Join(later, "entente-crds"), "-n", "entente-system")
	if got := shortNames(); !strings.Contains(got, "authority") {
		t.Errorf("the definition was not upgraded: %s", got)
	}
	c.same(t, before, "helm upgrade entente-crds")
	c.helm.must(t, "upgrade", "entente", filepath.Join(later, "entente"), "-n", "state-police", "--reset-then-reuse-values", "--set", "gateway.replicas=3")
	if got := image(); !strings.HasSuffix(got, ":0.2.0") {
		t.Errorf("image %s after the upgrade", got)
	}
	c.same(t, before, "helm upgrade entente")

	c.helm.must(t, "rollback", "entente", "1", "-n", "state-police")
	if got := image(); !strings.HasSuffix(got, ":0.1.0") {
		t.Errorf("image %s after the rollback", got)
	}
	c.helm.must(t, "rollback", "entente-crds", "1", "-n", "entente-system")
	if got := shortNames(); strings.Contains(got, "authority") {
		t.Errorf("the definition was not rolled back: %s", got)
	}
	c.same(t, before, "helm rollback")

	// A release that no longer has a definition leaves the definition, and the objects of its kind, alone.
	if err := os.Remove(agencies); err != nil {
		t.Fatal(err)
	}
	c.helm.must(t, "upgrade", "entente-crds", filepath.Join(later, "entente-crds"), "-n", "entente-system")
	c.same(t, before, "an upgrade to a chart without the definition")
	c.helm.must(t, "rollback", "entente-crds", "1", "-n", "entente-system")
	c.same(t, before, "the rollback from it")
}

func edit(t *testing.T, path, old, new string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s does not have %q", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}
