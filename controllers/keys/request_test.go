package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/entente-dev/entente/controllers/keys"
)

func newRequest(t *testing.T, template *x509.CertificateRequest, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCheckRequest(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.CheckRequest(newRequest(t, &x509.CertificateRequest{}, good)); err != nil {
		t.Error(err)
	}
	tampered := newRequest(t, &x509.CertificateRequest{}, good)
	tampered[len(tampered)-1] ^= 1
	many := make([]string, 300)
	for i := range many {
		many[i] = strings.Repeat("x", 50)
	}
	for name, der := range map[string][]byte{
		"RSA":       newRequest(t, &x509.CertificateRequest{}, rsaKey),
		"P-224":     newRequest(t, &x509.CertificateRequest{}, p224),
		"tampered":  tampered,
		"not DER":   []byte("hello"),
		"empty":     nil,
		"too large": newRequest(t, &x509.CertificateRequest{DNSNames: many}, good),
	} {
		if _, err := keys.CheckRequest(der); !errors.Is(err, keys.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
