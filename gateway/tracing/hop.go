package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
)

// header of W3C Trace Context. Of its others, tracestate carries what vendors like, and baggage what anybody likes: neither is taken
// from anybody nor sent to anybody.
const header = "traceparent"

// FromRequest puts the trace that an authenticated HTTP client is in into ctx.
func (t *Tracer) FromRequest(ctx context.Context, h http.Header) context.Context {
	if t == nil {
		return ctx
	}
	return extract(ctx, h.Values(header))
}

// FromCall puts the trace that an authenticated gRPC client is in into ctx.
func (t *Tracer) FromCall(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return extract(ctx, metadata.ValueFromIncomingContext(ctx, header))
}

// ToCall gives the context for a gRPC call, which tells the callee the trace and whether it is sampled here.
func (t *Tracer) ToCall(ctx context.Context) context.Context {
	if parent := t.ToMessage(ctx); parent != "" {
		return metadata.AppendToOutgoingContext(ctx, header, parent)
	}
	return ctx
}

// ToMessage says the same for a message that tells it by itself; "": there is no trace.
func (t *Tracer) ToMessage(ctx context.Context) string {
	if t == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return string(c)
}

// FromMessage puts the trace that an authenticated client's message is part of into ctx.
func (t *Tracer) FromMessage(ctx context.Context, parent string) context.Context {
	if t == nil || parent == "" {
		return ctx
	}
	return extract(ctx, []string{parent})
}

// extract takes one well-formed value. Others are as none: a trace is not worth a refusal.
func extract(ctx context.Context, values []string) context.Context {
	if len(values) != 1 {
		return ctx
	}
	c := carrier(values[0])
	return propagation.TraceContext{}.Extract(ctx, &c)
}

// carrier knows no header but this one.
type carrier string

func (c *carrier) Get(key string) string {
	if key == header {
		return string(*c)
	}
	return ""
}

func (c *carrier) Set(key, value string) {
	if key == header {
		*c = carrier(value)
	}
}

func (c *carrier) Keys() []string { return []string{header} }
