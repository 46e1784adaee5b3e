package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/hack/testenv"
)

// startCluster starts the API server and gives each agency its namespace, its roles and its service accounts.
func (s *Stack) startCluster(ctx context.Context) (err error) {
	began := time.Now()
	s.Kube, err = testenv.StartKube(ctx, testenv.KubeOptions{Dir: filepath.Join(s.Dir, "kube"), CRDDirs: []string{filepath.Join(s.root, "config", "crd")}})
	if err != nil {
		return err
	}
	if err := s.Kube.WriteAdminKubeconfig(s.Kubeconfig); err != nil {
		return err
	}
	if s.Client, err = client.New(s.Kube.Config(), client.Options{Scheme: clientScheme()}); err != nil {
		return err
	}
	s.told(began, "kube-apiserver and etcd serve at %s", s.Kube.URL())
	began = time.Now()
	work := []func(context.Context) error{func(ctx context.Context) error {
		_, err := s.Kubectl(ctx, "apply", "-k", filepath.Join(s.root, "config", "admission"))
		return err
	}}
	for _, a := range s.Agencies {
		work = append(work, func(ctx context.Context) error { return s.settle(ctx, a) })
	}
	if err := inParallel(ctx, work...); err != nil {
		return err
	}
	s.told(began, "admission policy; namespaces, roles and service accounts of three agencies")
	return nil
}

// settle makes the agency's namespace, with config/rbac, the bindings of config/samples/people.yaml and fresh tokens.
func (s *Stack) settle(ctx context.Context, a *Agency) error {
	if err := s.Kube.EnsureNamespace(ctx, a.Name); err != nil {
		return err
	}
	people, err := os.ReadFile(s.sample("people.yaml"))
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(people), s.Agency(Police).TrustDomain, a.TrustDomain)
	if err := os.WriteFile(a.File("people.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"-k", filepath.Join(s.root, "config", "rbac")}, {"-f", a.File("people.yaml")}} {
		if _, err := s.Kubectl(ctx, append([]string{"apply", "-n", a.Name}, args...)...); err != nil {
			return err
		}
	}
	for _, account := range []string{"operator", "gateway"} {
		forKube, err := s.Kube.WriteServiceAccountKubeconfig(ctx, a.File(account+".kubeconfig"), a.Name, "entente-"+account, testenv.TokenOptions{})
		if err != nil {
			return err
		}
		forVault, err := s.Kube.WriteToken(ctx, a.File(account+".vault-token"), a.Name, "entente-"+account, testenv.TokenOptions{Audience: "vault"})
		if err != nil {
			return err
		}
		s.wait.Go(func() { forKube.Keep(s.keep) })
		s.wait.Go(func() { forVault.Keep(s.keep) })
	}
	return nil
}

// sample is a file of config/samples.
func (s *Stack) sample(name string) string { return filepath.Join(s.root, "config", "samples", name) }

// Kubectl runs kubectl as the admin, who may impersonate others, and returns what it prints.
func (s *Stack) Kubectl(ctx context.Context, args ...string) (string, error) {
	out, err := s.run(ctx, s.Kube.KubectlPath(), nil, append([]string{"--kubeconfig=" + s.Kubeconfig, "--cache-dir=" + filepath.Join(s.Dir, "kubectl-cache")}, args...)...)
	if err != nil {
		return out, fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}
