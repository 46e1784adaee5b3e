package compile

import (
	"fmt"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// acceptance is what makes a version acceptable by itself, in the order in which it is checked. That versions do not
// overlap is checked once all are known: see relate.
var acceptance = []check{
	everyFieldKnown,
	wellFormed,
	digestible,
	weAreParty,
	everyTermEnforceable,
	rowFiltersCompile,
	profilesKept,
}

// judge decides whether the version is acceptable.
func (c *compiler) judge(v *version) {
	v.coverage = c.cover(v)
	v.accepted = c.first(v, acceptance, v1alpha1.ReasonAccepted, "every term is understood and can be kept")
	if v.accepted.ok && len(v.warnings) > 0 {
		// A warning is no condition of its own, which would ask for something to wait for: it stands where people look.
		v.accepted.message += "; warnings: " + list(v.warnings, "; ")
	}
}

// everyFieldKnown: a misspelt restriction would be a permission that nobody gave.
func everyFieldKnown(_ *compiler, v *version) (reason, message string, failed bool) {
	unknown := v.object.Spec.UnknownFields
	if len(unknown) == 0 {
		return "", "", false
	}
	return v1alpha1.ReasonUnknownField, unknownFields("spec", unknown), true
}

func unknownFields(where string, fields []string) string {
	return fmt.Sprintf("this release does not know %s of %s: correct the spelling, or remove it (terms are immutable: delete this object and apply it again, or apply a new version)",
		quoteAll(fields), where)
}

func wellFormed(_ *compiler, v *version) (reason, message string, failed bool) {
	faults := checkTerms(v.name, v.terms)
	if len(faults) == 0 {
		return "", "", false
	}
	return v1alpha1.ReasonInvalid, faults.String() + ": correct the terms and apply them again", true
}

// digestible computes the digest that decisions and signatures are bound to.
func digestible(_ *compiler, v *version) (reason, message string, failed bool) {
	digest, err := v.terms.Digest()
	if err != nil {
		return v1alpha1.ReasonInvalid, fmt.Sprintf("the terms have no digest (%v): correct them and apply them again", err), true
	}
	v.digest = digest
	return "", "", false
}

func weAreParty(c *compiler, v *version) (reason, message string, failed bool) {
	if party(v.terms, c.index.Self) != nil {
		return "", "", false
	}
	return v1alpha1.ReasonNotAParty, fmt.Sprintf("agency %q, which this operator serves, is not among the terms' parties (%s): delete this object, or add the agency as a party in a new version",
		c.index.Self, strings.Join(partyNames(v.terms), ", ")), true
}

func everyTermEnforceable(_ *compiler, v *version) (reason, message string, failed bool) {
	unkept := unenforceable(v.terms)
	if len(unkept) == 0 {
		return "", "", false
	}
	return v1alpha1.ReasonUnenforceableTerm, list(unkept, "; "), true
}

// rowFiltersCompile type-checks the row filters of clauses whose pinned schema is known; when it is not, ResolvedRefs says
// so and nothing is programmed.
func rowFiltersCompile(c *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.terms.Clauses {
		cl := &v.terms.Clauses[i]
		s := c.pinned(cl.Schema)
		if cl.RowFilter == "" || s == nil {
			continue
		}
		if _, err := s.rowFilterFields(cl.RowFilter); err != nil {
			return v1alpha1.ReasonInvalid, fmt.Sprintf("clauses[%s].rowFilter: %v: correct the expression and apply the terms again", cl.Name, err), true
		}
	}
	return "", "", false
}

// party finds an agency among the parties.
func party(t *v1alpha1.AgreementTerms, agency string) *v1alpha1.Party {
	for i := range t.Parties {
		if t.Parties[i].Agency == agency {
			return &t.Parties[i]
		}
	}
	return nil
}

func partyNames(t *v1alpha1.AgreementTerms) []string {
	names := make([]string, len(t.Parties))
	for i := range t.Parties {
		names[i] = t.Parties[i].Agency
	}
	return names
}
