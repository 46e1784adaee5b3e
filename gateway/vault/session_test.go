package vault_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/entente-dev/entente/gateway/vault"
	"github.com/entente-dev/entente/hack/testenv"
)

// login is a Vault with a JWT auth method, and the key that signs tokens for it.
type login struct {
	*testenv.Vault
	key  *ecdsa.PrivateKey
	path string // of the token file
}

// newLogin gives a Vault into which the subject "gateway" may log in, for tokens of the given lifetimes.
func newLogin(t *testing.T, ttl, maxTTL string) *login {
	t.Helper()
	l := &login{Vault: testenv.RequireVault(t, testenv.VaultOptions{}), path: filepath.Join(t.TempDir(), "token")}
	var err error
	if l.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&l.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	l.call(t, "POST", "sys/auth/entente/jwt", map[string]any{"type": "jwt"})
	l.call(t, "POST", "auth/entente/jwt/config", map[string]any{
		"jwt_validation_pubkeys": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"jwt_supported_algs":     "ES256",
	})
	l.call(t, "POST", "auth/entente/jwt/role/gateway", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_subject": "gateway", "bound_audiences": "vault",
		"token_policies": "gateway", "token_ttl": ttl, "token_max_ttl": maxTTL,
	})
	l.call(t, "PUT", "sys/policies/acl/gateway", map[string]any{"policy": `path "secret/*" { capabilities = ["create", "read", "update", "list"] }`})
	l.call(t, "POST", "secret/data/x", map[string]any{"data": map[string]any{"a": "b"}})
	l.writeToken(t, "gateway")
	return l
}

