package gateway_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/quota"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/server"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/consent"
	"github.com/entente-dev/entente/gateway/source/httpclient"
	"github.com/entente-dev/entente/gateway/source/httpjson"
	"github.com/entente-dev/entente/gateway/source/sqlite"
	"github.com/entente-dev/entente/gateway/source/trino"
	"github.com/entente-dev/entente/gateway/tracing"
	"github.com/entente-dev/entente/gateway/transparency"
	"github.com/entente-dev/entente/gateway/witness"
)

// authority is a certificate authority for tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name, trustDomain string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if trustDomain != "" {
		tmpl.URIs = []*url.URL{{Scheme: "spiffe", Host: trustDomain}}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{c, key}
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

// sign issues a certificate for the public key.
func (a *authority) sign(pub any, spiffe string, subject pkix.Name, notAfter time.Time) ([]byte, error) {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(100 + serial.Add(1)), Subject: subject, NotBefore: time.Now().Add(-2 * time.Minute), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if spiffe != "" {
		u, err := url.Parse(spiffe)
		if err != nil {
			return nil, err
		}
		tmpl.URIs, tmpl.DNSNames, tmpl.IPAddresses = []*url.URL{u}, nil, nil
	}
	return x509.CreateCertificate(rand.Reader, tmpl, a.certificate, pub, a.key)
}

