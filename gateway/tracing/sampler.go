package tracing

import (
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// PerSecond is how many traces are sampled in a second at most that begin here, and how many that a caller began.
const PerSecond = 20

// sampler decides for a whole trace where it enters this process. By its id, so that two agencies with one ratio sample the same
// traces; and then within a budget, since whoever calls may choose ids that are always sampled. That a caller samples a trace does
// not make this process sample it; that a caller does not is reason enough not to.
type sampler struct {
	ratio      sdktrace.Sampler
	own, other *rate.Limiter
}

func newSampler(ratio float64) *sampler {
	return &sampler{sdktrace.TraceIDRatioBased(ratio), rate.NewLimiter(PerSecond, PerSecond), rate.NewLimiter(PerSecond, PerSecond)}
}

// ShouldSample implements sdktrace.Sampler.
func (s *sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	var sampled bool
	switch {
	case parent.IsValid() && !parent.IsRemote():
		sampled = parent.IsSampled()
	case parent.IsValid() && !parent.IsSampled():
	default:
		budget := s.own
		if parent.IsValid() {
			budget = s.other
		}
		sampled = s.ratio.ShouldSample(p).Decision == sdktrace.RecordAndSample && budget.Allow()
	}
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop}
	if sampled {
		result.Decision = sdktrace.RecordAndSample
	}
	return result // without the caller's tracestate
}

// Description implements sdktrace.Sampler.
func (s *sampler) Description() string { return "entente" }
