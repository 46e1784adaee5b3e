package exchange

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/signature"
)

// Said is what an agency says of an agreement now, as far as it has signed it: which duties it attested, its vote, then whether it
// lets the agreement go on. What matters most is told first, from the end.
// A signature is an Accept; a later vote among the statements takes its place.
func Said(a *v1alpha1.SharingAgreement, self string) []v1alpha1.AgreementStatement {
	var out []v1alpha1.AgreementStatement
	var vote, going *v1alpha1.AgreementStatement
	for _, s := range a.Status.Signatures {
		claims, err := signature.Read(s.JWS)
		if s.Agency == self && err == nil && claims.Digest == a.Status.Digest {
			vote = &v1alpha1.AgreementStatement{Agency: self, Decision: claims.Decision, DecidedAt: metav1.NewTime(claims.DecidedAt), JWS: s.JWS}
		}
	}
	for i := range a.Status.Statements {
		s := &a.Status.Statements[i]
		if claims, err := signature.Read(s.JWS); err != nil || claims.Digest != a.Status.Digest {
			continue
		}
		switch {
		case s.Decision == v1alpha1.DecisionAttest:
			out = append(out, *s)
		case about(s) == aboutGoing:
			going = s
		case vote == nil || vote.DecidedAt.Before(&s.DecidedAt), vote.DecidedAt.Equal(&s.DecidedAt) && stops(s.Decision):
			vote = s
		}
	}
	for _, s := range []*v1alpha1.AgreementStatement{vote, going} {
		if s != nil {
			out = append(out, *s)
		}
	}
	return out
}
