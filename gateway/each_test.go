package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
)

// TestEachIsDecidedAnew: on a stream that stays open, what changes between two requests is felt by the second.
func TestEachIsDecidedAnew(t *testing.T) {
	t.Parallel() // it mostly waits
	src, _ := pair(t, options{})
	certificate := src.ca.issue(t, identity.AgreementID("border-service.example", "agr", "state-police"), pkix.Name{}, time.Now().Add(20*time.Second))
	conn, err := grpc.NewClient(src.addrs.Peer, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate}})))
	must(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	stream, err := gatewayv1.NewSourceServiceClient(conn).RetrieveEach(ctx)
	must(t, err)
	ask := func(change func(*gatewayv1.RetrieveEachRequest)) (*gatewayv1.SourceStatus, error) {
		t.Helper()
		r := &gatewayv1.RetrieveEachRequest{Request: request("agr"), TimeoutMicros: 60e6}
		if change != nil {
			change(r)
		}
		must(t, stream.Send(r))
		for {
			f, err := stream.Recv()
			if err != nil {
				return nil, err
			}
			if r := f.GetResult(); r != nil {
				return r, nil
			}
		}
	}
	answered := func(r *gatewayv1.SourceStatus, err error) {
		t.Helper()
		if err != nil || r.GetOutcome() != gatewayv1.Outcome_OUTCOME_OK || r.GetRecords() != 1 {
			t.Errorf("%v, %v", r, err)
		}
	}
	denied := func(check string, r *gatewayv1.SourceStatus, err error) {
		t.Helper()
		log := src.records()
		if last := log[len(log)-1]; err != nil || r.GetOutcome() != gatewayv1.Outcome_OUTCOME_DENIED || r.GetReason() != check || last.Kind != audit.Denial || last.Reason != check {
			t.Errorf("%v, %v, log %+v", r, err, last)
		}
	}
	answered(ask(nil))
	answered(ask(nil))
	r, err := ask(func(r *gatewayv1.RetrieveEachRequest) { r.Request.Purpose = "entente:another" })
	denied("purpose", r, err)
	// What this gateway does not know may be a restriction, wherever it stands.
	r, err = ask(func(r *gatewayv1.RetrieveEachRequest) {
		r.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	})
	denied("request", r, err)
	r, err = ask(func(r *gatewayv1.RetrieveEachRequest) { r.Request = nil })
	denied("request", r, err)
	answered(ask(nil))
	// The end of an agreement, and of a credential.
	src.apply("agr", &route.Tombstone{Reason: "Suspended", At: time.Now()})
	r, err = ask(nil)
	denied("agreement", r, err)
	time.Sleep(time.Until(certificate.Leaf.NotAfter) + 50*time.Millisecond)
	if r, err := ask(nil); status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v, %v", r, err)
	}
}

// TestStopDoesNotWaitForStreams on which nobody asks.
func TestStopDoesNotWaitForStreams(t *testing.T) {
	src, rec := pair(t, options{drain: time.Minute})
	for range 3 {
		if code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`)); code != 200 || len(a.Records) != 1 {
			t.Fatal(code, a)
		}
	}
	stopped := make(chan struct{})
	go func() { src.stop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(30 * time.Second):
		t.Error("the gateway waits for streams on which nobody asks")
	}
}
