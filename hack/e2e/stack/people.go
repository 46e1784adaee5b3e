package stack

import (
	"context"

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