func (l *login) call(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	m, err := l.Call(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// writeToken writes a token of the subject, as a projected service account token is.
func (l *login) writeToken(t *testing.T, subject string) {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: l.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	text, err := jwt.Signed(signer).Claims(jwt.Claims{
		Subject: subject, Audience: jwt.Audience{"vault"}, IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// timeout of a request: as long as anything may take on a busy machine.
const timeout = 8 * time.Second

func (l *login) session(t *testing.T, change func(*vault.Config)) *vault.Session {
	t.Helper()
	cfg := vault.Config{
		Address: l.Address(), CACert: l.CAFile(), Role: "gateway", JWTPath: l.path,
		Timeout: timeout, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	s, err := vault.NewSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tokens are the accessors of the tokens that logins made and that have not ended.
func (l *login) tokens(t *testing.T) []string {
	t.Helper()
	list := l.call(t, "LIST", "auth/token/accessors", nil)
	var out []string
	for _, a := range list["data"].(map[string]any)["keys"].([]any) {
		info, err := l.Call(t.Context(), "POST", "auth/token/lookup-accessor", map[string]any{"accessor": a})
		if err != nil {
			continue // ended meanwhile
		}
		if d := info["data"].(map[string]any); d["path"] == "auth/entente/jwt/login" {
			out = append(out, a.(string))
		}
	}
	return out
}

const secretPath = "secret/data/x"

// Many callers at once make one login.
func TestSessionLogsInOnce(t *testing.T) {
	l := newLogin(t, "1h", "24h")
	s := l.session(t, nil)
	if err := s.Healthy(); !errors.Is(err, vault.ErrNotLoggedIn) {
		t.Errorf("before the first request: %v", err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := s.Read(t.Context(), secretPath); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(l.tokens(t)); n != 1 {
		t.Errorf("%d logins", n)
	}
	if err := s.Healthy(); err != nil {
		t.Error(err)
	}
	if left := s.TimeLeft(); left < 59*time.Minute || left > time.Hour {
		t.Errorf("token lives %s", left)
	}
}

// Errors say of what kind they are.
func TestSessionErrors(t *testing.T) {
	l := newLogin(t, "1h", "24h")
	s := l.session(t, nil)
	ctx := t.Context()
	if _, err := s.Read(ctx, "secret/data/nothing"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := s.Read(ctx, "sys/mounts"); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("not permitted: %v", err)
	}
	if _, err := s.Write(ctx, secretPath, map[string]any{"wrong": true}); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("malformed: %v", err)
	}
	if keys, err := s.List(ctx, "secret/metadata/none"); err != nil || len(keys) != 0 {
		t.Errorf("empty list: %v, %v", keys, err)
	}
	if err := s.Delete(ctx, secretPath); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("deleting: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Read(canceled, secretPath); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// When Vault forgets the token, the session gets another and the caller does not notice.
func TestSessionRecoversFromRevokedToken(t *testing.T) {
	l := newLogin(t, "1h", "24h")
	s := l.session(t, nil)
	ctx := t.Context()
	for range 3 {
		if _, err := s.Read(ctx, secretPath); err != nil {
			t.Fatal(err)
		}
		for _, accessor := range l.tokens(t) {
			l.call(t, "POST", "auth/token/revoke-accessor", map[string]any{"accessor": accessor})
		}
	}
	// The service account token is read again each time; one that Vault does not let in is a failed login.
	l.writeToken(t, "somebody-else")
	if _, err := s.Read(ctx, secretPath); !errors.Is(err, vault.ErrNotLoggedIn) {
		t.Errorf("with another's token: %v", err)
	}
	l.writeToken(t, "gateway")
	eventually(t, func() error {
		_, err := s.Read(ctx, secretPath)
		return err
	})
}

// While Vault is away requests fail in time and say so; when it is back they go on, with the same token.
func TestSessionWhileVaultIsAway(t *testing.T) {
	t.Parallel()
	l := newLogin(t, "1h", "24h")
	s := l.session(t, func(c *vault.Config) { c.MaxInFlight = 1 })
	ctx := t.Context()
	runs, stop := context.WithCancel(ctx)
	defer stop()
	go func() { _ = s.Run(runs) }()
	if _, err := s.Read(ctx, secretPath); err != nil {
		t.Fatal(err)
	}
	for name, away := range map[string]func() error{"down": l.Down, "hanging": l.Hang} {
		if err := away(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range 2 { // the second waits for its turn
			wg.Go(func() {
				if _, err := s.Read(ctx, secretPath); !errors.Is(err, vault.ErrUnavailable) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took >= 2*timeout {
			t.Errorf("%s: requests with a timeout of %s took %s", name, timeout, took)
		}
		if err := s.Healthy(); err != nil {
			t.Errorf("%s: the token has not ended, but %v", name, err)
		}
		if err := l.Up(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(ctx, secretPath); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	if n := len(l.tokens(t)); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// A process that starts while Vault is away logs in when it is back; a caller is not kept longer than it wants.
func TestSessionStartsWhileVaultIsAway(t *testing.T) {
	t.Parallel()
	l := newLogin(t, "1h", "24h")
	if err := l.Hang(); err != nil {
		t.Fatal(err)
	}
	s := l.session(t, nil)
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Read(short, secretPath); !errors.Is(err, vault.ErrNotLoggedIn) {
		t.Errorf("while it hangs: %v", err)
	}
	if took := time.Since(began); took >= timeout {
		t.Errorf("a caller with 300 ms was kept for %s", took)
	}
	go func() { _ = s.Run(t.Context()) }()
	if err := l.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, s.Healthy)
	if n := len(l.tokens(t)); n > 2 {
		t.Errorf("%d logins", n)
	}
}

// A token is renewed while Vault lets it be, and replaced at its greatest age, without a request failing in between.
func TestSessionOutlivesTokens(t *testing.T) {
	t.Parallel()
	l := newLogin(t, "9s", "21s")
	s := l.session(t, nil)
	runs, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(runs) }()
	seen := map[string]bool{}
	requests := 0
	for began := time.Now(); time.Since(began) < 48*time.Second; time.Sleep(100 * time.Millisecond) {
		if _, err := s.Read(t.Context(), secretPath); err != nil {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if requests++; requests%10 == 0 {
			for _, accessor := range l.tokens(t) {
				seen[accessor] = true
			}
		}
	}
	if len(seen) < 2 || len(seen) > 5 {
		t.Errorf("%d logins in 48 s for tokens of 9 s that can be renewed up to 21 s", len(seen))
	}
	t.Logf("%d requests over %d tokens", requests, len(seen))

	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	eventually(t, func() error {
		if left := l.tokens(t); len(left) > 1 { // one that was replaced may have some seconds left
			return errors.New("tokens are left: " + strings.Join(left, " "))
		}
		return nil
	})
	if err := s.Healthy(); !errors.Is(err, vault.ErrNotLoggedIn) {
		t.Errorf("after its end: %v", err)
	}
}

// A token from a file is used until it ends, and then the file is read again.
func TestSessionWithTokenFile(t *testing.T) {
	l := newLogin(t, "1h", "24h")
	ctx := t.Context()
	file := filepath.Join(t.TempDir(), "vault-token")
	newToken := func() string {
		m := l.call(t, "POST", "auth/token/create", map[string]any{"policies": []string{"gateway"}, "ttl": "1h"})
		token := m["auth"].(map[string]any)["client_token"].(string)
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		return token
	}
	token := newToken()
	s := l.session(t, func(c *vault.Config) { c.Role, c.JWTPath, c.TokenPath = "", "", file })
	if _, err := s.Read(ctx, secretPath); err != nil {
		t.Fatal(err)
	}
	l.call(t, "POST", "auth/token/revoke", map[string]any{"token": token})
	if _, err := s.Read(ctx, secretPath); !errors.Is(err, vault.ErrNotLoggedIn) {
		t.Errorf("with a revoked token: %v", err)
	}
	newToken()
	eventually(t, func() error {
		_, err := s.Read(ctx, secretPath)
		return err
	})

	t.Setenv("VAULT_ADDR", l.Address())
	t.Setenv("VAULT_CACERT", l.CAFile())
	t.Setenv("VAULT_TOKEN", l.Token())
	byEnvironment, err := vault.NewSession(vault.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := byEnvironment.Read(ctx, "sys/mounts"); err != nil {
		t.Errorf("by VAULT_ADDR, VAULT_CACERT and VAULT_TOKEN: %v", err)
	}
	if byEnvironment.TimeLeft() < 1000*time.Hour {
		t.Errorf("the root token ends in %s", byEnvironment.TimeLeft())
	}
}

func TestMounts(t *testing.T) {
	for prefix, want := range map[string]string{"": "entente/pki", "state-police/": "state-police/pki", "state-police": "state-police/pki", "/a/b/": "a/b/pki"} {
		if got := (vault.Mounts{Prefix: prefix}).PKI(); got != want {
			t.Errorf("prefix %q: %s, want %s", prefix, got, want)
		}
	}
}

func TestCredentialHidesPassword(t *testing.T) {
	var b strings.Builder
	c := vault.Credential{Username: "user", Password: "hidden"}
	slog.New(slog.NewTextHandler(&b, nil)).Info("made", "credential", c)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("made", "credential", c)
	fmt.Fprintf(&b, "%v %+v %#v %s", c, c, c, &c)
	if strings.Contains(b.String(), "hidden") || !strings.Contains(b.String(), "user") {
		t.Error(b.String())
	}
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	const within = time.Minute
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("after %s still: %v", within, err)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
