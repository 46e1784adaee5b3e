package vault_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/controllers/vault"
	"github.com/entente-dev/entente/controllers/vault/vaulttest"
	"github.com/entente-dev/entente/gateway/route"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// A signature verifies with the published key of its key id, also after the key was rotated.
func TestAgreementKey(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "signer")
	ctx := t.Context()
	input := []byte("what is signed")
	check := func(key keys.Key) {
		t.Helper()
		sig, err := a.Client.Sign(ctx, key, input)
		if err != nil {
			t.Fatal(err)
		}
		set, err := a.Client.Public(ctx)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		var jwks jose.JSONWebKeySet
		if err := json.Unmarshal(b, &jwks); err != nil {
			t.Fatal(err)
		}
		found := jwks.Key(key.ID)
		if len(found) != 1 {
			t.Fatalf("%s is not published: %s", key.ID, b)
		}
		sum := sha256.Sum256(input)
		if !ecdsa.Verify(found[0].Key.(*ecdsa.PublicKey), sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
			t.Errorf("signature of %s does not verify", key.ID)
		}
	}
	first, err := a.Client.Current(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(first.ID, "signer-agreements:v1:") || first.Algorithm != "ES256" {
		t.Errorf("current key %+v", first)
	}
	check(first)
	if _, err := a.Root.Write(ctx, a.Options.Mounts.Transit()+"/keys/signer-agreements/rotate", nil); err != nil {
		t.Fatal(err)
	}
	second, err := a.Client.Current(ctx)
	if err != nil || !strings.HasPrefix(second.ID, "signer-agreements:v2:") {
		t.Fatalf("current key after rotation %+v, %v", second, err)
	}
	check(second)
	check(first)
	for _, k := range []keys.Key{{ID: "other-agreements:v1", Algorithm: "ES256"}, {ID: "signer-agreements:v0", Algorithm: "ES256"}, {ID: second.ID, Algorithm: "EdDSA"}} {
		if _, err := a.Client.Sign(ctx, k, input); !errors.Is(err, vault.ErrKey) {
			t.Errorf("signing with %+v: %v", k, err)
		}
	}
}

// What an agency signed verifies by what it publishes, after its key was rotated and after it was lost and made anew; and new
// signatures are by the new key.
func TestAgreementKeyLost(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "loser")
	ctx := t.Context()
	key := a.Options.Mounts.Transit() + "/keys/loser-agreements"
	var published *v1alpha1.KeySet
	signed := map[string]string{} // by key id
	claims := signature.Claims{
		Digest: v1alpha1.DigestPrefix + strings.Repeat("A", 43), Decision: v1alpha1.DecisionAccept, Agency: "loser", DecidedAt: time.Now(),
	}
	sign := func() string {
		t.Helper()
		jws, err := signature.Sign(ctx, a.Client, claims)
		if err != nil {
			t.Fatal(err)
		}
		now, err := a.Client.Public(ctx)
		if err != nil {
			t.Fatal(err)
		}
		published = signature.Union(published, now)
		current, err := a.Client.Current(ctx)
		if err != nil {
			t.Fatal(err)
		}
		signed[current.ID] = jws
		return jws
	}
	lost := sign()
	write := func(path string, data map[string]any) {
		t.Helper()
		if _, err := a.Root.Write(ctx, path, data); err != nil {
			t.Fatal(err)
		}
	}
	write(key+"/rotate", nil)
	sign()
	write(key+"/config", map[string]any{"deletion_allowed": true})
	if err := a.Root.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	if jws, err := signature.Sign(ctx, a.Client, claims); err == nil {
		t.Errorf("signed without a key: %s", jws)
	}
	write(key, map[string]any{"type": "ecdsa-p256"})
	sign()
	if len(signed) != 3 || len(published.Keys) != 3 {
		t.Fatalf("%d keys signed, %d are published", len(signed), len(published.Keys))
	}
	for id, jws := range signed {
		if _, err := signature.Verify(jws, "loser", published); err != nil {
			t.Errorf("signed by %s: %v", id, err)
		}
	}
	held, err := a.Client.Public(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signature.Verify(lost, "loser", held); !errors.Is(err, signature.ErrUnknownKey) {
		t.Errorf("by what Vault holds alone: %v", err)
	}
}

