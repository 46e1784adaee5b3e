package compile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Names of the duties that follow from other terms. No duty of terms.duties has one of them.
const (
	// DutyReview: every party reviews the agreement by term.reviewBy.
	DutyReview = "review"
	// DutyDestruction: every recipient destroys or returns what it received, retentionDays after the end.
	DutyDestruction = "destruction"
)

// Duty is what one party owes under the terms.
type Duty struct {
	Name, Agency string
	// Term that it fulfils; empty: none is named.
	Term string
	// What is to be done.
	What string
	// DueBy is when, of a duty that is owed once; Every, how often, of one that is owed while the agreement runs; and when both
	// are zero it is owed AfterEnd, that long after the agreement's end.
	DueBy    time.Time
	Every    time.Duration
	AfterEnd time.Duration
}

// once: it is owed by a date, whatever becomes of the agreement.
func (d *Duty) once() bool { return !d.DueBy.IsZero() && d.Name != DutyReview }

// EndsIt says whether the duty is about what is left of an agreement that is over: before, it cannot be done.
func (d *Duty) EndsIt() bool { return d.DueBy.IsZero() && d.Every == 0 }

// Duties lists what the parties owe under the terms: the review, the terms' own duties, and the destruction of the records.
func Duties(t *v1alpha1.AgreementTerms) []Duty {
	var out []Duty
	if by := t.Term.ReviewBy; !by.IsZero() {
		for _, p := range t.Parties {
			out = append(out, Duty{Name: DutyReview, Agency: p.Agency, Term: "term.reviewBy", What: "review the agreement", DueBy: by.UTC()})
		}
	}
	for _, d := range t.Duties {
		duty := Duty{Name: d.Name, Agency: d.Agency, Term: d.Term, What: d.What, Every: time.Duration(d.EveryDays) * day}
		if !d.DueBy.IsZero() {
			duty.DueBy = d.DueBy.UTC()
		}
		out = append(out, duty)
	}
	for _, p := range t.Parties {
		if d, ok := destruction(t, p.Agency); ok {
			out = append(out, d)
		}
	}
	return out
}

// destruction is the duty of a recipient to have nothing left: by the latest of what its clauses let it keep. That records of one
// clause go earlier than those of another holds all the same; terms that want it attested say so in duties.
func destruction(t *v1alpha1.AgreementTerms, agency string) (d Duty, ok bool) {
	d = Duty{Name: DutyDestruction, Agency: agency, What: "destroy or return the records that were received"}
	for i := range t.Clauses {
		cl := &t.Clauses[i]
		o := cl.Obligations
		if o == nil || o.RetentionDays == nil && o.Destruction == "" || !mayReceive(cl, agency) {
			continue
		}
		member, kept := "destruction", time.Duration(0)
		if o.RetentionDays != nil {
			member, kept = "retentionDays", time.Duration(*o.RetentionDays)*day
		}
		if !ok || kept > d.AfterEnd {
			d.Term, d.AfterEnd = fmt.Sprintf("clauses[%s].obligations.%s", cl.Name, member), kept
		}
		ok = true
	}
	return d, ok
}

// mayReceive goes by the terms alone, so that every party comes to the same: which of the parties are members of a task force stands
// in the task force, and so a clause that names one binds them all but its source. Who received nothing attests that nothing is left.
func mayReceive(cl *v1alpha1.Clause, party string) bool {
	return slices.ContainsFunc(cl.Recipients, func(r v1alpha1.Recipient) bool {
		return r.Agency == party || r.TaskForce != nil && party != cl.Source
	})
}

// DutyOf finds a duty of an agency; nil: it owes none of that name. owed lists those that it does owe.
func DutyOf(t *v1alpha1.AgreementTerms, agency, name string) (found *Duty, owed []string) {
	for _, d := range Duties(t) {
		if d.Agency != agency {
			continue
		}
		owed = append(owed, d.Name)
		if d.Name == name {
			found = &d
		}
	}
	return found, owed
}

// attest takes stock of the attestations. They change nothing but what is owed.
func (d *decisions) attest(bound []v1alpha1.DecisionRecord, t *v1alpha1.AgreementTerms, self string) {
	_, owed := DutyOf(t, self, "")
	d.attested = map[string]*v1alpha1.DecisionRecord{}
	for i := range bound {
		r := &bound[i]
		switch {
		case r.Decision != v1alpha1.DecisionAttest:
		case slices.Contains(owed, r.Duty):
			d.attested[r.Duty] = r // the oldest come first
		default:
			d.unowed = append(d.unowed, fmt.Sprintf("AgreementDecision %q attests %q, which agency %s does not owe", r.Name, r.Duty, self))
		}
	}
	for _, duty := range owed {
		if r := d.attested[duty]; r != nil {
			d.records = append(d.records, *r)
		}
	}
}

