package server

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/federation"
)

// unauthenticated is why a caller is nobody. What it says may be shown to the caller.
type unauthenticated struct{ message string }

func (e *unauthenticated) Error() string { return e.message }

// errIdentityProvider: the token cannot be checked now.
var errIdentityProvider = errors.New("the identity provider cannot be reached: try again later")

// users authenticates this agency's own people and applications: by client certificate as the Kubernetes API server does
// (common name: user, organisations: groups), or by a bearer token of the agency's OpenID Connect provider.
type users struct {
	oidc *oidcVerifier // nil: no tokens
}

// authenticate gives the user. A token, when there is one, names the user; the certificate then only carries the connection.
func (u *users) authenticate(ctx context.Context, leaf *x509.Certificate, authorization []string) (federation.User, error) {
	if len(authorization) > 1 {
		return federation.User{}, &unauthenticated{"more than one Authorization header"}
	}
	if len(authorization) == 1 {
		scheme, token, ok := strings.Cut(authorization[0], " ")
		if !ok || !strings.EqualFold(scheme, "bearer") {
			return federation.User{}, &unauthenticated{"Authorization is not a bearer token"}
		}
		if u.oidc == nil {
			return federation.User{}, &unauthenticated{"this gateway takes no tokens: use a client certificate"}
		}
		return u.oidc.verify(ctx, strings.TrimSpace(token))
	}
	if leaf == nil {
		return federation.User{}, &unauthenticated{"show a client certificate or a bearer token"}
	}
	if time.Now().After(leaf.NotAfter) {
		return federation.User{}, &unauthenticated{"the client certificate has expired"}
	}
	if leaf.Subject.CommonName == "" {
		return federation.User{}, &unauthenticated{"the client certificate has no common name, which would be the user"}
	}
	return federation.User{
		Authority: "certificate", Name: leaf.Subject.CommonName, Groups: leaf.Subject.Organization,
		Claims: map[string]any{
			"commonName": leaf.Subject.CommonName, "organizations": anyList(leaf.Subject.Organization), "organizationalUnits": anyList(leaf.Subject.OrganizationalUnit),
		},
	}, nil
}

// verified is the certificate that a local client showed; nil: none. Chains are there only when the handshake verified them against the
// authorities for local clients.
func verified(chains [][]*x509.Certificate, shown []*x509.Certificate) *x509.Certificate {
	if len(chains) == 0 || len(shown) == 0 {
		return nil
	}
	return shown[0]
}

// anyList is a list as JSON has it.
func anyList(texts []string) []any {
	out := make([]any, len(texts))
	for i, s := range texts {
		out[i] = s
	}
	return out
}