func (a *authority) issue(t testing.TB, spiffe string, subject pkix.Name, notAfter time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := a.sign(&key.PublicKey, spiffe, subject, notAfter)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// agency is one agency with its gateway, its exchange and its records.
type agency struct {
	t          testing.TB
	party      route.Party
	ca         *authority
	users      *authority
	own        *tls.Certificate
	table      *route.Table
	log        *audit.Log
	logDir     string
	metrics    *metrics.Metrics
	stateDir   string
	db         string
	sources    *wrapped
	addrs      gateway.Addrs
	exchange   string
	issued     atomic.Int64
	refuse     atomic.Bool  // the exchange refuses
	credential atomic.Int64 // lifetime of credentials in ns; 0: an hour
	stop       func()
	output     *lockedBuffer
	routeKey   ed25519.PrivateKey
	sequence   int64
}

func (a *agency) Certificate(context.Context) (*tls.Certificate, error) { return a.own, nil }
func (a *agency) TrustBundle(context.Context) (string, error)           { return a.ca.pem(), nil }
func (a *agency) peer() route.Peer {
	return route.Peer{Party: a.party, Gateway: a.addrs.Peer, Exchange: a.exchange, TrustBundle: a.ca.pem()}
}

// wrapped is a source that tests can slow down, break and watch.
type wrapped struct {
	source.Source
	before  atomic.Pointer[func(context.Context) error]
	revoked sync.Map
}

func (w *wrapped) hook(f func(context.Context) error) { w.before.Store(&f) }

func (w *wrapped) run(ctx context.Context) error {
	if f := w.before.Load(); f != nil && *f != nil {
		return (*f)(ctx)
	}
	return nil
}

func (w *wrapped) Records(ctx context.Context, q source.Query, yield func(*gatewayv1.Record) error) (bool, error) {
	if err := w.run(ctx); err != nil {
		return false, err
	}
	return w.Source.Records(ctx, q, yield)
}

func (w *wrapped) Exists(ctx context.Context, q source.Query) (bool, error) {
	if err := w.run(ctx); err != nil {
		return false, err
	}
	return w.Source.Exists(ctx, q)
}

func (w *wrapped) Describe(q source.Query, m source.Method) (source.Statement, error) {
	return source.Describe(w.Source, q, m)
}

func (w *wrapped) Revoke(agreement string) {
	w.revoked.Store(agreement, true)
	w.Source.Revoke(agreement)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type options struct {
	trace  *tracing.Tracer
	quotas *quota.Store
	people int
	oidc   *server.OIDC
	// timeout for a source, sourceTimeout for its system of records; 0: the usual
	timeout, sourceTimeout time.Duration
	logFS                  audit.FS
	// explainGroups may have queries explained as the source
	explainGroups []string
	// drain bounds a graceful stop; 0: 2 s.
	drain time.Duration
	// mergeDelay of the log; 0: the usual
	mergeDelay time.Duration
	// witness of peers' logs, and witnesses of this agency's own
	witness   *witness.Witness
	witnesses *transparency.Witnesses
}

// startAgency starts an agency with n people in SQLite and a gateway on loopback.
func startAgency(t testing.TB, name string, o options) *agency {
	t.Helper()
	dir := t.TempDir()
	a := &agency{
		t: t, party: route.Party{Agency: name, TrustDomain: name + ".example"}, logDir: filepath.Join(dir, "log"), stateDir: filepath.Join(dir, "state"),
		db: filepath.Join(dir, "people.db"), output: &lockedBuffer{}, metrics: metrics.New(),
	}
	a.ca = newAuthority(t, name, a.party.TrustDomain)
	a.users = newAuthority(t, name+" users", "")
	a.own = a.ca.issue(t, identity.GatewayID(a.party.TrustDomain), pkix.Name{}, time.Now().Add(time.Hour))
	a.table = route.NewTable(a.party)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	a.routeKey = key
	fillPeople(t, a.db, name, o.people)
	a.log, err = audit.Open(a.logDir, audit.Options{Origin: name + ".example/gateway-0", FS: o.logFS, ProbeInterval: 20 * time.Millisecond})
	must(t, err)
	services := httpclient.NewPool(httpclient.Options{Secrets: func(_ context.Context, dataset string) (httpclient.Secret, error) {
		return httpclient.NewSecret(map[string]string{"token": "token of " + dataset})
	}})
	a.sources = &wrapped{Source: consent.Over(source.Mux{SQLite: sqlite.New(sqlite.Options{}), HTTP: httpjson.New(services), Trino: trino.New(trino.Options{Pool: services})}, services, nil)}
	a.startExchange()
	serving := a.users.issue(t, "", pkix.Name{CommonName: "localhost"}, time.Now().Add(time.Hour))
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan gateway.Addrs, 1)
	done := make(chan error, 1)
	go func() {
		done <- gateway.Run(ctx, gateway.Config{
			Metrics: a.metrics, Trace: o.trace, Table: a.table, Log: a.log, Quotas: o.quotas, Sources: a.sources, Own: a, StateDir: a.stateDir,
			Listen:    gateway.Addrs{REST: "127.0.0.1:0", GRPC: "127.0.0.1:0", Peer: "127.0.0.1:0", Health: "127.0.0.1:0", Witness: "127.0.0.1:0"},
			Ready:     func(x gateway.Addrs) { ready <- x },
			Serving:   func(context.Context) (*tls.Certificate, error) { return serving, nil },
			ClientCAs: a.users.pool(), OIDC: o.oidc, SourceExplainGroups: o.explainGroups, PeerTimeout: o.timeout, SourceTimeout: o.sourceTimeout, DrainTimeout: cmp.Or(o.drain, 2*time.Second),
			Transparency: transparency.Options{MergeDelay: o.mergeDelay, Witnesses: o.witnesses}, Witness: o.witness,
			Logger: slog.New(slog.NewTextHandler(a.output, nil)),
		})
	}()
	select {
	case a.addrs = <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	var once sync.Once
	a.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("%s: gateway ended with %v", name, err)
			}
		})
	}
	t.Cleanup(func() {
		a.stop()
		if t.Failed() {
			t.Logf("%s:\n%s", name, a.output.String())
		}
	})
	return a
}

// fillPeople makes people number 0 … n-1: family names f0 … f9, birth dates by day.
func fillPeople(t testing.TB, path, agency string, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	defer db.Close()
	_, err = db.Exec(`create table people (nr text primary key, family text, given text, born text, age integer, wanted integer, secret text, region text)`)
	must(t, err)
	tx, err := db.Begin()
	must(t, err)
	stmt, err := tx.Prepare(`insert into people values (?,?,?,?,?,?,?,?)`)
	must(t, err)
	for i := range n {
		born := time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, i%20000).Format("2006-01-02")
		_, err = stmt.Exec(fmt.Sprintf("P%06d", i), fmt.Sprintf("f%d", i%10), "given-"+agency, born, 20+i%60, i%2, "secret-value", []string{"north", "south"}[i/10%2])
		must(t, err)
	}
	must(t, tx.Commit())
}