// owe decides where each duty stands. Duties begin with the last signature, and what was owed once stays owed: a party does not
// get rid of it by rejecting what it signed.
func (c *compiler) owe(v *version) {
	before := v.object.Status
	if v.digest == "" || !v.accepted.ok && len(before.Duties) == 0 ||
		!v.signedByAll() && (before.Digest != v.digest || len(before.Duties) == 0) {
		return
	}
	for _, d := range Duties(v.terms) {
		if s, ok := c.dutyStatus(v, &d); ok {
			v.duties = append(v.duties, s)
		}
	}
}

func (c *compiler) dutyStatus(v *version, d *Duty) (s v1alpha1.DutyStatus, owed bool) {
	s = v1alpha1.DutyStatus{Name: d.Name, Agency: d.Agency, Term: d.Term}
	done, by := c.attestedAt(v, d)
	due := d.DueBy
	switch {
	case d.Every > 0:
		due = v.notBefore.Add(d.Every)
		if !done.IsZero() {
			due = done.Add(d.Every)
		}
	case d.EndsIt():
		end := v.endedFor(d.Agency)
		if !end.After(v.notBefore) {
			return s, false // it was never in force: nothing was received
		}
		due = end.Add(d.AfterEnd)
		tolerance := time.Duration(0)
		if d.Agency != c.index.Self {
			tolerance = ClockTolerance
		}
		if done.Before(end.Add(-tolerance)) {
			done, by = time.Time{}, "" // of what it received afterwards it says nothing
		}
	}
	s.Due = metav1.NewTime(due)
	if !done.IsZero() {
		at := metav1.NewTime(done)
		s.DoneAt, s.DoneBy = &at, by
	}
	switch attested := !done.IsZero(); {
	case attested && (d.Every == 0 || v.over()):
		s.State = v1alpha1.DutyDone
	case v.over() && !d.EndsIt() && !d.once():
		return s, false // there is nothing to review any more
	default:
		s.State = c.dutyState(due, d.Every)
	}
	return s, true
}

// ClockTolerance is how far the clocks of two agencies may differ without changing anything.
const ClockTolerance = 5 * time.Minute

// attestedAt is when the duty was last attested, and by which person of ours.
func (c *compiler) attestedAt(v *version, d *Duty) (at time.Time, by string) {
	if d.Agency != c.index.Self {
		if w := v.of(d.Agency); w != nil {
			return w.attested[d.Name], ""
		}
		return time.Time{}, ""
	}
	if r := v.decided.attested[d.Name]; r != nil {
		return decidedAt(*r), r.DecidedBy
	}
	return time.Time{}, ""
}

// dutyState: of a duty that recurs, a rung in the first half of its time is left out.
func (c *compiler) dutyState(due time.Time, every time.Duration) v1alpha1.DutyState {
	if !c.now.Before(due) {
		return v1alpha1.DutyOverdue
	}
	state := v1alpha1.DutyPending
	for _, r := range rungs {
		if (every == 0 || 2*r.before <= every) && !c.now.Before(due.Add(-r.before)) {
			state = v1alpha1.DutyState(r.reason)
		}
	}
	return state
}

// over: it has ended for good.
func (v *version) over() bool {
	switch v.state {
	case v1alpha1.StateRejected, v1alpha1.StateTerminated, v1alpha1.StateSuperseded, v1alpha1.StateExpired:
		return true
	}
	return false
}

// endedFor is when the version ends or ended for an agency: by its window, or by what ended it sooner.
func (v *version) endedFor(agency string) time.Time {
	end := v.end
	sooner := func(at time.Time) {
		if !at.IsZero() && at.Before(end) {
			end = at
		}
	}
	if r := v.termination(); r != nil {
		sooner(decidedAt(*r))
	}
	if r := v.decided.rejected; r != nil {
		sooner(decidedAt(*r))
	}
	for _, s := range []*said{v.stoppedBy(true), v.rejectedBy()} {
		if s != nil {
			sooner(s.at)
		}
	}
	if w := v.of(agency); w != nil {
		if s := v.terminatedFor(w); s != nil {
			sooner(s.at)
		}
	}
	return end
}

