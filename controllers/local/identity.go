package local

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/entente-dev/entente/gateway/identity"
)

// identityLife is the life of a process's own certificate.
const identityLife = time.Hour

// Identity is the identity of one of the agency's own processes. Its key is made here, stays in memory, and is new with
// every certificate; a certificate is replaced by the first handshake after two thirds of its life.
type Identity struct {
	store *Store
	id    string
	names []string

	mu      sync.Mutex
	current *tls.Certificate // guarded by mu
	renewAt time.Time        // guarded by mu
}

var _ identity.Own = (*Identity)(nil)

// GatewayIdentity is that of the agency's gateway; local clients know it by the names, DNS names or IP addresses.
func (s *Store) GatewayIdentity(names ...string) *Identity {
	return &Identity{store: s, id: identity.GatewayID(s.trustDomain), names: names}
}

// OperatorIdentity is that of the agency's exchange.
func (s *Store) OperatorIdentity() *Identity {
	return &Identity{store: s, id: identity.OperatorID(s.trustDomain)}
}

// Certificate implements identity.Own.
func (i *Identity) Certificate(context.Context) (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.store.now()
	if i.current != nil && now.Before(i.renewAt) {
		return i.current, nil
	}
	next, err := i.issue(now.Add(identityLife))
	if err != nil {
		return nil, err
	}
	i.current, i.renewAt = next, now.Add(identityLife*2/3)
	return next, nil
}

func (i *Identity) issue(notAfter time.Time) (*tls.Certificate, error) {
	key, err := newP256()
	if err != nil {
		return nil, err
	}
	id, err := url.Parse(i.id)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		URIs:        []*url.URL{id},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, n := range i.names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	der, err := i.store.agency.sign(t, key.Public(), notAfter)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// TrustBundle implements identity.Own.
func (i *Identity) TrustBundle(ctx context.Context) (string, error) { return i.store.TrustBundle(ctx) }
