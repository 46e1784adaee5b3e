package controllers

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
)

// messages counts what peers send. Peers are known agencies, and outcomes are words from a fixed list.
var messages = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "entente_exchange_messages_total",
	Help: "Messages of peers' operators about agreements, by outcome: taken, or the reason of the refusal.",
}, []string{"peer", "message", "outcome"})

func init() { metrics.Registry.MustRegister(messages) }

// Events about one peer: a flood of refusals does not become a flood of events. Metrics and logs have them all.
const (
	eventsEvery = 10 * time.Second
	eventsBurst = 5
)

// exchangeReport makes what peers do visible: as metrics, and as events on their Agency.
type exchangeReport struct {
	gather   *gatherer
	recorder events.EventRecorder
	heard    func(agency string)
	// suspect is told of a peer that dates what it says too far ahead.
	suspect func(agency string)

	mu     sync.Mutex
	events map[string]*rate.Limiter // by peer; guarded by mu
}

func (r *exchangeReport) report(m exchange.Report) {
	r.heard(m.Peer.Agency)
	outcome := "taken"
	if m.Refusal != nil {
		outcome = string(m.Refusal.Reason)
		if m.Refusal.Reason == exchange.ClockSkew {
			r.suspect(m.Peer.Agency)
		}
	}
	messages.WithLabelValues(m.Peer.Agency, m.Message, outcome).Inc()
	if m.Refusal == nil || m.Refusal.Reason == exchange.UnknownAgreement || !r.mayTell(m.Peer.Agency) {
		return // a party that asks for what it does not find has done nothing wrong
	}
	a := &v1alpha1.Agency{}
	if found, err := r.gather.get(context.Background(), m.Peer.Agency, a); err != nil || !found {
		return
	}
	r.recorder.Eventf(a, nil, corev1.EventTypeWarning, "MessageRefused", m.Message, "refused %s of agency %s (%s): %s",
		m.Message, m.Peer.Agency, m.Refusal.Reason, clip(m.Refusal.Message))
}

func (r *exchangeReport) mayTell(peer string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events[peer] == nil {
		r.events[peer] = rate.NewLimiter(rate.Every(eventsEvery), eventsBurst)
	}
	return r.events[peer].Allow()
}
