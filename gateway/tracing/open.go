package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"
)

// Service says which process the spans are of.
type Service struct {
	// Name, such as entente-gateway; OTEL_SERVICE_NAME wins over it.
	Name string
	// Agency that the process is of, and which of its replicas.
	Agency, Instance string
}

// closeTimeout bounds the sending of the last spans at a stop.
const closeTimeout = 5 * time.Second

// FromEnvironment makes a Tracer as OpenTelemetry's own variables say: OTEL_EXPORTER_OTLP_ENDPOINT, or the same of traces alone, is
// where spans go (OTLP over gRPC); OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _CLIENT_CERTIFICATE, _CLIENT_KEY and _TIMEOUT are as usual,
// OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG which traces are taken. Without an endpoint
// it is nil: nothing is traced.
func FromEnvironment(ctx context.Context, s Service, log *slog.Logger) (*Tracer, error) {
	if cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")) == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	if p := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "grpc"); p != "grpc" {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL %q: spans are sent by grpc only", p)
	}
	ratio, err := samplingRatio(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil {
		return nil, err
	}
	if ratio == 0 {
		return nil, nil
	}
	// It connects in the background: a collector that is away keeps nothing from starting.
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("trace exporter: %w", err)
	}
	noise := rate.NewLimiter(rate.Every(time.Minute), 3)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if noise.Allow() {
			log.Warn("spans are lost", "error", err)
		}
	}))
	return New(ctx, exporter, s, ratio)
}

// New makes a Tracer that sends to an exporter, which it closes, and samples at most the ratio of traces.
func New(ctx context.Context, exporter sdktrace.SpanExporter, s Service, ratio float64) (*Tracer, error) {
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", s.Name), attribute.String("service.instance.id", s.Instance), attribute.String("entente.agency", s.Agency),
	), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", errors.Join(err, exporter.Shutdown(ctx)))
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithSampler(newSampler(ratio)), sdktrace.WithResource(about))
	// It is not made the global one: what libraries would say of themselves is in nobody's list.
	return &Tracer{tracer: p.Tracer("github.com/entente-dev/entente"), provider: p}, nil
}

// samplingRatio is what the two variables mean.
func samplingRatio(name, arg string) (float64, error) {
	switch strings.TrimPrefix(name, "parentbased_") {
	case "", "always_on":
		return 1, nil
	case "always_off":
		return 0, nil
	case "traceidratio":
		ratio, err := strconv.ParseFloat(cmp.Or(arg, "1"), 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return 0, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG %q: a number from 0 to 1", arg)
		}
		return ratio, nil
	}
	return 0, fmt.Errorf("OTEL_TRACES_SAMPLER %q: always_on, always_off or traceidratio, with or without parentbased_", name)
}

// Close sends what is left.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return t.provider.Shutdown(ctx)
}
