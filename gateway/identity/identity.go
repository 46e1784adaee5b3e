// Package identity holds the SPIFFE IDs of Entente's processes and the TLS configurations that verify them. Every peer is
// verified against the bundle of one trust domain and matched by its exact ID: belonging to a trust domain proves nothing
// about what a process may do.
package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// Own is the gateway's own identity: its certificate, which rotates, and its agency's trust bundle. Both are asked for at
// every handshake and must answer at once; ctx is the handshake's.
type Own interface {
	// Certificate for spiffe://<own trust domain>/gateway.
	Certificate(ctx context.Context) (*tls.Certificate, error)
	// TrustBundle is the PEM bundle that vouches for the agency's own SPIFFE IDs, agreement credentials among them.
	TrustBundle(ctx context.Context) (string, error)
}

// GatewayID is the ID of an agency's gateways.
func GatewayID(trustDomain string) string { return "spiffe://" + trustDomain + "/gateway" }

// OperatorID is the ID of an agency's operator.
func OperatorID(trustDomain string) string { return "spiffe://" + trustDomain + "/operator" }

// AgreementID is the ID in an agreement credential: issued by the source's authority, held by the recipient's gateway.
func AgreementID(sourceTrustDomain, agreement, recipient string) string {
	return "spiffe://" + sourceTrustDomain + "/agreement/" + agreement + "/recipient/" + recipient
}

// ParseAgreementID takes an agreement credential's ID apart; ok is false for any other ID and for another trust domain.
func ParseAgreementID(id, sourceTrustDomain string) (agreement, recipient string, ok bool) {
	rest, ok := strings.CutPrefix(id, "spiffe://"+sourceTrustDomain+"/agreement/")
	if !ok {
		return "", "", false
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 3 || parts[0] == "" || parts[1] != "recipient" || parts[2] == "" {
		return "", "", false
	}
	return parts[0], parts[2], true
}

// Bundle parses a PEM bundle of one trust domain.
func Bundle(trustDomain, pem string) (*x509bundle.Bundle, error) {
	td, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return nil, fmt.Errorf("trust domain %q: %w", trustDomain, err)
	}
	b, err := x509bundle.Parse(td, []byte(pem))
	if err != nil {
		return nil, fmt.Errorf("trust bundle of %s: %w", trustDomain, err)
	}
	if b.Empty() {
		return nil, fmt.Errorf("trust bundle of %s is empty", trustDomain)
	}
	return b, nil
}

// errNoCertificate keeps handshake errors short: what a stranger sent is not repeated.
var errNoCertificate = errors.New("the peer sent no certificate")

// Verify verifies a peer's chain against the bundle of one trust domain and returns its SPIFFE ID.
func Verify(certificates []*x509.Certificate, bundle *x509bundle.Bundle, now time.Time) (string, error) {
	if len(certificates) == 0 {
		return "", errNoCertificate
	}
	id, _, err := x509svid.Verify(certificates, bundle, x509svid.WithTime(now))
	if err != nil {
		return "", err
	}
	return id.String(), nil
}

// ClientConfig is for connecting to one process: the server must show exactly the ID want, vouched for by bundle.
// certificate gives this side's certificate at each handshake.
func ClientConfig(want string, bundle *x509bundle.Bundle, certificate func(context.Context) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Names mean nothing here; VerifyConnection replaces the check, and unlike VerifyPeerCertificate it also runs
		// when a session is resumed.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			id, err := Verify(cs.PeerCertificates, bundle, time.Now())
			if err != nil {
				return err
			}
			if id != want {
				return fmt.Errorf("the server is %s, not %s", id, want)
			}
			return nil
		},
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate(r.Context())
		},
	}
}

// ServerConfig is for the listener of an Own identity: clients must show a certificate that its bundle vouches for and
// whose ID accept takes.
func ServerConfig(own Own, trustDomain string, accept func(id string) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return own.Certificate(h.Context())
		},
		// A resumed session would carry a trust decision past the end of a bundle.
		SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			pem, err := own.TrustBundle(context.Background())
			if err != nil {
				return fmt.Errorf("own trust bundle: %w", err)
			}
			bundle, err := Bundle(trustDomain, pem)
			if err != nil {
				return err
			}
			id, err := Verify(cs.PeerCertificates, bundle, time.Now())
			if err != nil {
				return err
			}
			return accept(id)
		},
	}
}
