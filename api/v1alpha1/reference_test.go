package v1alpha1_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/internal/golden"
)

var update = flag.Bool("update", false, "write docs/reference/resources.md")

// definitions are the CRDs, in the order in which somebody who sets up an agency meets them.
func definitions(t *testing.T) []apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob("../../config/crd/entente.dev_*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var out []apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, crd)
	}
	order := []string{"Agency", "ExchangeSchema", "Dataset", "SharingAgreement", "AgreementDecision", "AgreementProfile", "TaskForce", "GatewayRoute"}
	slices.SortStableFunc(out, func(a, b apiextensionsv1.CustomResourceDefinition) int {
		return slices.Index(order, a.Spec.Names.Kind) - slices.Index(order, b.Spec.Names.Kind)
	})
	return out
}

// TestReference keeps the page about the resources true: it is generated from their definitions.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Resources

Generated from ` + "`config/crd`" + ` by ` + "`make generate`" + `; ` + "`kubectl explain`" + ` says the same in a cluster. All are of ` + "`entente.dev/v1alpha1`" + `, in the namespace of their
agency. What is **bold** must be there. A member that stands nowhere here is refused ([why](../adr/0003-unknown-members.md)). What people write is ` + "`spec`" + `; the operator alone writes ` + "`status`" + `, and all of a GatewayRoute.
`)
	for _, crd := range definitions(t) {
		names, version := crd.Spec.Names, crd.Spec.Versions[0]
		schema := version.Schema.OpenAPIV3Schema
		fmt.Fprintf(&b, "\n## %s\n\n`kubectl get %s`", names.Kind, names.Plural)
		for _, short := range names.ShortNames {
			fmt.Fprintf(&b, ", `%s`", short)
		}
		fmt.Fprintf(&b, ". %s\n", prose(schema.Description))
		held(&b, "", schema)
		for _, part := range []string{"spec", "status"} {
			s, ok := schema.Properties[part]
			if !ok {
				continue
			}
			fmt.Fprintf(&b, "\n| %s | | |\n|---|---|---|\n", part)
			members(&b, "", &s)
			var rules strings.Builder
			held(&rules, "", &s)
			b.WriteString(rules.String())
		}
	}
	golden.Page(t, "../../docs/reference/resources.md", b.String(), *update)
}

func members(b *strings.Builder, path string, s *apiextensionsv1.JSONSchemaProps) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		member := s.Properties[name]
		what := shapeOf(&member)
		if slices.Contains(s.Required, name) {
			what = "**" + what + "**"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", path+name, what, prose(member.Description))
		inner, at := &member, path+name+"."
		for inner.Items != nil {
			inner, at = inner.Items.Schema, strings.TrimSuffix(at, ".")+"[]."
		}
		if name != "conditions" || member.Type == "object" { // those of a status are as everywhere in Kubernetes
			members(b, at, inner)
		}
	}
}

// shapeOf says in words what a value may be.
func shapeOf(s *apiextensionsv1.JSONSchemaProps) string {
	switch {
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			if text, err := strconv.Unquote(string(v.Raw)); err == nil {
				values = append(values, "`"+strings.ReplaceAll(text, "|", `\|`)+"`")
			}
		}
		return strings.Join(values, ", ") + preset(s)
	case s.Items != nil:
		out := "list"
		if s.MaxItems != nil {
			out += fmt.Sprintf(" of at most %d", *s.MaxItems)
		}
		if s.Items.Schema.Type != "object" {
			out += ": " + shapeOf(s.Items.Schema)
		}
		return out
	case s.Format == "date-time":
		return "time (RFC 3339)"
	case s.Type == "string" && s.MaxLength != nil:
		return fmt.Sprintf("text, at most %d characters", *s.MaxLength) + preset(s)
	case s.Type == "string":
		return "text" + preset(s)
	case s.Type == "integer" && s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("number, %.0f to %.0f", *s.Minimum, *s.Maximum) + preset(s)
	case s.Type == "integer":
		return "number" + preset(s)
	case s.Type == "boolean":
		return "true or false" + preset(s)
	}
	return s.Type
}

func preset(s *apiextensionsv1.JSONSchemaProps) string {
	if s.Default == nil {
		return ""
	}
	return "; default `" + strings.Trim(string(s.Default.Raw), `"`) + "`"
}

// held lists the rules over several members.
func held(b *strings.Builder, path string, s *apiextensionsv1.JSONSchemaProps) {
	var walk func(path string, s *apiextensionsv1.JSONSchemaProps)
	var lines []string
	walk = func(path string, s *apiextensionsv1.JSONSchemaProps) {
		for _, rule := range s.XValidations {
			if rule.Message == "" {
				continue
			}
			line := "* "
			if path != "" {
				line += "`" + path + "`: "
			}
			if line += prose(rule.Message); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if path == "" && (name == "spec" || name == "status") && s.Type == "object" && s.Properties["metadata"].Type == "object" {
				continue // in their own tables
			}
			member := s.Properties[name]
			walk(strings.TrimPrefix(path+"."+name, "."), &member)
		}
		if s.Items != nil {
			walk(path+"[]", s.Items.Schema)
		}
	}
	walk(path, s)
	if len(lines) > 0 {
		b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	}
}

// prose is text in one line that Markdown takes as it is.
func prose(s string) string {
	out := strings.Join(strings.Fields(s), " ")
	for i, part := range strings.Split(out, "`") {
		if i%2 == 0 {
			part = strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`, "[", `\[`).Replace(part)
		}
		if i == 0 {
			out = part
		} else {
			out += "`" + part
		}
	}
	return strings.ReplaceAll(out, "|", `\|`)
}
