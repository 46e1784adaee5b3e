package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Renewal is a compiled acceptance in advance. It is immutable and safe for concurrent use.
type Renewal struct {
	when rule
	free []string // members that may differ
}

// Members of the terms that every renewal may change, and those that none may: with them it would be another agreement, or
// another way to decide on it.
var (
	freeMembers  = []string{"version", "supersedes", "term"}
	fixedMembers = []string{"id", "parties", "profiles", "requiredDecisions"}
)

// CompileRenewal compiles an acceptance in advance. The error names the member of renewals that is wrong.
func CompileRenewal(spec *v1alpha1.Renewals) (*Renewal, error) {
	r := &Renewal{free: slices.Concat(freeMembers, spec.MayChange)}
	for _, name := range spec.MayChange {
		if terms.byName[name] == nil {
			return nil, fmt.Errorf("renewals.mayChange: the terms have no member %q", name)
		}
		if slices.Contains(fixedMembers, name) {
			return nil, fmt.Errorf("renewals.mayChange: a renewal cannot change %s: that takes a decision on the version itself", name)
		}
	}
	r.when.Rule = spec.When
	if err := r.when.compile(); err != nil {
		return nil, fmt.Errorf("renewals.when: %w", err)
	}
	return r, nil
}

// Covers says whether the terms are a renewal of those that they supersede which is accepted in advance; when not, why.
func (r *Renewal) Covers(renewal, superseded *v1alpha1.AgreementTerms) (ok bool, why string) {
	changed, err := differing(renewal, superseded)
	if err != nil {
		return false, err.Error()
	}
	changed = slices.DeleteFunc(changed, func(name string) bool { return slices.Contains(r.free, name) })
	if len(changed) > 0 {
		return false, "the renewal changes " + strings.Join(changed, ", ")
	}
	// The term may differ; that it is reviewed, or renewed in its own time, is not a matter of dates.
	for _, d := range []struct {
		name     string
		had, has *metav1.Time
	}{
		{"term.reviewBy", superseded.Term.ReviewBy, renewal.Term.ReviewBy},
		{"term.renewFrom", superseded.Term.RenewFrom, renewal.Term.RenewFrom},
	} {
		if !d.had.IsZero() && d.has.IsZero() {
			return false, "the renewal leaves out " + d.name
		}
	}
	kept, err := r.when.holds(map[string]any{"terms": valueOf(renewal.Sorted()), prior: valueOf(superseded.Sorted())})
	if err != nil {
		return false, fmt.Sprintf("renewals.when cannot be evaluated (%v)", err)
	}
	return kept, "renewals.when is not true of it"
}

// differing lists the members in which two terms differ, sorted. It compares what the digest is computed over, so that a
// spelling makes no difference and everything else does.
func differing(a, b *v1alpha1.AgreementTerms) ([]string, error) {
	one, err := canonicalMembers(a)
	if err != nil {
		return nil, err
	}
	two, err := canonicalMembers(b)
	if err != nil {
		return nil, err
	}
	var out []string
	for name, value := range one {
		if !bytes.Equal(value, two[name]) {
			out = append(out, name)
		}
	}
	for name := range two {
		if one[name] == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

func canonicalMembers(t *v1alpha1.AgreementTerms) (map[string]json.RawMessage, error) {
	text, err := t.Canonical()
	if err != nil {
		return nil, err
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("reading the canonical form: %w", err)
	}
	return out, nil
}
