package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
)

// credential is an agreement credential: a key that was made here and never leaves, and the source's certificate for it.
type credential struct {
	certificate *tls.Certificate
	notBefore   time.Time
	notAfter    time.Time
}

// renewAt is when two thirds of the credential's life are over: a third is left in which the source's exchange may be away.
func (c *credential) renewAt() time.Time {
	return c.notBefore.Add(c.notAfter.Sub(c.notBefore) * 2 / 3)
}

// usableUntil is a little before the end, so that a request does not arrive at the source after it.
func (c *credential) usableUntil() time.Time {
	return c.notAfter.Add(-min(c.notAfter.Sub(c.notBefore)/10, 10*time.Second))
}

// issueTimeout bounds one issue, connection included.
const issueTimeout = 10 * time.Second

// Issuer gets agreement credentials from the source agency.
type Issuer interface {
	// IssueCertificate sends a certificate request (PKCS #10, DER) to the exchange of source and returns the chain.
	IssueCertificate(ctx context.Context, source route.Peer, agreement string, request []byte) (chain [][]byte, err error)
}

// Exchange is the Issuer that asks the source's operator over the network, as this agency's gateway.
type Exchange struct {
	Own identity.Own
}

// IssueCertificate implements Issuer. A connection lives for one call: one is needed about every forty minutes.
func (e Exchange) IssueCertificate(ctx context.Context, source route.Peer, agreement string, request []byte) ([][]byte, error) {
	if source.Exchange == "" {
		return nil, errors.New("the source publishes no exchange endpoint")
	}
	bundle, err := identity.Bundle(source.TrustDomain, source.TrustBundle)
	if err != nil {
		return nil, err
	}
	config := identity.ClientConfig(identity.OperatorID(source.TrustDomain), bundle, e.Own.Certificate)
	conn, err := grpc.NewClient("passthrough:///"+source.Exchange, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	resp, err := exchangev1.NewExchangeServiceClient(conn).IssueCertificate(ctx, &exchangev1.IssueCertificateRequest{
		Agreement: agreement, CertificateRequest: request,
	})
	if err != nil {
		return nil, err
	}
	return resp.GetCertificates(), nil
}

// Obtain makes a key and gets an agreement credential for it, as a gateway does before its first request to the source.
func Obtain(ctx context.Context, issuer Issuer, self route.Party, source route.Peer, agreement string, now time.Time) (*tls.Certificate, error) {
	c, err := issue(ctx, issuer, self, source, agreement, now)
	if err != nil {
		return nil, err
	}
	return c.certificate, nil
}

// issue makes a key and gets a certificate for it.
func issue(ctx context.Context, issuer Issuer, self route.Party, source route.Peer, agreement string, now time.Time) (*credential, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	// The source takes only the public key and its proof of possession; any name in the request would be ignored.
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	chain, err := issuer.IssueCertificate(ctx, source, agreement, request)
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 {
		return nil, errors.New("the source's exchange answered without a certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("the source's exchange answered with a certificate that does not parse: %w", err)
	}
	if pub, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return nil, errors.New("the source's exchange certified another key")
	}
	want := identity.AgreementID(source.TrustDomain, agreement, self.Agency)
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != want {
		return nil, fmt.Errorf("the source's exchange certified another identity than %s", want)
	}
	if !now.Before(leaf.NotAfter) {
		return nil, errors.New("the source's exchange issued a certificate that is over already: compare the clocks")
	}
	notBefore := leaf.NotBefore
	if notBefore.Before(now) {
		notBefore = now // issuers backdate; what counts for renewal is the life that is left
	}
	return &credential{
		certificate: &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf},
		notBefore:   notBefore,
		notAfter:    leaf.NotAfter,
	}, nil
}
