package compile

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/signature"
)

// Statements are what agencies tell each other of an agreement. Each party answers for itself: one party's Suspend withholds its
// clauses at every party (see withdrawn.go) until that party's own Resume, its Terminate is final, and its Reject stands until its own later Accept. Only the times
// of one agency are ever compared, so that clocks which differ between agencies change nothing.

// voice is what another party says of a version, as far as it can prove it.
type voice struct {
	agency string
	// acceptedAt and resumedAt are the latest of their kind.
	acceptedAt, resumedAt time.Time
	// rejected, suspended and terminated are the statements in force, or nil.
	rejected, suspended, terminated *said
	// attested is when the party last attested each duty.
	attested map[string]time.Time
}

// said is when an agency said something.
type said struct {
	agency string
	at     time.Time
}

func (s *said) String() string {
	return fmt.Sprintf("agency %s at %s", s.agency, s.at.Format(time.RFC3339))
}

// hear takes stock of what the other parties said of the version. Acceptances were verified with the signatures.
func (c *compiler) hear(v *version) {
	if v.digest == "" {
		return
	}
	for _, name := range partyNames(v.terms) {
		if name == c.index.Self {
			continue
		}
		w := voice{agency: name, acceptedAt: v.signatures.at[name]}
		for _, claims := range c.claims(v, name) {
			w.add(claims)
		}
		if w.rejected != nil && w.acceptedAt.After(w.rejected.at) {
			w.rejected = nil
		}
		v.voices = append(v.voices, w)
	}
	c.contest(v)
}

// claims are the verified statements of an agency on the version, but for acceptances.
func (c *compiler) claims(v *version, agency string) []signature.Claims {
	var out []signature.Claims
	set := c.keysOf(c.index.Agencies[agency])
	for _, s := range v.object.Spec.Signatures {
		if claims, ok := statement(s.JWS, s.Agency, agency, v.digest); ok {
			if _, err := signature.VerifyStatement(s.JWS, agency, set); err == nil {
				out = append(out, claims)
			}
		}
	}
	for _, s := range v.object.Status.Received {
		claims, ok := statement(s.JWS, s.Agency, agency, v.digest)
		if !ok {
			continue
		}
		// What came by the exchange verified when it came. That its key is not known any more takes no stop away.
		_, err := signature.VerifyStatement(s.JWS, agency, set)
		if err == nil || errors.Is(err, signature.ErrUnknownKey) && stops(claims.Decision) {
			out = append(out, claims)
		}
	}
	return out
}

// statement reads what is not an acceptance, of that agency and digest.
func statement(jws, by, agency, digest string) (signature.Claims, bool) {
	if by != agency {
		return signature.Claims{}, false
	}
	claims, err := signature.Read(jws)
	return claims, err == nil && claims.Agency == agency && claims.Digest == digest && claims.Decision != v1alpha1.DecisionAccept
}

// add takes in one statement. At the same instant, what stops prevails.
func (w *voice) add(c signature.Claims) {
	at := c.DecidedAt
	s := &said{w.agency, at}
	switch c.Decision {
	case v1alpha1.DecisionReject:
		if w.rejected == nil || at.After(w.rejected.at) {
			w.rejected = s
		}
	case v1alpha1.DecisionSuspend:
		if !w.resumedAt.After(at) && (w.suspended == nil || at.After(w.suspended.at)) {
			w.suspended = s
		}
	case v1alpha1.DecisionResume:
		if at.After(w.resumedAt) {
			w.resumedAt = at
		}
		if w.suspended != nil && at.After(w.suspended.at) {
			w.suspended = nil
		}
	case v1alpha1.DecisionAttest:
		if at.After(w.attested[c.Duty]) {
			if w.attested == nil {
				w.attested = map[string]time.Time{}
			}
			w.attested[c.Duty] = at
		}
	case v1alpha1.DecisionTerminate:
		if w.terminated == nil || at.Before(w.terminated.at) {
			w.terminated = s
		}
	}
}

