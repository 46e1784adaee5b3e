package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/witness"
)

// integrateTimeout bounds the integration of the last entries at a stop; the next start does the rest.
const integrateTimeout = 5 * time.Second

// closeTransparency comes after the listeners and before the log.
func (g *running) closeTransparency() {
	ctx, cancel := context.WithTimeout(context.Background(), integrateTimeout)
	defer cancel()
	if err := g.public.Close(ctx); err != nil {
		g.Logger.Warn("stopped", "error", err)
	}
}

// witnesses is what readiness says of them.
func (g *running) witnesses() string {
	w, ok := g.public.Witnessed()
	switch {
	case !ok:
		return ""
	case w.Quorum:
		return fmt.Sprintf("witnessed up to entry %d", w.Cosigned)
	case len(w.Missing) == 0:
		return "no witness has been asked yet"
	}
	return "no quorum of witnesses: " + strings.Join(w.Missing, "; ")
}

func (g *running) witnessedMetrics() {
	m := g.Metrics
	m.Gauge("entente_gateway_log_witness_quorum", "1 while the latest round of witnessing reached a quorum.", func() float64 {
		if w, _ := g.public.Witnessed(); w.Quorum {
			return 1
		}
		return 0
	})
	m.Gauge("entente_gateway_log_witnessed_entries", "Entries of the log that its latest checkpoint with a quorum of witnesses covers.", func() float64 {
		w, _ := g.public.Witnessed()
		return float64(w.Cosigned)
	})
	m.Counter("entente_gateway_log_witness_conflicts_total", "Answers of witnesses that have seen another history of this log.", nil, func() float64 {
		w, _ := g.public.Witnessed()
		return float64(w.Conflicts)
	})
}

// WitnessMetrics adds what a witness of other logs counts.
func WitnessMetrics(m *metrics.Metrics, w *witness.Witness) {
	for _, r := range witness.Results {
		m.Counter("entente_witness_requests_total", "Checkpoints that logs sent to this witness, by result; forked, unproven and behind are signs of another history.",
			prometheus.Labels{"result": string(r)}, func() float64 { return float64(w.Count(r)) })
	}
}
