package compile

import (
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// next is the next instant at which time alone changes the result: a window opens or ends, credentials come due, or a
// condition about time becomes true. What has ended for good changes no more.
func (c *compiler) next(versions []*version) time.Time {
	var next time.Time
	for _, v := range versions {
		for _, at := range v.instants() {
			if at.After(c.now) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

func (v *version) instants() []time.Time {
	switch v.state {
	case v1alpha1.StateRejected, v1alpha1.StateTerminated, v1alpha1.StateSuperseded, v1alpha1.StateExpired:
		return nil
	}
	out := []time.Time{v.end}
	if v.signedByAll() {
		out = append(out, v.notBefore.Add(-lead), v.notBefore)
		if v.replacedBy == nil {
			out = append(out, ladder(v.end)...)
		}
		if due := v.terms.Term.ReviewBy; due != nil {
			out = append(out, append(ladder(due.UTC()), due.UTC())...)
		}
	}
	return out
}