// of finds what an agency says of the version; nil when it is no party of it.
func (v *version) of(agency string) *voice {
	for i := range v.voices {
		if v.voices[i].agency == agency {
			return &v.voices[i]
		}
	}
	return nil
}

// rejectedBy is another party's Reject that stands, or nil.
func (v *version) rejectedBy() *said {
	for _, w := range v.voices {
		if w.rejected != nil {
			return w.rejected
		}
	}
	return nil
}

// suspendedFor is the party's Suspend that holds for the version, in the way that our own does: see suspension.
func (v *version) suspendedFor(w *voice) *said {
	if w.suspended != nil {
		return w.suspended
	}
	for _, a := range v.ancestors {
		if o := a.of(w.agency); o != nil && o.suspended != nil && o.suspended.at.After(w.acceptedAt) && o.suspended.at.After(w.resumedAt) {
			return o.suspended
		}
	}
	return nil
}

// terminatedFor is the party's Terminate that holds for the version, in the way that our own does: see termination.
func (v *version) terminatedFor(w *voice) *said {
	if w.terminated != nil {
		return w.terminated
	}
	for _, a := range v.ancestors {
		if o := a.of(w.agency); o != nil && o.terminated != nil && o.terminated.at.After(w.acceptedAt) {
			return o.terminated
		}
	}
	return nil
}

// contest refuses a version when another party signed other terms under its number and those have the lower digest: two
// parties that amend at once come to the same one, whoever hears first. What every party signed is out of the contest.
func (c *compiler) contest(v *version) {
	if v.signedByAll() || !v.accepted.ok {
		return
	}
	for _, s := range v.object.Status.Received {
		claims, err := signature.Verify(s.JWS, s.Agency, c.keysOf(c.index.Agencies[s.Agency]))
		if err != nil || claims.Digest >= v.digest || party(v.terms, s.Agency) == nil || s.Agency == c.index.Self {
			continue
		}
		if v.signatures.at[s.Agency].After(claims.DecidedAt) {
			continue // it came round to these terms
		}
		v.accepted = verdict{false, v1alpha1.ReasonOtherTerms, fmt.Sprintf(
			"agency %s signed other terms under this version (%s), and of two the lower digest stands: delete this object, and what %s proposes takes its place; or propose these terms as another version",
			s.Agency, claims.Digest, s.Agency)}
		return
	}
}

// say is what this agency has to tell the other parties: its vote, what it suspended, resumed or terminated, and which duties it
// attested.
func (v *version) say() []v1alpha1.StatementRef {
	var out []v1alpha1.StatementRef
	add := func(decision v1alpha1.Decision, at time.Time) {
		if at.IsZero() || at.Equal(endOfTime) {
			return // undated: it is told once it has a date
		}
		out = append(out, v1alpha1.StatementRef{Decision: decision, DecidedAt: metav1.NewTime(at)})
	}
	d := &v.decided
	switch {
	case d.rejected != nil:
		add(v1alpha1.DecisionReject, decidedAt(*d.rejected))
	case v.signatures.published:
		add(v1alpha1.DecisionAccept, cmp.Or(d.acceptedAt, v.signatures.at[v.self]))
	}
	switch {
	case d.terminated != nil:
		add(v1alpha1.DecisionTerminate, decidedAt(*d.terminated))
	case d.suspended != nil:
		add(v1alpha1.DecisionSuspend, decidedAt(*d.suspended))
	case !d.resumedAt.IsZero():
		add(v1alpha1.DecisionResume, d.resumedAt)
	}
	for _, duty := range slices.Sorted(maps.Keys(d.attested)) {
		if at := decidedAt(*d.attested[duty]); !at.IsZero() {
			out = append(out, v1alpha1.StatementRef{Decision: v1alpha1.DecisionAttest, Duty: duty, DecidedAt: metav1.NewTime(at)})
		}
	}
	return slices.Clip(out)
}
