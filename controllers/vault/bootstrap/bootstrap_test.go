package bootstrap_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/controllers/vault"
	"github.com/entente-dev/entente/controllers/vault/bootstrap"
	"github.com/entente-dev/entente/controllers/vault/vaulttest"
	gwvault "github.com/entente-dev/entente/gateway/vault"
	"github.com/entente-dev/entente/hack/testenv"
)

func TestMain(m *testing.M) { vaulttest.Main(m) }

func run(t *testing.T, a *vaulttest.Agency) *bootstrap.Report {
	t.Helper()
	r, err := bootstrap.Run(t.Context(), a.Root, a.Options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func summary(r *bootstrap.Report) string {
	var b strings.Builder
	for _, s := range r.Steps {
		if s.Action != bootstrap.Unchanged {
			b.WriteString(string(s.Action) + " " + s.Kind + " " + s.Path + " " + strings.Join(s.Differs, ",") + "\n")
		}
	}
	return b.String()
}

// cluster is a token issuer that no test gets tokens of.
func cluster(t *testing.T) *bootstrap.Kubernetes {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &bootstrap.Kubernetes{
		Issuer:     "https://cluster.example.gov",
		PublicKeys: []string{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
	}
}

// A dry run writes nothing; a run makes everything; a second one changes nothing; what somebody changed is shown and mended.
func TestBootstrapIsIdempotent(t *testing.T) {
	a := vaulttest.New(t, "twice")
	ctx := t.Context()
	a.Options.Kubernetes = cluster(t)
	a.Options.Namespace = "twice"

	a.Options.DryRun = true
	dry := run(t, a)
	if n := dry.Count(bootstrap.Create); n != len(dry.Steps) {
		t.Errorf("dry run on an empty Vault: %d of %d steps create", n, len(dry.Steps))
	}
	if names, err := a.Root.List(ctx, "sys/policies/acl"); err != nil || strings.Contains(strings.Join(names, " "), "twice") {
		t.Errorf("dry run wrote policies: %v, %v", names, err)
	}
	for _, table := range []string{"sys/mounts", "sys/auth"} {
		s, err := a.Root.Read(ctx, table)
		if err != nil {
			t.Fatal(err)
		}
		for path := range s.Data {
			if strings.HasPrefix(path, "twice/") {
				t.Errorf("dry run made %s", path)
			}
		}
	}

	a.Options.DryRun = false
	if first := run(t, a); summary(first) != summary(dry) {
		t.Errorf("done:\n%sannounced:\n%s", summary(first), summary(dry))
	}
	bundle, err := a.Root.TrustBundle(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if second := run(t, a); summary(second) != "" {
		t.Errorf("a second run changes\n%s", summary(second))
	}
	if again, err := a.Root.TrustBundle(ctx); err != nil || again != bundle {
		t.Errorf("the authority changed: %v", err)
	}

	m := a.Options.Mounts
	for path, data := range map[string]map[string]any{
		m.PKI() + "/roles/operator":                      {"allow_any_name": true},
		"sys/policies/acl/entente-twice-gateway":         {"policy": `path "*" { capabilities = ["read"] }`},
		m.Transit() + "/keys/twice-routes/config":        {"deletion_allowed": true},
		"sys/mounts/" + m.PKI() + "/tune":                {"max_lease_ttl": "800h"},
		"auth/" + m.JWT() + "/role/gateway":              {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "token_policies": "default"},
		"auth/" + m.JWT() + "/config":                    {"bound_issuer": "https://elsewhere", "jwt_validation_pubkeys": a.Options.Kubernetes.PublicKeys},
		m.Database() + "/config/" + vaulttest.Connection: {"allowed_roles": "*"},
	} {
		if _, err := a.Root.Write(ctx, path, data); err != nil {
			t.Fatal(err)
		}
	}
	a.Options.DryRun = true
	shown := run(t, a)
	if n := shown.Count(bootstrap.Change); n != 7 {
		t.Errorf("7 things are changed, shown are\n%s", summary(shown))
	}
	a.Options.DryRun = false
	run(t, a)
	if again := run(t, a); summary(again) != "" {
		t.Errorf("after mending still\n%s", summary(again))
	}
}

// What cannot be mended is an error, and is not touched.
func TestBootstrapConflicts(t *testing.T) {
	a := vaulttest.New(t, "conflict")
	ctx := t.Context()
	m := a.Options.Mounts
	if _, err := a.Root.Write(ctx, "sys/mounts/"+m.Transit(), map[string]any{"type": "transit"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Root.Write(ctx, m.Transit()+"/keys/conflict-routes", map[string]any{"type": "ed25519", "exportable": true}); err != nil {
		t.Fatal(err)
	}
	if _, err := bootstrap.Run(ctx, a.Root, a.Options); !errors.Is(err, bootstrap.ErrConflict) || !strings.Contains(err.Error(), "exported") {
		t.Errorf("an exportable key: %v", err)
	}

	b := vaulttest.New(t, "conflict2")
	if _, err := b.Root.Write(ctx, "sys/mounts/"+b.Options.Mounts.PKI(), map[string]any{"type": "kv"}); err != nil {
		t.Fatal(err)
	}
	if _, err := bootstrap.Run(ctx, b.Root, b.Options); !errors.Is(err, bootstrap.ErrConflict) {
		t.Errorf("another engine: %v", err)
	}

	c := vaulttest.New(t, "conflict3")
	c.Options.PKIExisting = true
	if _, err := bootstrap.Run(ctx, c.Root, c.Options); !errors.Is(err, bootstrap.ErrConflict) {
		t.Errorf("no existing PKI: %v", err)
	}
}

// After a rotation nobody but Vault knows the admin's password, and further runs do not need it.
func TestBootstrapRotatesRoot(t *testing.T) {
	a := vaulttest.New(t, "rotated")
	a.Options.Databases[0].RotateRoot = true
	a.Bootstrap(t)
	if _, err := a.Login(t, gwvault.Credential{Username: a.Options.Databases[0].Username, Password: a.Options.Databases[0].Password}); err == nil {
		t.Error("the first password still works")
	}
	if again := run(t, a); summary(again) != "" {
		t.Errorf("a second run changes\n%s", summary(again))
	}
	if _, err := a.Root.Write(t.Context(), a.Options.Mounts.Database()+"/config/"+vaulttest.Connection, map[string]any{"allowed_roles": "*"}); err != nil {
		t.Fatal(err)
	}
	run(t, a)
	if _, err := a.Client.ProbeCredential(t.Context(), vaulttest.Connection); err != nil {
		t.Errorf("the connection does not work after it was mended: %v", err)
	}
}

// What the policies do not allow is refused by Vault.
func TestPoliciesAreLeastPrivilege(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "least")
	ctx := t.Context()
	m := a.Options.Mounts
	const td = "spiffe://least.example.gov"
	role := func(change map[string]any) map[string]any {
		f := vault.AgreementRoleFields(td + "/agreement/x/recipient/y")
		for k, v := range change {
			f[k] = v
		}
		return f
	}
	type request struct {
		method, path string
		data         map[string]any
	}
	send := func(s *gwvault.Session, r request) error {
		switch r.method {
		case "read":
			_, err := s.Read(ctx, r.path)
			return err
		case "list":
			_, err := s.List(ctx, r.path)
			return err
		case "delete":
			return s.Delete(ctx, r.path)
		default:
			_, err := s.Write(ctx, r.path, r.data)
			return err
		}
	}
	db := m.Database()
	for name, tc := range map[string]struct {
		who     *gwvault.Session
		refused []request
		allowed []request
	}{
		"gateway": {a.Gateway, []request{
			{"write", m.PKI() + "/sign/operator", nil},
			{"write", m.PKI() + "/sign/x.y", nil},
			{"write", m.PKI() + "/roles/x.y", role(nil)},
			{"read", m.PKI() + "/roles/gateway", nil},
			{"write", m.Transit() + "/sign/least-routes", map[string]any{"input": ""}},
			{"write", m.Transit() + "/sign/least-agreements/sha2-256", map[string]any{"input": ""}},
			{"read", m.Transit() + "/keys/least-agreements", nil},
			{"list", m.Transit() + "/keys", nil},
			{"read", m.Transit() + "/export/signing-key/least-routes", nil},
			{"write", db + "/roles/x.y", nil},
			{"list", db + "/roles", nil},
			{"read", db + "/config/" + vaulttest.Connection, nil},
			{"read", db + "/creds/" + vault.ProbeRole(vaulttest.Connection), nil},
			{"write", "sys/leases/revoke-prefix/" + db + "/creds/x.y", nil},
			{"list", "sys/leases/lookup/" + db + "/creds", nil},
			{"read", "sys/mounts", nil},
			{"read", "sys/policies/acl/entente-least-gateway", nil},
			{"write", "auth/token/create", nil},
		}, []request{
			{"read", m.Transit() + "/keys/least-routes", nil},
			{"read", "auth/token/lookup-self", nil},
		}},
		"operator": {a.Operator, []request{
			{"write", m.PKI() + "/sign/gateway", nil},
			{"write", m.PKI() + "/issue/x.y", nil},
			{"write", m.PKI() + "/sign-verbatim", nil},
			{"write", m.PKI() + "/root/sign-intermediate", nil},
			{"write", m.PKI() + "/roles/gateway", role(nil)},
			{"write", m.PKI() + "/roles/operator", role(nil)},
			{"delete", m.PKI() + "/roles/gateway", nil},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"allowed_uri_sans": td + "/gateway"})},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"allowed_uri_sans": td + "/agreement/x," + td + "/gateway"})},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"allowed_uri_sans": []string{td + "/agreement/x", td + "/gateway"}})},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"allowed_uri_sans": "spiffe://other.example.gov/agreement/x"})},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"allow_any_name": true})},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"allow_any_name": "true"})},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"server_flag": true})},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"allowed_domains": "gateway.least.svc"})},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"allow_token_displayname": true})},
			{"write", m.PKI() + "/roles/x.y", role(map[string]any{"max_ttl": "8760h"})},
			{"write", m.Transit() + "/keys/least-agreements/config", map[string]any{"deletion_allowed": true}},
			{"delete", m.Transit() + "/keys/least-agreements", nil},
			{"write", m.Transit() + "/keys/least-agreements/rotate", nil},
			{"read", m.Transit() + "/export/signing-key/least-agreements", nil},
			{"write", m.Transit() + "/sign/other-agreements/sha2-256", nil},
			{"read", db + "/creds/x.y", nil},
			{"read", db + "/config/" + vaulttest.Connection, nil},
			{"write", db + "/config/" + vaulttest.Connection, nil},
			{"write", db + "/rotate-root/" + vaulttest.Connection, nil},
			{"write", "sys/leases/revoke-prefix/" + db, nil},
			{"write", "sys/leases/revoke-prefix/auth", nil},
			{"write", "sys/leases/revoke-force/" + db + "/creds/x.y", nil},
			{"write", "sys/policies/acl/entente-least-operator", nil},
			{"write", "auth/token/create", nil},
		}, []request{
			{"write", m.PKI() + "/roles/x.y", role(nil)},
			{"read", m.PKI() + "/roles/x.y", nil},
			{"delete", m.PKI() + "/roles/x.y", nil},
			{"read", m.PKI() + "/roles/gateway", nil},
			{"list", m.PKI() + "/roles", nil},
			{"list", db + "/roles", nil},
			{"list", "sys/leases/lookup/" + db + "/creds", nil},
			{"write", "sys/leases/revoke-prefix/" + db + "/creds/x.y", map[string]any{"sync": true}},
		}},
	} {
		for _, r := range tc.refused {
			if err := send(tc.who, r); !errors.Is(err, gwvault.ErrDenied) {
				t.Errorf("%s: %s %s %v: %v, want permission denied", name, r.method, r.path, r.data["allowed_uri_sans"], err)
			}
		}
		for _, r := range tc.allowed {
			if err := send(tc.who, r); err != nil {
				t.Errorf("%s: %s %s: %v", name, r.method, r.path, err)
			}
		}
	}
}

