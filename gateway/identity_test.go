package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
)

// retrieve calls the peer listener with a certificate, as a gateway that is not ours might.
func retrieve(t *testing.T, a *agency, certificate *tls.Certificate, req *gatewayv1.RetrieveRequest) (*gatewayv1.RetrieveResponse, error) {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	conn, err := grpc.NewClient(a.addrs.Peer, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := gatewayv1.NewSourceServiceClient(conn).Retrieve(ctx, req)
	if err != nil {
		return nil, err
	}
	return stream.Recv()
}

func request(agreement string) *gatewayv1.RetrieveRequest {
	return &gatewayv1.RetrieveRequest{
		DisclosureId: uuid.Must(uuid.NewV7()).String(), Agreement: agreement, Version: 1, Clause: "persons", Schema: "person.v1",
		Filter: `person_number == "P000042"`, Purpose: purpose, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"},
		Granularity: gatewayv1.Granularity_GRANULARITY_RECORDS,
	}
}

// TestWhoIsRefusedAtTheHandshake has every wrong certificate that a peer could show.
func TestWhoIsRefusedAtTheHandshake(t *testing.T) {
	src, rec := pair(t, options{})
	hour := time.Now().Add(time.Hour)
	agr := identity.AgreementID("border-service.example", "agr", "state-police")
	for _, tt := range []struct {
		name        string
		certificate *tls.Certificate
	}{
		{"none", nil},
		{"the right name from another authority", rec.ca.issue(t, agr, pkix.Name{}, hour)},
		{"the recipient's own agreement credential", rec.ca.issue(t, identity.AgreementID("state-police.example", "agr", "state-police"), pkix.Name{}, hour)},
		{"the recipient's gateway", rec.own},
		{"the source's own gateway", src.own},
		{"the recipient's operator", rec.ca.issue(t, identity.OperatorID("state-police.example"), pkix.Name{}, hour)},
		{"expired", src.ca.issue(t, agr, pkix.Name{}, time.Now().Add(-time.Minute))},
		{"no SPIFFE ID", src.ca.issue(t, "", pkix.Name{CommonName: "state-police"}, hour)},
		{"a longer path", src.ca.issue(t, agr+"/more", pkix.Name{}, hour)},
		{"another kind of path", src.ca.issue(t, "spiffe://border-service.example/agreement/agr/source/state-police", pkix.Name{}, hour)},
		{"a local user", src.users.issue(t, "", pkix.Name{CommonName: "alice"}, hour)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if f, err := retrieve(t, src, tt.certificate, request("agr")); status.Code(err) != codes.Unavailable {
				t.Errorf("%v, %v", f, err)
			}
		})
	}
	if n := len(src.records()); n != 0 {
		t.Errorf("strangers left %d records in the log", n)
	}
	_, body := get(t, "http://"+src.addrs.Health+"/metrics")
	if !strings.Contains(body, `entente_gateway_unauthenticated_total{listener="peer"} `) {
		t.Error("strangers are not counted")
	}
	// And the right one gets in.
	f, err := retrieve(t, src, src.ca.issue(t, agr, pkix.Name{}, hour), request("agr"))
	if err != nil || len(f.GetRecords().GetRecords()) != 1 || f.GetResult().GetOutcome() != gatewayv1.Outcome_OUTCOME_OK {
		t.Errorf("%v %v", f, err)
	}
}

