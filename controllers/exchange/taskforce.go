package exchange

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/gateway/route"
)

// A proposal brings the task forces that its terms pin, so that those who are to decide can see who would be in them. The terms pin
// each by its digest, so it proves itself; by itself it permits nothing.

const (
	// MaxTaskForces bounds how many task forces a proposal brings: as many as terms may pin.
	MaxTaskForces = 8
	// MaxTaskForce bounds one, in bytes.
	MaxTaskForce = 32 << 10
)

// readTaskForces decodes the task forces of a proposal. One that the terms do not pin, by name, version and digest, is refused.
func readTaskForces(terms *v1alpha1.AgreementTerms, from route.Party, all [][]byte) ([]*v1alpha1.TaskForce, error) {
	if len(all) > MaxTaskForces {
		return nil, refuse(TooLarge, "%d task forces; at most %d are taken", len(all), MaxTaskForces)
	}
	pinned := compile.PinnedTaskForces(terms)
	var out []*v1alpha1.TaskForce
	for n, data := range all {
		if len(data) > MaxTaskForce {
			return nil, refuse(TooLarge, "task force %d has %d bytes; at most %d are taken", n+1, len(data), MaxTaskForce)
		}
		f := &v1alpha1.TaskForce{}
		if err := json.Unmarshal(data, &f.Spec); err != nil {
			return nil, refuse(Malformed, "task force %d does not decode: %v", n+1, err)
		}
		if unknown := f.Spec.UnknownFields; len(unknown) > 0 {
			return nil, refuse(UnknownMember, "task force %d has members that this release does not know, or that stand twice: %v", n+1, unknown[:min(len(unknown), 8)])
		}
		ref := v1alpha1.TaskForceRef{Name: f.Spec.Name, Version: f.Spec.Version}
		var err error
		if ref.Digest, err = f.Spec.Digest(); err != nil || !slices.Contains(pinned, ref) {
			return nil, refuse(DigestMismatch, "task force %d is none that the terms pin: as it stands its digest is %s", n+1, ref.Digest)
		}
		f.ObjectMeta = metav1.ObjectMeta{Name: compile.TaskForceName(ref), Labels: map[string]string{v1alpha1.LabelProposedBy: from.Agency}}
		if err := compile.CheckTaskForce(f); err != nil {
			return nil, refuse(Malformed, "%v", err)
		}
		out = append(out, f)
	}
	return out, nil
}
