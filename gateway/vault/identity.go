package vault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
)

// IdentityConfig is what a process wants to be.
type IdentityConfig struct {
	// Role of the PKI engine: RoleGateway or RoleOperator.
	Role string
	// SPIFFEID: spiffe://<trust domain>/gateway or /operator.
	SPIFFEID string
	// Names that local clients know the process by: DNS names and IP addresses; the role must allow them.
	Names []string
	// TTL of a certificate; 0: what the role gives.
	TTL time.Duration
	// Log gets rotations that failed; nil: slog.Default().
	Log *slog.Logger
}

// Identity is the X.509 identity of this process, signed by the agency's PKI. The key is made here, stays in memory, and is
// new with every certificate. Run replaces the certificate after two thirds of its life; as long as Vault is away the old one
// goes on until its end.
type Identity struct {
	session *Session
	cfg     IdentityConfig
	log     *slog.Logger
	turn    chan struct{} // held by whoever gets a certificate
	current atomic.Pointer[issued]
}

// issued is a certificate and when to replace it.
type issued struct {
	cert *tls.Certificate
	due  time.Time
}

// NewIdentity prepares an identity; the first certificate is had by Certificate or Run.
func NewIdentity(s *Session, cfg IdentityConfig) *Identity {
	i := &Identity{session: s, cfg: cfg, log: cfg.Log, turn: make(chan struct{}, 1)}
	if i.log == nil {
		i.log = slog.Default()
	}
	return i
}

// Certificate returns a certificate that is valid now, getting one when there is none. Its Leaf is set.
func (i *Identity) Certificate(ctx context.Context) (*tls.Certificate, error) {
	if c := i.valid(); c != nil {
		return c.cert, nil
	}
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c := i.valid(); c != nil {
		return c.cert, nil
	}
	return i.replace(ctx)
}

// Expires is when the current certificate ends; zero when there is none.
func (i *Identity) Expires() time.Time {
	if c := i.current.Load(); c != nil {
		return c.cert.Leaf.NotAfter
	}
	return time.Time{}
}

// GetCertificate is for tls.Config of a server.
func (i *Identity) GetCertificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return i.Certificate(h.Context())
}

// GetClientCertificate is for tls.Config of a client.
func (i *Identity) GetClientCertificate(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return i.Certificate(r.Context())
}

// TrustBundle is the PEM bundle that vouches for the agency's own SPIFFE IDs.
func (i *Identity) TrustBundle(ctx context.Context) (string, error) {
	return i.session.TrustBundle(ctx)
}

// Run keeps the certificate fresh until ctx ends.
func (i *Identity) Run(ctx context.Context) error {
	failed := 0
	for ctx.Err() == nil {
		wait := time.Duration(0)
		if c := i.valid(); c != nil {
			wait = time.Until(c.due)
		}
		if failed > 0 {
			wait = max(wait, pause(failed))
		}
		sleep(ctx, wait)
		if ctx.Err() != nil {
			break
		}
		i.turn <- struct{}{}
		var err error
		if c := i.valid(); c == nil || !time.Now().Before(c.due) { // somebody else may have got one meanwhile
			_, err = i.replace(ctx)
		}
		<-i.turn
		if err == nil {
			failed = 0
			continue
		}
		if ctx.Err() != nil {
			break
		}
		failed++
		i.log.Warn("own certificate was not renewed", "identity", i.cfg.SPIFFEID, "expires", i.Expires(), "error", err)
	}
	return nil
}

// dueAt is after two thirds of a certificate's life, less up to a tenth of it so that replicas do not come together. The life
// starts when it was asked for: Vault dates certificates back.
func dueAt(asked, notAfter time.Time) time.Time {
	life := notAfter.Sub(asked)
	return asked.Add(life*2/3 - mrand.N(life/10+1))
}

func (i *Identity) valid() *issued {
	if c := i.current.Load(); c != nil && time.Now().Before(c.cert.Leaf.NotAfter) {
		return c
	}
	return nil
}

func (i *Identity) replace(ctx context.Context) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	req := map[string]any{
		"csr":      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
		"uri_sans": i.cfg.SPIFFEID,
	}
	var dns, ips []string
	for _, n := range i.cfg.Names {
		if net.ParseIP(n) != nil {
			ips = append(ips, n)
		} else {
			dns = append(dns, n)
		}
	}
	if len(dns) > 0 {
		req["alt_names"] = strings.Join(dns, ",")
	}
	if len(ips) > 0 {
		req["ip_sans"] = strings.Join(ips, ",")
	}
	if i.cfg.TTL > 0 {
		req["ttl"] = fmt.Sprintf("%ds", i.cfg.TTL/time.Second)
	}
	path := i.session.cfg.Mounts.PKI() + "/sign/" + i.cfg.Role
	at := time.Now()
	secret, err := i.session.Write(ctx, path, req)
	if err != nil {
		return nil, err
	}
	chain, err := SignedChain(secret)
	if err != nil {
		return nil, &Error{Op: "write", Path: path, Kind: ErrInvalid, Err: err}
	}
	leaf := chain[0]
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != i.cfg.SPIFFEID || !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, &Error{Op: "write", Path: path, Kind: ErrInvalid, Err: errors.New("the certificate is not for this identity and key")}
	}
	if !time.Now().Before(leaf.NotAfter) {
		return nil, &Error{Op: "write", Path: path, Kind: ErrInvalid, Err: fmt.Errorf("the certificate ended at %s: are the clocks right?", leaf.NotAfter.Format(time.RFC3339))}
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	i.current.Store(&issued{cert: cert, due: dueAt(at, leaf.NotAfter)})
	return cert, nil
}

// SignedChain is the chain that pki/sign answers with: the leaf first, without self-signed roots.
func SignedChain(secret *api.Secret) ([]*x509.Certificate, error) {
	if secret == nil {
		return nil, errors.New("the answer is empty")
	}
	leafPEM, _ := secret.Data["certificate"].(string)
	chain, err := parsePEM(leafPEM)
	if err != nil {
		return nil, err
	}
	if len(chain) != 1 {
		return nil, fmt.Errorf("the answer has %d certificates instead of one", len(chain))
	}
	rest, _ := secret.Data["ca_chain"].([]any)
	for _, r := range rest {
		p, _ := r.(string)
		cs, err := parsePEM(p)
		if err != nil {
			return nil, err
		}
		for _, c := range cs {
			if !isRoot(c) && !slices.ContainsFunc(chain, c.Equal) {
				chain = append(chain, c)
			}
		}
	}
	return chain, nil
}

func isRoot(c *x509.Certificate) bool {
	return string(c.RawIssuer) == string(c.RawSubject) && c.CheckSignatureFrom(c) == nil
}

func parsePEM(s string) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := []byte(s); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return out, nil
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
}

// TrustBundle is the PEM bundle of the authorities that vouch for the agency's SPIFFE IDs, as the PKI engine publishes it.
func (s *Session) TrustBundle(ctx context.Context) (string, error) {
	path := s.cfg.Mounts.PKI() + "/cert/ca_chain"
	secret, err := s.Read(ctx, path)
	if err != nil {
		return "", err
	}
	text, _ := secret.Data["ca_chain"].(string)
	if text == "" {
		text, _ = secret.Data["certificate"].(string)
	}
	certs, err := parsePEM(text)
	if err != nil || len(certs) == 0 {
		return "", &Error{Op: "read", Path: path, Kind: ErrInvalid, Err: errors.New("the PKI engine has no certificate authority yet")}
	}
	var b strings.Builder
	for _, c := range certs {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}
