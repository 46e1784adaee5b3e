package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/route"
)

// TestQueryTables: CSV and Arrow hold the records and nothing else; an answer that broke off has no end.
func TestQueryTables(t *testing.T) {
	frame := func(p *gatewayv1.Provenance, names ...string) *gatewayv1.QueryResponse {
		b := columns.New([]*route.Field{{Name: "name", Type: "string"}})
		for _, n := range names {
			b.Column(0).PutText([]byte(n))
			b.EndRow()
		}
		data, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return &gatewayv1.QueryResponse{Records: &gatewayv1.RecordBatch{Provenance: p, Fields: []string{"name"}}, Arrow: data}
	}
	source := &gatewayv1.Provenance{Agency: "border-service"}
	ok := &gatewayv1.QueryResponse{Source: &gatewayv1.SourceStatus{Agency: "border-service", Outcome: gatewayv1.Outcome_OUTCOME_OK, Records: 2}}
	whole := &gatewayv1.QueryResponse{Summary: &gatewayv1.QuerySummary{Complete: true}}
	g := &cannedGateway{frames: []*gatewayv1.QueryResponse{frame(nil), frame(source, "Doe", "=1+1"), ok, whole}}
	flags := append([]string{"person", "--purpose", "x:y"}, startCanned(t, g)...)
	out, errs, err := runCommand(newQueryCommand(), append(flags, "-o", "csv")...)
	if err != nil || !strings.HasPrefix(out, "source.agency,") || !strings.HasSuffix(out, ",Doe\r\nborder-service,,,,,Prohibited,,,'=1+1\r\n") || !strings.Contains(errs, "2 records") {
		t.Errorf("%v\n%s\n%s", err, out, errs)
	}
	out, _, err = runCommand(newQueryCommand(), append(flags, "-o", "arrow")...)
	r, badly := ipc.NewReader(strings.NewReader(out))
	if err != nil || badly != nil || !r.Next() || r.RecordBatch().NumRows() != 2 || r.Next() || r.Err() != nil {
		t.Errorf("%v, %v", err, badly)
	}
	end := []byte("\xff\xff\xff\xff\x00\x00\x00\x00")
	if !bytes.HasSuffix([]byte(out), end) {
		t.Error("a whole stream has no end")
	}
	g.frames, g.err = g.frames[:2], status.Error(codes.Unavailable, "away")
	out, _, err = runCommand(newQueryCommand(), append(flags, "-o", "arrow")...)
	var exit *exitError
	if err == nil || errors.As(err, &exit) || len(out) == 0 || bytes.HasSuffix([]byte(out), end) {
		t.Errorf("what broke off looks whole: %v, %d bytes", err, len(out))
	}
}
