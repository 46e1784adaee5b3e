package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/postgres"
	"github.com/entente-dev/entente/hack/testenv"
)

const (
	people    = 100_000
	agreement = "agr"
	purpose   = "entente:trafficking-investigation"
	password  = "only-on-loopback"
)

// tables are what the source has, and the login that a source credential is: it may read the agreed columns.
const tables = `
CREATE TABLE people (nr text PRIMARY KEY, family text, given text, born date, secret text);
INSERT INTO people SELECT 'P' || lpad(i::text, 6, '0'), 'f' || i % 10, 'given', date '1950-01-01' + i % 20000, 'secret' FROM generate_series(0, 99999) i;
VACUUM ANALYZE people;
CREATE ROLE reader LOGIN PASSWORD '` + password + `';
GRANT SELECT (nr, family, born) ON people TO reader;
`

// authority is an agency's certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(trustDomain string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: trustDomain}, URIs: []*url.URL{{Scheme: "spiffe", Host: trustDomain}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &authority{certificate, key}, err
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.certificate)
	return p
}

var serial atomic.Int64

// sign certifies a key: for a SPIFFE ID, or without one for localhost and a user.
func (a *authority) sign(public any, spiffe string) ([]byte, error) {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1 + serial.Add(1)), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(12 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if spiffe == "" {
		t.Subject, t.IPAddresses = pkix.Name{CommonName: "alice"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	} else {
		id, err := url.Parse(spiffe)
		if err != nil {
			return nil, err
		}
		t.URIs = []*url.URL{id}
	}
	return x509.CreateCertificate(rand.Reader, t, a.certificate, public, a.key)
}

func (a *authority) issue(spiffe string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := a.sign(&key.PublicKey, spiffe)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// agency is an agency with its gateway.
type agency struct {
	party    route.Party
	ca       *authority
	own      *tls.Certificate
	serving  *tls.Certificate
	table    *route.Table
	routeKey ed25519.PrivateKey
	addrs    gateway.Addrs
	stop     func() error
}

func (a *agency) Certificate(context.Context) (*tls.Certificate, error) { return a.own, nil }
func (a *agency) TrustBundle(context.Context) (string, error)           { return a.ca.pem(), nil }

// exchange issues agreement credentials as the source's operator does.
type exchange struct{ source *agency }

func (e *exchange) IssueCertificate(_ context.Context, s route.Peer, agreement string, request []byte) ([][]byte, error) {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil || csr.CheckSignature() != nil || s.Party != e.source.party {
		return nil, errors.Join(errors.New("bad request"), err)
	}
	der, err := e.source.ca.sign(csr.PublicKey, identity.AgreementID(s.TrustDomain, agreement, "recipient"))
	return [][]byte{der}, err
}

func startAgency(name, dir string, issuer *exchange) (*agency, error) {
	a := &agency{party: route.Party{Agency: name, TrustDomain: name + ".example"}}
	var err error
	if a.ca, err = newAuthority(a.party.TrustDomain); err != nil {
		return nil, err
	}
	if a.own, err = a.ca.issue(identity.GatewayID(a.party.TrustDomain)); err != nil {
		return nil, err
	}
	if a.serving, err = a.ca.issue(""); err != nil {
		return nil, err
	}
	if _, a.routeKey, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	a.table = route.NewTable(a.party)
	log, err := audit.Open(filepath.Join(dir, name, "log"), audit.Options{Origin: a.party.TrustDomain + "/gateway-0"})
	if err != nil {
		return nil, err
	}
	config := gateway.Config{
		Table: a.table, Log: log, Own: a, StateDir: filepath.Join(dir, name, "state"),
		Sources: source.Mux{PostgreSQL: postgres.New(postgres.Options{
			Credentials: func(context.Context, string) (postgres.Credential, error) {
				return postgres.Credential{Username: "reader", Password: password, Expires: time.Now().Add(time.Hour)}, nil
			},
		})},
		Listen:  gateway.Addrs{GRPC: "127.0.0.1:0", Peer: "127.0.0.1:0"},
		Serving: func(context.Context) (*tls.Certificate, error) { return a.serving, nil }, ClientCAs: a.ca.pool(),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if issuer != nil {
		config.Issuer = issuer
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan gateway.Addrs, 1), make(chan error, 1)
	config.Ready = func(x gateway.Addrs) { ready <- x }
	go func() { done <- gateway.Run(ctx, config) }()
	a.stop = func() error { cancel(); return <-done }
	select {
	case a.addrs = <-ready:
		return a, nil
	case err := <-done:
		cancel()
		return nil, err
	}
}

// agree puts the agreement in force at the agency, as its operator would: signed.
func (a *agency) agree(clause route.Clause) error {
	if clause.Source.Party == a.party {
		clause.Source = route.Peer{Party: a.party}
	} else {
		clause.Datasets = nil
	}
	now := time.Now()
	payload, err := route.Encode(&route.Route{
		Format: route.Format, Agreement: agreement, Sequence: 1, Self: a.party,
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
	return a.table.Put(r)
}

// world is everything that runs.
type world struct {
	postgres          *testenv.Postgres
	source, recipient *agency
	bare              *bare
	// credential of the recipient under the agreement, and certificate of its user.
	credential, user *tls.Certificate
}

func startWorld(ctx context.Context, dir string) (w *world, err error) {
	gateway.TuneMemory() // of all targets: they are one process
	w = &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if w.postgres, err = testenv.StartPostgres(ctx, testenv.PostgresOptions{Progress: io.Discard}); err != nil {
		return w, err
	}
	// One after the other: VACUUM runs in no transaction.
	for _, sql := range statements(tables) {
		if err = w.postgres.Exec(ctx, "postgres", sql); err != nil {
			return w, err
		}
	}
	ca, err := os.ReadFile(w.postgres.CAFile())
	if err != nil {
		return w, err
	}
	if w.source, err = startAgency("source", dir, nil); err != nil {
		return w, err
	}
	if w.recipient, err = startAgency("recipient", dir, &exchange{w.source}); err != nil {
		return w, err
	}
	target := &route.PostgreSQL{Host: "127.0.0.1", Port: int32(w.postgres.Port()), Database: "postgres", SSLMode: "verify-full", CABundle: string(ca), Role: "reader"}
	retention := int64(30)
	clause := route.Clause{
		Name: "persons", Recipients: []route.Recipient{{Party: w.recipient.party}}, Purposes: []string{purpose}, Granularity: "Records",
		Source: route.Peer{Party: w.source.party, Gateway: w.source.addrs.Peer, TrustBundle: w.source.ca.pem()},
		Schema: route.Schema{Name: "person", Version: 1, Digest: "sha256:person", Fields: []route.Field{
			{Name: "person_number", Type: "string"}, {Name: "family_name", Type: "string"}, {Name: "birth_date", Type: "date"}, {Name: "note", Type: "string"},
		}},
		Fields: []string{"person_number", "birth_date"}, FilterFields: []string{"person_number", "family_name", "birth_date"},
		RequireSelectors: [][]string{{"person_number"}, {"family_name", "birth_date"}}, CaseReference: `SP-[0-9]{4}-[0-9]+`, RecordsPerQuery: 100,
		Obligations: route.Obligations{Redisclosure: "Prohibited", RetentionDays: &retention},
		Datasets: []route.Dataset{{
			Name: "people", Relation: "people", PostgreSQL: target, SubjectKey: "person_number",
			Columns: map[string]string{"person_number": "nr", "family_name": "family", "birth_date": "born"},
		}},
	}
	for _, a := range []*agency{w.source, w.recipient} {
		if err = a.agree(clause); err != nil {
			return w, err
		}
	}
	if w.credential, err = w.source.ca.issue(identity.AgreementID(w.source.party.TrustDomain, agreement, w.recipient.party.Agency)); err != nil {
		return w, err
	}
	if w.user, err = w.recipient.ca.issue(""); err != nil {
		return w, err
	}
	// The bare server runs the very statement that the gateway does: it is asked for once, and PostgreSQL says what it ran.
	if err = firstLookup(w); err != nil {
		return w, fmt.Errorf("governed look-up: %w", err)
	}
	sql, err := lastStatement(ctx, w.postgres.AdminURL("postgres"))
	if err != nil {
		return w, err
	}
	w.bare, err = startBare(ctx, w, dir, w.postgres.URL("postgres", "reader", password), sql)
	return w, err
}

func (w *world) stop() error {
	var errs []error
	if w.bare != nil {
		errs = append(errs, w.bare.stop())
	}
	for _, a := range []*agency{w.recipient, w.source} {
		if a != nil && a.stop != nil {
			errs = append(errs, a.stop())
		}
	}
	if w.postgres != nil {
		errs = append(errs, w.postgres.Stop())
	}
	return errors.Join(errs...)
}
