package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// decisions are what authorised people of this agency said of a version's digest.
type decisions struct {
	// records that count, oldest first.
	records []v1alpha1.DecisionRecord
	// ignored says which decisions do not count, and why; empty: all do.
	ignored string
	// accepted: every required decision is there. waiting says which is not.
	accepted bool
	waiting  string
	// rejected, suspended and terminated are the decisions in force, or nil.
	rejected, suspended, terminated *v1alpha1.DecisionRecord
	// acceptedAt and resumedAt are the latest of their kind.
	acceptedAt, resumedAt time.Time
	// attested are the latest attestations of each duty of ours, and unowed the names of those of anything else.
	attested map[string]*v1alpha1.DecisionRecord
	unowed   []string
	// votes are the last Accept or Reject of each person in each role on this version itself, and recorded what status has of
	// acceptances in advance.
	votes, recorded []v1alpha1.DecisionRecord
	// record: records has an acceptance in advance that status does not have yet (renew). notInAdvance says why there is none.
	record       bool
	notInAdvance string
}

// maxDecisions is how many decisions status holds.
const maxDecisions = 128

// count takes stock of the decisions on the version.
func (c *compiler) count(v *version) {
	if v.digest == "" {
		return
	}
	bound, ignored := c.bound(v)
	d := decisions{ignored: ignored}
	bound, d.recorded = splitRecorded(bound)

	d.votes = latestVotes(bound)
	d.records = append(d.records, d.votes...)
	if r := latest(bound, v1alpha1.DecisionSuspend, v1alpha1.DecisionResume); r != nil {
		d.records = append(d.records, *r)
		if r.Decision == v1alpha1.DecisionSuspend {
			d.suspended = r
		} else {
			d.resumedAt = decidedAt(*r)
		}
	}
	if r := latest(bound, v1alpha1.DecisionTerminate); r != nil {
		d.records = append(d.records, *r)
		d.terminated = r
	}
	d.attest(bound, v.terms, c.index.Self)
	d.keep()
	d.tally(v.terms, c.index.Self, d.votes)
	v.decided = d
}

// keep orders the records, and keeps as many as status holds.
func (d *decisions) keep() {
	slices.SortFunc(d.records, compareRecords)
	if n := len(d.records); n > maxDecisions {
		d.records = d.records[n-maxDecisions:]
	}
}

// tally says what the votes come to.
func (d *decisions) tally(t *v1alpha1.AgreementTerms, self string, votes []v1alpha1.DecisionRecord) {
	for i := range votes {
		if votes[i].Decision == v1alpha1.DecisionReject && d.rejected == nil {
			d.rejected = &votes[i]
		}
		if votes[i].Decision == v1alpha1.DecisionAccept && decidedAt(votes[i]).After(d.acceptedAt) {
			d.acceptedAt = decidedAt(votes[i])
		}
	}
	d.accepted, d.waiting = required(t, self, votes)
}

// bound lists the decisions that are bound to the version's digest, oldest first. A decision that status recorded counts
// even when its object is gone: what was decided is changed by another decision, not by deleting one.
func (c *compiler) bound(v *version) (bound []v1alpha1.DecisionRecord, ignored string) {
	var other, unreadable []string
	seen := map[string]bool{}
	for _, d := range c.index.Decisions[v.name] {
		if d.Spec.Agreement != v.name {
			continue
		}
		if d.Spec.Digest != v.digest || !slices.Contains(knownDecisions, d.Spec.Decision) || d.Spec.DecidedBy == "" {
			other = append(other, d.Name)
			continue
		}
		if why := c.unreadableRenewals(d); why != "" {
			unreadable = append(unreadable, why)
			continue
		}
		seen[d.Name] = true
		bound = append(bound, v1alpha1.DecisionRecord{
			Name: d.Name, Decision: d.Spec.Decision, Duty: d.Spec.Duty, Role: d.Spec.Role, DecidedBy: d.Spec.DecidedBy, DecidedAt: d.CreationTimestamp,
		})
	}
	if v.object.Status.Digest == v.digest {
		for _, r := range v.object.Status.Decisions {
			if !seen[r.Name] {
				bound = append(bound, r)
			}
		}
	}
	slices.SortFunc(bound, compareRecords)
	if len(other) > 0 {
		slices.Sort(other)
		ignored = fmt.Sprintf("; AgreementDecision %s is not about digest %s and does not count", list(other, ", "), v.digest)
	}
	if len(unreadable) > 0 {
		slices.Sort(unreadable)
		ignored += "; " + list(unreadable, "; ") + ", and does not count: decide again"
	}
	return bound, ignored
}

var knownDecisions = []v1alpha1.Decision{
	v1alpha1.DecisionAccept, v1alpha1.DecisionReject, v1alpha1.DecisionSuspend, v1alpha1.DecisionResume, v1alpha1.DecisionTerminate,
	v1alpha1.DecisionAttest,
}

// stops says whether a decision takes something away.
func stops(d v1alpha1.Decision) bool {
	return d == v1alpha1.DecisionReject || d == v1alpha1.DecisionSuspend || d == v1alpha1.DecisionTerminate
}

