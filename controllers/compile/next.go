package compile

import "time"

// next is the next instant at which time alone changes the result: a window opens or ends, credentials come due, or a
// condition about time becomes true. What has ended for good changes no more, but for the duties that outlive it.
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
	out := v.dutyInstants()
	if v.over() {
		return out
	}
	out = append(append(out, ladder(v.notBefore)...), v.notBefore, v.end)
	if !v.signedByAll() {
		return out
	}
	out = append(out, v.notBefore.Add(-lead))
	if v.replacedBy == nil {
		out = append(out, ladder(v.end)...)
		if from := v.terms.Term.RenewFrom; !from.IsZero() {
			out = append(append(out, ladder(from.UTC())...), from.UTC())
		}
	}
	for _, f := range v.taskForces() {
		out = append(out, f.notBefore.Add(-lead), f.notBefore, f.notAfter)
		out = append(out, ladder(f.notAfter)...)
	}
	return out
}
