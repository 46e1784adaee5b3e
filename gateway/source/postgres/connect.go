package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// connConfig is how to connect. Nothing of it comes from the environment (PGHOST, PGOPTIONS, …), and there is no way
// without TLS.
func connConfig(o Options, target route.PostgreSQL, cred Credential, application string) (*pgx.ConnConfig, error) {
	if target.Host == "" || strings.HasPrefix(target.Host, "/") {
		return nil, errors.New("postgres: a host name is needed: sources are read over TLS only")
	}
	if target.Port < 0 || target.Port > 65535 {
		return nil, fmt.Errorf("postgres: %d is no port", target.Port)
	}
	secure, err := tlsConfig(target)
	if err != nil {
		return nil, err
	}
	// pgx insists on a parsed string; all that matters is set below.
	c, err := pgx.ParseConfig("host=localhost user=none password=none dbname=none sslmode=disable target_session_attrs=any")
	if err != nil {
		return nil, errors.New("postgres: the environment (PG… variables) keeps the driver from being configured")
	}
	c.Host, c.Port, c.Database = target.Host, uint16(target.Port), target.Database
	if c.Port == 0 {
		c.Port = 5432
	}
	c.User, c.Password = cred.Username, cred.Password
	c.TLSConfig = secure
	c.Fallbacks = nil
	c.ValidateConnect = nil
	c.ConnectTimeout = o.ConnectTimeout
	c.RuntimeParams = map[string]string{
		"application_name":              application,
		"client_encoding":               "UTF8",
		"TimeZone":                      "UTC",
		"DateStyle":                     "ISO, YMD",
		"standard_conforming_strings":   "on",
		"default_transaction_read_only": "on",
		"statement_timeout":             strconv.FormatInt(o.StatementTimeout.Milliseconds(), 10),
	}
	if target.TrigramSchema != "" {
		// What filters count on, whatever the database's own setting.
		c.RuntimeParams["pg_trgm.similarity_threshold"] = filter.MinSimilarity
	}
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &patience{conn: conn, grace: o.CancelGrace}
	}
	return c, nil
}

// tlsConfig honours the modes as libpq does: verify-full checks the chain and the name, verify-ca the chain, require
// nothing unless there is a bundle, which is then checked.
func tlsConfig(target route.PostgreSQL) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: target.Host}
	if target.CABundle != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(target.CABundle)) {
			return nil, errors.New("postgres: caBundle has no certificate in PEM")
		}
	}
	switch {
	case target.SSLMode == "" || target.SSLMode == "verify-full":
	case target.SSLMode == "verify-ca" || target.SSLMode == "require" && target.CABundle != "":
		// The standard verification includes the name, so it is replaced, not left out.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, c.RootCAs) }
	case target.SSLMode == "require":
		c.InsecureSkipVerify = true
	default:
		return nil, fmt.Errorf("postgres: sslMode %q is not verify-full, verify-ca or require", target.SSLMode)
	}
	return c, nil
}

// verifyChain verifies the server's certificate, its name excepted.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("postgres: the server has no certificate")
	}
	v := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		v.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(v)
	return err
}

// patience is what happens when the context of a statement ends. pgx would close the connection, so that callers who go
// away early (a fan-out that has its answer) would wear the pool out. A deadline acts at once; a cancellation leaves the
// statement some time to end by itself. A connection that is closed all the same sends a cancel request to the server.
type patience struct {
	conn  *pgconn.PgConn
	grace time.Duration
}

func (p *patience) HandleCancel(ctx context.Context) {
	at := time.Now()
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		at = at.Add(p.grace)
	}
	_ = p.conn.Conn().SetDeadline(at)
}

func (p *patience) HandleUnwatchAfterCancel() { _ = p.conn.Conn().SetDeadline(time.Time{}) }

// dialer connects, and lets the pool know the connection.
func dialer(timeout time.Duration, opened func(net.Conn) net.Conn) pgconn.DialFunc {
	d := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return opened(c), nil
	}
}