var personSchema = route.Schema{Name: "person", Version: 1, Digest: "sha256:test", Fields: []route.Field{
	{Name: "person_number", Type: "string"}, {Name: "family_name", Type: "string"}, {Name: "given_name", Type: "string"},
	{Name: "birth_date", Type: "date"}, {Name: "age", Type: "int"}, {Name: "wanted", Type: "bool"}, {Name: "note", Type: "string"},
	{Name: "region", Type: "string"},
}}

const purpose = "entente:trafficking-investigation"

// clause is the permission that the tests start from: recipients may look people up by number or by name and birth date.
func clause(name string, src *agency, recipients ...*agency) route.Clause {
	c := route.Clause{
		Name: name, Source: src.peer(), Schema: personSchema, Purposes: []string{purpose}, Granularity: "Records",
		Fields:           []string{"person_number", "family_name", "birth_date", "age", "wanted"},
		FilterFields:     []string{"person_number", "family_name", "birth_date", "age", "wanted"},
		RequireSelectors: [][]string{{"person_number"}, {"family_name"}},
		CaseReference:    `SP-[0-9]{4}-[0-9]+`, RecordsPerQuery: 5000,
		Obligations: route.Obligations{Redisclosure: "Prohibited", RetentionDays: ptr(int64(30))},
		Datasets: []route.Dataset{{
			Name: "people", Relation: "people", SQLite: &route.SQLite{Path: src.db}, SubjectKey: "person_number",
			Columns: map[string]string{"person_number": "nr", "family_name": "family", "given_name": "given", "birth_date": "born", "age": "age", "wanted": "wanted", "region": "region"},
		}},
	}
	for _, r := range recipients {
		c.Recipients = append(c.Recipients, route.Recipient{Party: r.party})
	}
	return c
}

func ptr[T any](v T) *T { return &v }

// persons is the one clause of most tests.
func persons(src, rec *agency) []route.Clause { return []route.Clause{clause("persons", src, rec)} }

// apply signs the route and serves it, as the operator and the gateway's watcher do between them.
func (a *agency) apply(agreement string, tombstone *route.Tombstone, clauses ...route.Clause) {
	a.t.Helper()
	a.sequence++
	r := &route.Route{Format: route.Format, Agreement: agreement, Sequence: a.sequence, Self: a.party, Tombstone: tombstone}
	if tombstone == nil {
		for i := range clauses {
			if clauses[i].Source.Party == a.party {
				clauses[i].Source = route.Peer{Party: a.party}
			} else {
				clauses[i].Datasets = nil
			}
		}
		r.Versions = []route.Version{{Version: 1, Digest: "sha256:" + agreement, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), Clauses: clauses}}
	}
	a.put(r)
}

func (a *agency) put(r *route.Route) {
	a.t.Helper()
	payload, err := route.Encode(r)
	must(a.t, err)
	signed := route.Signed{Payload: payload, KeyID: "k", Signature: ed25519.Sign(a.routeKey, route.SigningInput(payload))}
	verified, err := route.Verify(signed, map[string]ed25519.PublicKey{"k": a.routeKey.Public().(ed25519.PublicKey)})
	must(a.t, err)
	must(a.t, a.table.Put(verified))
}

// agree puts one agreement with the clauses in force at all agencies.
func agree(agreement string, clauses []route.Clause, agencies ...*agency) {
	for _, a := range agencies {
		a.apply(agreement, nil, append([]route.Clause(nil), clauses...)...)
	}
}

