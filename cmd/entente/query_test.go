package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"encoding/pem"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// cannedGateway answers every query with the same frames.
type cannedGateway struct {
	gatewayv1.UnimplementedQueryServiceServer
	frames []*gatewayv1.QueryResponse
	err    error
	asked  *gatewayv1.QueryRequest
	token  []string
	// explained is what an explanation was asked for, which says clauses; datasets are what is offered, once hang is false.
	explained *gatewayv1.ExplainRequest
	clauses   []*gatewayv1.ClauseExplanation
	datasets  []*gatewayv1.OfferedDataset
	hang      bool
}

func (g *cannedGateway) Query(req *gatewayv1.QueryRequest, stream grpc.ServerStreamingServer[gatewayv1.QueryResponse]) error {
	g.asked = req
	md, _ := metadata.FromIncomingContext(stream.Context())
	g.token = md.Get("authorization")
	for _, f := range g.frames {
		if err := stream.Send(f); err != nil {
			return err
		}
	}
	return g.err
}

// startCanned serves g over TLS and gives the flags that lead to it.
func startCanned(t *testing.T, g *cannedGateway) []string {
	t.Helper()
	borrowed := httptest.NewUnstartedServer(nil) // for its certificate
	borrowed.StartTLS()
	defer borrowed.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&borrowed.TLS.Certificates[0])))
	gatewayv1.RegisterQueryServiceServer(s, g)
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	for file, content := range map[string][]byte{
		ca:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: borrowed.Certificate().Raw}),
		token: []byte("secret\n"),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--server", ln.Addr().String(), "--certificate-authority", ca, "--token-file", token}
}

func runCommand(cmd *cobra.Command, args ...string) (out, errs string, err error) {
	var o, e bytes.Buffer
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.ExecuteContext(context.Background())
	return o.String(), e.String(), err
}

func text(s string) *gatewayv1.Value {
	return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: s}}
}

func TestQueryCommand(t *testing.T) {
	batch := &gatewayv1.QueryResponse{Records: &gatewayv1.RecordBatch{
		Provenance: &gatewayv1.Provenance{Agency: "border-service", Agreement: "agr.v1", Clause: "c"}, Fields: []string{"name", "note"},
		Records: []*gatewayv1.Record{{Values: []*gatewayv1.Value{text("Doe"), {}}}, {Values: []*gatewayv1.Value{text("\x1b[31mred"), text("x")}}},
	}}
	ok := &gatewayv1.QueryResponse{Source: &gatewayv1.SourceStatus{Agency: "border-service", Outcome: gatewayv1.Outcome_OUTCOME_OK, Records: 2, Agreement: "agr.v1", Clause: "c",
		Obligations: &gatewayv1.Obligations{Redisclosure: "Prohibited", DestroyBy: "2027-02-01", NoActionBefore: "2026-12-01"}}}
	denied := &gatewayv1.QueryResponse{Source: &gatewayv1.SourceStatus{Agency: "labor", Outcome: gatewayv1.Outcome_OUTCOME_DENIED, Reason: "purpose", Message: "not permitted"}}
	whole := &gatewayv1.QueryResponse{Summary: &gatewayv1.QuerySummary{Complete: true}}
	part := &gatewayv1.QueryResponse{Summary: &gatewayv1.QuerySummary{}}
	query := []string{"person", "--filter", `a == "b"`, "--purpose", "x:y", "--fields", "name,note", "--case-reference", "C-1", "--granularity", "records", "--limit", "10"}

	g := &cannedGateway{frames: []*gatewayv1.QueryResponse{batch, ok, whole}}
	out, errs, err := runCommand(newQueryCommand(), append(query, startCanned(t, g)...)...)
	if err != nil || !strings.Contains(out, "AGENCY") || !strings.Contains(out, "border-service  Doe") || strings.Contains(out, "\x1b") || !strings.Contains(errs, "2 records [agr.v1/c]") ||
		!strings.Contains(errs, "do not pass it on; destroy it by 2027-02-01; no action against anybody before 2026-12-01,") {
		t.Errorf("%v\n%s\n%s", err, out, errs)
	}
	if len(g.asked.GetFields()) != 2 || g.asked.GetJustification().GetCaseReference() != "C-1" || g.asked.GetLimit() != 10 || len(g.token) != 1 || g.token[0] != "Bearer secret" {
		t.Errorf("asked %v with %v", g.asked, g.token)
	}

	g = &cannedGateway{frames: []*gatewayv1.QueryResponse{batch, ok, denied, part}}
	out, _, err = runCommand(newQueryCommand(), append(append(query, "-o", "json"), startCanned(t, g)...)...)
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != exitIncomplete || !strings.HasPrefix(out, `{"records":[{"source":{"agency":"border-service"`) {
		t.Errorf("%v\n%s", err, out)
	}

	g = &cannedGateway{err: status.Error(codes.InvalidArgument, "filter, line 1, column 3: no such field")}
	_, _, err = runCommand(newQueryCommand(), append(query, startCanned(t, g)...)...)
	if err == nil || errors.As(err, &exit) || !strings.Contains(err.Error(), "column 3") {
		t.Errorf("%v", err)
	}

	if _, _, err = runCommand(newQueryCommand(), "person", "--filter", "x"); err == nil || !strings.Contains(err.Error(), "purpose") {
		t.Errorf("without a purpose: %v", err)
	}
}
