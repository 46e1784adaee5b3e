package local

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/gateway/identity"
)

// maxAgreementLife is the longest life of an agreement credential.
const maxAgreementLife = time.Hour

// nameForm keeps an agreement's or an agency's name from being more than one element of a path.
var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// IssueAgreementCertificate implements keys.Issuer.
func (s *Store) IssueAgreementCertificate(_ context.Context, agreement, recipient string, request []byte, notAfter time.Time) ([][]byte, time.Time, error) {
	if !nameForm.MatchString(agreement) || !nameForm.MatchString(recipient) {
		return nil, time.Time{}, fmt.Errorf("no certificate for agreement %q and recipient %q: not names", agreement, recipient)
	}
	csr, err := keys.CheckRequest(request)
	if err != nil {
		return nil, time.Time{}, err
	}
	id, err := url.Parse(identity.AgreementID(s.trustDomain, agreement, recipient))
	if err != nil {
		return nil, time.Time{}, err
	}
	now := s.now()
	expires := now.Add(maxAgreementLife)
	if expires.After(notAfter) {
		expires = notAfter
	}
	// A certificate counts whole seconds; rounding up would outlive the agreement.
	expires = expires.UTC().Truncate(time.Second)
	if !now.Before(expires) {
		return nil, time.Time{}, errors.New("the agreement is over")
	}
	der, err := s.agency.sign(&x509.Certificate{
		URIs:        []*url.URL{id},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, csr.PublicKey, expires)
	if err != nil {
		return nil, time.Time{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, time.Time{}, err
	}
	return [][]byte{der}, leaf.NotAfter, nil
}

// TrustBundle implements keys.Issuer.
func (s *Store) TrustBundle(context.Context) (string, error) { return s.agency.bundle(), nil }
