package charts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/entente-dev/entente/hack/testenv"
)

// What the chart says runs: processes with the arguments, environment and mounts of the installed objects, with tokens of the installed
// service accounts, at a Vault that was set up by the command in the notes. Two agencies, two replicas of everything, to the point where
// each knows the other.
func TestWorkloadsRun(t *testing.T) {
	c := newCluster(t)
	c.installCRDs(t)
	vault := testenv.RequireVault(t, testenv.VaultOptions{})
	bin := c.programs(t)
	agencies := []*agency{
		{cluster: c, vault: vault, bin: bin, name: "state-police", trustDomain: "police.state.example"},
		{cluster: c, vault: vault, bin: bin, name: "border-service", trustDomain: "border.nation.example"},
	}
	for _, a := range agencies {
		a.install(t)
	}
	for _, a := range agencies {
		a.start(t)
		a.waitReady(t)
	}
	for _, a := range agencies {
		t.Run(a.name+" is ready", func(t *testing.T) {
			if out, err := a.command(t.Context(), "entente-ready", append([]string{"--timeout=120s"}, a.ready...)...); err != nil {
				t.Error(err)
			} else if n := strings.Count(out, "http://"); n != 4 {
				t.Errorf("%d replicas asked, want 4:\n%s", n, out)
			}
			leases := c.kubectl(t, "get", "leases", "-n", a.name, "-o", "name")
			for _, want := range []string{"entente-operator", "entente-gateway-entente-gateway-0", "entente-gateway-entente-gateway-1"} {
				if !strings.Contains(leases, want) {
					t.Errorf("no Lease %s: %s", want, leases)
				}
			}
			a.quiet(t)
		})
	}
	t.Run("agencies know each other", func(t *testing.T) {
		for _, a := range agencies {
			a.describe(t)
		}
		for i, a := range agencies {
			peer := agencies[1-i]
			file := c.file(t, "export-"+peer.name+".yaml", peer.must(t, "entente", "agency", "export", "-n", peer.name))
			c.kubectl(t, "apply", "-n", a.name, "-f", file)
			c.kubectl(t, "wait", "-n", a.name, "--for=condition=Accepted", "agency/"+peer.name, "--timeout=120s")
		}
	})
	t.Run("another operator takes over", func(t *testing.T) {
		a := agencies[0]
		holder := func() string {
			return c.kubectl(t, "get", "lease", "entente-operator", "-n", a.name, "-o", "jsonpath={.spec.holderIdentity}")
		}
		before := holder()
		i := slices.IndexFunc(a.running["operator"], func(p *testenv.Program) bool {
			return strings.Contains(strings.ToLower(read(t, p.LogFile)), "successfully acquired lease")
		})
		if i < 0 {
			t.Fatalf("%s leads, and no operator says that it does", before)
		}
		if err := a.running["operator"][i].Stop(time.Minute); err != nil {
			t.Error(err)
		}
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
			if now := holder(); now != "" && now != before {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s still leads", before)
			}
		}
	})
	for _, a := range agencies {
		a.quiet(t)
	}
}

