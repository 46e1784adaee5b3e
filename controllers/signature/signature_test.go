package signature

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
)

const (
	agency     = "state-police"
	digest     = "sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	vectorFile = "testdata/vectors.json"
)

var (
	at     = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	claims = Claims{Digest: digest, Decision: v1alpha1.DecisionAccept, Agency: agency, DecidedAt: at}
)

// signer holds one key, made from a seed.
type signer struct {
	key crypto.Signer
	alg string
}

func newSigner(alg string) signer {
	seed := sha256.Sum256([]byte("test key " + alg))
	if alg == EdDSA {
		return signer{ed25519.NewKeyFromSeed(seed[:]), alg}
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		panic(err)
	}
	return signer{key, alg}
}

func (s signer) Current(context.Context) (keys.Key, error) {
	return keys.Key{ID: "police-" + s.alg, Algorithm: s.alg}, nil
}

func (s signer) Sign(_ context.Context, _ keys.Key, input []byte) ([]byte, error) {
	if k, ok := s.key.(*ecdsa.PrivateKey); ok {
		sum := sha256.Sum256(input)
		r, v, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...), nil
	}
	return s.key.Sign(rand.Reader, input, crypto.Hash(0))
}

func (s signer) Public(context.Context) (*v1alpha1.KeySet, error) { return set(s), nil }

// set is the key set of these signers.
func set(signers ...signer) *v1alpha1.KeySet {
	var out v1alpha1.KeySet
	for _, s := range signers {
		k, err := JWK("police-"+s.alg, s.key.Public())
		if err != nil {
			panic(err)
		}
		out.Keys = append(out.Keys, k)
	}
	return &out
}

var both = []signer{newSigner(ES256), newSigner(EdDSA)}

func TestRoundTrip(t *testing.T) {
	for _, s := range both {
		t.Run(s.alg, func(t *testing.T) {
			jws, err := Sign(t.Context(), s, claims)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Verify(jws, agency, set(both...))
			if err != nil || got != claims {
				t.Fatalf("got %+v, %v", got, err)
			}
		})
	}
}

