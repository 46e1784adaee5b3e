package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/entente-dev/entente/gateway/server"
)

// provider is an OpenID Connect provider over real HTTPS.
type provider struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newProvider(t *testing.T) *provider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p := &provider{key: key}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":"https://x/","token_endpoint":"https://x/","id_token_signing_alg_values_supported":["ES256"]}`, p.URL, p.URL+"/keys")
		case "/keys":
			json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) token(t *testing.T, key *ecdsa.PrivateKey, claims map[string]any) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	must(t, err)
	all := map[string]any{"iss": p.URL, "aud": "entente", "sub": "u-1", "preferred_username": "bob", "groups": []string{"analysts"}, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	for k, v := range claims {
		all[k] = v
	}
	token, err := jwt.Signed(s).Claims(all).Serialize()
	must(t, err)
	return token
}

func TestOIDC(t *testing.T) {
	p := newProvider(t)
	cas := x509.NewCertPool()
	cas.AddCert(p.Certificate())
	_, rec := pair(t, options{oidc: &server.OIDC{IssuerURL: p.URL, ClientID: "entente", UsernameClaim: "preferred_username", GroupsClaim: "groups", CAs: cas}})
	c := rec.client("")
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	none, _ := json.Marshal(map[string]any{"alg": "none"})
	for _, tt := range []struct {
		name, authorization string
		code                int
	}{
		{"good", "Bearer " + p.token(t, p.key, nil), 200},
		{"lower-case scheme", "bearer " + p.token(t, p.key, nil), 200},
		{"expired", "Bearer " + p.token(t, p.key, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), 401},
		{"for another application", "Bearer " + p.token(t, p.key, map[string]any{"aud": "payroll"}), 401},
		{"of another issuer", "Bearer " + p.token(t, p.key, map[string]any{"iss": "https://elsewhere.example"}), 401},
		{"signed by another key", "Bearer " + p.token(t, other, nil), 401},
		{"without a user", "Bearer " + p.token(t, p.key, map[string]any{"preferred_username": ""}), 401},
		{"a user that is no string", "Bearer " + p.token(t, p.key, map[string]any{"preferred_username": 7}), 401},
		{"unsigned", "Bearer " + b64(none) + "." + strings.Split(p.token(t, p.key, nil), ".")[1] + ".", 401},
		{"no token", "Bearer ", 401},
		{"another scheme", "Basic Ym9iOmJvYg==", 401},
		{"huge", "Bearer " + strings.Repeat("x", 20000), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, body := rec.post(c, "/v1/query", q(`person_number == "P000042"`), "Authorization", tt.authorization)
			if code != tt.code {
				t.Errorf("%d %s", code, body)
			}
		})
	}
	log := rec.records()
	if len(log) != 4 || log[0].LocalUser != p.URL+":bob" {
		t.Errorf("log %+v", log)
	}
	// A bad token is not saved by a good certificate.
	if code, _, _ := rec.post(rec.client("alice"), "/v1/query", q(`person_number == "P000042"`), "Authorization", "Bearer nonsense"); code != 401 {
		t.Errorf("%d", code)
	}
}

func TestOIDCProviderDown(t *testing.T) {
	p := newProvider(t)
	token := p.token(t, p.key, nil)
	_, rec := pair(t, options{oidc: &server.OIDC{IssuerURL: "https://127.0.0.1:1", ClientID: "entente"}})
	code, _, body := rec.post(rec.client(""), "/v1/query", q(`person_number == "P000042"`), "Authorization", "Bearer "+token)
	if code != 503 || !strings.Contains(body, "IdentityProvider") {
		t.Errorf("%d %s", code, body)
	}
	// Certificates go on working.
	if code, _ := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`)); code != 200 {
		t.Errorf("%d", code)
	}
}
