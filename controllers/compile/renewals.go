package compile

import (
	"fmt"
	"slices"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// A decision on one version may accept a renewal of it in advance (AgreementDecision.spec.renewals). That acceptance is an Accept
// like others, of that person in that role at that time, with two differences: it holds only as long as everything that it was
// bound to holds, until this agency signed; and it is recorded in status first, so that no signature stands on what nobody
// can look up.

// renew counts what was accepted in advance. The versions before this one are alive already: see live.
func (c *compiler) renew(v *version) {
	if v.digest == "" {
		return
	}
	d := &v.decided
	advance := d.recorded // once we signed, it is what we signed for
	if !v.signatures.ours {
		advance, d.notInAdvance = c.inAdvance(v)
	}
	votes := slices.Clone(d.votes)
	for _, r := range advance {
		switch {
		case d.votedBy(r):
			continue
		case slices.ContainsFunc(d.recorded, func(o v1alpha1.DecisionRecord) bool { return sameAcceptance(o, r) }):
			votes = append(votes, r)
		default:
			d.record = true
		}
		d.records = append(d.records, r)
	}
	d.keep()
	d.tally(v.terms, c.index.Self, votes)
}

// sameAcceptance says whether two records are of one acceptance in advance.
func sameAcceptance(a, b v1alpha1.DecisionRecord) bool {
	return a.Name == b.Name && a.RenewalOf == b.RenewalOf && a.DecidedBy == b.DecidedBy && a.Role == b.Role && a.Decision == b.Decision
}

// splitRecorded takes the acceptances in advance out of the records: they are no decisions on the version itself.
func splitRecorded(bound []v1alpha1.DecisionRecord) (own, inAdvance []v1alpha1.DecisionRecord) {
	for _, r := range bound {
		if r.RenewalOf == "" {
			own = append(own, r)
		} else {
			inAdvance = append(inAdvance, r)
		}
	}
	return own, inAdvance
}

// votedBy says whether the person took a decision on this version itself in that role: then it alone counts.
func (d *decisions) votedBy(r v1alpha1.DecisionRecord) bool {
	return slices.ContainsFunc(d.votes, func(o v1alpha1.DecisionRecord) bool { return o.DecidedBy == r.DecidedBy && o.Role == r.Role })
}

// inAdvance lists the acceptances in advance that the version has now; when there is none although somebody accepted renewals, why not.
func (c *compiler) inAdvance(v *version) (records []v1alpha1.DecisionRecord, why string) {
	prior := v.prior()
	if prior == nil {
		return nil, ""
	}
	offers, decided := c.offers(prior)
	if len(offers) == 0 {
		return nil, ""
	}
	if _, message, failed := c.firstFailing(v, renewable); failed {
		return nil, "; not accepted in advance: " + message
	}
	var not []string
	for i, o := range offers {
		renewal, err := c.index.ProfileCache.Renewal(o.Spec.Renewals)
		if err != nil {
			not = append(not, fmt.Sprintf("AgreementDecision %q: %v", o.Name, err))
			continue
		}
		if ok, because := renewal.Covers(v.terms, prior.terms); !ok {
			not = append(not, fmt.Sprintf("AgreementDecision %q: %s", o.Name, because))
			continue
		}
		r := decided[i]
		r.RenewalOf = prior.name
		records = append(records, r)
	}
	if len(not) > 0 {
		why = "; not accepted in advance: " + list(not, "; ")
	}
	return records, why
}

// prior is the version that this one supersedes directly, if it is here.
func (v *version) prior() *version {
	if len(v.ancestors) == 0 || v.ancestors[0].terms.Version != v.terms.Supersedes {
		return nil
	}
	return v.ancestors[0]
}

// offers are the decisions on a version that accept renewals, each the last of its person in its role, with their records.
func (c *compiler) offers(prior *version) (objects []*v1alpha1.AgreementDecision, decided []v1alpha1.DecisionRecord) {
	byName := map[string]*v1alpha1.AgreementDecision{}
	for _, d := range c.index.Decisions[prior.name] {
		byName[d.Name] = d
	}
	for _, r := range prior.decided.votes {
		if d := byName[r.Name]; d != nil && d.Spec.Renewals != nil && r.Decision == v1alpha1.DecisionAccept {
			objects, decided = append(objects, d), append(decided, r)
		}
	}
	return objects, decided
}

// renewable is what a version must be to be accepted in advance, whatever its terms.
var renewable = []check{
	acceptable,
	referencesResolved,
	notRejected,
	notExpired,
	notDeleted,
	priorInForce,
	renewalOpen,
	onlyRenewal,
}

// priorInForce: what was stopped, by anybody, for a part or in whole, is not renewed without a person.
func priorInForce(_ *compiler, v *version) (reason, message string, failed bool) {
	p := v.prior()
	switch gone := p.withdrawn(false); {
	case !p.inForce.ok:
		return v1alpha1.ReasonAwaitingDecision, fmt.Sprintf("version %d, which this one renews, is not in force", p.terms.Version), true
	case len(gone) > 0:
		return v1alpha1.ReasonAwaitingDecision, fmt.Sprintf("of version %d, which this one renews, a party has withdrawn", p.terms.Version), true
	}
	return "", "", false
}

// renewalOpen: where the parties agreed not to decide on a renewal before a date, nobody has decided on one for them.
func renewalOpen(c *compiler, v *version) (reason, message string, failed bool) {
	p := v.prior()
	if from := p.terms.Term.RenewFrom; !from.IsZero() && c.now.Before(from.Time) {
		return v1alpha1.ReasonAwaitingDecision, fmt.Sprintf("version %d is not renewed before %s (term.renewFrom)", p.terms.Version, stamp(*from)), true
	}
	return "", "", false
}

// onlyRenewal: of one version, one renewal is accepted in advance; so a peer that proposes many gets one, and then a person decides.
func onlyRenewal(_ *compiler, v *version) (reason, message string, failed bool) {
	for _, o := range v.siblings {
		if o != v && o.terms.Version > v.terms.Supersedes && (o.signatures.ours || len(o.decided.records) > 0) {
			return v1alpha1.ReasonAwaitingDecision, fmt.Sprintf("this agency has decided on version %d, which comes after version %d as well", o.terms.Version, v.terms.Supersedes), true
		}
	}
	return "", "", false
}

func (c *compiler) firstFailing(v *version, checks []check) (reason, message string, failed bool) {
	verdict := c.first(v, checks, "", "")
	return verdict.reason, verdict.message, !verdict.ok
}

// unreadableRenewals says what is wrong with the renewals of a decision, which then counts for nothing: whoever wrote it meant
// something that nobody can read. Empty: nothing.
func (c *compiler) unreadableRenewals(d *v1alpha1.AgreementDecision) string {
	if d.Spec.Renewals == nil || stops(d.Spec.Decision) { // whatever else it says, what stops counts
		return ""
	}
	if d.Spec.Decision != v1alpha1.DecisionAccept {
		return fmt.Sprintf("AgreementDecision %q has renewals and is no Accept", d.Name)
	}
	if _, err := c.index.ProfileCache.Renewal(d.Spec.Renewals); err != nil {
		return fmt.Sprintf("AgreementDecision %q: %v", d.Name, err)
	}
	return ""
}
