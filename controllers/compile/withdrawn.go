package compile

import "slices"

// A party that suspends or ends an agreement does so for itself: nothing is disclosed by it or to it any more. Between other
// parties the agreement stands. A party in no clause, a lead or an overseer, has nothing of its own to stop: it stops the whole.

// withdrawn are the other parties that suspended or terminated the version; with final, those that terminated it.
func (v *version) withdrawn(final bool) map[string]*said {
	out := map[string]*said{}
	for i := range v.voices {
		w := &v.voices[i]
		if s := v.terminatedFor(w); s != nil {
			out[w.agency] = s
		} else if s := v.suspendedFor(w); s != nil && !final {
			out[w.agency] = s
		}
	}
	return out
}

// stoppedBy is the first party whose withdrawal leaves nothing for us under the version; nil: something is left, or nobody withdrew.
func (v *version) stoppedBy(final bool) *said {
	gone := v.withdrawn(final)
	if len(gone) == 0 {
		return nil
	}
	for i := range v.voices {
		if s := gone[v.voices[i].agency]; s != nil && !v.takesPart(s.agency) {
			return s
		}
	}
	for i := range v.clauses {
		if cl := &v.clauses[i]; (cl.inbound || cl.outbound) && cl.withheld(gone) == "" {
			return nil
		}
	}
	for i := range v.voices {
		if s := gone[v.voices[i].agency]; s != nil {
			return s
		}
	}
	return nil
}

// takesPart says whether the agency is the source or a recipient of a clause.
func (v *version) takesPart(agency string) bool {
	return slices.ContainsFunc(v.clauses, func(cl clause) bool { return cl.terms.Source == agency || cl.hasRecipient(agency) })
}

// withheld says why a clause of ours discloses nothing while these parties are withdrawn; empty: it does.
func (cl *clause) withheld(gone map[string]*said) string {
	if s := gone[cl.terms.Source]; s != nil {
		return "withdrawn by " + s.String()
	}
	if !cl.inbound {
		return ""
	}
	var last *said
	for _, r := range cl.recipients {
		s := gone[r.agency]
		if s == nil {
			return ""
		}
		last = s
	}
	if last == nil {
		return ""
	}
	return "withdrawn by " + last.String()
}

// remaining are the recipients that are not withdrawn.
func remaining(recipients []recipient, gone map[string]*said) []recipient {
	return slices.DeleteFunc(slices.Clone(recipients), func(r recipient) bool { return gone[r.agency] != nil })
}
