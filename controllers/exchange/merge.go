package exchange

import (
	"slices"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/signature"
)

// A party's statements are of two kinds, of which the latest each is kept: its vote, and whether it lets the agreement go on. Beside
// them it attests its duties: of each the latest is kept.
const (
	aboutVote  = "vote"
	aboutGoing = "going"
	aboutDuty  = "duty "
)

func about(s *v1alpha1.AgreementStatement) string {
	switch s.Decision {
	case v1alpha1.DecisionAccept, v1alpha1.DecisionReject:
		return aboutVote
	case v1alpha1.DecisionAttest:
		return aboutDuty + s.Duty
	}
	return aboutGoing
}

// stops says whether a decision takes something away.
func stops(d v1alpha1.Decision) bool {
	return d == v1alpha1.DecisionReject || d == v1alpha1.DecisionSuspend || d == v1alpha1.DecisionTerminate
}

// merge puts a verified statement in the place of the earlier one of its kind. nil: it is known. A Terminate is final. At the same
// instant what stops prevails, as it does where the statement was made.
func merge(received []v1alpha1.AgreementStatement, s v1alpha1.AgreementStatement, digest string) ([]v1alpha1.AgreementStatement, *Refusal) {
	at := slices.IndexFunc(received, func(k v1alpha1.AgreementStatement) bool {
		return k.Agency == s.Agency && about(&k) == about(&s)
	})
	if at < 0 {
		return append(slices.Clone(received), s), nil
	}
	kept := received[at]
	switch {
	case !isOver(kept.JWS, digest):
		// On other terms under this name: see Inbox.contested.
	case kept.Decision == s.Decision && kept.DecidedAt.Equal(&s.DecidedAt):
		return nil, nil
	case kept.Decision == v1alpha1.DecisionTerminate:
		return nil, refuse(Final, "%s terminated the agreement; that is final", s.Agency)
	case s.Decision == v1alpha1.DecisionTerminate:
	case s.DecidedAt.Before(&kept.DecidedAt), s.DecidedAt.Equal(&kept.DecidedAt) && !stops(s.Decision):
		return nil, refuse(Stale, "%s is known to have said %s at %s, which is not before this %s", s.Agency, kept.Decision,
			kept.DecidedAt.UTC().Format("2006-01-02T15:04:05Z"), s.Decision)
	}
	out := slices.Clone(received)
	out[at] = s
	return out, nil
}

func isOver(jws, digest string) bool {
	claims, err := signature.Read(jws)
	return err == nil && claims.Digest == digest
}
