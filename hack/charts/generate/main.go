// Command generate writes what the charts repeat of other files: CRDs of config/crd, the admission policy of config/admission, rules of
// config/rbac, and the READMEs from the comments in values.yaml. It is a step of `make generate`.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	root := flag.String("root", ".", "the repository")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "hack/charts/generate:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	return errors.Join(
		clusterTemplates(root),
		rules(root),
		readme(root, "entente-crds"),
		readme(root, "entente"),
	)
}

const notice = "{{- /* Generated from %s by make generate. */ -}}\n"

// clusterTemplates makes templates of the CRDs and of the admission policy. They stay when the release goes: with a CRD every object of
// its kind would go, and without the policy anybody who may create a decision could sign it with another's name.
func clusterTemplates(root string) error {
	into := filepath.Join(root, "charts", "entente-crds", "templates")
	stale, err := filepath.Glob(filepath.Join(into, "*.yaml"))
	if err != nil {
		return err
	}
	for _, f := range stale {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	for dir, prefix := range map[string]string{"crd": "crd-", "admission": "admission-"} {
		from := filepath.Join(root, "config", dir)
		files, err := resources(from)
		if err != nil {
			return err
		}
		for _, name := range files {
			data, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				return err
			}
			text, err := template(string(data))
			if err != nil {
				return fmt.Errorf("config/%s/%s: %w", dir, name, err)
			}
			text = fmt.Sprintf(notice, "config/"+dir+"/"+name) + text
			to := filepath.Join(into, prefix+strings.TrimPrefix(name, "entente.dev_"))
			if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// resources are the files that the kustomization of a folder lists, so that nothing is forgotten and nothing else is taken.
func resources(dir string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		return nil, err
	}
	var k struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(data, &k); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return k.Resources, nil
}

// template escapes what Helm would take for its own, and gives every document the chart's labels and the policy to keep it.
func template(text string) (string, error) {
	text = strings.ReplaceAll(text, "{{", `{{ "{{" }}`)
	const labels = "  labels:\n" +
		"    app.kubernetes.io/name: entente\n" +
		"    app.kubernetes.io/part-of: entente\n" +
		"    app.kubernetes.io/managed-by: {{ .Release.Service }}\n" +
		"    helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}\n"
	const keep = "    helm.sh/resource-policy: keep\n"
	documents := strings.Split(text, "\n---\n")
	for i, d := range documents {
		head, rest, ok := strings.Cut(d, "\nmetadata:\n")
		if !ok || strings.Contains(head, "\nspec:") {
			return "", errors.New("a document does not start with apiVersion, kind and metadata")
		}
		if strings.HasPrefix(rest, "  labels:") || strings.Contains(rest[:strings.Index(rest+"\nspec:", "\nspec:")], "\n  labels:") {
			return "", errors.New("labels are not expected here")
		}
		if after, ok := strings.CutPrefix(rest, "  annotations:\n"); ok {
			rest = labels + "  annotations:\n" + keep + after
		} else {
			rest = labels + "  annotations:\n" + keep + rest
		}
		documents[i] = head + "\nmetadata:\n" + rest
	}
	return strings.Join(documents, "\n---\n"), nil
}

// rules writes the rules of each Role of config/rbac to a file that the chart reads. Rules on Leases are left to the chart, which knows
// their names.
func rules(root string) error {
	from := filepath.Join(root, "config", "rbac")
	files, err := resources(from)
	if err != nil {
		return err
	}
	found := []string{}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		for _, document := range strings.Split(string(data), "\n---\n") {
			var role struct {
				Kind     string
				Metadata struct{ Name string }
				Rules    []map[string][]string
			}
			if err := yaml.Unmarshal([]byte(document), &role); err != nil {
				return fmt.Errorf("config/rbac/%s: %w", name, err)
			}
			if role.Kind != "Role" {
				continue
			}
			kept := slices.DeleteFunc(role.Rules, func(r map[string][]string) bool { return slices.Contains(r["resources"], "leases") })
			var out bytes.Buffer
			for _, r := range kept {
				fmt.Fprintf(&out, "- apiGroups: [%s]\n  resources: [%s]\n", list(r["apiGroups"]), list(r["resources"]))
				if names := r["resourceNames"]; len(names) > 0 {
					fmt.Fprintf(&out, "  resourceNames: [%s]\n", list(names))
				}
				fmt.Fprintf(&out, "  verbs: [%s]\n", list(r["verbs"]))
			}
			short := strings.TrimPrefix(role.Metadata.Name, "entente-")
			found = append(found, short)
			if err := os.WriteFile(filepath.Join(root, "charts", "entente", "files", "rules", short+".yaml"), bytes.TrimSpace(out.Bytes()), 0o644); err != nil {
				return err
			}
		}
	}
	for _, want := range []string{"operator", "gateway", "platform", "decider"} {
		if !slices.Contains(found, want) {
			return fmt.Errorf("config/rbac has no Role entente-%s", want)
		}
	}
	return nil
}

func list(items []string) string {
	out := slices.Clone(items)
	for i, s := range out {
		if s == "" || s == "*" {
			out[i] = `"` + s + `"`
		}
	}
	return strings.Join(out, ", ")
}
