package compile

import (
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// status puts together what people are told of a version.
func (c *compiler) status(v *version, r *route.Route, prior []metav1.Condition) v1alpha1.SharingAgreementStatus {
	s := v1alpha1.SharingAgreementStatus{
		Digest:     v.digest,
		Parties:    strings.Join(partyNames(v.terms), ","),
		State:      v.state,
		Verified:   v.signatures.verified,
		Decisions:  v.decided.records,
		Coverage:   v.coverage,
		Duties:     v.duties,
		Conditions: c.conditions(v, prior),
	}
	if carries(r, v) {
		s.Routes = []string{r.Agreement}
	}
	return s
}

func carries(r *route.Route, v *version) bool {
	if r == nil {
		return false
	}
	for i := range r.Versions {
		if r.Versions[i].Version == v.terms.Version && r.Versions[i].Digest == v.digest {
			return true
		}
	}
	return false
}

// conditions are always Accepted, ResolvedRefs, Signed and InForce; the others only while they are true.
func (c *compiler) conditions(v *version, prior []metav1.Condition) []metav1.Condition {
	l := conditionList{now: c.now, generation: v.object.Generation, prior: prior}
	l.set(v1alpha1.ConditionAccepted, v.accepted)
	l.set(v1alpha1.ConditionResolvedRefs, v.resolved)
	l.set(v1alpha1.ConditionSigned, c.signed(v))
	l.set(v1alpha1.ConditionInForce, v.inForce)
	l.setWhileTrue(v1alpha1.ConditionSuspended, c.suspended(v))
	l.setWhileTrue(v1alpha1.ConditionBeginning, c.beginning(v))
	l.setWhileTrue(v1alpha1.ConditionExpiring, c.expiring(v))
	l.setWhileTrue(v1alpha1.ConditionRenewalDue, c.renewalDue(v))
	l.setWhileTrue(v1alpha1.ConditionReviewDue, c.reviewDue(v))
	l.setWhileTrue(v1alpha1.ConditionDutyDue, c.dutyDue(v))
	return l.out
}

func (c *compiler) suspended(v *version) verdict {
	if v.state == v1alpha1.StateSuspended {
		return verdict{true, v1alpha1.ReasonSuspended, v.inForce.message}
	}
	if v.state != v1alpha1.StateInForce {
		return verdict{}
	}
	// In force between the others: who is out is said here.
	gone := v.withdrawn(false)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		names = append(names, gone[name].String())
	}
	if len(names) == 0 {
		return verdict{}
	}
	return verdict{true, v1alpha1.ReasonPartyWithdrawn, "nothing is disclosed by or to " + strings.Join(names, ", ") + ", which suspended or ended the agreement for itself; between the others it is in force"}
}

// running: every party signed, and it has not ended.
func (v *version) running() bool {
	switch v.state {
	case v1alpha1.StatePending, v1alpha1.StateInForce, v1alpha1.StateSuspended:
		return v.signedByAll()
	}
	return false
}

// conditionList builds conditions of one object in the order in which they are set.
type conditionList struct {
	now        time.Time
	generation int64
	prior      []metav1.Condition
	out        []metav1.Condition
}

// set adds a condition. Its transition time is kept from before while its status is the same.
func (l *conditionList) set(kind string, v verdict) {
	status := metav1.ConditionFalse
	if v.ok {
		status = metav1.ConditionTrue
	}
	since := metav1.NewTime(l.now).Rfc3339Copy()
	for _, p := range l.prior {
		if p.Type == kind && p.Status == status && !p.LastTransitionTime.IsZero() {
			since = p.LastTransitionTime
		}
	}
	l.out = append(l.out, metav1.Condition{
		Type: kind, Status: status, ObservedGeneration: l.generation, LastTransitionTime: since, Reason: v.reason, Message: clip(v.message),
	})
}

func (l *conditionList) setWhileTrue(kind string, v verdict) {
	if v.ok {
		l.set(kind, v)
	}
}
