// Package profiles holds the agreement profiles that ship with Entente, for commands that work without a cluster. They hold
// only where they are applied: an operator knows those of its namespace, and no others.
package profiles

import (
	"embed"
	"fmt"
	"path"

	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
)

//go:embed eu-led.yaml nist-800-47.yaml uk-dea.yaml us-cmppa.yaml
var files embed.FS

// All gives the profiles that ship, by name.
func All() ([]*v1alpha1.AgreementProfile, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var out []*v1alpha1.AgreementProfile
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		p := &v1alpha1.AgreementProfile{}
		if err := yaml.UnmarshalStrict(text, p); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		if len(p.Spec.UnknownFields) > 0 {
			return nil, fmt.Errorf("%s: unknown members %q", e.Name(), p.Spec.UnknownFields)
		}
		if p.Name+".yaml" != path.Base(e.Name()) {
			return nil, fmt.Errorf("%s holds profile %q", e.Name(), p.Name)
		}
		out = append(out, p)
	}
	return out, nil
}
