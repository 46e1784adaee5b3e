package local

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
)

const domain = "police.example.gov"

// clock is a clock that a test turns.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newStore(t *testing.T) (*Store, *clock) {
	t.Helper()
	c := &clock{at: time.Now().UTC().Truncate(time.Second)}
	s, err := open(filepath.Join(t.TempDir(), "keys"), domain, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestReopenKeepsKeys(t *testing.T) {
	s, c := newStore(t)
	again, err := open(s.dir, domain, c.now)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := s.Current(t.Context())
	b, _ := again.Current(t.Context())
	if a != b || s.routeKeyID() != again.routeKeyID() || s.agency.bundle() != again.agency.bundle() || s.UsersBundle() != again.UsersBundle() {
		t.Error("keys changed when the folder was opened again")
	}
	if s.agency.bundle() == s.UsersBundle() {
		t.Error("one authority for agencies and users")
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 6 {
		t.Errorf("%d files in the key folder, want 6", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(e.Name()[:len(e.Name())-4]) == ".key" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", e.Name(), info.Mode().Perm())
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"a key that others may read": func(dir string) error { return os.Chmod(filepath.Join(dir, "routes.key.pem"), 0o640) },
		"a key that is none":         func(dir string) error { return os.WriteFile(filepath.Join(dir, "routes.key.pem"), []byte("x"), 0o600) },
		"a key of another kind": func(dir string) error {
			b, err := os.ReadFile(filepath.Join(dir, "users-ca.key.pem"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "routes.key.pem"), b, 0o600)
		},
		"an authority with another's key": func(dir string) error {
			b, err := os.ReadFile(filepath.Join(dir, "users-ca.key.pem"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "agency-ca.key.pem"), b, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := newStore(t)
			if err := spoil(s.dir); err != nil {
				t.Fatal(err)
			}
			if _, err := open(s.dir, domain, c.now); err == nil {
				t.Error("opened")
			}
		})
	}
	if _, err := Open(t.TempDir(), "Not A Domain"); err == nil {
		t.Error("opened for a name that is no trust domain")
	}
}

func TestAgreementKeyRotation(t *testing.T) {
	s, c := newStore(t)
	claims := signature.Claims{
		Digest: "sha256:" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Decision: v1alpha1.DecisionAccept,
		Agency: "police", DecidedAt: c.at,
	}
	before, err := signature.Sign(t.Context(), s, claims)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RotateAgreementKey(); err != nil {
		t.Fatal(err)
	}
	after, err := signature.Sign(t.Context(), s, claims)
	if err != nil {
		t.Fatal(err)
	}
	again, err := open(s.dir, domain, c.now)
	if err != nil {
		t.Fatal(err)
	}
	set, err := again.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 || set.Keys[0].KeyID == set.Keys[1].KeyID {
		t.Fatalf("published keys: %+v", set.Keys)
	}
	for i, jws := range []string{before, after} {
		one := &v1alpha1.KeySet{Keys: set.Keys[i : i+1]}
		if _, err := signature.Verify(jws, "police", one); err != nil {
			t.Errorf("signature %d: %v", i, err)
		}
	}
}

func TestRouteSignature(t *testing.T) {
	s, _ := newStore(t)
	r := &route.Route{Format: route.Format, Agreement: "a", Sequence: 1, Self: route.Party{Agency: "police", TrustDomain: domain}}
	payload, err := route.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	id, sig, err := s.SignRoute(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	known, err := s.RouteKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := route.Verify(route.Signed{Payload: payload, KeyID: id, Signature: sig}, known); err != nil {
		t.Error(err)
	}
}

func TestIdentityRotation(t *testing.T) {
	s, c := newStore(t)
	g := s.GatewayIdentity("localhost", "127.0.0.1", "::1")
	first, err := g.Certificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(identityLife/2 + time.Minute)
	if same, _ := g.Certificate(t.Context()); same != first {
		t.Error("rotated before its time")
	}
	c.at = c.at.Add(identityLife / 6)
	next, err := g.Certificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if next == first || publicEqual(next.Leaf.PublicKey, first.Leaf.PublicKey) {
		t.Error("no new certificate with a new key after two thirds of its life")
	}
	bundle := mustBundle(t, s)
	for _, leaf := range []*x509.Certificate{first.Leaf, next.Leaf} {
		if id, err := identity.Verify([]*x509.Certificate{leaf}, bundle, c.at); err != nil || id != identity.GatewayID(domain) {
			t.Errorf("verified as %q: %v", id, err)
		}
		for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
			if err := leaf.VerifyHostname(host); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := identity.Verify([]*x509.Certificate{first.Leaf}, bundle, first.Leaf.NotAfter.Add(time.Second)); err == nil {
		t.Error("valid after its end")
	}
	op, err := s.OperatorIdentity().Certificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if id, err := identity.Verify([]*x509.Certificate{op.Leaf}, bundle, c.at); err != nil || id != identity.OperatorID(domain) {
		t.Errorf("operator verified as %q: %v", id, err)
	}
}

func mustBundle(t *testing.T, s *Store) *x509bundle.Bundle {
	t.Helper()
	b, err := identity.Bundle(domain, s.agency.bundle())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func request(t *testing.T, template *x509.CertificateRequest) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestIssueAgreementCertificate(t *testing.T) {
	s, c := newStore(t)
	evil, _ := url.Parse("spiffe://" + domain + "/operator")
	greedy := request(t, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "operator"}, DNSNames: []string{"localhost"}, URIs: []*url.URL{evil},
	})
	chain, expires, err := s.IssueAgreementCertificate(t.Context(), "task-force", "labor", greedy, c.at.Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if len(chain) != 1 || !expires.Equal(c.at.Add(time.Hour)) {
		t.Errorf("%d certificates until %s", len(chain), expires)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.Verify([]*x509.Certificate{leaf}, mustBundle(t, s), c.at)
	if want := identity.AgreementID(domain, "task-force", "labor"); err != nil || id != want {
		t.Errorf("verified as %q, want %q: %v", id, want, err)
	}
	if leaf.Subject.String() != "" || len(leaf.DNSNames) != 0 || len(leaf.URIs) != 1 || leaf.IsCA ||
		len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || !leaf.NotAfter.Equal(expires) {
		t.Errorf("certificate has more than it should: %+v", leaf)
	}
	if _, expires, err := s.IssueAgreementCertificate(t.Context(), "task-force", "labor", greedy, c.at.Add(90*time.Second)); err != nil || !expires.Equal(c.at.Add(90*time.Second)) {
		t.Errorf("near the end of the agreement: until %s, %v", expires, err)
	}
	spoilt := append([]byte(nil), greedy...)
	spoilt[len(spoilt)-1] ^= 1
	for name, try := range map[string]struct {
		agreement, recipient string
		request              []byte
		notAfter             time.Time
	}{
		"over":                       {"task-force", "labor", greedy, c.at},
		"no request":                 {"task-force", "labor", []byte("x"), c.at.Add(time.Hour)},
		"no proof of possession":     {"task-force", "labor", spoilt, c.at.Add(time.Hour)},
		"agreement is a path":        {"a/recipient/b", "labor", greedy, c.at.Add(time.Hour)},
		"recipient climbs":           {"task-force", "..", greedy, c.at.Add(time.Hour)},
		"recipient is nobody at all": {"task-force", "", greedy, c.at.Add(time.Hour)},
	} {
		if _, _, err := s.IssueAgreementCertificate(t.Context(), try.agreement, try.recipient, try.request, try.notAfter); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestIssueUser(t *testing.T) {
	s, c := newStore(t)
	u, err := s.IssueUser("a.rossi", []string{"stewards"}, []string{"trafficking-unit"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "user.pem")
	if err := os.WriteFile(path, u.Certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	der, err := readBlock(path, blockCertificate)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	users, agencies := x509.NewCertPool(), x509.NewCertPool()
	users.AppendCertsFromPEM([]byte(s.UsersBundle()))
	agencies.AppendCertsFromPEM([]byte(s.agency.bundle()))
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: users, KeyUsages: usage, CurrentTime: c.at}); err != nil {
		t.Error(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: agencies, KeyUsages: usage, CurrentTime: c.at}); err == nil {
		t.Error("a user's certificate passes for an agency's")
	}
	if n := leaf.Subject; n.CommonName != "a.rossi" || !slices.Equal(n.Organization, []string{"stewards"}) || !slices.Equal(n.OrganizationalUnit, []string{"trafficking-unit"}) {
		t.Errorf("subject %s", n)
	}
	for _, name := range []string{"", "../x", "a b", "-x"} {
		if _, err := s.IssueUser(name, nil, nil); err == nil {
			t.Errorf("issued for %q", name)
		}
	}
}