// startExchange serves IssueCertificate as the agency's operator would: to gateways, for the agency of their certificate.
func (a *agency) startExchange() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(a.t, err)
	operator := a.ca.issue(a.t, identity.OperatorID(a.party.TrustDomain), pkix.Name{}, time.Now().Add(time.Hour))
	config := &tls.Config{Certificates: []tls.Certificate{*operator}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	exchangev1.RegisterExchangeServiceServer(s, exchangeServer{a: a})
	go s.Serve(ln)
	a.t.Cleanup(s.Stop)
	a.exchange = ln.Addr().String()
}

type exchangeServer struct {
	exchangev1.UnimplementedExchangeServiceServer
	a *agency
}

func (e exchangeServer) IssueCertificate(ctx context.Context, r *exchangev1.IssueCertificateRequest) (*exchangev1.IssueCertificateResponse, error) {
	if e.a.refuse.Load() {
		return nil, status.Error(codes.PermissionDenied, "no")
	}
	csr, err := x509.ParseCertificateRequest(r.GetCertificateRequest())
	if err != nil || csr.CheckSignature() != nil {
		return nil, status.Error(codes.InvalidArgument, "bad request")
	}
	p, _ := peer.FromContext(ctx)
	host := p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].URIs[0].Host
	recipient := strings.TrimSuffix(host, ".example")
	life := time.Duration(e.a.credential.Load())
	if life == 0 {
		life = time.Hour
	}
	notAfter := time.Now().Add(life)
	der, err := e.a.ca.sign(csr.PublicKey, identity.AgreementID(e.a.party.TrustDomain, r.GetAgreement(), recipient), pkix.Name{}, notAfter)
	if err != nil {
		return nil, err
	}
	e.a.issued.Add(1)
	return &exchangev1.IssueCertificateResponse{Certificates: [][]byte{der}, NotAfter: timestamppb.New(notAfter)}, nil
}

func (a *agency) userCertificate(user string) *tls.Certificate {
	return a.users.issue(a.t, "", pkix.Name{CommonName: user, Organization: []string{"analysts"}}, time.Now().Add(time.Hour))
}

// client is an HTTP client of a local user; "": of nobody, who has no certificate.
func (a *agency) client(user string) *http.Client {
	if user == "" {
		return a.clientOf(nil)
	}
	return a.clientOf(a.userCertificate(user))
}

func (a *agency) clientOf(certificate *tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: a.users.pool()}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	tr := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: false}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: described{a, tr}}
}

// post sends a body to the REST listener.
func (a *agency) post(c *http.Client, path, body string, header ...string) (int, http.Header, string) {
	a.t.Helper()
	req, err := http.NewRequest("POST", "https://"+a.addrs.REST+path, strings.NewReader(body))
	must(a.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return a.send(c, req)
}

func (a *agency) send(c *http.Client, req *http.Request) (int, http.Header, string) {
	a.t.Helper()
	resp, err := c.Do(req)
	must(a.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(a.t, err)
	return resp.StatusCode, resp.Header, string(b)
}

// records reads the agency's log.
func (a *agency) records() []audit.Record {
	a.t.Helper()
	var out []audit.Record
	must(a.t, audit.Read(a.logDir, func(e audit.Entry) error {
		out = append(out, e.Record)
		return nil
	}))
	return out
}

// gated is a source that waits at a gate after some records.
type gated struct {
	source.Source
	after int
	// reached is closed at the gate; gate opens it.
	reached, gate chan struct{}
}

func (g *gated) Records(ctx context.Context, q source.Query, yield func(*gatewayv1.Record) error) (bool, error) {
	n := 0
	return g.Source.Records(ctx, q, func(r *gatewayv1.Record) error {
		if n++; n == g.after {
			close(g.reached)
			<-g.gate
		}
		return yield(r)
	})
}

func (a *agency) clientWith(certificate *tls.Certificate) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: a.users.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil },
	}}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	return getWith(t, http.DefaultClient, url)
}

func getWith(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(b)
}

// inOneDay lets a test begin that reckons with one day (UTC): not when the day is about to end.
func inOneDay() {
	now := time.Now().UTC()
	if left := now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now); left < time.Minute {
		time.Sleep(left)
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
