package login

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// serviceAccountLife of a token, in seconds: the API server may make it shorter.
const serviceAccountLife = 3600

// Token asks the cluster for a token of the service account.
func (s *ServiceAccount) Token(ctx context.Context) (*Token, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = s.Kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: s.Context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("the cluster of the service account: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	life := int64(serviceAccountLife)
	t, err := client.CoreV1().ServiceAccounts(s.Namespace).CreateToken(ctx, s.Name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{s.Audience}, ExpirationSeconds: &life},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("a token of service account %s/%s: %w", s.Namespace, s.Name, err)
	}
	return &Token{Bearer: t.Status.Token, Expires: t.Status.ExpirationTimestamp.Time}, nil
}