// TestWhoReadsReceipts: the agency's own operator, which may do nothing else.
func TestWhoReadsReceipts(t *testing.T) {
	src, _ := pair(t, options{})
	hour := time.Now().Add(time.Hour)
	recipient := src.ca.issue(t, identity.AgreementID("border-service.example", "agr", "state-police"), pkix.Name{}, hour)
	operator := src.ca.issue(t, identity.OperatorID("border-service.example"), pkix.Name{}, hour)
	if f, err := retrieve(t, src, operator, request("agr")); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the operator retrieves: %v, %v", f, err)
	}
	asked := request("agr")
	if _, err := retrieve(t, src, recipient, asked); err != nil {
		t.Fatal(err)
	}
	receipts := func(certificate *tls.Certificate, peer string) (*gatewayv1.ListReceiptsResponse, error) {
		conn, err := grpc.NewClient(src.addrs.Peer, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate}})))
		must(t, err)
		defer conn.Close()
		return gatewayv1.NewAuditServiceClient(conn).ListReceipts(t.Context(), &gatewayv1.ListReceiptsRequest{
			Peer: peer, Since: timestamppb.New(hour.Add(-2 * time.Hour)), Until: timestamppb.New(hour),
		})
	}
	if r, err := receipts(recipient, "state-police"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a recipient reads receipts: %v, %v", r, err)
	}
	r, err := receipts(operator, "state-police")
	must(t, err)
	if len(r.GetReceipts()) != 1 || r.GetReceipts()[0].GetDisclosureId() != asked.GetDisclosureId() || !r.GetReceipts()[0].GetSource() ||
		r.GetReceipts()[0].GetOutcome() != "OK" || r.GetReceipts()[0].GetResponseDigest() == "" || r.GetMore() {
		t.Errorf("%v", r)
	}
	if r, err := receipts(operator, "coast-guard"); err != nil || len(r.GetReceipts()) != 0 {
		t.Errorf("of another peer: %v, %v", r, err)
	}
}

// TestMisdatedID: an id that is dated elsewhere would hide a disclosure from a comparison of logs.
func TestMisdatedID(t *testing.T) {
	src, _ := pair(t, options{})
	certificate := src.ca.issue(t, identity.AgreementID("border-service.example", "agr", "state-police"), pkix.Name{}, time.Now().Add(time.Hour))
	req := request("agr")
	req.DisclosureId = "01920000-0000-7000-8000-000000000000" // September 2024
	f, err := retrieve(t, src, certificate, req)
	if err != nil || f.GetResult().GetOutcome() != gatewayv1.Outcome_OUTCOME_DENIED || !strings.Contains(f.GetResult().GetMessage(), "clocks") {
		t.Errorf("%v, %v", f, err)
	}
}

// TestCredentialOfAnotherAgreement is refused by the core, and logged.
func TestCredentialOfAnotherAgreement(t *testing.T) {
	src, rec := pair(t, options{})
	src.apply("other", nil, clause("persons", src, rec))
	hour := time.Now().Add(time.Hour)
	for name, id := range map[string]string{
		"agreement": identity.AgreementID("border-service.example", "other", "state-police"),
		"recipient": identity.AgreementID("border-service.example", "agr", "coast-guard"),
	} {
		before := len(src.records())
		f, err := retrieve(t, src, src.ca.issue(t, id, pkix.Name{}, hour), request("agr"))
		if err != nil || f.GetResult().GetOutcome() != gatewayv1.Outcome_OUTCOME_DENIED || f.GetRecords() != nil {
			t.Errorf("%s: %v %v", name, f, err)
		}
		log := src.records()[before:]
		if len(log) != 1 || log[0].Kind != audit.Denial {
			t.Errorf("%s: log %+v", name, log)
		}
	}
}

// TestCredentialExpiresOnALiveConnection: a connection does not outlive its credential.
func TestCredentialExpiresOnALiveConnection(t *testing.T) {
	t.Parallel() // it mostly waits
	src, _ := pair(t, options{})
	id := identity.AgreementID("border-service.example", "agr", "state-police")
	certificate := src.ca.issue(t, id, pkix.Name{}, time.Now().Add(15*time.Second))
	conn, err := grpc.NewClient(src.addrs.Peer, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate}})))
	must(t, err)
	defer conn.Close()
	call := func() error {
		stream, err := gatewayv1.NewSourceServiceClient(conn).Retrieve(context.Background(), request("agr"))
		must(t, err)
		_, err = stream.Recv()
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(certificate.Leaf.NotAfter) + 50*time.Millisecond)
	if err := call(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v", err)
	}
}