// The gateway verifies what the operator signs with keys that it reads itself.
func TestRouteKey(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "router")
	ctx := t.Context()
	payload, err := route.Encode(&route.Route{Format: route.Format, Agreement: "x", Sequence: 1, Self: route.Party{Agency: "router"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"router-routes:v1", "router-routes:v2"} {
		id, sig, err := a.Client.SignRoute(ctx, payload)
		if err != nil || id != want {
			t.Fatalf("key %s, %v", id, err)
		}
		public, err := a.Gateway.RouteKeys(ctx, "router")
		if err != nil {
			t.Fatal(err)
		}
		signed := route.Signed{Payload: payload, KeyID: id, Signature: sig}
		if _, err := route.Verify(signed, public); err != nil {
			t.Error(err)
		}
		signed.Payload = append([]byte(" "), payload...)
		if _, err := route.Verify(signed, public); !errors.Is(err, route.ErrSignature) {
			t.Errorf("altered payload: %v", err)
		}
		if _, err := a.Root.Write(ctx, a.Options.Mounts.Transit()+"/keys/router-routes/rotate", nil); err != nil {
			t.Fatal(err)
		}
	}
}

func agreementCredential(a *vaulttest.Agency, agreement, recipient string) compile.Credential {
	return compile.Credential{
		Agreement: agreement,
		Role:      compile.AgreementRole(agreement, recipient),
		Recipient: recipient,
		SPIFFEID:  compile.AgreementSPIFFEID(a.TrustDomain(), agreement, recipient),
		NotAfter:  time.Now().Add(24 * time.Hour),
	}
}

func newRequest(t *testing.T, tmpl *x509.CertificateRequest, key any) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Whatever a request asks for, the certificate is for the one SPIFFE ID and for client authentication.
func TestIssueAgreementCertificate(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "issuer")
	ctx := t.Context()
	cred := agreementCredential(a, "wage-check", "border-service")
	if err := a.Client.EnsureAgreementRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	bundle, err := a.Client.TrustBundle(ctx)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle))

	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	gateway, _ := url.Parse("spiffe://" + a.TrustDomain() + "/gateway")
	for name, request := range map[string][]byte{
		"plain":   newRequest(t, &x509.CertificateRequest{}, p256(t)),
		"Ed25519": newRequest(t, &x509.CertificateRequest{}, edKey),
		"greedy": newRequest(t, &x509.CertificateRequest{
			Subject:  pkix.Name{CommonName: "gateway", Organization: []string{"Somebody"}, SerialNumber: "1"},
			DNSNames: []string{"localhost", "gateway.example.gov"},
			URIs:     []*url.URL{gateway},
		}, p256(t)),
	} {
		t.Run(name, func(t *testing.T) {
			chain, expires, err := a.Client.IssueAgreementCertificate(ctx, "wage-check", "border-service", request, time.Now().Add(48*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(chain[0])
			if err != nil {
				t.Fatal(err)
			}
			if len(leaf.URIs) != 1 || leaf.URIs[0].String() != cred.SPIFFEID || len(leaf.DNSNames) > 0 || len(leaf.Subject.Names) > 0 {
				t.Errorf("URIs %v, names %v, subject %q", leaf.URIs, leaf.DNSNames, leaf.Subject)
			}
			if len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.IsCA {
				t.Errorf("usages %v %v", leaf.KeyUsage, leaf.ExtKeyUsage)
			}
			if left := time.Until(expires); left > time.Hour+time.Second || left < 59*time.Minute || !expires.Equal(leaf.NotAfter) {
				t.Errorf("lives %s", left)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				t.Errorf("does not verify with the trust bundle: %v", err)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
				t.Error("verifies as a server")
			}
		})
	}

	plain := newRequest(t, &x509.CertificateRequest{}, p256(t))
	_, expires, err := a.Client.IssueAgreementCertificate(ctx, "wage-check", "border-service", plain, time.Now().Add(10*time.Minute))
	if err != nil || time.Until(expires) > 10*time.Minute+2*time.Second {
		t.Errorf("an agreement that ends in 10 minutes: until %s, %v", expires, err)
	}
	if _, _, err := a.Client.IssueAgreementCertificate(ctx, "wage-check", "border-service", plain, time.Now()); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("an agreement that is over: %v", err)
	}
	if _, _, err := a.Client.IssueAgreementCertificate(ctx, "wage-check", "somebody-else", plain, time.Now().Add(time.Hour)); !errors.Is(err, gwvault.ErrInvalid) {
		t.Errorf("another recipient: %v", err)
	}
	if _, _, err := a.Client.IssueAgreementCertificate(ctx, "../sign/operator", "x", plain, time.Now().Add(time.Hour)); !errors.Is(err, vault.ErrName) {
		t.Errorf("another path: %v", err)
	}

	if err := a.Client.RevokeAgreementRole(ctx, cred.Role); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Client.IssueAgreementCertificate(ctx, "wage-check", "border-service", plain, time.Now().Add(time.Hour)); !errors.Is(err, gwvault.ErrInvalid) {
		t.Errorf("after revocation: %v", err)
	}
	if err := a.Client.RevokeAgreementRole(ctx, cred.Role); err != nil {
		t.Errorf("revoking again: %v", err)
	}
	if err := a.Client.EnsureAgreementRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	if roles, err := a.Client.ListRoles(ctx); err != nil || len(roles.Agreement) != 1 || roles.Agreement[0] != cred.Role {
		t.Errorf("roles: %+v, %v", roles, err)
	}
}