// TestAnotherImplementation: what we sign, go-jose verifies with the JSON form of our key set.
func TestAnotherImplementation(t *testing.T) {
	text, err := json.Marshal(set(both...))
	if err != nil {
		t.Fatal(err)
	}
	var other jose.JSONWebKeySet
	if err := json.Unmarshal(text, &other); err != nil {
		t.Fatal(err)
	}
	for _, s := range both {
		jws, err := Sign(t.Context(), s, claims)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		body, err := parsed.Verify(other)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"agency":"state-police","decidedAt":"2026-02-03T04:05:06Z","decision":"Accept","digest":"` + digest + `"}`
		if string(body) != want {
			t.Errorf("%s: payload %s, want %s", s.alg, body, want)
		}
	}
}

// vectors are signatures that every later release must verify.
type vectors struct {
	Agency  string           `json:"agency"`
	Keys    *v1alpha1.KeySet `json:"keys"`
	Vectors []vector         `json:"vectors"`
}

type vector struct {
	JWS       string    `json:"jws"`
	Digest    string    `json:"digest"`
	DecidedAt time.Time `json:"decidedAt"`
}

var add = flag.Bool("add-vectors", false, "add vectors of this release's format to "+vectorFile)

func TestVectors(t *testing.T) {
	v := readVectors(t)
	if *add {
		v.Agency, v.Keys = agency, set(both...)
		for _, s := range both {
			jws, err := Sign(t.Context(), s, claims)
			if err != nil {
				t.Fatal(err)
			}
			v.Vectors = append(v.Vectors, vector{jws, digest, at})
		}
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, x := range v.Vectors {
		got, err := Verify(x.JWS, v.Agency, v.Keys)
		if want := (Claims{Digest: x.Digest, Decision: v1alpha1.DecisionAccept, Agency: v.Agency, DecidedAt: x.DecidedAt}); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", x.JWS, got, err, want)
		}
	}
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	text, err := os.ReadFile(vectorFile)
	if errors.Is(err, os.ErrNotExist) {
		return vectors{}
	}
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// forge signs any header and payload, well or not.
func forge(t testing.TB, s signer, head, body string) string {
	t.Helper()
	input := encoding.EncodeToString([]byte(head)) + "." + encoding.EncodeToString([]byte(body))
	raw, err := s.Sign(t.Context(), keys.Key{}, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encoding.EncodeToString(raw)
}

func TestVerifyRefuses(t *testing.T) {
	ed := both[1]
	const (
		head = `{"alg":"EdDSA","kid":"police-EdDSA","typ":"entente-agreement+jws","ver":1}`
		body = `{"agency":"state-police","decidedAt":"2026-02-03T04:05:06Z","decision":"Accept","digest":"` + digest + `"}`
	)
	good := forge(t, ed, head, body)
	if _, err := Verify(good, agency, set(both...)); err != nil {
		t.Fatal(err)
	}
	in := func(s, old, new string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("%s is not in %s", old, s)
		}
		return strings.Replace(s, old, new, 1)
	}
	parts := strings.Split(good, ".")
	es, err := Sign(t.Context(), both[0], claims)
	if err != nil {
		t.Fatal(err)
	}
	twice := set(ed, ed)
	otherAlg := set(ed)
	otherAlg.Keys[0].Algorithm = ES256
	swapped := set(both...)
	swapped.Keys[0].KeyID, swapped.Keys[1].KeyID = swapped.Keys[1].KeyID, swapped.Keys[0].KeyID

	for name, c := range map[string]struct {
		jws  string
		keys *v1alpha1.KeySet
		want error
	}{
		"nothing":                {"", nil, ErrMalformed},
		"two parts":              {parts[0] + "." + parts[1], nil, ErrMalformed},
		"four parts":             {good + ".AA", nil, ErrMalformed},
		"too long":               {strings.Repeat("A", MaxSize+1), nil, ErrMalformed},
		"line break":             {parts[0] + ".\n" + parts[1] + "." + parts[2], nil, ErrMalformed},
		"padding":                {good + "=", nil, ErrMalformed},
		"stray bits":             {good[:len(good)-1] + string(good[len(good)-1]+1), nil, ErrMalformed},
		"short signature":        {parts[0] + "." + parts[1] + ".AAAA", nil, ErrMalformed},
		"header not an object":   {forge(t, ed, `[]`, body), nil, ErrMalformed},
		"header null":            {forge(t, ed, `null`, body), nil, ErrMalformed},
		"alg none":               {forge(t, ed, in(head, "EdDSA", "none"), body), nil, ErrMalformed},
		"alg HS256":              {forge(t, ed, in(head, "EdDSA", "HS256"), body), nil, ErrMalformed},
		"alg of another key":     {forge(t, ed, in(head, `"alg":"EdDSA"`, `"alg":"ES256"`), body), nil, ErrSignature},
		"no kid":                 {forge(t, ed, in(head, `"kid":"police-EdDSA",`, ""), body), nil, ErrUnknownKey},
		"unknown kid":            {forge(t, ed, in(head, "police-EdDSA", "other"), body), nil, ErrUnknownKey},
		"kid of the other key":   {forge(t, ed, in(head, "police-EdDSA", "police-ES256"), body), nil, ErrSignature},
		"other typ":              {forge(t, ed, in(head, Type, "JWT"), body), nil, ErrMalformed},
		"later version":          {forge(t, ed, in(head, `"ver":1`, `"ver":2`), body), nil, ErrMalformed},
		"no version":             {forge(t, ed, in(head, `,"ver":1`, ""), body), nil, ErrMalformed},
		"crit":                   {forge(t, ed, in(head, `"ver":1`, `"ver":1,"crit":["b64"],"b64":false`), body), nil, ErrMalformed},
		"unknown header member":  {forge(t, ed, in(head, `"ver":1`, `"ver":1,"jku":"https://example.org"`), body), nil, ErrMalformed},
		"header member twice":    {forge(t, ed, in(head, `"ver":1`, `"ver":1,"ver":1`), body), nil, ErrMalformed},
		"header member's case":   {forge(t, ed, in(head, `"alg"`, `"Alg"`), body), nil, ErrMalformed},
		"text after the header":  {forge(t, ed, head+"{}", body), nil, ErrMalformed},
		"other payload":          {parts[0] + "." + encoding.EncodeToString([]byte(in(body, "Accept", "Reject"))) + "." + parts[2], nil, ErrSignature},
		"another agency":         {forge(t, ed, head, in(body, agency, "border-service")), nil, ErrClaims},
		"Reject":                 {forge(t, ed, head, in(body, "Accept", "Reject")), nil, ErrClaims},
		"unknown claim":          {forge(t, ed, head, in(body, `{`, `{"only":"for a day",`)), nil, ErrClaims},
		"claim twice":            {forge(t, ed, head, in(body, `{`, `{"decision":"Accept",`)), nil, ErrClaims},
		"claim's case":           {forge(t, ed, head, in(body, `"digest"`, `"Digest"`)), nil, ErrClaims},
		"no digest":              {forge(t, ed, head, in(body, digest, "")), nil, ErrClaims},
		"null digest":            {forge(t, ed, head, in(body, `"`+digest+`"`, "null")), nil, ErrClaims},
		"time in another zone":   {forge(t, ed, head, in(body, "06Z", "06+00:00")), nil, ErrClaims},
		"fraction of a second":   {forge(t, ed, head, in(body, "06Z", "06.5Z")), nil, ErrClaims},
		"no keys":                {good, &v1alpha1.KeySet{}, ErrUnknownKey},
		"the id twice":           {good, twice, ErrUnknownKey},
		"key for another alg":    {good, otherAlg, ErrSignature},
		"ES256 with swapped ids": {es, swapped, ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			if c.keys == nil {
				c.keys = set(both...)
			}
			if got, err := Verify(c.jws, agency, c.keys); !errors.Is(err, c.want) {
				t.Errorf("got %+v, %v, want %v", got, err, c.want)
			}
		})
	}
	if _, err := Verify(good, agency, nil); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without a key set: %v", err)
	}
	if _, err := Verify(good, "", set(both...)); !errors.Is(err, ErrClaims) {
		t.Errorf("for no agency: %v", err)
	}
}

func TestSignRefuses(t *testing.T) {
	for name, change := range map[string]func(*Claims){
		"Reject":    func(c *Claims) { c.Decision = v1alpha1.DecisionReject },
		"no agency": func(c *Claims) { c.Agency = "" },
		"no digest": func(c *Claims) { c.Digest = "" },
		"no time":   func(c *Claims) { c.DecidedAt = time.Time{} },
	} {
		c := claims
		change(&c)
		if jws, err := Sign(t.Context(), both[0], c); !errors.Is(err, ErrClaims) {
			t.Errorf("%s: got %q, %v", name, jws, err)
		}
	}
	if jws, err := Sign(t.Context(), signer{both[1].key, "HS256"}, claims); err == nil {
		t.Errorf("HS256: got %q", jws)
	}
}

func TestJWK(t *testing.T) {
	for _, s := range both {
		k := set(s).Keys[0]
		public, err := PublicKey(k)
		if err != nil {
			t.Fatal(err)
		}
		if !public.(interface{ Equal(crypto.PublicKey) bool }).Equal(s.key.Public()) {
			t.Errorf("%s: another key came back", s.alg)
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := JWK("a", p384.Public()); err == nil {
		t.Error("P-384 passes")
	}
	if _, err := JWK("", both[0].key.Public()); err == nil {
		t.Error("a key without an id passes")
	}
	ec, okp := set(both[0]).Keys[0], set(both[1]).Keys[0]
	for name, k := range map[string]v1alpha1.JSONWebKey{
		"not on the curve":  {KeyType: "EC", Curve: "P-256", Algorithm: ES256, X: ec.X, Y: ec.X},
		"y of an OKP":       {KeyType: "OKP", Curve: "Ed25519", Algorithm: EdDSA, X: okp.X, Y: ec.Y},
		"no y":              {KeyType: "EC", Curve: "P-256", Algorithm: ES256, X: ec.X},
		"short x":           {KeyType: "OKP", Curve: "Ed25519", Algorithm: EdDSA, X: "AAAA"},
		"alg of another":    {KeyType: "OKP", Curve: "Ed25519", Algorithm: ES256, X: okp.X},
		"for encryption":    {KeyType: "OKP", Curve: "Ed25519", Algorithm: EdDSA, X: okp.X, Use: "enc"},
		"line break in a x": {KeyType: "OKP", Curve: "Ed25519", Algorithm: EdDSA, X: okp.X[:42] + "\n"},
	} {
		if _, err := PublicKey(k); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// FuzzVerify: whatever verifies is exactly what we signed; nothing panics.
func FuzzVerify(f *testing.F) {
	for _, v := range readVectors(f).Vectors {
		f.Add(v.JWS)
	}
	f.Add("e30.e30.AA")
	valid := map[string]bool{}
	for _, v := range readVectors(f).Vectors {
		valid[v.JWS[:strings.LastIndexByte(v.JWS, '.')]] = true
	}
	keys := set(both...)
	f.Fuzz(func(t *testing.T, jws string) {
		if c, err := Verify(jws, agency, keys); err == nil && !valid[jws[:strings.LastIndexByte(jws, '.')]] {
			t.Errorf("%q verifies as %+v", jws, c)
		}
	})
}

// FuzzRoundTrip: whatever may be signed verifies as what it was.
func FuzzRoundTrip(f *testing.F) {
	f.Add(agency, digest, int64(1_770_000_000))
	f.Add("a\"\u2028<", digest, int64(1))
	keys := set(both...)
	f.Fuzz(func(t *testing.T, agency, digest string, at int64) {
		for _, s := range both {
			c := Claims{Digest: digest, Decision: v1alpha1.DecisionAccept, Agency: agency, DecidedAt: time.Unix(at, 0).UTC()}
			jws, err := Sign(t.Context(), s, c)
			if err != nil {
				return
			}
			if got, err := Verify(jws, agency, keys); err != nil || got != c {
				t.Errorf("signed %+v, got %+v, %v", c, got, err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, s := range both {
		jws, err := Sign(b.Context(), s, claims)
		if err != nil {
			b.Fatal(err)
		}
		keys := set(both...)
		b.Run(s.alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Verify(jws, agency, keys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
