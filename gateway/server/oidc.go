package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"

	"github.com/entente-dev/entente/gateway/federation"
)

// OIDC is the agency's OpenID Connect provider. The members are those of kube-apiserver's flags.
type OIDC struct {
	// IssuerURL is https, and equal to the tokens' iss claim.
	IssuerURL string
	// ClientID must be among the tokens' audiences.
	ClientID string
	// UsernameClaim names the user; empty: sub.
	UsernameClaim string
	// GroupsClaim lists the user's groups; empty: none are read.
	GroupsClaim string
	// Claims of the tokens that conditions of agreements may read, and that are sent to sources that ask for them. No other
	// claim leaves the gateway.
	Claims []string
	// CAs that vouch for the provider; nil: the system's.
	CAs *x509.CertPool
}

// oidcVerifier verifies tokens. The provider is looked up on first use: a gateway starts and serves certificates while the
// provider is down.
type oidcVerifier struct {
	config OIDC
	client *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	retryAt  time.Time
}

const (
	oidcTimeout = 5 * time.Second
	oidcRetry   = 2 * time.Second
	maxToken    = 16 << 10
)

func newOIDCVerifier(c OIDC) (*oidcVerifier, error) {
	u, err := url.Parse(c.IssuerURL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("oidc: the issuer URL must be https")
	}
	if c.ClientID == "" {
		return nil, errors.New("oidc: a client id is required: without one, tokens for other applications would do")
	}
	if c.UsernameClaim == "" {
		c.UsernameClaim = "sub"
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: c.CAs, MinVersion: tls.VersionTLS12}
	return &oidcVerifier{config: c, client: &http.Client{
		Timeout: oidcTimeout,
		// A token with an unknown key id makes the library fetch the provider's keys: strangers must not direct a flood.
		Transport: &limitedTransport{next: transport, limit: rate.NewLimiter(1, 10)},
	}}, nil
}

type limitedTransport struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

func (t *limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.limit.Allow() {
		return nil, errors.New("too many requests to the identity provider")
	}
	return t.next.RoundTrip(r)
}

func (v *oidcVerifier) ready() (*oidc.IDTokenVerifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.verifier != nil {
		return v.verifier, nil
	}
	if time.Now().Before(v.retryAt) {
		return nil, errIdentityProvider
	}
	// The library keeps this context for fetching keys later: it must not end with the request.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), v.client), v.config.IssuerURL)
	if err != nil {
		v.retryAt = time.Now().Add(oidcRetry)
		return nil, errIdentityProvider
	}
	v.verifier = provider.Verifier(&oidc.Config{ClientID: v.config.ClientID})
	return v.verifier, nil
}

// verify gives the user that a token names.
func (v *oidcVerifier) verify(ctx context.Context, raw string) (federation.User, error) {
	if raw == "" || len(raw) > maxToken {
		return federation.User{}, &unauthenticated{"the bearer token is empty or too long"}
	}
	verifier, err := v.ready()
	if err != nil {
		return federation.User{}, err
	}
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		var expired *oidc.TokenExpiredError
		if errors.As(err, &expired) {
			return federation.User{}, &unauthenticated{"the bearer token has expired"}
		}
		return federation.User{}, &unauthenticated{"the bearer token is not valid here"}
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return federation.User{}, &unauthenticated{"the bearer token's claims do not parse"}
	}
	name, _ := claims[v.config.UsernameClaim].(string)
	if name == "" || len(name) > 256 {
		return federation.User{}, &unauthenticated{fmt.Sprintf("the bearer token has no claim %s that could be the user", v.config.UsernameClaim)}
	}
	if verified, ok := claims["email_verified"]; ok && v.config.UsernameClaim == "email" && verified != true {
		return federation.User{}, &unauthenticated{"the bearer token's email is not verified"}
	}
	return federation.User{Authority: v.config.IssuerURL, Name: name, Groups: stringsIn(claims[v.config.GroupsClaim]), Claims: v.used(claims)}, nil
}

// used are the claims of a token that decisions may read: those that the configuration lists, and of a Kubernetes service
// account's token who the account is.
func (v *oidcVerifier) used(all map[string]any) map[string]any {
	out := map[string]any{}
	if k, ok := all["kubernetes.io"].(map[string]any); ok {
		account, _ := k["serviceaccount"].(map[string]any)
		if namespace, ok := k["namespace"].(string); ok {
			out["serviceAccountNamespace"] = namespace
		}
		if name, ok := account["name"].(string); ok {
			out["serviceAccountName"] = name
		}
	}
	for _, name := range v.config.Claims {
		if value, ok := all[name]; ok {
			out[name] = value
		}
	}
	return out
}

// stringsIn gives a claim that is a string or a list of strings.
func stringsIn(claim any) []string {
	switch c := claim.(type) {
	case string:
		return []string{c}
	case []any:
		var out []string
		for _, v := range c {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
