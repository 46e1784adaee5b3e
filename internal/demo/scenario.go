package demo

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/internal/demo/data"
)

//go:embed scenario
var scenario embed.FS

// Names of what the demonstration is about.
const (
	police = "state-police"
	labor  = "labor-inspectorate"
	border = "border-service"

	agreement = "harbor-task-force.v1"
)

// agency is one of the three, as its files are written.
type agency struct {
	Name, DisplayName, Address, TrustDomain string
	Ports                                   ports
	dir                                     string
}

// ports are host:port pairs on loopback.
type ports struct {
	REST, GRPC, Peer, Exchange, Health string
}

// cast of the play.
func cast() []*agency {
	return []*agency{
		{Name: police, DisplayName: "State Police", Address: "1 Capitol Road", TrustDomain: "police.state.example"},
		{Name: labor, DisplayName: "Labor Inspectorate", Address: "22 Harbor Street", TrustDomain: "labor.state.example"},
		{Name: border, DisplayName: "Border Service", Address: "Northgate Bridge", TrustDomain: "border.nation.example"},
	}
}

// writeFiles writes what each agency's platform team would write by hand.
func writeFiles(root string, agencies []*agency, now time.Time) error {
	digest, err := schemaDigest()
	if err != nil {
		return err
	}
	terms := window(now)
	terms["SchemaDigest"] = digest
	var commands strings.Builder
	for _, a := range agencies {
		terms["Parties"] += fmt.Sprintf("\n      - {agency: %s, trustDomain: %s, roles: [source, recipient]}", a.Name, a.TrustDomain)
		terms["Decisions"] += fmt.Sprintf("\n      - {agency: %s, role: privacy-officer}", a.Name)
		fmt.Fprintf(&commands, "\n  entente standalone --config %s --rest-address %s --grpc-address %s --metrics-address %s", a.Name, a.Ports.REST, a.Ports.GRPC, a.Ports.Health)
	}
	if err := render("README.txt.tmpl", filepath.Join(root, "README.txt"), map[string]string{
		"People": fmt.Sprint(data.Population), "Agreement": agreement, "Commands": commands.String(), "Root": root,
	}); err != nil {
		return err
	}
	for _, a := range agencies {
		if err := os.MkdirAll(filepath.Join(a.dir, "records"), 0o755); err != nil {
			return err
		}
		own := map[string]string{
			"Name": a.Name, "DisplayName": a.DisplayName, "Address": a.Address, "TrustDomain": a.TrustDomain, "Peer": a.Ports.Peer, "Exchange": a.Ports.Exchange,
		}
		for name, values := range map[string]map[string]string{"agency.yaml.tmpl": own, "agreement.yaml.tmpl": terms, "schema-person.yaml": nil} {
			if err := render(name, filepath.Join(a.dir, strings.TrimSuffix(name, ".tmpl")), values); err != nil {
				return err
			}
		}
		if err := render("dataset-"+a.Name+".yaml", filepath.Join(a.dir, "dataset.yaml"), nil); err != nil {
			return err
		}
		if a.Name != labor {
			continue
		}
		for _, name := range []string{"schema-consent.yaml", "dataset-consents.yaml"} {
			if err := render(name, filepath.Join(a.dir, name), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// window of half a year around now.
func window(now time.Time) map[string]string {
	day := now.UTC().Truncate(24 * time.Hour)
	return map[string]string{
		"NotBefore": day.AddDate(0, 0, -1).Format(time.RFC3339), "NotAfter": day.AddDate(0, 6, 0).Format(time.RFC3339),
		"ReviewBy": day.AddDate(0, 5, 0).Format(time.RFC3339),
	}
}

// render writes a file of the scenario; values stand for ${names} in it.
func render(name, path string, values map[string]string) error {
	text, err := scenario.ReadFile("scenario/" + name)
	if err != nil {
		return err
	}
	if values != nil {
		text = []byte(os.Expand(string(text), func(of string) string {
			value, ok := values[of]
			if !ok {
				err = fmt.Errorf("%s: there is no value of %s", name, of)
			}
			return value
		}))
		if err != nil {
			return err
		}
	}
	return os.WriteFile(path, text, 0o644)
}

// schemaDigest pins the schema, as `entente schema digest` does.
func schemaDigest() (string, error) {
	text, err := scenario.ReadFile("scenario/schema-person.yaml")
	if err != nil {
		return "", err
	}
	s := &v1alpha1.ExchangeSchema{}
	if err := yaml.UnmarshalStrict(text, s); err != nil {
		return "", fmt.Errorf("schema-person.yaml: %w", err)
	}
	return s.Spec.Digest()
}
