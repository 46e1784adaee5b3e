package vault_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/controllers/vault/vaulttest"
	"github.com/entente-dev/entente/gateway/audit"
	gwvault "github.com/entente-dev/entente/gateway/vault"
	"github.com/entente-dev/entente/hack/testenv"
)

// The gateway's rights suffice to seal its log and to open it; nobody else's do, and a wrapped key opens where it was bound to
// and nowhere else, also after the key in Vault was rotated.
func TestLogKeys(t *testing.T) {
	a, other := vaulttest.NewBootstrapped(t, "keeper"), vaulttest.NewBootstrapped(t, "nosy")
	ctx := t.Context()
	ring := gwvault.LogKeys{Session: a.Gateway, Agency: a.Name}
	bare := []byte("0123456789abcdef0123456789abcdef")
	wrapped, err := ring.Wrap(ctx, bare, []byte("log/1"))
	if err != nil || !strings.HasPrefix(wrapped, "vault:v1:") {
		t.Fatalf("%s %v", wrapped, err)
	}
	key := a.Options.Mounts.Transit() + "/keys/" + gwvault.LogKey(a.Name)
	if _, err := a.Root.Write(ctx, key+"/rotate", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := ring.Unwrap(ctx, wrapped, []byte("log/1")); err != nil || string(got) != string(bare) {
		t.Errorf("after a rotation: %q %v", got, err)
	}
	if _, err := ring.Unwrap(ctx, wrapped, []byte("log/2")); !errors.Is(err, gwvault.ErrInvalid) {
		t.Errorf("as the key of another log: %v", err)
	}
	for name, s := range map[string]*gwvault.Session{"the operator": a.Operator, "another agency's gateway": other.Gateway} {
		stolen := gwvault.LogKeys{Session: s, Agency: a.Name}
		if name != "the operator" {
			stolen.Session = sessionOn(t, a)
		}
		if _, err := stolen.Unwrap(ctx, wrapped, []byte("log/1")); !errors.Is(err, gwvault.ErrDenied) {
			t.Errorf("%s unwraps: %v", name, err)
		}
		if _, err := stolen.Wrap(ctx, bare, []byte("log/1")); !errors.Is(err, gwvault.ErrDenied) {
			t.Errorf("%s wraps: %v", name, err)
		}
	}
	for _, op := range []string{"/config", "/rotate", "/trim"} {
		if _, err := a.Gateway.Write(ctx, key+op, map[string]any{"deletion_allowed": true}); !errors.Is(err, gwvault.ErrDenied) {
			t.Errorf("the gateway may %s its key: %v", op, err)
		}
	}
}

// sessionOn is a session on the mounts of a with the rights of another agency's gateway.
func sessionOn(t *testing.T, a *vaulttest.Agency) *gwvault.Session {
	t.Helper()
	self, err := a.Root.Write(t.Context(), "auth/token/create", map[string]any{"policies": []string{"entente-nosy-gateway"}, "no_default_policy": true, "ttl": "1h"})
	if err != nil {
		t.Fatal(err)
	}
	return a.Session(t, self.Auth.ClientToken)
}

// A log sealed under Vault: goes on while Vault is away, starts again when it is back, and is read by an auditor whose token may
// decrypt and nothing else.
func TestLogUnderVault(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "sealer")
	ctx := t.Context()
	u, err := url.Parse(a.Vault.Address())
	if err != nil {
		t.Fatal(err)
	}
	way, err := testenv.NewProxy(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer way.Stop()
	token, err := a.Root.Write(ctx, "auth/token/create", map[string]any{"policies": []string{"entente-sealer-gateway"}, "no_default_policy": true, "ttl": "1h"})
	if err != nil {
		t.Fatal(err)
	}
	session := func() *gwvault.Session {
		s, err := gwvault.NewSession(gwvault.Config{
			Address: "https://" + way.Addr(), CACert: a.Vault.CAFile(), Mounts: a.Options.Mounts, Token: token.Auth.ClientToken,
			Timeout: 2 * time.Second, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	dir := filepath.Join(t.TempDir(), "log")
	open := func() *audit.Log {
		t.Helper()
		l, err := audit.Open(dir, audit.Options{Origin: "sealer.example/gateway-0", Keys: gwvault.LogKeys{Session: session(), Agency: a.Name}, ProbeInterval: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	n := 0
	add := func(l *audit.Log) error {
		rc, err := l.Append(ctx, audit.Record{Disclosure: fmt.Sprintf("d-%d", n), Kind: audit.Outcome, Side: audit.Source, Filter: `name == "Doe"`})
		if err != nil {
			return err
		}
		n++
		return rc.Wait(ctx)
	}
	l := open()
	if err := add(l); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(way.Hang())
	for range 20 {
		if err := add(l); err != nil {
			t.Fatalf("while Vault is away: %v", err)
		}
	}
	must(l.Close())
	must(way.Down())
	l = open()
	if err := add(l); !errors.Is(err, audit.ErrUnavailable) {
		t.Fatalf("started while Vault is away: %v", err)
	}
	must(way.Up())
	for deadline := time.Now().Add(time.Minute); l.Healthy() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(l.Healthy())
		}
	}
	if err := add(l); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Erase(ctx, audit.Selection{Disclosure: "d-3"}, audit.Order{Text: "in error"}); err != nil {
		t.Fatal(err)
	}
	must(l.Close())

	policy := fmt.Sprintf("path %q { capabilities = [\"update\"] }\npath \"auth/token/lookup-self\" { capabilities = [\"read\"] }\n",
		a.Options.Mounts.Transit()+"/decrypt/"+gwvault.LogKey(a.Name))
	if _, err := a.Root.Write(ctx, "sys/policies/acl/sealer-auditor", map[string]any{"policy": policy}); err != nil {
		t.Fatal(err)
	}
	auditor, err := a.Root.Write(ctx, "auth/token/create", map[string]any{"policies": []string{"sealer-auditor"}, "no_default_policy": true, "ttl": "1h"})
	if err != nil {
		t.Fatal(err)
	}
	with := audit.WithKeys(ctx, gwvault.LogKeys{Session: a.Session(t, auditor.Auth.ClientToken), Agency: a.Name})
	rep, err := audit.Verify(dir, nil, with)
	if err != nil || rep.Sealed != 0 || rep.Erased != 1 || rep.Unexplained != 0 || rep.Entries != uint64(n)+1 {
		t.Fatalf("%d records: %+v %v", n, rep, err)
	}
	seen := 0
	if err := audit.Read(dir, func(e audit.Entry) error {
		if strings.Contains(e.Record.Filter, "Doe") {
			seen++
		}
		return nil
	}, with); err != nil || seen != n-1 {
		t.Errorf("%d of %d records: %v", seen, n-1, err)
	}
	if rep, err := audit.Verify(dir, nil); err != nil || rep.Sealed != uint64(n)-1 {
		t.Errorf("without keys: %+v %v", rep, err)
	}
}
