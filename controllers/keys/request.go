package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
)

// ErrRequest is that of a certificate request for which no Issuer issues anything: asking again does not help.
var ErrRequest = errors.New("certificate request not acceptable")

// MaxRequest is the largest certificate request looked at, in bytes; one of P-256 without extensions has about 200.
const MaxRequest = 4096

// CheckRequest parses a certificate request (PKCS #10, DER), checks that whoever made it has the key, and that the key is P-256, P-384
// or Ed25519. Nothing else in the request counts: what the certificate says is decided by the Issuer, not by the requester. Its errors
// are ErrRequest.
func CheckRequest(der []byte) (*x509.CertificateRequest, error) {
	if n := len(der); n == 0 || n > MaxRequest {
		return nil, fmt.Errorf("%w: %d bytes, from 1 to %d are taken", ErrRequest, n, MaxRequest)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	switch k := csr.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, fmt.Errorf("%w: curve %s, allowed are P-256 and P-384", ErrRequest, k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return nil, fmt.Errorf("%w: %s key, allowed are ECDSA and Ed25519", ErrRequest, csr.PublicKeyAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: it does not prove possession of its key: %w", ErrRequest, err)
	}
	return csr, nil
}