// endOfTime is later than any instant that a decision or a term can have.
var endOfTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// decidedAt is when a decision was taken. A file may come without a time: a decision that stops then counts as the latest
// and one that permits as the oldest, so that the doubt is on the safe side.
func decidedAt(r v1alpha1.DecisionRecord) time.Time {
	switch {
	case !r.DecidedAt.IsZero():
		return r.DecidedAt.UTC()
	case stops(r.Decision):
		return endOfTime
	}
	return time.Time{}
}

// compareRecords orders by time; at the same time, what stops comes last and so prevails.
func compareRecords(a, b v1alpha1.DecisionRecord) int {
	if n := decidedAt(a).Compare(decidedAt(b)); n != 0 {
		return n
	}
	if stops(a.Decision) != stops(b.Decision) {
		if stops(a.Decision) {
			return 1
		}
		return -1
	}
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Decision), string(b.Decision)))
}

// latest is the last of these decisions, or nil.
func latest(bound []v1alpha1.DecisionRecord, of ...v1alpha1.Decision) *v1alpha1.DecisionRecord {
	for i := len(bound) - 1; i >= 0; i-- {
		if slices.Contains(of, bound[i].Decision) {
			r := bound[i]
			return &r
		}
	}
	return nil
}

// latestVotes keeps the last Accept or Reject of each person in each role: whoever rejected may later accept, and the other
// way round, but nobody for another.
func latestVotes(bound []v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord {
	type voter struct{ person, role string }
	last := map[voter]int{}
	for i, r := range bound {
		if r.Decision == v1alpha1.DecisionAccept || r.Decision == v1alpha1.DecisionReject {
			last[voter{r.DecidedBy, r.Role}] = i
		}
	}
	var votes []v1alpha1.DecisionRecord
	for i, r := range bound {
		if at, ok := last[voter{r.DecidedBy, r.Role}]; ok && at == i {
			votes = append(votes, r)
		}
	}
	return votes
}

// required says whether every decision that the terms require of the agency is there, each by another person, and what is
// waited for.
func required(t *v1alpha1.AgreementTerms, agency string, votes []v1alpha1.DecisionRecord) (ok bool, waiting string) {
	var roles []string
	for _, d := range t.RequiredDecisions {
		if d.Agency == agency {
			roles = append(roles, d.Role)
		}
	}
	accepts := map[string][]string{} // role → persons
	any := false
	for _, r := range votes {
		if r.Decision == v1alpha1.DecisionAccept {
			accepts[r.Role] = append(accepts[r.Role], r.DecidedBy)
			any = true
		}
	}
	if len(roles) == 0 {
		return any, "an Accept by an authorised person"
	}
	slices.Sort(roles)
	var missing []string
	for _, role := range roles {
		if len(accepts[role]) == 0 {
			missing = append(missing, role)
		}
	}
	if len(missing) > 0 {
		return false, "an Accept in role " + strings.Join(missing, " and in role ")
	}
	if role, person := shared(roles, accepts); role != "" {
		return false, fmt.Sprintf("an Accept in role %s by another person: %s decided in more than one role, and one person counts for one role", role, person)
	}
	return true, ""
}

// shared finds a role that has no person of its own, when each person counts for one role only; empty: every role has one.
// It is a matching of roles to persons, grown role by role along augmenting paths.
func shared(roles []string, accepts map[string][]string) (role, person string) {
	taken := map[string]string{} // person → role
	var give func(role string, tried map[string]bool) bool
	give = func(role string, tried map[string]bool) bool {
		for _, p := range accepts[role] {
			if tried[p] {
				continue
			}
			tried[p] = true
			if other, busy := taken[p]; !busy || give(other, tried) {
				taken[p] = role
				return true
			}
		}
		return false
	}
	for _, r := range roles {
		if !give(r, map[string]bool{}) {
			return r, accepts[r][0]
		}
	}
	return "", ""
}

// suspension is the Suspend that holds for the version: its own, or one of a version that it supersedes and that was not
// suspended when this one was last accepted or resumed. An amendment does not lift a suspension that came after it.
func (v *version) suspension() *v1alpha1.DecisionRecord {
	if v.decided.suspended != nil {
		return v.decided.suspended
	}
	for _, a := range v.ancestors {
		if s := a.decided.suspended; s != nil && decidedAt(*s).After(v.decided.acceptedAt) && decidedAt(*s).After(v.decided.resumedAt) {
			return s
		}
	}
	return nil
}

// termination is the Terminate that holds for the version: its own, or one of a version that it supersedes, unless this one
// was accepted afterwards.
func (v *version) termination() *v1alpha1.DecisionRecord {
	if v.decided.terminated != nil {
		return v.decided.terminated
	}
	for _, a := range v.ancestors {
		if t := a.decided.terminated; t != nil && decidedAt(*t).After(v.decided.acceptedAt) {
			return t
		}
	}
	return nil
}

// byWhom says who took a decision and when.
func byWhom(r *v1alpha1.DecisionRecord) string {
	s := r.DecidedBy
	if r.Role != "" {
		s += " (" + r.Role + ")"
	}
	if !r.DecidedAt.IsZero() {
		s += " at " + stamp(r.DecidedAt)
	}
	return fmt.Sprintf("%s, AgreementDecision %q", s, r.Name)
}

func stamp(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }
