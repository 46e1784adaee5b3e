package compile

import (
	"fmt"
	"slices"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// relate decides how the versions of one agreement follow each other. A version that every party signed and that
// supersedes another replaces it at its notBefore: from then on only the new one is in force, whatever becomes of it.
func relate(versions []*version) {
	inherit(versions)
	for _, later := range versions {
		if !later.signedByAll() {
			continue
		}
		for _, earlier := range later.ancestors {
			if later.notBefore.Before(earlier.end) {
				earlier.end, earlier.replacedBy = later.notBefore, later
			}
		}
	}
	for i, later := range versions {
		for _, earlier := range versions[:i] {
			if earlier.clashes(later) {
				settle(earlier, later)
			}
		}
	}
}

// inherit finds the versions that each version supersedes, one after the other.
func inherit(versions []*version) {
	byNumber := map[int64]*version{}
	for _, v := range versions {
		if v.digest != "" { // well formed: named after its version, and superseding an earlier one only
			byNumber[v.terms.Version] = v
		}
	}
	for _, v := range versions {
		v.siblings = versions
		if v.digest == "" {
			continue
		}
		for a := byNumber[v.terms.Supersedes]; a != nil; a = byNumber[a.terms.Supersedes] {
			v.ancestors = append(v.ancestors, a)
		}
	}
}

// clashes: both could be in force at one time, and neither replaces the other.
func (v *version) clashes(later *version) bool {
	return v.mayCome() && later.mayCome() &&
		!slices.Contains(later.ancestors, v) &&
		v.notBefore.Before(later.end) && later.notBefore.Before(v.end)
}

// mayCome: nothing decided so far keeps the version from being in force one day.
func (v *version) mayCome() bool {
	return v.accepted.ok && v.decided.rejected == nil && v.rejectedBy() == nil && v.termination() == nil && v.stoppedBy(true) == nil && v.object.Status.State != v1alpha1.StateSuperseded
}

// settle lets the signed one of two clashing versions stand, and otherwise the earlier: the same on every party's side.
func settle(earlier, later *version) {
	if later.signedByAll() && !earlier.signedByAll() {
		earlier.accepted = verdict{false, v1alpha1.ReasonInvalid, fmt.Sprintf("version %d is signed for an overlapping window and does not supersede this one: apply a new version that supersedes version %d",
			later.terms.Version, later.terms.Version)}
		return
	}
	later.accepted = verdict{false, v1alpha1.ReasonInvalid, fmt.Sprintf("supersedes: the window overlaps that of version %d, which this version does not supersede: apply a new version with supersedes: %d, or reject or terminate version %d",
		earlier.terms.Version, earlier.terms.Version, earlier.terms.Version)}
}

// life is what keeps a version from being in force, in the order in which it is told.
var life = []check{
	notTerminated,
	notRejected,
	acceptable,
	notSuperseded,
	notExpired,
	notSuspended,
	allSigned,
	referencesResolved,
	notDeleted,
	begun,
}

// states are what a reason of InForce makes of a version. NotSigned is Proposed or Signed.
var states = map[string]v1alpha1.AgreementState{
	v1alpha1.ReasonTerminated:  v1alpha1.StateTerminated,
	v1alpha1.ReasonRejected:    v1alpha1.StateRejected,
	v1alpha1.ReasonNotAccepted: v1alpha1.StateRejected,
	v1alpha1.ReasonSuperseded:  v1alpha1.StateSuperseded,
	v1alpha1.ReasonExpired:     v1alpha1.StateExpired,
	v1alpha1.ReasonSuspended:   v1alpha1.StateSuspended,
	v1alpha1.ReasonNotSigned:   v1alpha1.StateProposed,
	v1alpha1.ReasonNotResolved: v1alpha1.StatePending,
	v1alpha1.ReasonDeleted:     v1alpha1.StatePending,
	v1alpha1.ReasonNotYet:      v1alpha1.StatePending,
	v1alpha1.ReasonInForce:     v1alpha1.StateInForce,
}

// live decides whether the version is in force, in what state it is, and whether we sign it.
func (c *compiler) live(v *version) {
	v.inForce = c.first(v, life, v1alpha1.ReasonInForce, fmt.Sprintf("in force until %s", v.end.Format(time.RFC3339))+c.windowsOf(v))
	v.state = states[v.inForce.reason]
	if v.inForce.reason == v1alpha1.ReasonNotSigned && v.signatures.ours {
		v.state = v1alpha1.StateSigned
	}
	signable := v.inForce.ok || v.inForce.reason == v1alpha1.ReasonNotSigned || v.inForce.reason == v1alpha1.ReasonNotYet
	v.sign = signable && v.resolved.ok && v.decided.accepted && !v.signatures.published && v.object.DeletionTimestamp.IsZero()
}

func notTerminated(_ *compiler, v *version) (reason, message string, failed bool) {
	if r := v.termination(); r != nil {
		return v1alpha1.ReasonTerminated, fmt.Sprintf("terminated by %s; this is final: a new version needs a new decision", byWhom(r)), true
	}
	if s := v.stoppedBy(true); s != nil {
		return v1alpha1.ReasonTerminated, fmt.Sprintf("terminated by %s; this is final: agree on a new version", s), true
	}
	return "", "", false
}

func notRejected(_ *compiler, v *version) (reason, message string, failed bool) {
	if r := v.decided.rejected; r != nil {
		return v1alpha1.ReasonRejected, fmt.Sprintf("rejected by %s: agree on a new version, or let the same person accept in the same role", byWhom(r)), true
	}
	if s := v.rejectedBy(); s != nil {
		return v1alpha1.ReasonRejected, fmt.Sprintf("rejected by %s: agree on a new version, or let that agency accept after all", s), true
	}
	return "", "", false
}

func acceptable(_ *compiler, v *version) (reason, message string, failed bool) {
	return v1alpha1.ReasonNotAccepted, "the terms are not acceptable: see condition Accepted", !v.accepted.ok
}

// notSuperseded also holds on to what was said before: a version that was replaced does not come back when the one that
// replaced it is deleted.
func notSuperseded(c *compiler, v *version) (reason, message string, failed bool) {
	switch {
	case v.replacedBy != nil && !c.now.Before(v.end):
		return v1alpha1.ReasonSuperseded, fmt.Sprintf("version %d replaced this one at %s", v.replacedBy.terms.Version, v.end.Format(time.RFC3339)), true
	case v.object.Status.State == v1alpha1.StateSuperseded:
		return v1alpha1.ReasonSuperseded, "a later version replaced this one; it does not come back: apply a new version", true
	}
	return "", "", false
}

func notExpired(c *compiler, v *version) (reason, message string, failed bool) {
	if c.now.Before(v.end) {
		return "", "", false
	}
	return v1alpha1.ReasonExpired, fmt.Sprintf("ended at %s: renew by a new version", v.end.Format(time.RFC3339)), true
}

func notSuspended(_ *compiler, v *version) (reason, message string, failed bool) {
	if r := v.suspension(); r != nil {
		return v1alpha1.ReasonSuspended, fmt.Sprintf("suspended by %s: create an AgreementDecision Resume on digest %s of agreement %s to lift it",
			byWhom(r), v.digest, v.name), true
	}
	if s := v.stoppedBy(false); s != nil {
		return v1alpha1.ReasonSuspended, fmt.Sprintf("suspended by %s: only that agency can resume it", s), true
	}
	return "", "", false
}

func allSigned(_ *compiler, v *version) (reason, message string, failed bool) {
	return v1alpha1.ReasonNotSigned, "not every party signed: see condition Signed", !v.signedByAll()
}

func referencesResolved(_ *compiler, v *version) (reason, message string, failed bool) {
	return v1alpha1.ReasonNotResolved, "something that the terms refer to is missing or does not fit: see condition ResolvedRefs", !v.resolved.ok
}

func notDeleted(_ *compiler, v *version) (reason, message string, failed bool) {
	return v1alpha1.ReasonDeleted, "the object is being deleted", !v.object.DeletionTimestamp.IsZero()
}

func begun(c *compiler, v *version) (reason, message string, failed bool) {
	if !c.now.Before(v.notBefore) {
		return "", "", false
	}
	return v1alpha1.ReasonNotYet, fmt.Sprintf("comes into force at %s", v.notBefore.Format(time.RFC3339)), true
}
