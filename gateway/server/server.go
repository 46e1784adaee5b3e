// Package server is a gateway's listeners: REST and gRPC for this agency's own users, gRPC for peer gateways, metrics and
// health. They authenticate, decode and encode; everything that decides or logs is in packages federation and disclosure,
// which all listeners call.
package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/entente-dev/entente/gateway/disclosure"
	"github.com/entente-dev/entente/gateway/federation"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/receipt"
	"github.com/entente-dev/entente/gateway/tracing"
)

// Config is what the listeners are made of.
type Config struct {
	Federation *federation.Core
	Disclosure *disclosure.Core
	// Own identity, for the peer listener.
	Own         identity.Own
	TrustDomain string
	// Serving is the certificate of the listeners for local users; nil: that of Own, which names no host.
	Serving func(context.Context) (*tls.Certificate, error)
	// ClientCAs vouch for local users' client certificates; nil: none are taken.
	ClientCAs *x509.CertPool
	// OIDC provider of local users' tokens; nil: none are taken.
	OIDC *OIDC
	// Log serves the transparency log under /log/, to anybody; nil: nothing is there.
	Log http.Handler
	// Receipts reads the log for the agency's own operator; nil: it may not.
	Receipts receipt.Reader
	Metrics  *metrics.Metrics
	// Trace makes spans; nil: none.
	Trace  *tracing.Tracer
	Logger *slog.Logger
}

// Server makes the listeners' servers.
type Server struct {
	Config
	users *users
	// handshakes bounds how often a refused handshake is written to the process log.
	handshakes *rate.Limiter
}

// New checks the configuration.
func New(c Config) (*Server, error) {
	s := &Server{Config: c, users: &users{}, handshakes: rate.NewLimiter(1, 10)}
	if c.OIDC != nil {
		v, err := newOIDCVerifier(*c.OIDC)
		if err != nil {
			return nil, err
		}
		s.users.oidc = v
	}
	return s, nil
}

const (
	// handshakeTimeout bounds a handshake, and with it how long a stranger holds a connection.
	handshakeTimeout = 5 * time.Second
	// maxHeader bounds the headers of a request.
	maxHeader = 32 << 10
)

// localTLS is for the listeners for local users: a client certificate is verified when there is one.
func (s *Server) localTLS() *tls.Config {
	serving := s.Serving
	if serving == nil {
		serving = s.Own.Certificate
	}
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return serving(h.Context()) },
	}
	if s.ClientCAs != nil {
		c.ClientCAs = s.ClientCAs
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return c
}

// Local gives a server the TLS of the listeners for local users, without their client certificates.
func (s *Server) Local(h *http.Server) *http.Server {
	h.TLSConfig = s.localTLS()
	h.TLSConfig.ClientCAs, h.TLSConfig.ClientAuth = nil, tls.NoClientCert
	h.ErrorLog = log.New(handshakeErrors{s}, "", 0)
	return h
}

// refused counts a handshake or request without an identity, and logs some of them.
func (s *Server) refused(listener, remote string, err error) {
	s.Metrics.Unauthenticated(listener)
	if s.handshakes.Allow() {
		s.Logger.Warn("refused: not authenticated", "listener", listener, "remote", remote, "error", err)
	}
}
