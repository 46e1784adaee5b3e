package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/hack/testenv"
)

// samples are the files of config/samples that are for applying, by their paths below it.
func samples(t *testing.T) map[string]string {
	t.Helper()
	root, err := testenv.Root()
	must(t, err)
	dir := filepath.Join(root, "config", "samples")
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && e.Name() == "faulty" {
			return fs.SkipDir
		}
		if err == nil && !e.IsDir() && filepath.Ext(path) == ".yaml" {
			name, _ := filepath.Rel(dir, path)
			out[name] = path
		}
		return err
	}))
	return out
}

// TestSampleDigests: what the samples pin is what they pin.
func TestSampleDigests(t *testing.T) {
	schemas, terms, forces := map[string]string{}, map[string]string{}, map[string]string{}
	var agreements []v1alpha1.SharingAgreement
	var decisions []v1alpha1.AgreementDecision
	for name, path := range samples(t) {
		text, err := os.ReadFile(path)
		must(t, err)
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			var head struct{ Kind string }
			must(t, yaml.Unmarshal([]byte(document), &head))
			strictly := func(into any) {
				if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			switch head.Kind {
			case "ExchangeSchema":
				var s v1alpha1.ExchangeSchema
				strictly(&s)
				schemas[s.Name], err = s.Spec.Digest()
			case "TaskForce":
				var f v1alpha1.TaskForce
				strictly(&f)
				forces[f.Name], err = f.Spec.Digest()
			case "SharingAgreement":
				var a v1alpha1.SharingAgreement
				strictly(&a)
				if len(a.Spec.UnknownFields) > 0 {
					t.Errorf("%s: unknown members %v", name, a.Spec.UnknownFields)
				}
				terms[a.Name], err = a.Spec.Terms.Digest()
				agreements = append(agreements, a)
			case "AgreementDecision":
				var d v1alpha1.AgreementDecision
				strictly(&d)
				decisions = append(decisions, d)
			}
			must(t, err)
		}
	}
	if len(agreements) == 0 || len(decisions) == 0 {
		t.Fatal("no agreement, or no decision")
	}
	for _, a := range agreements {
		for _, c := range a.Spec.Terms.Clauses {
			name := c.Schema.Name + ".v" + strconv.FormatInt(c.Schema.Version, 10)
			if want, ok := schemas[name]; ok && c.Schema.Digest != want {
				t.Errorf("%s, clause %s: the digest of %s is %s, not %s", a.Name, c.Name, name, want, c.Schema.Digest)
			}
			for _, r := range c.Recipients {
				if r.TaskForce == nil {
					continue
				}
				if name := compile.TaskForceName(*r.TaskForce); r.TaskForce.Digest != forces[name] {
					t.Errorf("%s, clause %s: the digest of task force %s is %q, not %s", a.Name, c.Name, name, forces[name], r.TaskForce.Digest)
				}
			}
		}
	}
	for _, d := range decisions {
		if want := terms[d.Spec.Agreement]; d.Spec.Digest != want {
			t.Errorf("%s: the digest of %s is %s, not %s", d.Name, d.Spec.Agreement, want, d.Spec.Digest)
		}
	}
}

// TestSamplesApply puts every sample to the API server as the person who would apply it.
func TestSamplesApply(t *testing.T) {
	if shared == nil {
		t.Skip("needs real servers: not under -short")
	}
	const namespace = "samples"
	must(t, shared.Kube.EnsureNamespace(t.Context(), namespace))
	files := samples(t)
	root := filepath.Dir(filepath.Dir(filepath.Dir(files["people.yaml"])))
	for _, args := range [][]string{{"-k", filepath.Join(root, "config", "rbac")}, {"-f", files["people.yaml"]}} {
		_, err := shared.Kubectl(t.Context(), append([]string{"apply", "-n", namespace}, args...)...)
		must(t, err)
	}
	const platform, officer = "platform@police.state.example", "privacy-officer@police.state.example"
	try := func(path, as string, verb ...string) error {
		args := append(verb, "--dry-run=server", "--validate=strict", "-n", namespace, "-f", path)
		if as != "" {
			args = append(args, "--as", as)
		}
		_, err := shared.Kubectl(t.Context(), args...)
		return err
	}
	for name, path := range files {
		as, verb := platform, []string{"apply", "--server-side"}
		switch {
		case name == "people.yaml":
			as = "" // roles are bound by an administrator
		case filepath.Dir(name) == "decision":
			as, verb = officer, []string{"create"}
			if err := try(path, "", verb...); err == nil {
				t.Errorf("%s: anybody may create it", name)
			}
		}
		if err := try(path, as, verb...); err != nil {
			t.Errorf("%s, as %q: %v", name, as, err)
		}
	}
}
