package compile

import (
	"fmt"
	"strings"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
)

const day = 24 * time.Hour

// rungs are how long before a date people are told of it, and what the condition's reason is then, the latest last.
var rungs = []struct {
	before time.Duration
	reason string
	words  string
}{
	{90 * day, v1alpha1.ReasonWithin90Days, "within 90 days"},
	{30 * day, v1alpha1.ReasonWithin30Days, "within 30 days"},
	{7 * day, v1alpha1.ReasonWithin7Days, "within 7 days"},
}

// rung is the last one that was reached before a date; ok is false when none was.
func (c *compiler) rung(date time.Time) (reason, words string, ok bool) {
	for _, r := range rungs {
		if !c.now.Before(date.Add(-r.before)) {
			reason, words, ok = r.reason, r.words, true
		}
	}
	return reason, words, ok
}

// ladder are the instants at which a rung before a date is reached.
func ladder(date time.Time) []time.Time {
	out := make([]time.Time, len(rungs))
	for i, r := range rungs {
		out[i] = date.Add(-r.before)
	}
	return out
}

// expiring leaves out a version that another replaces before its end: the agreement goes on. Of the agreement's end and those of its
// task forces the next one is told.
func (c *compiler) expiring(v *version) verdict {
	end, message := v.end, "ends %s, at %s: renew by a new version, or let it end"
	for _, f := range v.taskForces() {
		if c.now.Before(f.notAfter) && f.notAfter.Before(end) {
			end, message = f.notAfter, "task force "+f.object.Name+" ends %s, at %s: renew it by a new version of it, pinned by a new version of the agreement, or let it end"
		}
	}
	reason, words, ok := c.rung(end)
	if !ok || !v.running() || v.replacedBy != nil {
		return verdict{}
	}
	return verdict{true, reason, fmt.Sprintf(message, words, end.Format(time.RFC3339))}
}

// windowsOf says of the task forces whose windows are narrower than the version's what that means now.
func (c *compiler) windowsOf(v *version) string {
	var out strings.Builder
	for _, f := range v.taskForces() {
		switch {
		case c.now.Before(f.notBefore):
			fmt.Fprintf(&out, "; members of task force %s may ask from %s", f.object.Name, f.notBefore.Format(time.RFC3339))
		case !c.now.Before(f.notAfter):
			fmt.Fprintf(&out, "; task force %s ended at %s, and nothing is disclosed to its members as such", f.object.Name, f.notAfter.Format(time.RFC3339))
		case f.notAfter.Before(v.end):
			fmt.Fprintf(&out, "; task force %s ends at %s", f.object.Name, f.notAfter.Format(time.RFC3339))
		}
	}
	return out.String()
}

// beginning is also about what is not signed yet: that is when it matters most.
func (c *compiler) beginning(v *version) verdict {
	reason, words, ok := c.rung(v.notBefore)
	if !ok || v.over() || !v.accepted.ok || !c.now.Before(v.notBefore) {
		return verdict{}
	}
	message := fmt.Sprintf("begins %s, at %s", words, v.notBefore.Format(time.RFC3339))
	if !v.signedByAll() {
		message += "; not every party has signed: see condition Signed"
	}
	return verdict{true, reason, message}
}

// renewalDue leaves out a version that another replaces: that is the renewal.
func (c *compiler) renewalDue(v *version) verdict {
	from := v.terms.Term.RenewFrom
	if from.IsZero() || !v.running() || v.replacedBy != nil {
		return verdict{}
	}
	if !c.now.Before(from.Time) {
		return verdict{true, v1alpha1.ReasonOpen, fmt.Sprintf("the renewal window is open until the end at %s: renew by a new version that every party signs before that, or let it end", v.end.Format(time.RFC3339))}
	}
	reason, words, ok := c.rung(from.UTC())
	if !ok {
		return verdict{}
	}
	return verdict{true, reason, fmt.Sprintf("the renewal window opens %s, at %s, and closes with the end at %s: prepare the new version", words, stamp(*from), v.end.Format(time.RFC3339))}
}

// reviewDue is about this agency's own review, until it is attested.
func (c *compiler) reviewDue(v *version) verdict {
	for _, d := range v.duties {
		if d.Name != DutyReview || d.Agency != c.index.Self || !urgent(d.State) || !v.running() {
			continue
		}
		when := "is due " + wordsOf(d.State) + ","
		if d.State == v1alpha1.DutyOverdue {
			when = "was due"
		}
		return verdict{true, string(d.State), fmt.Sprintf("the review %s by %s: review the agreement, then attest it (`entente agreement decide %s --attest %s`), or renew by a new version with a later reviewBy",
			when, stamp(d.Due), v.name, DutyReview)}
	}
	return verdict{}
}