// TestServerMustBeTheSourcesGateway: a route that leads to another process of even the same agency gets no answer.
func TestServerMustBeTheSourcesGateway(t *testing.T) {
	src, rec := pair(t, options{})
	impostor := startAgency(t, "impostor", options{people: 100})
	for name, change := range map[string]func(*route.Peer){
		"another agency's gateway":      func(p *route.Peer) { p.Gateway = impostor.addrs.Peer },
		"the source's operator":         func(p *route.Peer) { p.Gateway = src.exchange },
		"another authority in the pins": func(p *route.Peer) { p.TrustBundle = impostor.ca.pem() },
	} {
		t.Run(name, func(t *testing.T) {
			c := clause("persons", src, rec)
			change(&c.Source)
			rec.apply("agr", nil, c)
			code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`))
			if code != 200 || len(a.Records) != 0 || a.Sources[0].Outcome != "UNAVAILABLE" {
				t.Errorf("%d %+v", code, a)
			}
		})
	}
	if n := len(src.records()) + len(impostor.records()); n != 0 {
		t.Errorf("%d records in logs of sources that were never asked", n)
	}
}

func TestCredentialIsRenewedAndDropped(t *testing.T) {
	t.Parallel() // it mostly waits
	src, rec := pair(t, options{})
	src.credential.Store(int64(5 * time.Second))
	c := rec.client("alice")
	deadline := time.Now().Add(8 * time.Second)
	queries := 0
	for time.Now().Before(deadline) {
		_, a := rec.query(t, c, q(`person_number == "P000042"`))
		if len(a.Records) != 1 {
			t.Fatalf("after %d queries and %d credentials: %+v", queries, src.issued.Load(), a.Sources)
		}
		queries++
		time.Sleep(20 * time.Millisecond)
	}
	if n := src.issued.Load(); n < 2 || n > 5 {
		t.Errorf("%d credentials for %d queries in 8 s, at 5 s each", n, queries)
	}
	// No credential: DENIED, with the reason, and the exchange is not asked at each query.
	rec.apply("agr", &route.Tombstone{Reason: "Suspended", At: time.Now()})
	rec.apply("agr", nil, clause("persons", src, rec))
	src.refuse.Store(true)
	_, a := rec.query(t, c, q(`person_number == "P000042"`))
	if a.Sources[0].Outcome != "DENIED" || a.Sources[0].Reason != "Credential" {
		t.Errorf("%+v", a.Sources)
	}
}

func TestLocalUsers(t *testing.T) {
	src, rec := pair(t, options{})
	for name, subject := range map[string]pkix.Name{"nobody": {}, "no common name": {Organization: []string{"analysts"}}} {
		t.Run(name, func(t *testing.T) {
			c := rec.client("")
			if name != "nobody" {
				c = rec.clientWith(rec.users.issue(t, "", subject, time.Now().Add(time.Hour)))
			}
			code, h, body := rec.post(c, "/v1/query", q(`person_number == "P000042"`))
			if code != 401 || h.Get("WWW-Authenticate") == "" || h.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s", code, body)
			}
		})
	}
	for name, certificate := range map[string]*tls.Certificate{
		"of another agency's users": src.users.issue(t, "", pkix.Name{CommonName: "alice"}, time.Now().Add(time.Hour)),
		"expired":                   rec.users.issue(t, "", pkix.Name{CommonName: "alice"}, time.Now().Add(-time.Minute)),
		"a gateway":                 rec.own,
	} {
		t.Run(name, func(t *testing.T) {
			if resp, err := rec.clientWith(certificate).Get("https://" + rec.addrs.REST + "/v1/datasets"); err == nil {
				resp.Body.Close()
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	if n := len(rec.records()); n != 0 {
		t.Errorf("strangers left %d records in the log", n)
	}
}
