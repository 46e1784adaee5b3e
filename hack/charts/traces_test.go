package charts

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/entente-dev/entente/gateway/tracing"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/internal/demo/data"
)

// spanReceiver is a real OTLP receiver. It stands for the collectors of all agencies, so that what each sends can be laid together.
type spanReceiver struct {
	collector.UnimplementedTraceServiceServer
	address string

	mu     sync.Mutex
	traces map[string]map[string]bool // by trace: "agency process: span"
	text   strings.Builder
}

func startSpanReceiver(t *testing.T) *spanReceiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &spanReceiver{address: l.Addr().String(), traces: map[string]map[string]bool{}}
	s := grpc.NewServer()
	collector.RegisterTraceServiceServer(s, r)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return r
}

// Export implements the receiver.
func (r *spanReceiver) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.WriteString(protojson.Format(req))
	for _, of := range req.GetResourceSpans() {
		about := map[string]string{}
		for _, a := range of.GetResource().GetAttributes() {
			about[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, in := range of.GetScopeSpans() {
			for _, s := range in.GetSpans() {
				id := hex.EncodeToString(s.GetTraceId())
				if r.traces[id] == nil {
					r.traces[id] = map[string]bool{}
				}
				r.traces[id][about["entente.agency"]+" "+about["service.name"]+": "+s.GetName()] = true
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// checkTraces: the first query of an agency is one trace through its gateway, the source's operator, which issues the credential, and the
// source's gateway; each says whose process it is, and nothing of the query.
func checkTraces(t *testing.T, s *stack.Stack, r *spanReceiver) {
	p := data.Marisol()
	answer, err := s.Agency(stack.Police).Analyst.Ask(t.Context(), stack.Question{
		Schema: "person", Filter: fmt.Sprintf("document_number == %q", p.Document), Purpose: "entente:trafficking-investigation",
		Justification: stack.Justification{CaseReference: "HTF-2026-0417", SubjectRole: "victim"},
	})
	if err != nil || len(answer.Records) == 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	var want []string
	for who, names := range map[string][]string{
		stack.Police + " entente-gateway": {tracing.Request, tracing.Query, tracing.Decision, tracing.Ask, tracing.Credential, tracing.LogWait},
		stack.Labor + " entente-operator": {tracing.Issue}, stack.Border + " entente-operator": {tracing.Issue},
		stack.Labor + " entente-gateway":  {tracing.Disclosure, tracing.Decision, tracing.SourceQuery, tracing.LogWait},
		stack.Border + " entente-gateway": {tracing.Disclosure, tracing.Decision, tracing.SourceQuery, tracing.LogWait},
	} {
		for _, n := range names {
			want = append(want, who+": "+n)
		}
	}
	missing := func() (least []string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		least = want
		for _, have := range r.traces {
			var lacks []string
			for _, w := range want {
				if !have[w] {
					lacks = append(lacks, w)
				}
			}
			if len(lacks) < len(least) {
				least = lacks
			}
		}
		return least
	}
	deadline := time.Now().Add(2 * time.Minute)
	for len(missing()) > 0 && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
	}
	if lacks := missing(); len(lacks) > 0 {
		t.Errorf("no trace has everything; the fullest lacks %q", lacks)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, word := range []string{p.Document, p.Family, p.Given, p.Job.Employer, "HTF-2026-0417", "document_number", "trafficking", "analyst"} {
		if strings.Contains(r.text.String(), word) {
			t.Errorf("a span has %q", word)
		}
	}
}