// The agency's authority cannot vouch for another trust domain, whatever a role says.
func TestAuthorityIsConstrained(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "constrained")
	ctx := t.Context()
	path := a.Options.Mounts.PKI() + "/roles/evil"
	if _, err := a.Root.Write(ctx, path, map[string]any{"allow_any_name": true, "require_cn": false, "key_type": "any", "use_csr_sans": false, "use_csr_common_name": false, "allowed_uri_sans": "*"}); err != nil {
		t.Fatal(err)
	}
	id := gwvault.NewIdentity(a.Root, gwvault.IdentityConfig{Role: "evil", SPIFFEID: "spiffe://other.example.gov/gateway"})
	if _, err := id.Certificate(ctx); err == nil {
		t.Error("the authority signs for another trust domain")
	} else {
		t.Log(err)
	}
}

// Service accounts of a real cluster log in with their projected tokens, each in its own role only.
func TestServiceAccountsLogIn(t *testing.T) {
	a := vaulttest.New(t, "cluster")
	ctx := t.Context()
	kube := testenv.RequireKube(t, testenv.KubeOptions{})
	k, err := bootstrap.FromCluster(ctx, kube.Config())
	if err != nil {
		t.Fatal(err)
	}
	if k.Issuer != kube.Issuer() {
		t.Errorf("issuer %s, want %s", k.Issuer, kube.Issuer())
	}
	a.Options.Kubernetes = k
	a.Options.Namespace = "state-police"
	a.Bootstrap(t)
	if again := run(t, a); summary(again) != "" {
		t.Errorf("a second run changes\n%s", summary(again))
	}

	dir := t.TempDir()
	login := func(namespace, account, audience, role string) (*gwvault.Session, error) {
		t.Helper()
		if err := kube.EnsureServiceAccount(ctx, namespace, account); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "token")
		if _, err := kube.WriteToken(ctx, path, namespace, account, testenv.TokenOptions{Audience: audience}); err != nil {
			t.Fatal(err)
		}
		s, err := gwvault.NewSession(gwvault.Config{Address: a.Vault.Address(), CACert: a.Vault.CAFile(), Mounts: a.Options.Mounts, Role: role, JWTPath: path})
		if err != nil {
			t.Fatal(err)
		}
		return s, s.Login(ctx)
	}
	gateway, err := login("state-police", "entente-gateway", "vault", gwvault.RoleGateway)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.RouteKeys(ctx, a.Name); err != nil {
		t.Errorf("as gateway: %v", err)
	}
	if left := gateway.TimeLeft(); left < 59*time.Minute || left > time.Hour {
		t.Errorf("token lives %s", left)
	}
	operator, err := login("state-police", "entente-operator", "vault", gwvault.RoleOperator)
	if err != nil {
		t.Fatal(err)
	}
	c, err := vault.New(operator, vault.Config{Agency: a.Name, TrustDomain: a.TrustDomain()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Current(ctx); err != nil {
		t.Errorf("as operator: %v", err)
	}
	for name, who := range map[string][4]string{
		"the gateway as operator": {"state-police", "entente-gateway", "vault", gwvault.RoleOperator},
		"another namespace":       {"elsewhere", "entente-gateway", "vault", gwvault.RoleGateway},
		"another account":         {"state-police", "default", "vault", gwvault.RoleGateway},
		"another audience":        {"state-police", "entente-gateway", "", gwvault.RoleGateway},
	} {
		if _, err := login(who[0], who[1], who[2], who[3]); !errors.Is(err, gwvault.ErrNotLoggedIn) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := bootstrap.Options{Agency: "a", TrustDomain: "a.example"}
	for name, change := range map[string]func(*bootstrap.Options){
		"agency":       func(o *bootstrap.Options) { o.Agency = "A/b" },
		"trust domain": func(o *bootstrap.Options) { o.TrustDomain = "spiffe://a" },
		"prefix":       func(o *bootstrap.Options) { o.Mounts.Prefix = "../x" },
		"gateway name": func(o *bootstrap.Options) { o.GatewayNames = []string{"*.example.gov"} },
		"static user": func(o *bootstrap.Options) {
			o.Databases = []bootstrap.Database{{Name: "x", URL: "postgresql://me:pw@h/d", Username: "me"}}
		},
		"no issuer": func(o *bootstrap.Options) { o.Kubernetes, o.Namespace = &bootstrap.Kubernetes{}, "x" },
	} {
		o := good
		change(&o)
		s, err := gwvault.NewSession(gwvault.Config{Address: "https://127.0.0.1:1", Token: "none"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bootstrap.Run(t.Context(), s, o); err == nil || errors.Is(err, gwvault.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
