package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// providerTimeout bounds each request to a provider.
const providerTimeout = 15 * time.Second

// Show tells a person where to go: a URL to open and, of the device flow, the code to type there.
type Show func(url, code string)

// client gives an HTTP client that trusts the provider's authority and follows no redirect to elsewhere in the clear.
func (o *OIDC) client() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CertificateAuthority != "" {
		pem, err := os.ReadFile(o.CertificateAuthority)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", o.CertificateAuthority)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return &http.Client{Timeout: providerTimeout, Transport: transport}, nil
}

// provider discovers the provider; the context is for every further call.
func (o *OIDC) provider(ctx context.Context) (context.Context, *oidc.Provider, error) {
	if u, err := url.Parse(o.Issuer); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, nil, fmt.Errorf("the issuer %q must be an https URL", o.Issuer)
	}
	client, err := o.client()
	if err != nil {
		return nil, nil, err
	}
	ctx = oidc.ClientContext(ctx, client)
	p, err := oidc.NewProvider(ctx, o.Issuer)
	if err != nil {
		return nil, nil, fmt.Errorf("the provider %s: %w", o.Issuer, err)
	}
	return ctx, p, nil
}

func (o *OIDC) config(p *oidc.Provider) *oauth2.Config {
	scopes := append([]string{oidc.ScopeOpenID}, o.Scopes...)
	if len(o.Scopes) == 0 {
		scopes = append(scopes, oidc.ScopeOfflineAccess)
	}
	return &oauth2.Config{ClientID: o.ClientID, Endpoint: p.Endpoint(), Scopes: scopes}
}

// token takes what the provider gave: the ID token, which is for this client and so what the gateway asks for.
func (o *OIDC) token(ctx context.Context, p *oidc.Provider, t *oauth2.Token, nonce string) (*Token, error) {
	raw, _ := t.Extra("id_token").(string)
	if raw == "" {
		return nil, errors.New("the provider gave no ID token: see that the client may ask for scope openid")
	}
	id, err := p.Verifier(&oidc.Config{ClientID: o.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("the provider's ID token: %w", err)
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return nil, errors.New("the provider's ID token is for another login")
	}
	return &Token{Bearer: raw, Expires: id.Expiry, Refresh: t.RefreshToken}, nil
}

// Browser logs a person in by the authorization code flow with PKCE (RFC 7636), to a redirect on this machine (RFC 8252). The listener is
// on a loopback address.
func (o *OIDC) Browser(ctx context.Context, ln net.Listener, show Show) (*Token, error) {
	defer ln.Close()
	ctx, p, err := o.provider(ctx)
	if err != nil {
		return nil, err
	}
	config := o.config(p)
	config.RedirectURL = "http://" + ln.Addr().String() + "/callback"
	state, nonce, verifier := random(), random(), oauth2.GenerateVerifier()

	type answer struct {
		code string
		err  error
	}
	answers := make(chan answer, 1)
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/callback" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 {
			http.NotFound(w, r) // somebody else's page
			return
		}
		a := answer{code: q.Get("code")}
		text := "You are logged in. You may close this page."
		if a.code == "" {
			a.err = fmt.Errorf("the provider refused: %s %s", q.Get("error"), q.Get("error_description"))
			text = "You are not logged in: the terminal says why. You may close this page."
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, text)
		select {
		case answers <- a:
		default:
		}
	})}
	go func() { _ = server.Serve(ln) }()
	defer func() {
		closing, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		_ = server.Shutdown(closing)
	}()

	show(config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), "")
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("nobody logged in: %w", context.Cause(ctx))
	case a := <-answers:
		if a.err != nil {
			return nil, a.err
		}
		t, err := config.Exchange(ctx, a.code, oauth2.VerifierOption(verifier))
		if err != nil {
			return nil, refused(err)
		}
		return o.token(ctx, p, t, nonce)
	}
}

// Device logs a person in on another device (RFC 8628), where this machine has no browser.
func (o *OIDC) Device(ctx context.Context, show Show) (*Token, error) {
	ctx, p, err := o.provider(ctx)
	if err != nil {
		return nil, err
	}
	config := o.config(p)
	if config.Endpoint.DeviceAuthURL == "" {
		return nil, errors.New("the provider has no device flow: log in with a browser, or by another way")
	}
	device, err := config.DeviceAuth(ctx)
	if err != nil {
		return nil, refused(err)
	}
	show(device.VerificationURI, device.UserCode)
	t, err := config.DeviceAccessToken(ctx, device)
	if err != nil {
		return nil, refused(err)
	}
	return o.token(ctx, p, t, "")
}

// Application logs the client itself in.
func (o *OIDC) AsApplication(ctx context.Context, secret string) (*Token, error) {
	return o.asApplication(ctx, secret)
}

func (o *OIDC) asApplication(ctx context.Context, secret string) (*Token, error) {
	ctx, p, err := o.provider(ctx)
	if err != nil {
		return nil, err
	}
	c := clientcredentials.Config{ClientID: o.ClientID, ClientSecret: secret, TokenURL: p.Endpoint().TokenURL, Scopes: o.Scopes}
	t, err := c.Token(ctx)
	if err != nil {
		return nil, refused(err)
	}
	return &Token{Bearer: t.AccessToken, Expires: t.Expiry}, nil
}

// secret of an application: of its file, of the environment's choice at login, or what was given then.
func (o *OIDC) secret(t *Token) (string, error) {
	if o.ClientSecretFile == "" {
		if t.ClientSecret == "" {
			return "", ErrLogin
		}
		return t.ClientSecret, nil
	}
	text, err := os.ReadFile(o.ClientSecretFile)
	return strings.TrimSpace(string(text)), err
}

func (o *OIDC) refresh(ctx context.Context, refresh string) (*Token, error) {
	ctx, p, err := o.provider(ctx)
	if err != nil {
		return nil, err
	}
	t, err := o.config(p).TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		var answer *oauth2.RetrieveError
		if errors.As(err, &answer) && answer.ErrorCode == "invalid_grant" {
			return nil, ErrLogin
		}
		return nil, refused(err)
	}
	return o.token(ctx, p, t, "")
}

// Revoke ends a login at the provider (RFC 7009), if it can.
func (o *OIDC) Revoke(ctx context.Context, t *Token) error {
	if t.Refresh == "" {
		return nil
	}
	ctx, p, err := o.provider(ctx)
	if err != nil {
		return err
	}
	var found struct {
		Endpoint string `json:"revocation_endpoint"`
	}
	if err := p.Claims(&found); err != nil || found.Endpoint == "" {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	form := url.Values{"token": {t.Refresh}, "token_type_hint": {"refresh_token"}, "client_id": {o.ClientID}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, found.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the provider did not revoke the login: %s", resp.Status)
	}
	return nil
}

// refused makes an error of the provider's answer. It repeats no token: an answer's body may have one.
func refused(err error) error {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) {
		what := answer.ErrorCode
		if what == "" && answer.Response != nil {
			what = answer.Response.Status
		}
		return fmt.Errorf("the provider refused: %s %s", what, answer.ErrorDescription)
	}
	return err
}

func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it does not fail
	return base64.RawURLEncoding.EncodeToString(b)
}
