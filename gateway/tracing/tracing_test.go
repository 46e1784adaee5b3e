package tracing

import (
	"context"
	"log/slog"
	"testing"

	"google.golang.org/grpc/metadata"
)

// off is what a query does with its tracer, when there is none.
func off(ctx context.Context) {
	var t *Tracer
	ctx, request := t.Serve(t.FromCall(ctx), Request)
	request.Listener("grpc")
	ctx, ask := t.Call(ctx, Ask)
	ask.Clause("agreement", "clause")
	ask.Disclosure("id")
	_, wait := t.Start(t.ToCall(ctx), LogWait)
	wait.Failed(nil)
	wait.End()
	ask.Outcome("OK")
	ask.End()
	request.End()
}

// TestOffCostsNothing: without a tracer nothing is allocated.
func TestOffCostsNothing(t *testing.T) {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(header, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	if n := testing.AllocsPerRun(100, func() { off(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOff(b *testing.B) {
	b.ReportAllocs()
	ctx := context.Background()
	for b.Loop() {
		off(ctx)
	}
}

func TestFromEnvironment(t *testing.T) {
	for _, c := range []struct {
		name    string
		env     map[string]string
		on, bad bool
	}{
		{"nothing", nil, false, false},
		{"endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, false},
		{"endpoint of traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example:4317"}, true, false},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false, false},
		{"always off", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER": "always_off"}, false, false},
		{"ratio", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}, true, false},
		{"ratio above one", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, false, true},
		{"another sampler", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER": "jaeger_remote"}, false, true},
		{"another protocol", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, k := range []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
				"OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
			} {
				t.Setenv(k, c.env[k])
			}
			tracer, err := FromEnvironment(t.Context(), Service{Name: "entente-gateway"}, slog.Default())
			if (err != nil) != c.bad || (tracer != nil) != c.on {
				t.Fatalf("tracer %v, error %v", tracer != nil, err)
			}
			// A collector that is away does not hold up a stop: there is nothing to send.
			if err := tracer.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}
