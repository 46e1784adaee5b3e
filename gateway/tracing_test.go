package gateway_test

import (
	"context"
	"encoding/hex"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/tracing"
)

// spanReceiver is a real OTLP receiver (gRPC), as an agency's collector is one.
type spanReceiver struct {
	collector.UnimplementedTraceServiceServer
	address string
	mu      sync.Mutex
	spans   []*tracev1.Span
	text    strings.Builder // all that came, resources included
}

func startReceiver(t testing.TB) *spanReceiver {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &spanReceiver{address: ln.Addr().String()}
	s := grpc.NewServer()
	collector.RegisterTraceServiceServer(s, r)
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	return r
}

func (r *spanReceiver) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.WriteString(protojson.Format(req))
	for _, of := range req.GetResourceSpans() {
		for _, in := range of.GetScopeSpans() {
			r.spans = append(r.spans, in.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// tracer sends to the receiver, and everything has arrived when the function that it gives returns.
func (r *spanReceiver) tracer(t testing.TB, agency string, ratio float64) (*tracing.Tracer, func()) {
	t.Helper()
	exporter, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(r.address), otlptracegrpc.WithInsecure())
	must(t, err)
	tracer, err := tracing.New(t.Context(), exporter, tracing.Service{Name: "entente-gateway", Agency: agency, Instance: "gateway-0"}, ratio)
	must(t, err)
	return tracer, func() { must(t, tracer.Close()) }
}

// named gives the spans of a name.
func (r *spanReceiver) named(name string) (out []*tracev1.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.GetName() == name {
			out = append(out, s)
		}
	}
	return out
}

func attributeOf(s *tracev1.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// traced starts two agencies with a collector each.
func traced(t *testing.T, ratio float64) (src, rec *agency, atSource, atRecipient *spanReceiver, flush func()) {
	atSource, atRecipient = startReceiver(t), startReceiver(t)
	s, flushSource := atSource.tracer(t, "border-service", ratio)
	r, flushRecipient := atRecipient.tracer(t, "state-police", 1)
	src, rec = startAgency(t, "border-service", options{people: 1000, trace: s}), startAgency(t, "state-police", options{people: 1, trace: r})
	agree("agr", []route.Clause{clause("persons", src, rec)}, src, rec)
	return src, rec, atSource, atRecipient, func() { src.stop(); rec.stop(); flushSource(); flushRecipient() }
}

// TestOneTraceOverTwoAgencies: what an application asks is one trace at both agencies' collectors, each step within the one that
// caused it, with nothing in it but what package tracing lists.
func TestOneTraceOverTwoAgencies(t *testing.T) {
	_, rec, atSource, atRecipient, flush := traced(t, 1)
	const id, app = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	code, _, body := rec.post(rec.client("alice-the-analyst"), "/v1/query", q(`person_number == "P000042"`),
		"Traceparent", "00-"+id+"-"+app+"-01", "Tracestate", "vendor=smuggled-state", "Baggage", "note=smuggled-baggage")
	if code != 200 || !strings.Contains(body, "1950-02-12") {
		t.Fatalf("%d %s", code, body)
	}
	// Refusals have words of the request in their messages.
	rec.query(t, rec.client("alice-the-analyst"), q(`given_name == "asked-for-name"`))
	rec.query(t, rec.client("alice-the-analyst"), strings.Replace(q(`person_number == "P000042"`), "SP-2026-1", "wrong-case", 1))
	rec.query(t, rec.client("alice-the-analyst"), strings.Replace(q(`person_number == "P000042"`), purpose, "asked-for:purpose", 1))
	rec.query(t, rec.client("alice-the-analyst"), q(`person_number == "P000042"`, `"agencies":["asked-for-agency"]`))
	flush()

	// Each step, and the one that it is within.
	within := map[string]string{
		tracing.Request: "", tracing.Query: tracing.Request, tracing.Ask: tracing.Query, tracing.Credential: tracing.Ask,
		tracing.Disclosure: tracing.Ask, tracing.SourceQuery: tracing.Disclosure,
	}
	names, seen := map[string]string{app: ""}, map[string]bool{}
	all := append(slices.Clone(atRecipient.spans), atSource.spans...)
	var ofApp []*tracev1.Span
	for _, s := range all {
		if hex.EncodeToString(s.GetTraceId()) == id {
			ofApp = append(ofApp, s)
			names[hex.EncodeToString(s.GetSpanId())] = s.GetName()
		}
	}
	for _, s := range ofApp {
		seen[s.GetName()] = true
		parent, known := names[hex.EncodeToString(s.GetParentSpanId())]
		if want, listed := within[s.GetName()]; listed && parent != want || !known {
			t.Errorf("%q is within %q", s.GetName(), parent)
		}
	}
	for name := range within {
		if !seen[name] {
			t.Errorf("the trace has no %q", name)
		}
	}
	for _, r := range []*spanReceiver{atSource, atRecipient} {
		if len(r.named(tracing.Decision)) == 0 || len(r.named(tracing.LogWait)) == 0 {
			t.Error("a side shows no decision, or no wait for its log")
		}
	}
	asked, answered := attributeOf(atRecipient.named(tracing.Ask)[0], tracing.KeyDisclosure), attributeOf(atSource.named(tracing.Disclosure)[0], tracing.KeyDisclosure)
	if asked == "" || asked != answered {
		t.Errorf("the disclosure is %q at its recipient and %q at its source", asked, answered)
	}

	allowed := []string{
		tracing.KeyListener, tracing.KeyQuery, tracing.KeyDisclosure, tracing.KeyAgreement, tracing.KeyClause, tracing.KeyOutcome, tracing.KeyCheck, tracing.KeySources,
	}
	for _, s := range all {
		for _, a := range s.GetAttributes() {
			if !slices.Contains(allowed, a.GetKey()) {
				t.Errorf("%q has the attribute %s", s.GetName(), a.GetKey())
			}
		}
		if len(s.GetEvents()) > 0 || len(s.GetLinks()) > 0 || s.GetStatus().GetMessage() != "" || s.GetTraceState() != "" {
			t.Errorf("%q has more than attributes: %s", s.GetName(), protojson.Format(s))
		}
	}
	for _, text := range []string{atSource.text.String(), atRecipient.text.String()} {
		for _, word := range []string{"P000042", "1950-02-12", "alice", "SP-2026", "asked-for", "wrong-case", "smuggled", "trafficking", "person_number", "given_name", "127.0.0.1"} {
			if strings.Contains(text, word) {
				t.Errorf("a span has %q", word)
			}
		}
	}
}

// TestSamplingIsLocal: what a caller says of sampling never makes this side sample more.
func TestSamplingIsLocal(t *testing.T) {
	_, rec, atSource, atRecipient, flush := traced(t, 0)
	analyst := rec.client("alice")
	for range 5 {
		rec.query(t, analyst, q(`person_number == "P000042"`))
	}
	rec.post(analyst, "/v1/query", q(`person_number == "P000042"`), "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
	flush()
	if n := len(atRecipient.named(tracing.Request)); n != 5 {
		t.Errorf("%d traces at the recipient, want the 5 that nobody asked not to take", n)
	}
	if len(atSource.spans) > 0 {
		t.Errorf("a recipient's sampling made the source take %d spans", len(atSource.spans))
	}
}

func incoming(traceparent string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs("traceparent", traceparent))
}

// TestCallersCannotSpend: a caller that samples everything gets a share of this side's traces and no more.
func TestCallersCannotSpend(t *testing.T) {
	atSource := startReceiver(t)
	s, flushSource := atSource.tracer(t, "border-service", 1)
	const many = 4 * tracing.PerSecond
	from := time.Now()
	for range many {
		ctx := s.FromCall(incoming("00-00000000000000000000000000000001-0000000000000001-01"))
		_, span := s.Serve(ctx, tracing.Disclosure)
		span.End()
	}
	took := time.Since(from)
	_, own := s.Serve(t.Context(), tracing.Request) // what is spent on others is not taken from our own
	own.End()
	flushSource()
	if n, most := len(atSource.named(tracing.Disclosure)), tracing.PerSecond*(2+int(took.Seconds())); n > most {
		t.Errorf("%d of %d traces were taken, at most %d should be", n, many, most)
	}
	if len(atSource.named(tracing.Request)) != 1 {
		t.Error("callers' traces used up our own")
	}
}
