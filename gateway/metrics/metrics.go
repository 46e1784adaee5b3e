// Package metrics is what a gateway counts. Labels are words from fixed lists: no agency's, user's or agreement's name, and
// nothing of a query.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics of one gateway. A nil *Metrics counts nothing.
type Metrics struct {
	// Registry that all of them are in.
	Registry *prometheus.Registry

	disclosures *prometheus.CounterVec
	records     *prometheus.CounterVec
	denials     *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	stages      [len(stageNames)]prometheus.Observer
	// bound are a disclosure's series by side: what every query counts is not looked up by its labels.
	bound           map[string]*bound
	unauthenticated *prometheus.CounterVec
	unlogged        prometheus.Counter
}

// bound are the series of one side.
type bound struct {
	outcomes map[string]prometheus.Counter
	records  prometheus.Counter
	seconds  prometheus.Observer
}

// Sides of a disclosure.
const (
	Source    = "source"
	Recipient = "recipient"
)

// Stage of a disclosure, at one side.
type Stage int

// The stages. What is released while a source is read is within SourceQuery, with its waits for the log, which are counted as such too.
const (
	SourceDecision Stage = iota
	SourceQuery
	SourceLogWait
	RecipientDecision
	RecipientAsk
	RecipientLogWait
)

// stageNames are the labels side and stage.
var stageNames = [...][2]string{
	SourceDecision: {Source, "decision"}, SourceQuery: {Source, "source"}, SourceLogWait: {Source, "log_wait"},
	RecipientDecision: {Recipient, "decision"}, RecipientAsk: {Recipient, "ask"}, RecipientLogWait: {Recipient, "log_wait"},
}

// outcomes of disclosures.
var outcomes = []string{"OK", "DENIED", "UNAVAILABLE", "TIMEOUT", "PARTIAL"}

// buckets of durations: a decision takes some ten microseconds, a sync some hundred, a slow source seconds.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New makes the metrics in a registry of their own.
func New() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		disclosures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "entente_gateway_disclosures_total",
			Help: "Disclosures by side and outcome (OK, DENIED, UNAVAILABLE, TIMEOUT, PARTIAL); hits and no-hits alike.",
		}, []string{"side", "outcome"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "entente_gateway_records_total",
			Help: "Records disclosed (side source) or received (side recipient).",
		}, []string{"side"}),
		denials: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "entente_gateway_denials_total",
			Help: "Refusals by side and by the check that refused.",
		}, []string{"side", "check"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "entente_gateway_disclosure_duration_seconds",
			Help:    "Time of one disclosure, from the request to the last frame.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"side"}),
		unauthenticated: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "entente_gateway_unauthenticated_total",
			Help: "Requests and handshakes without a valid identity, by listener (rest, grpc, peer). They are counted, not logged: strangers must not fill the log.",
		}, []string{"listener"}),
		unlogged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "entente_gateway_denials_over_budget_total",
			Help: "Refused requests of a peer beyond its budget of logged denials.",
		}),
	}
	stages := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "entente_gateway_stage_duration_seconds",
		Help:    "Time of one stage of a disclosure: decision, log_wait and, at its source, source; at its recipient, ask: the wait for the source.",
		Buckets: buckets,
	}, []string{"side", "stage"})
	// Of all that can be, so that a first one is an increase.
	m.bound = map[string]*bound{}
	for _, side := range []string{Source, Recipient} {
		b := &bound{outcomes: map[string]prometheus.Counter{}, records: m.records.WithLabelValues(side), seconds: m.seconds.WithLabelValues(side)}
		for _, outcome := range outcomes {
			b.outcomes[outcome] = m.disclosures.WithLabelValues(side, outcome)
		}
		m.bound[side] = b
	}
	for _, listener := range []string{"rest", "grpc", "peer"} {
		m.unauthenticated.WithLabelValues(listener)
	}
	for s, names := range stageNames {
		m.stages[s] = stages.WithLabelValues(names[0], names[1])
	}
	m.Registry.MustRegister(stages, m.disclosures, m.records, m.denials, m.seconds, m.unauthenticated, m.unlogged,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Gauge adds a gauge whose value is asked for when the metrics are read.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	if m == nil {
		return
	}
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Gauges adds one gauge with a label, whose values are asked for together when the metrics are read. The label's words are a fixed list.
func (m *Metrics) Gauges(name, help, label string, words []string, values func() []float64) {
	if m == nil {
		return
	}
	m.Registry.MustRegister(&gauges{prometheus.NewDesc(name, help, []string{label}, nil), words, values})
}

type gauges struct {
	desc   *prometheus.Desc
	words  []string
	values func() []float64
}

func (g *gauges) Describe(out chan<- *prometheus.Desc) { out <- g.desc }

func (g *gauges) Collect(out chan<- prometheus.Metric) {
	for i, v := range g.values() {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v, g.words[i])
	}
}

// Counter adds a counter whose value is asked for when the metrics are read.
func (m *Metrics) Counter(name, help string, labels prometheus.Labels, value func() float64) {
	if m == nil {
		return
	}
	m.Registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

// Disclosure counts one disclosure that ended.
func (m *Metrics) Disclosure(side, outcome string, records int64, took time.Duration) {
	if m == nil {
		return
	}
	b := m.bound[side]
	if c := b.outcomes[outcome]; c != nil {
		c.Inc()
	} else {
		m.disclosures.WithLabelValues(side, outcome).Inc()
	}
	if records > 0 {
		b.records.Add(float64(records))
	}
	b.seconds.Observe(took.Seconds())
}

// Stage counts one stage that is over.
func (m *Metrics) Stage(s Stage, took time.Duration) {
	if m == nil {
		return
	}
	m.stages[s].Observe(took.Seconds())
}

// Denial counts one refusal.
func (m *Metrics) Denial(side, check string) {
	if m == nil {
		return
	}
	m.denials.WithLabelValues(side, check).Inc()
}

// Unauthenticated counts one request or handshake without an identity.
func (m *Metrics) Unauthenticated(listener string) {
	if m == nil {
		return
	}
	m.unauthenticated.WithLabelValues(listener).Inc()
}

// OverBudget counts a denial that a peer had no budget left for.
func (m *Metrics) OverBudget() {
	if m == nil {
		return
	}
	m.unlogged.Inc()
}
