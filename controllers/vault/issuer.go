package vault

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/keys"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// Why an agreement certificate is not issued, for a caller that branches; other errors are keys.ErrRequest and those of gateway/vault.
var (
	// ErrExpired: the agreement ends too soon for a certificate.
	ErrExpired = errors.New("vault: agreement is over")
	// ErrCertificate: Vault signed something other than what was asked for. It is thrown away.
	ErrCertificate = errors.New("vault: certificate is not what was asked for")
)

// IssueAgreementCertificate implements keys.Issuer. The role must have been written: whether the agreement is in force is
// decided before, and ended by RevokeAgreementRole. A missing role is ErrInvalid or ErrNotFound of gateway/vault.
func (c *Client) IssueAgreementCertificate(ctx context.Context, agreement, recipient string, request []byte, notAfter time.Time) ([][]byte, time.Time, error) {
	if !nameRE.MatchString(agreement) || !nameRE.MatchString(recipient) {
		return nil, time.Time{}, fmt.Errorf("%w: agreement %q, recipient %q", ErrName, agreement, recipient)
	}
	csr, err := keys.CheckRequest(request)
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
