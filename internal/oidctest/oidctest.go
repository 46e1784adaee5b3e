// Package oidctest runs a real OpenID Connect provider, zitadel's, in process and over HTTPS, for tests.
package oidctest

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Clients of the provider: of people, and of an application with its secret.
const (
	Client            = "entente"
	Application       = "sid1"
	ApplicationSecret = "verysecret"
	// User is a person's subject at the provider, who logs in by the name and the password.
	User     = "id2"
	Username = "test-user2"
	Password = "verysecure"
)

// Provider is a running provider.
type Provider struct {
	*httptest.Server
	// CAFile vouches for it.
	CAFile string
	store  *store
}

// Start starts a provider, which ends with the test.
func Start(t testing.TB) *Provider {
	t.Helper()
	storage.RegisterClients(storage.NativeClient(Client, "http://127.0.0.1/callback"))
	p := &Provider{}
	var handler http.Handler
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(p.Close)
	p.store = &store{Storage: storage.NewStorage(storage.NewUserStore(p.URL))}
	handler = exampleop.SetupServer(p.URL, p.store, slog.New(slog.DiscardHandler), false)
	p.CAFile = filepath.Join(t.TempDir(), "provider.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	if err := os.WriteFile(p.CAFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// store lets a client do what entente's does: device codes, and access tokens of applications that are JWTs.
type store struct{ *storage.Storage }

func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

func (s *store) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := s.Storage.ClientCredentials(ctx, id, secret)
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

// RevokeToken: the example does not note to which client it gave a token by device code.
func (s *store) RevokeToken(ctx context.Context, token, user, client string) *oidc.Error {
	err := s.Storage.RevokeToken(ctx, token, user, client)
	if err != nil && s.Storage.RevokeToken(ctx, token, user, "") == nil {
		return nil
	}
	return err
}

type client struct{ op.Client }

func (c client) GrantTypes() []oidc.GrantType {
	return append(c.Client.GrantTypes(), oidc.GrantTypeDeviceCode)
}

func (c client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// LogIn does what a person does in a browser, from the URL that they are shown to the page to which they come back.
func (p *Provider) LogIn(at, password string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Transport: p.Server.Client().Transport, Jar: jar}
	resp, err := browser.Get(at)
	if err != nil {
		return err
	}
	resp.Body.Close()
	request := resp.Request.URL.Query().Get("authRequestID")
	if request == "" {
		return fmt.Errorf("no form to log in at %s: %s", resp.Request.URL.Path, resp.Status)
	}
	resp, err = browser.PostForm(p.URL+"/login/username", url.Values{"username": {Username}, "password": {password}, "id": {request}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(text), "You are logged in") {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return err
}

// Approve does what a person does on another device.
func (p *Provider) Approve(code string) error {
	return p.store.CompleteDeviceAuthorization(context.Background(), code, User)
}
