// Package httpclient asks the HTTP services of an agency: over TLS, with the agency's own secret for each, inside bounds of time and
// size, and without following anybody elsewhere. No error holds a URL or anything of a request or an answer: they have personal data.
package httpclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// Request is one request.
type Request struct {
	// URL with https.
	URL    string
	Method string
	// Body is JSON, or plain text; nil: none.
	Body []byte
	Text bool
	// Header has more members of the header; none is a secret.
	Header map[string]string
	// MaxBytes of the answer.
	MaxBytes int64
	// EmptyOnNotFound: 404 is an answer without records and no error.
	EmptyOnNotFound bool
}

// Answer is JSON that has not been looked at, but for its size and its media type.
type Answer struct {
	Body   []byte
	Header http.Header
	// NotFound: 404, and EmptyOnNotFound.
	NotFound bool
}

// Bounds of connections.
const (
	maxHeaderBytes  = 64 << 10
	maxConnsPerHost = 8
	dialTimeout     = 5 * time.Second
	idleConnTimeout = 90 * time.Second
)

// client holds the connections to one service under one agreement.
type client struct {
	http   *http.Client
	access route.HTTPAccess
	secret Secret
	// ctx ends when the client is cut off.
	ctx context.Context
	cut context.CancelCauseFunc
}

func newClient(access route.HTTPAccess, secret Secret) (*client, error) {
	if len(access.Authentication) > 0 {
		if err := secret.covers(access.Authentication); err != nil {
			return nil, err
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if access.CABundle != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(access.CABundle)) {
			return nil, errors.New("caBundle has no certificate")
		}
	}
	if secret.certificate != nil {
		config.Certificates = []tls.Certificate{*secret.certificate}
	}
	transport := &http.Transport{
		// No Proxy: what the environment says is not what the dataset says.
		DialContext:     (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig: config, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
		MaxConnsPerHost: maxConnsPerHost, MaxIdleConnsPerHost: maxConnsPerHost, IdleConnTimeout: idleConnTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes, DisableCompression: true,
	}
	c := &client{access: access, secret: secret, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.ctx, c.cut = context.WithCancelCause(context.Background())
	return c, nil
}

// errCut is the cause of requests that end because their agreement did.
var errCut = errors.New("its connections were closed, because the agreement ended or this gateway stops")

// ErrBusy: the service answers with 502, 503 or 504, and may be asked again.
var ErrBusy = errors.New("it cannot answer now")

// errUnauthorized: the service does not take the secret.
var errUnauthorized = errors.New("it does not take this gateway's secret")

func unavailable(err error) error { return fmt.Errorf("%w: %w", source.ErrUnavailable, err) }

// do sends one request and reads the answer.
func (c *client) do(ctx context.Context, r Request) (*Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(c.access.TimeoutSeconds)*time.Second, errors.New("it does not answer in time"))
	defer cancel()
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	defer context.AfterFunc(c.ctx, func() { cut(errCut) })()

	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil || req.URL.Scheme != "https" {
		return nil, errors.New("the request cannot be made: its URL is none with https")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "entente")
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
		if r.Text {
			req.Header.Set("Content-Type", "text/plain; charset=utf-8")
		}
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	switch {
	case c.secret.token != "":
		req.Header.Set("Authorization", "Bearer "+c.secret.token)
	case c.secret.username != "":
		req.SetBasicAuth(c.secret.username, c.secret.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unavailable(told(ctx, err))
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
	case r.Method == http.MethodDelete && resp.StatusCode == http.StatusNoContent:
		return &Answer{}, nil
	case resp.StatusCode == http.StatusNotFound && r.EmptyOnNotFound:
		return &Answer{NotFound: true}, nil
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, unavailable(errUnauthorized)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, fmt.Errorf("it answers with a redirect (status %d), which is not followed", resp.StatusCode)
	case resp.StatusCode >= http.StatusBadGateway && resp.StatusCode <= http.StatusGatewayTimeout:
		return nil, unavailable(fmt.Errorf("%w: status %d", ErrBusy, resp.StatusCode))
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusForbidden:
		return nil, unavailable(fmt.Errorf("it answers with status %d", resp.StatusCode))
	default:
		return nil, fmt.Errorf("it answers with status %d", resp.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !(strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")) {
		return nil, errors.New("its answer is no JSON, as its Content-Type says")
	}
	if resp.ContentLength > r.MaxBytes {
		return nil, tooLarge(r.MaxBytes)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, r.MaxBytes+1))
	if err != nil {
		return nil, unavailable(told(ctx, err))
	}
	if int64(len(body)) > r.MaxBytes {
		return nil, tooLarge(r.MaxBytes)
	}
	return &Answer{Body: body, Header: resp.Header}, nil
}

func tooLarge(n int64) error { return fmt.Errorf("its answer is larger than %d bytes", n) }

// told is what may be said of an error of package http: it begins with the URL, and the URL may name a person.
func told(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var network *net.OpError
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &verify):
		return fmt.Errorf("its certificate does not verify: %w", verify.Err)
	case errors.As(err, &alert):
		return fmt.Errorf("it refuses the TLS handshake: %w", alert)
	case errors.As(err, &network):
		return network // addresses, and nothing of the request
	}
	return errors.New("it does not answer as HTTP does, or broke off")
}

func (c *client) close() {
	c.cut(errCut)
	c.http.CloseIdleConnections()
}
