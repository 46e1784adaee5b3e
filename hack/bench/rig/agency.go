// Package rig is what the benchmarks of look-ups have in common: agencies with their gateways, the load, which comes from a child, and
// the CPU time of servers.
package rig

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/postgres"
)

// Agency is an agency with its gateway.
type Agency struct {
	Party    route.Party
	CA       *Authority
	Own      *tls.Certificate
	Serving  *tls.Certificate
	Table    *route.Table
	routeKey ed25519.PrivateKey
	Addrs    gateway.Addrs
	Stop     func() error
}

// Certificate implements identity.Own.
func (a *Agency) Certificate(context.Context) (*tls.Certificate, error) { return a.Own, nil }

// TrustBundle implements identity.Own.
func (a *Agency) TrustBundle(context.Context) (string, error) { return a.CA.PEM(), nil }

// Exchange issues agreement credentials to the agency "recipient", as the sources' operators do.
type Exchange struct{ Sources []*Agency }

// IssueCertificate implements peer.Issuer.
func (e *Exchange) IssueCertificate(_ context.Context, s route.Peer, agreement string, request []byte) ([][]byte, error) {
	csr, err := x509.ParseCertificateRequest(request)
	i := slices.IndexFunc(e.Sources, func(a *Agency) bool { return a.Party == s.Party })
	if err != nil || csr.CheckSignature() != nil || i < 0 {
		return nil, errors.Join(errors.New("bad request"), err)
	}
	der, err := e.Sources[i].CA.Sign(csr.PublicKey, identity.AgreementID(s.TrustDomain, agreement, "recipient"))
	return [][]byte{der}, err
}

// StartAgency starts the gateway of an agency, which reads PostgreSQL as the login. Without an issuer it asks nobody.
func StartAgency(name, dir string, issuer *Exchange, login, password string) (*Agency, error) {
	a := &Agency{Party: route.Party{Agency: name, TrustDomain: name + ".example"}}
	var err error
	if a.CA, err = NewAuthority(a.Party.TrustDomain); err != nil {
		return nil, err
	}
	if a.Own, err = a.CA.Issue(identity.GatewayID(a.Party.TrustDomain)); err != nil {
		return nil, err
	}
	if a.Serving, err = a.CA.Issue(""); err != nil {
		return nil, err
	}
	if _, a.routeKey, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	a.Table = route.NewTable(a.Party)
	log, err := audit.Open(filepath.Join(dir, name, "log"), audit.Options{Origin: a.Party.TrustDomain + "/gateway-0"})
	if err != nil {
		return nil, err
	}
	config := gateway.Config{
		Table: a.Table, Log: log, Own: a, StateDir: filepath.Join(dir, name, "state"),
		// A large answer takes longer than a look-up may, when other targets wait for the same CPU.
		SourceTimeout: time.Minute, PeerTimeout: time.Minute,
		Sources: source.Mux{PostgreSQL: postgres.New(postgres.Options{
			StatementTimeout: time.Minute,
			Credentials: func(context.Context, string) (postgres.Credential, error) {
				return postgres.Credential{Username: login, Password: password, Expires: time.Now().Add(time.Hour)}, nil
			},
		})},
		Listen:  gateway.Addrs{GRPC: "127.0.0.1:0", Peer: "127.0.0.1:0"},
		Serving: func(context.Context) (*tls.Certificate, error) { return a.Serving, nil }, ClientCAs: a.CA.Pool(),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if issuer != nil {
		config.Issuer = issuer
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan gateway.Addrs, 1), make(chan error, 1)
	config.Ready = func(x gateway.Addrs) { ready <- x }
	go func() { done <- gateway.Run(ctx, config) }()
	a.Stop = func() error { cancel(); return <-done }
	select {
	case a.Addrs = <-ready:
		return a, nil
	case err := <-done:
		cancel()
		return nil, err
	}
}

// Agree puts an agreement in force at the agency, as its operator would: signed.
func (a *Agency) Agree(agreement string, clause route.Clause) error {
	if clause.Source.Party == a.Party {
		clause.Source = route.Peer{Party: a.Party}
	} else {
		clause.Datasets = nil
	}
	now := time.Now()
	payload, err := route.Encode(&route.Route{
		Format: route.Format, Agreement: agreement, Sequence: 1, Self: a.Party,
		Versions: []route.Version{{Version: 1, Digest: "sha256:hop", NotBefore: now.Add(-time.Hour), NotAfter: now.Add(12 * time.Hour), Clauses: []route.Clause{clause}}},
	})
	if err != nil {
		return err
	}
	signed := route.Signed{Payload: payload, KeyID: "k", Signature: ed25519.Sign(a.routeKey, route.SigningInput(payload))}
	r, err := route.Verify(signed, map[string]ed25519.PublicKey{"k": a.routeKey.Public().(ed25519.PublicKey)})
	if err != nil {
		return err
	}
	return a.Table.Put(r)
}
