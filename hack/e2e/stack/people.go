package stack

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// ClientAs is a client of the API server with exactly the rights of a user.
func (s *Stack) ClientAs(user string) (client.Client, error) {
	config := s.Kube.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	return client.New(config, client.Options{Scheme: clientScheme(), Mapper: s.Client.RESTMapper()})
}

// DecideAtOnce has the agency's officer create a decision that was made before, and says when it began to.
func (a *Agency) DecideAtOnce(ctx context.Context, d *v1alpha1.AgreementDecision) (time.Time, error) {
	officer, err := a.stack.ClientAs(a.Officer)
	if err != nil {
		return time.Time{}, err
	}
	began := time.Now()
	return began, officer.Create(ctx, d)
}

// Decision is what `entente agreement decide` creates, for a test that measures from the moment at which it is created.
func (a *Agency) Decision(ctx context.Context, name string, decision v1alpha1.Decision) (*v1alpha1.AgreementDecision, error) {
	o := agreement(name)
	if err := a.Get(ctx, o); err != nil {
		return nil, err
	}
	return &v1alpha1.AgreementDecision{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.Name, GenerateName: AgreementID + "-"},
		Spec: v1alpha1.AgreementDecisionSpec{
			Agreement: name, Digest: o.Status.Digest, Decision: decision, Role: "privacy-officer", DecidedBy: a.Officer,
		},
	}, nil
}
