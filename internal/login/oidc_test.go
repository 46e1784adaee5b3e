package login_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/internal/login"
	"github.com/entente-dev/entente/internal/oidctest"
)

func person(p *oidctest.Provider) *login.OIDC {
	return &login.OIDC{Issuer: p.URL, ClientID: oidctest.Client, CertificateAuthority: p.CAFile}
}

func loopback(t *testing.T) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// TestBrowser: a person logs in at a real provider; the token is renewed by itself, and not after the login was revoked.
func TestBrowser(t *testing.T) {
	p := oidctest.Start(t)
	o := person(p)
	in := make(chan error, 1)
	token, err := o.Browser(t.Context(), loopback(t), func(at, _ string) {
		// A page of somebody else gets nowhere.
		back := at[strings.Index(at, "127.0.0.1%3A")+len("127.0.0.1%3A"):]
		if resp, err := http.Get("http://127.0.0.1:" + back[:strings.Index(back, "%2F")] + "/callback?code=stolen&state=guessed"); err != nil || resp.StatusCode != 404 {
			t.Errorf("a callback of somebody else: %v %v", resp, err)
		}
		go func() { in <- p.LogIn(at, oidctest.Password) }()
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-in; err != nil {
		t.Error(err)
	}
	if token.Bearer == "" || token.Refresh == "" || time.Until(token.Expires) <= 0 {
		t.Fatalf("%+v", token)
	}
	store := login.Store{Path: t.TempDir() + "/client.yaml", Tokens: t.TempDir()}
	c := &login.Context{Name: "police", Server: "x:1", OIDC: o}
	if err := store.SaveToken(c.Name, token); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Bearer(t.Context(), c, time.Now()); err != nil || got != token.Bearer {
		t.Errorf("a good token is not used: %v", err)
	}
	renewed, err := store.Bearer(t.Context(), c, token.Expires)
	if err != nil || renewed == token.Bearer || renewed == "" {
		t.Fatalf("it was not renewed: %v", err)
	}
	kept, err := store.LoadToken(c.Name)
	if err != nil || kept.Bearer != renewed || kept.Refresh == "" {
		t.Errorf("the renewed token is not kept: %v", err)
	}
	if err := o.Revoke(t.Context(), kept); err != nil {
		t.Error(err)
	}
	if _, err := store.Bearer(t.Context(), c, kept.Expires); !errors.Is(err, login.ErrLogin) || !strings.Contains(err.Error(), "entente login --context police") {
		t.Errorf("after it was revoked: %v", err)
	}
}

func TestBrowserWrongPassword(t *testing.T) {
	p := oidctest.Start(t)
	ctx, stop := contextFor(t, 2*time.Second)
	defer stop()
	_, err := person(p).Browser(ctx, loopback(t), func(at, _ string) {
		go func() {
			if err := p.LogIn(at, "guessed"); err == nil {
				t.Error("a wrong password is taken")
			}
		}()
	})
	if err == nil || !strings.Contains(err.Error(), "nobody logged in") {
		t.Errorf("%v", err)
	}
}

func TestDevice(t *testing.T) {
	p := oidctest.Start(t)
	token, err := person(p).Device(t.Context(), func(at, code string) {
		if !strings.HasPrefix(at, p.URL) {
			t.Errorf("shown %s", at)
		}
		if err := p.Approve(code); err != nil {
			t.Error(err)
		}
	})
	if err != nil || token.Bearer == "" {
		t.Fatalf("%+v %v", token, err)
	}
}

func TestApplication(t *testing.T) {
	p := oidctest.Start(t)
	o := &login.OIDC{Issuer: p.URL, ClientID: oidctest.Application, CertificateAuthority: p.CAFile, Application: true}
	token, err := o.AsApplication(t.Context(), oidctest.ApplicationSecret)
	if err != nil || strings.Count(token.Bearer, ".") != 2 {
		t.Fatalf("%+v %v", token, err)
	}
	if _, err := o.AsApplication(t.Context(), "guessed"); err == nil || strings.Contains(err.Error(), "guessed") {
		t.Errorf("%v", err)
	}
	store := login.Store{Path: t.TempDir() + "/client.yaml", Tokens: t.TempDir()}
	c := &login.Context{Name: "cases", Server: "x:1", OIDC: o}
	token.ClientSecret = oidctest.ApplicationSecret
	if err := store.SaveToken(c.Name, token); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the secret is kept along
		if renewed, err := store.Bearer(t.Context(), c, token.Expires); err != nil || renewed == "" {
			t.Errorf("%v", err)
		}
	}
}

func TestProviderMustBeHTTPS(t *testing.T) {
	if _, err := (&login.OIDC{Issuer: "http://login.example", ClientID: "x"}).AsApplication(t.Context(), "s"); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("%v", err)
	}
}
