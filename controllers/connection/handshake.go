package connection

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/entente-dev/entente/gateway/identity"
)

// handshake proves who both sides are, as gRPC would, and waits until the server has said that it takes this side's certificate.
type handshake struct {
	endpoint             string
	domain, bundle, want string
	certificate          func(context.Context) (*tls.Certificate, error)
	now                  func() time.Time
	// stranger is the mend when the server refuses this side's certificate.
	stranger string
}

func (h handshake) try(ctx context.Context) (string, error) {
	bundle, err := identity.Bundle(h.domain, h.bundle)
	if err != nil {
		return "", &fault{err.Error(), "import the Agency that the other agency prints now"}
	}
	if _, err := h.certificate(ctx); err != nil {
		return "", &fault{"this agency's own certificate: " + err.Error(), "see that Vault, or the folder of keys, is reached"}
	}
	var seen []*x509.Certificate
	config := identity.ClientConfig(h.want, bundle, h.certificate)
	config.NextProtos = []string{http2.NextProtoTLS}
	verify := config.VerifyConnection
	config.VerifyConnection = func(s tls.ConnectionState) error {
		seen = s.PeerCertificates
		return verify(s)
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.endpoint)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = raw.SetDeadline(deadline)
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return "", h.explain(err, seen)
	}
	// With TLS 1.3 the server looks at our certificate after the handshake is over here: what it says first tells.
	var first [1]byte
	if _, err = conn.Write([]byte(http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err == nil { // and an empty SETTINGS frame (RFC 9113, 3.4)
		_, err = conn.Read(first[:])
	}
	if err != nil {
		var alert tls.AlertError
		if errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls") {
			return "", &fault{"the other side refuses this agency's certificate: " + err.Error(), h.stranger}
		}
		return "", &fault{"the connection ends before an answer: " + err.Error(), h.stranger}
	}
	return "the other side is " + h.want, nil
}

// explain says which of the things that a handshake proves was not so.
func (h handshake) explain(err error, seen []*x509.Certificate) error {
	untouched := "see that the endpoint leads to the other agency, and that what stands before it passes TLS through untouched"
	if len(seen) == 0 {
		return &fault{"no TLS 1.3 handshake: " + err.Error(), untouched}
	}
	leaf := seen[0]
	if now := h.now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return &fault{fmt.Sprintf("its certificate is for %s to %s, and it is %s here", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339)),
			"compare both hosts' clocks with a third"}
	}
	if bundle, e := identity.Bundle(h.domain, h.bundle); e == nil {
		if id, e := identity.Verify(seen, bundle, h.now()); e == nil {
			return &fault{fmt.Sprintf("the server is %s, not %s", id, h.want), "have the other agency see where its endpoint " + h.endpoint + " leads: exchange and gateway have one each"}
		}
	}
	for _, uri := range leaf.URIs {
		if strings.HasPrefix(uri.String(), "spiffe://"+h.domain+"/") {
			return &fault{"its certificate is not of an authority that is pinned here", "compare `entente agency export --fingerprints` with the other agency, and import its Agency as it is now"}
		}
	}
	return &fault{"its certificate is that of " + named(leaf) + ", not of " + h.want, untouched}
}

func named(leaf *x509.Certificate) string {
	if len(leaf.URIs) > 0 {
		return leaf.URIs[0].String()
	}
	return leaf.Subject.String()
}
