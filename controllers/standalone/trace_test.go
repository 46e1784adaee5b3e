package standalone

import (
	"context"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/entente-dev/entente/gateway/peer"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/tracing"
)

// spanReceiver is a real OTLP receiver.
type spanReceiver struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans []*tracev1.Span
	text  string
}

func (r *spanReceiver) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text += protojson.Format(req)
	for _, of := range req.GetResourceSpans() {
		for _, in := range of.GetScopeSpans() {
			r.spans = append(r.spans, in.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// TestTraceOfACredential: the issue of an agreement credential is in the trace of the gateway that asks for it, at the collector that
// OpenTelemetry's variables name, and says whose process it is.
func TestTraceOfACredential(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	received, server := &spanReceiver{}, grpc.NewServer()
	collector.RegisterTraceServiceServer(server, received)
	go server.Serve(ln)
	t.Cleanup(server.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+ln.Addr().String())
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")

	police, labor := inForceUntil(t, "2226-01-01T00:00:00Z") // what runs has the clock of this machine
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o := labor.options()
	ready, ended := make(chan Bound, 1), make(chan error, 1)
	o.Ready = func(b Bound) { ready <- b }
	go func() { ended <- Run(ctx, o) }()
	var bound Bound
	select {
	case bound = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	self, keys, err := police.folder.open()
	if err != nil {
		t.Fatal(err)
	}
	exported, err := labor.folder.ExportAgency(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const id = "0af7651916cd43dd8448eb211c80319c"
	outgoing := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+id+"-b7ad6b7169203331-01", "baggage", "note=smuggled")
	source := route.Peer{Party: route.Party{Agency: "labor", TrustDomain: exported.Spec.TrustDomain}, Exchange: bound.Exchange, TrustBundle: exported.Spec.TrustBundle}
	if _, err := peer.Obtain(outgoing, peer.Exchange{Own: keys.GatewayIdentity()}, route.Party{Agency: self.Name, TrustDomain: self.Spec.TrustDomain}, source, "wages", time.Now()); err != nil {
		t.Fatal(err)
	}
	stop() // sends what is left
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	received.mu.Lock()
	defer received.mu.Unlock()
	found := false
	for _, s := range received.spans {
		found = found || s.GetName() == tracing.Issue && hex.EncodeToString(s.GetTraceId()) == id && hex.EncodeToString(s.GetParentSpanId()) == "b7ad6b7169203331"
	}
	if !found {
		t.Errorf("no %q in the trace: %s", tracing.Issue, received.text)
	}
	for _, want := range []string{"entente-standalone", "labor", "wages", "deployment.environment"} {
		if !strings.Contains(received.text, want) {
			t.Errorf("nothing says %s", want)
		}
	}
	if strings.Contains(received.text, "smuggled") {
		t.Error("baggage was taken")
	}
}
