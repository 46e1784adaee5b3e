package compile

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile/profile"
)

// framework is a profile that the index has, compiled.
type framework struct {
	rules *profile.Profile
	// reason and problem say why it cannot be used; empty: it can.
	reason, problem string
}

// framework returns the profile of that name, or nil.
func (c *compiler) framework(name string) *framework {
	if f, ok := c.profiles[name]; ok {
		return f
	}
	var f *framework
	if object := c.index.Profiles[name]; object != nil {
		f = newFramework(object, c.index.ProfileCache)
	}
	c.profiles[name] = f
	return f
}

func newFramework(object *v1alpha1.AgreementProfile, cache *profile.Cache) *framework {
	if unknown := object.Spec.UnknownFields; len(unknown) > 0 {
		return &framework{reason: v1alpha1.ReasonUnknownField, problem: fmt.Sprintf("this release does not know %s of spec: correct the spelling, or remove it", quoteAll(unknown))}
	}
	rules, wrong := cache.Compile(object.Name, &object.Spec)
	if !isName(object.Name, 63) {
		wrong = append(wrong, fmt.Sprintf("metadata.name: %q is not 1 to 63 lower-case letters, digits and hyphens", object.Name))
	}
	if len(wrong) > 0 {
		return &framework{reason: v1alpha1.ReasonInvalid, problem: faults(wrong).String() + ": correct the profile"}
	}
	return &framework{rules: rules}
}

// profilesKept holds the terms against the rules of their profiles. A profile that is missing is told by ResolvedRefs; one
// that cannot be used permits nothing, since nobody knows what it would have refused.
func profilesKept(c *compiler, v *version) (reason, message string, failed bool) {
	var broken []string
	v.warnings = nil
	for _, name := range slices.Sorted(slices.Values(v.terms.Profiles)) {
		f := c.framework(name)
		switch {
		case f == nil:
			continue
		case f.problem != "":
			return v1alpha1.ReasonProfileViolation, fmt.Sprintf("profiles: AgreementProfile %q is not accepted, so its rules cannot be checked: %s", name, f.problem), true
		}
		for _, violation := range f.rules.Check(v.terms, c.superseded(v.terms)) {
			if violation.NoPrior && v.acceptedBefore() {
				continue // neither terms ever change: what was compared once need not be again, when the earlier is gone
			}
			if violation.Severity == v1alpha1.SeverityError {
				broken = append(broken, violation.String())
			} else {
				v.warnings = append(v.warnings, violation.String())
			}
		}
	}
	if len(broken) > 0 {
		return v1alpha1.ReasonProfileViolation, list(broken, "; ") + ": apply corrected terms as a new version (delete this object, if nobody signed it)", true
	}
	return "", "", false
}

// superseded are the terms of the version that these supersede, or nil: there is none, or it is not here.
func (c *compiler) superseded(t *v1alpha1.AgreementTerms) *v1alpha1.AgreementTerms {
	for _, o := range c.index.Agreements[t.ID] {
		if p := &o.Spec.Terms; t.Supersedes > 0 && p.Version == t.Supersedes && p.Version < t.Version && p.ID == t.ID && o.Name == fmt.Sprintf("%s.v%d", p.ID, p.Version) && len(o.Spec.UnknownFields) == 0 {
			return p
		}
	}
	return nil
}

// acceptedBefore says whether exactly these terms were acceptable when they were last looked at.
func (v *version) acceptedBefore() bool {
	s := &v.object.Status
	return s.Digest == v.digest && slices.ContainsFunc(s.Conditions, func(c metav1.Condition) bool {
		return c.Type == v1alpha1.ConditionAccepted && c.Status == metav1.ConditionTrue
	})
}

func profilesKnown(c *compiler, v *version) (reason, message string, failed bool) {
	for _, name := range slices.Sorted(slices.Values(v.terms.Profiles)) {
		if c.framework(name) == nil {
			return v1alpha1.ReasonUnknownProfile, fmt.Sprintf("profiles: there is no AgreementProfile %q: apply it (those that ship are in config/profiles), or leave it out in a new version", name), true
		}
	}
	return "", "", false
}

// ProfileConditions decides Accepted of an AgreementProfile.
func ProfileConditions(p *v1alpha1.AgreementProfile, cache *profile.Cache, prior []metav1.Condition, now time.Time) []metav1.Condition {
	l := conditionList{now: now.UTC(), generation: p.Generation, prior: prior}
	accepted := verdict{true, v1alpha1.ReasonAccepted, fmt.Sprintf("%d rules; agreements can name it", len(p.Spec.Rules))}
	if f := newFramework(p, cache); f.problem != "" {
		accepted = verdict{false, f.reason, f.problem}
	}
	l.set(v1alpha1.ConditionAccepted, accepted)
	return l.out
}