// The role itself, without the operator's checks around it, signs for no other name.
func TestAgreementRoleRefusesOtherNames(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "strict")
	ctx := t.Context()
	cred := agreementCredential(a, "wage-check", "border-service")
	if err := a.Client.EnsureAgreementRole(ctx, cred); err != nil {
		t.Fatal(err)
	}
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: newRequest(t, &x509.CertificateRequest{}, p256(t))}))
	path := a.Options.Mounts.PKI() + "/sign/" + cred.Role
	for name, req := range map[string]map[string]any{
		"another recipient": {"uri_sans": compile.AgreementSPIFFEID(a.TrustDomain(), "wage-check", "somebody-else")},
		"one more":          {"uri_sans": cred.SPIFFEID + ",spiffe://" + a.TrustDomain() + "/gateway"},
		"below":             {"uri_sans": cred.SPIFFEID + "/x"},
		"a common name":     {"uri_sans": cred.SPIFFEID, "common_name": "gateway"},
		"localhost":         {"uri_sans": cred.SPIFFEID, "common_name": "localhost"},
		"a DNS name":        {"uri_sans": cred.SPIFFEID, "alt_names": "localhost"},
		"an address":        {"uri_sans": cred.SPIFFEID, "ip_sans": "127.0.0.1"},
	} {
		req["csr"] = csr
		s, err := a.Root.Write(ctx, path, req)
		if err == nil {
			chain, _ := gwvault.SignedChain(s)
			t.Errorf("%s: signed %v %v", name, chain[0].URIs, chain[0].Subject)
		} else if !errors.Is(err, gwvault.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := a.Root.Write(ctx, path, map[string]any{"csr": csr, "uri_sans": cred.SPIFFEID, "ttl": "30h"})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := gwvault.SignedChain(s)
	if err != nil || time.Until(chain[0].NotAfter) > time.Hour+time.Second {
		t.Errorf("asked for 30 hours, got until %s, %v", chain[0].NotAfter, err)
	}
}

// A role that somebody changed is written again; one that is as it should be is left alone.
func TestEnsureMendsRole(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "mender")
	ctx := t.Context()
	cred := agreementCredential(a, "x", "y")
	path := a.Options.Mounts.PKI() + "/roles/" + cred.Role
	if err := a.Client.Ensure(ctx, cred); err != nil {
		t.Fatal(err)
	}
	if got := a.Client.RolePath(cred); got != path {
		t.Errorf("path %s, want %s", got, path)
	}
	stored, err := a.Root.Read(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if d := vault.Differences(vault.AgreementRoleFields(cred.SPIFFEID), stored.Data); len(d) > 0 {
		t.Errorf("what was written reads as different in %v", d)
	}
	for field := range stored.Data {
		if _, ok := vault.AgreementRoleFields("")[field]; !ok && field != "allow_token_displayname" {
			t.Errorf("the role has a field %s that is not written", field)
		}
	}
	if _, err := a.Root.Write(ctx, path, map[string]any{"allow_any_name": true}); err != nil {
		t.Fatal(err)
	}
	// As a new operator would: one that has just written it believes it for a while.
	fresh, err := vault.New(a.Operator, vault.Config{Agency: a.Name, TrustDomain: a.TrustDomain()})
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.Ensure(ctx, cred); err != nil {
		t.Fatal(err)
	}
	stored, err = a.Root.Read(ctx, path)
	if err != nil || stored.Data["allow_any_name"] != false || stored.Data["server_flag"] != false {
		t.Errorf("not mended: %v, %v", stored, err)
	}
	if err := a.Root.Delete(ctx, path); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Client.ListRoles(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Client.Ensure(ctx, cred); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Root.Read(ctx, path); err != nil {
		t.Errorf("a role that was seen to be gone is not written again: %v", err)
	}
}

// Operator and gateway are who they are to each other, and the gateway has the names that its users know.
func TestIdentity(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "identities")
	ctx := t.Context()
	id := gwvault.NewIdentity(a.Gateway, gwvault.IdentityConfig{
		Role:     gwvault.RoleGateway,
		SPIFFEID: "spiffe://" + a.TrustDomain() + "/gateway",
		Names:    []string{"gateway.identities.svc", "127.0.0.1"},
	})
	cert, err := id.Certificate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	again, err := id.Certificate(ctx)
	if err != nil || again != cert {
		t.Error("a second call makes a second certificate")
	}
	bundle, err := id.TrustBundle(ctx)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(bundle)) {
		t.Fatal("no trust bundle")
	}
	for _, name := range []string{"gateway.identities.svc", "127.0.0.1"} {
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("as server %s: %v", name, err)
		}
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("as client: %v", err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: id.GetCertificate, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_ = c.(*tls.Conn).Handshake()
		}
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: roots, GetClientCertificate: id.GetClientCertificate})
	if err != nil {
		t.Errorf("handshake: %v", err)
	} else {
		c.Close()
	}

	operator := gwvault.NewIdentity(a.Operator, gwvault.IdentityConfig{Role: gwvault.RoleOperator, SPIFFEID: "spiffe://" + a.TrustDomain() + "/operator"})
	if _, err := operator.Certificate(ctx); err != nil {
		t.Error(err)
	}
	posing := gwvault.NewIdentity(a.Operator, gwvault.IdentityConfig{Role: gwvault.RoleOperator, SPIFFEID: "spiffe://" + a.TrustDomain() + "/gateway"})
	if _, err := posing.Certificate(ctx); !errors.Is(err, gwvault.ErrInvalid) {
		t.Errorf("the operator as gateway: %v", err)
	}
}

// Run replaces the certificate before it ends.
func TestIdentityRotates(t *testing.T) {
	a := vaulttest.NewBootstrapped(t, "rotation")
	id := gwvault.NewIdentity(a.Gateway, gwvault.IdentityConfig{Role: gwvault.RoleGateway, SPIFFEID: "spiffe://" + a.TrustDomain() + "/gateway", TTL: 3 * time.Second})
	go func() { _ = id.Run(t.Context()) }()
	seen := map[string]bool{}
	began := time.Now()
	deadline := began.Add(2 * time.Minute)
	for len(seen) < 3 && time.Now().Before(deadline) {
		cert, err := id.Certificate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen[base64.StdEncoding.EncodeToString(cert.Certificate[0])] = true
		time.Sleep(50 * time.Millisecond)
	}
	if len(seen) < 3 {
		t.Errorf("%d certificates in two minutes of 3 s each", len(seen))
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("two rotations in %s", took)
	}
}