// programs builds what people and pods run into a folder for PATH, beside Helm and kubectl.
func (c *cluster) programs(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(c.dir, "bin")
	for _, b := range []struct{ name, dir, pkg string }{{"entente", ".", "./cmd/entente"}, {"entente-ready", "hack/image", "./ready"}} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, b.name), b.pkg)
		cmd.Dir = filepath.Join(root(t), b.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v: %s", b.name, err, out)
		}
	}
	path, err := helmProgram()
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"helm": path, "kubectl": c.KubectlPath()} {
		if err := os.Symlink(target, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// agency is a release, and the processes that stand for its pods.
type agency struct {
	*cluster
	vault             *testenv.Vault
	bin               string
	name, trustDomain string
	running           map[string][]*testenv.Program
	ready             []string          // URLs of all replicas
	bound             map[string]string // addresses, by pod and flag
	waits             []func()          // one for each process
}

// install makes the namespace, the authority of Vault, the release; then does what the notes say.
func (a *agency) install(t *testing.T) {
	t.Helper()
	a.restricted(t, a.name)
	a.kubectl(t, "create", "configmap", "vault-authority", "-n", a.name, "--from-file=ca.crt="+a.vault.CAFile())
	a.helm.must(t, "upgrade", "--install", "entente", chart(t, "entente"), "-n", a.name,
		"--set", "agency.name="+a.name, "--set", "agency.trustDomain="+a.trustDomain,
		"--set", "vault.address="+a.vault.Address(), "--set", "vault.ca.configMap=vault-authority", "--set", "vault.mountPrefix="+a.name,
		"--set", "image.registry=registry.example.gov/entente")
	command := bootstrapCommand(t, a.helm.must(t, "get", "notes", "entente", "-n", a.name))
	if out, err := a.shell(t.Context(), command); err != nil {
		t.Fatalf("%s\n%v %s", command, err, out)
	}
}

// bootstrapCommand is the one in the notes, word by word.
func bootstrapCommand(t *testing.T, notes string) string {
	t.Helper()
	_, after, ok := strings.Cut(notes, "entente bootstrap vault")
	if !ok {
		t.Fatalf("no command: %s", notes)
	}
	command := "entente bootstrap vault"
	for line := range strings.Lines(after) {
		command += line
		if !strings.HasSuffix(strings.TrimRight(line, "\n"), `\`) {
			break
		}
	}
	return command
}

func (a *agency) environment() []string {
	return append(a.vault.Environment(), "PATH="+a.bin+":"+os.Getenv("PATH"), "HOME="+a.helm.home, "KUBECONFIG="+a.helm.kubeconfig)
}

func (a *agency) shell(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", "-euc", command)
	cmd.Env, cmd.Dir = a.environment(), a.dir
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", command, err, &problems)
	}
	return out.String(), nil
}

func (a *agency) command(ctx context.Context, name string, args ...string) (string, error) {
	return a.shell(ctx, name+" "+strings.Join(args, " "))
}

func (a *agency) must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := a.command(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// start runs two replicas of each workload as its installed object says.
func (a *agency) start(t *testing.T) {
	t.Helper()
	a.running = map[string][]*testenv.Program{}
	for component, kind := range map[string]string{"operator": "deployment", "gateway": "statefulset"} {
		var installed struct {
			Spec struct {
				Replicas int
				Template corev1.PodTemplateSpec
			}
		}
		if err := json.Unmarshal([]byte(a.kubectl(t, "get", kind, "entente-"+component, "-n", a.name, "-o", "json")), &installed); err != nil {
			t.Fatal(err)
		}
		for i := range installed.Spec.Replicas {
			a.startPod(t, component, fmt.Sprintf("entente-%s-%d", component, i), installed.Spec.Template.Spec)
		}
	}
}

// startPod does the kubelet's part: mounts, environment, ports.
func (a *agency) startPod(t *testing.T, component, pod string, spec corev1.PodSpec) {
	t.Helper()
	dir := filepath.Join(a.dir, a.name, pod)
	container := spec.Containers[0]
	mounted := []string{}
	for _, v := range append(spec.Volumes, corev1.Volume{Name: "state"}) {
		i := slices.IndexFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name })
		if i < 0 {
			continue
		}
		to := filepath.Join(dir, v.Name)
		if err := os.MkdirAll(to, 0o700); err != nil {
			t.Fatal(err)
		}
		mounted = append(mounted, container.VolumeMounts[i].MountPath, to)
		switch {
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				token := s.ServiceAccountToken
				if _, err := a.WriteToken(t.Context(), filepath.Join(to, token.Path), a.name, spec.ServiceAccountName, testenv.TokenOptions{Audience: token.Audience}); err != nil {
					t.Fatal(err)
				}
			}
		case v.ConfigMap != nil:
			for _, item := range v.ConfigMap.Items {
				text := a.kubectl(t, "get", "configmap", v.ConfigMap.Name, "-n", a.name, "-o", "go-template={{index .data "+`"`+item.Key+`"`+"}}")
				if err := os.WriteFile(filepath.Join(to, item.Path), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	paths := strings.NewReplacer(mounted...)
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if _, err := a.WriteServiceAccountKubeconfig(t.Context(), kubeconfig, a.name, spec.ServiceAccountName, testenv.TokenOptions{}); err != nil {
		t.Fatal(err)
	}
	args, health := []string{}, ""
	for _, arg := range container.Args {
		flag, value, _ := strings.Cut(arg, "=")
		if strings.HasSuffix(flag, "-address") && strings.HasPrefix(value, ":") {
			address, release, err := testenv.ReserveAddress()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = release() })
			arg = flag + "=" + address
			if a.bound == nil {
				a.bound = map[string]string{}
			}
			a.bound[pod+" "+flag] = address
			if flag == "--health-address" {
				health = "http://" + address + "/readyz"
				a.ready = append(a.ready, health)
			}
		}
		args = append(args, paths.Replace(arg))
	}
	env := []string{"PATH=/nowhere"}
	for _, e := range container.Env {
		value := e.Value
		if e.ValueFrom != nil {
			value = map[string]string{"metadata.name": pod, "metadata.namespace": a.name}[e.ValueFrom.FieldRef.FieldPath]
		}
		env = append(env, e.Name+"="+value)
	}
	// The one thing that a pod does not need: where the API server is.
	args = append(args, "--kubeconfig="+kubeconfig)
	p := &testenv.Program{Path: filepath.Join(a.bin, "entente"), Args: args, Env: env, Dir: dir, LogFile: filepath.Join(dir, "log")}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(time.Minute); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of the log of %s/%s:\n%s", a.name, pod, p.LogTail(15))
		}
	})
	a.running[component] = append(a.running[component], p)
	a.waits = append(a.waits, func() {
		if err := p.WaitReady(t.Context(), func(ctx context.Context) error { return get(ctx, health) }); err != nil {
			t.Fatalf("%s/%s: %v", a.name, pod, err)
		}
	})
}

// waitReady waits for all that was started.
func (a *agency) waitReady(t *testing.T) {
	t.Helper()
	for _, wait := range a.waits {
		wait()
	}
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}

// describe applies the Agency as the notes say.
func (a *agency) describe(t *testing.T) {
	t.Helper()
	a.kubectl(t, "apply", "-n", a.name, "-f", a.file(t, "agency-"+a.name+".yaml", fmt.Sprintf(`apiVersion: entente.dev/v1alpha1
kind: Agency
metadata: {name: %s}
spec:
  displayName: Agency %[1]s
  postalAddress: 1 Capitol Road
  trustDomain: %s
  jurisdictions: [US]
  endpoints: {gateway: "gateway.%[2]s:9443", exchange: "exchange.%[2]s:9444"}
`, a.name, a.trustDomain)))
	a.kubectl(t, "wait", "-n", a.name, "--for=jsonpath={.status.signingKeys}", "agency/"+a.name, "--timeout=120s")
}

// quiet fails when the API server refused a process something that it needs.
func (a *agency) quiet(t *testing.T) {
	t.Helper()
	for component, programs := range a.running {
		for _, p := range programs {
			for line := range strings.Lines(read(t, p.LogFile)) {
				if strings.Contains(strings.ToLower(line), "forbidden") {
					t.Errorf("%s/%s: %s", a.name, component, line)
				}
			}
		}
	}
}