// urgent: within 90 days, or past.
func urgent(s v1alpha1.DutyState) bool {
	return s != v1alpha1.DutyPending && s != v1alpha1.DutyDone
}

// wordsOf says how soon.
func wordsOf(s v1alpha1.DutyState) string {
	for _, r := range rungs {
		if r.reason == string(s) {
			return r.words
		}
	}
	return strings.ToLower(string(s))
}

// dutyDue is about this agency's own duties, the most urgent first. The review has a condition of its own, and what another party
// owes is shown among the duties.
func (c *compiler) dutyDue(v *version) verdict {
	var due []v1alpha1.DutyStatus
	for _, d := range v.duties {
		if d.Agency == c.index.Self && d.Name != DutyReview && urgent(d.State) {
			due = append(due, d)
		}
	}
	if len(due) == 0 {
		return verdict{}
	}
	slices.SortStableFunc(due, func(a, b v1alpha1.DutyStatus) int { return a.Due.Compare(b.Due.Time) })
	said := make([]string, len(due))
	for i, d := range due {
		if said[i] = fmt.Sprintf("%s is due %s, by %s", d.Name, wordsOf(d.State), stamp(d.Due)); d.State == v1alpha1.DutyOverdue {
			said[i] = fmt.Sprintf("%s was due by %s", d.Name, stamp(d.Due))
		}
	}
	message := fmt.Sprintf("%s: when it is done, attest it (`entente agreement decide %s --attest %s`)", list(said, "; "), v.name, due[0].Name)
	if len(v.decided.unowed) > 0 {
		message += "; " + list(v.decided.unowed, "; ")
	}
	return verdict{true, string(due[0].State), message}
}

// dutyInstants are when time alone changes where a duty stands.
func (v *version) dutyInstants() []time.Time {
	var out []time.Time
	for _, d := range v.duties {
		if d.State != v1alpha1.DutyDone {
			out = append(out, append(ladder(d.Due.UTC()), d.Due.UTC())...)
		}
	}
	return out
}

// checkDuties checks the terms' own duties.
func checkDuties(f *faults, t *v1alpha1.AgreementTerms) {
	if n := len(t.Duties); n > maxDuties {
		f.add("duties", "%d duties; at most %d are possible", n, maxDuties)
	}
	seen := map[string]bool{}
	for i := range t.Duties {
		d := &t.Duties[i]
		path := "duties[" + d.Name + "]"
		switch {
		case !isName(d.Name, 63):
			path = fmt.Sprintf("duties[%d]", i)
			f.add(path+".name", "%q is not lower-case letters, digits and hyphens", d.Name)
		case d.Name == DutyReview || d.Name == DutyDestruction:
			f.add(path+".name", "%s is a duty that follows from other terms (term.reviewBy, obligations): give this one another name", d.Name)
		case seen[d.Name]:
			f.add(path+".name", "%q stands twice", d.Name)
		}
		seen[d.Name] = true
		checkDuty(f, path, t, d)
	}
}

func checkDuty(f *faults, path string, t *v1alpha1.AgreementTerms, d *v1alpha1.Duty) {
	if party(t, d.Agency) == nil {
		f.add(path+".agency", "%q is not a party", d.Agency)
	}
	checkText(f, path+".what", d.What, 1, 500)
	switch once := d.DueBy != nil; {
	case once == (d.EveryDays != 0):
		f.add(path, "exactly one of dueBy and everyDays is given")
	case once && d.DueBy.IsZero():
		f.add(path+".dueBy", "missing")
	case once && d.DueBy.Nanosecond() != 0:
		f.add(path+".dueBy", "fractions of a second cannot be signed")
	case !once && (d.EveryDays < 1 || d.EveryDays > maxEveryDays):
		f.add(path+".everyDays", "%d is not between 1 and %d", d.EveryDays, maxEveryDays)
	case !once && t.Term.NotBefore.Add(time.Duration(d.EveryDays)*day).After(t.Term.NotAfter.Time):
		f.add(path+".everyDays", "the agreement ends within %d days, before it is ever due: give dueBy", d.EveryDays)
	}
	if d.Term == "" {
		return
	}
	var attested []string
	eachTerm(t, func(row, path string, _ *v1alpha1.Clause) {
		if slices.Equal(terms[row].controls, []v1alpha1.Control{v1alpha1.ControlAttested}) && !strings.HasPrefix(row, "duties") {
			attested = append(attested, path)
		}
	})
	if !slices.Contains(attested, d.Term) {
		f.add(path+".term", "%q is not an attested term that these terms have (%s)", d.Term, list(attested, ", "))
	}
}
