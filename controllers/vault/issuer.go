package vault

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/entente-dev/entente/controllers/compile"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// Why an agreement certificate is not issued, for a caller that branches; other errors are those of gateway/vault.
var (
	// ErrRequest: the certificate request is malformed, not signed by its key, or for a kind of key that is not allowed.
	ErrRequest = errors.New("vault: certificate request not acceptable")
	// ErrExpired: the agreement ends too soon for a certificate.
	ErrExpired = errors.New("vault: agreement is over")
	// ErrCertificate: Vault signed something other than what was asked for. It is thrown away.
	ErrCertificate = errors.New("vault: certificate is not what was asked for")
)

// maxRequest is the largest certificate request looked at, in bytes; one without extensions has about 200.
const maxRequest = 4096

// IssueAgreementCertificate implements keys.Issuer. The role must have been written: whether the agreement is in force is
// decided before, and ended by RevokeAgreementRole. A missing role is ErrInvalid or ErrNotFound of gateway/vault.
func (c *Client) IssueAgreementCertificate(ctx context.Context, agreement, recipient string, request []byte, notAfter time.Time) ([][]byte, time.Time, error) {
	if !nameRE.MatchString(agreement) || !nameRE.MatchString(recipient) {
		return nil, time.Time{}, fmt.Errorf("%w: agreement %q, recipient %q", ErrName, agreement, recipient)
	}
	csr, err := CheckRequest(request)
	if err != nil {
		return nil, time.Time{}, err
	}
	ttl := min(MaxCredentialTTL, time.Until(notAfter)).Truncate(time.Second)
	if ttl < time.Second {
		return nil, time.Time{}, fmt.Errorf("%w: it ended %s", ErrExpired, notAfter.UTC().Format(time.RFC3339))
	}
	id := compile.AgreementSPIFFEID(c.cfg.TrustDomain, agreement, recipient)
	latest := time.Now().Add(ttl)
	path := c.mounts.PKI() + "/sign/" + compile.AgreementRole(agreement, recipient)
	secret, err := c.Write(ctx, path, map[string]any{
		"csr":      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr.Raw})),
		"uri_sans": id,
		"ttl":      fmt.Sprintf("%ds", ttl/time.Second),
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	chain, err := gwvault.SignedChain(secret)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	// A second of grace each for Vault's clock and for its rounding.
	if err := checkCertificate(chain[0], csr, id, latest.Add(2*time.Second)); err != nil {
		return nil, time.Time{}, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	der := make([][]byte, 0, len(chain))
	for _, cert := range chain {
		der = append(der, cert.Raw)
	}
	return der, chain[0].NotAfter, nil
}

// CheckRequest parses a certificate request, checks that whoever made it has the key, and that the key is P-256, P-384 or
// Ed25519. Nothing else in the request counts: what the certificate says is decided here, not by the requester.
func CheckRequest(der []byte) (*x509.CertificateRequest, error) {
	if len(der) > maxRequest {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRequest, len(der), maxRequest)
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
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return csr, nil
}

func checkCertificate(leaf *x509.Certificate, csr *x509.CertificateRequest, id string, latest time.Time) error {
	switch {
	case !bytes.Equal(leaf.RawSubjectPublicKeyInfo, csr.RawSubjectPublicKeyInfo):
		return errors.New("it is for another key")
	case len(leaf.URIs) != 1 || leaf.URIs[0].String() != id:
		return fmt.Errorf("its URIs are %v, asked for %s", leaf.URIs, id)
	case len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) > 0:
		return errors.New("it has further names")
	case len(leaf.Subject.Names) > 0:
		return fmt.Errorf("its subject is %s instead of empty", leaf.Subject)
	case leaf.IsCA:
		return errors.New("it is an authority")
	case len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(leaf.UnknownExtKeyUsage) > 0:
		return errors.New("it is for more than client authentication")
	case leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return errors.New("it may sign certificates")
	case leaf.NotAfter.After(latest):
		return fmt.Errorf("it lives until %s, asked for %s", leaf.NotAfter.Format(time.RFC3339), latest.Format(time.RFC3339))
	}
	return nil
}
