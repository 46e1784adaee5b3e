// Package tracing makes spans of what a query passes through, at both agencies under one trace id. It is off unless the process is told
// where to send them; then nothing of it costs anything.
//
// A span says how long a step took and how it ended. It has attributes from a list, each with a method of its own and no other way in: ids of
// agreements, clauses and disclosures as this agency's own routes name them, words from fixed lists, and numbers. Filters, justifications,
// users, records and whatever else a request says never get here.
package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Names of spans.
const (
	// Request of a local user, from its authentication to the end of its answer.
	Request = "request"
	// Query is the federation of one query at the recipient.
	Query = "query"
	// Ask is one source being asked, as the recipient sees it.
	Ask = "ask"
	// Disclosure is the same, as the source sees it.
	Disclosure = "disclosure"
	// Decision: the checks of a query, at either side.
	Decision = "decision"
	// LogWait: something waits until the log is durable.
	LogWait = "log wait"
	// SourceQuery: the system of records is read. What is released on the way, with its waits, is within it.
	SourceQuery = "source query"
	// Credential: the recipient gets an agreement credential.
	Credential = "credential"
	// Issue: the source's operator issues one.
	Issue = "credential issue"
)

// Keys of attributes: all that there are.
const (
	// KeyListener that a request came to: rest or grpc.
	KeyListener = "entente.listener"
	// KeyQuery is the id of a query (UUIDv7), which only the recipient knows.
	KeyQuery = "entente.query"
	// KeyDisclosure is the id of a disclosure (UUIDv7), which both sides' logs have.
	KeyDisclosure = "entente.disclosure"
	// KeyAgreement is the id of an agreement, and KeyClause the name of one of its clauses, as this agency's routes have them.
	KeyAgreement = "entente.agreement"
	KeyClause    = "entente.clause"
	// KeyOutcome of a disclosure: OK, DENIED, UNAVAILABLE, TIMEOUT or PARTIAL.
	KeyOutcome = "entente.outcome"
	// KeyCheck is the check that refused, of those in docs/reference/checks.md.
	KeyCheck = "entente.check"
	// KeySources is how many sources a query asks.
	KeySources = "entente.sources"
)

// Tracer makes spans. A nil *Tracer makes none.
type Tracer struct {
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider
}

// Span is one step. The zero Span is none, and all of its methods do nothing.
type Span struct{ span trace.Span }

// Start begins a step within the one that ctx carries.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, name, trace.SpanKindInternal)
}

// Serve begins a step that somebody else asked for, and Call one that somebody else is asked to do.
func (t *Tracer) Serve(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, name, trace.SpanKindServer)
}

// Call is described at Serve.
func (t *Tracer) Call(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, name, trace.SpanKindClient)
}

func (t *Tracer) start(ctx context.Context, name string, kind trace.SpanKind) (context.Context, Span) {
	ctx, s := t.tracer.Start(ctx, name, trace.WithSpanKind(kind))
	if !s.IsRecording() {
		return ctx, Span{} // ctx still carries the trace, so that the other side hears that it is not sampled
	}
	return ctx, Span{s}
}

// Detach gives a context that does not end with ctx, and is in the same trace.
func (t *Tracer) Detach(ctx context.Context) context.Context {
	if t == nil {
		return context.Background()
	}
	return trace.ContextWithSpanContext(context.Background(), trace.SpanContextFromContext(ctx))
}

// End ends the step.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

func (s Span) text(key, value string) {
	if s.span != nil && value != "" {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Listener sets KeyListener.
func (s Span) Listener(name string) { s.text(KeyListener, name) }

// Query sets KeyQuery.
func (s Span) Query(id string) { s.text(KeyQuery, id) }

// Disclosure sets KeyDisclosure.
func (s Span) Disclosure(id string) { s.text(KeyDisclosure, id) }

// Clause sets KeyAgreement and KeyClause. Both must come from a route or a certificate, never from a request.
func (s Span) Clause(agreement, clause string) {
	s.text(KeyAgreement, agreement)
	s.text(KeyClause, clause)
}

// Outcome sets KeyOutcome, and makes a failure of the span what is one of the systems.
func (s Span) Outcome(outcome string) {
	s.text(KeyOutcome, outcome)
	if s.span != nil && (outcome == "UNAVAILABLE" || outcome == "TIMEOUT") {
		s.span.SetStatus(codes.Error, "")
	}
}

// Check sets KeyCheck.
func (s Span) Check(name string) { s.text(KeyCheck, name) }

// Sources sets KeySources.
func (s Span) Sources(n int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(KeySources, n))
	}
}

// Failed makes the step a failure, without saying more: errors may repeat what a request said.
func (s Span) Failed(err error) {
	if s.span != nil && err != nil {
		s.span.SetStatus(codes.Error, "")
	}
}
