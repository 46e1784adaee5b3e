package gateway

import (
	"context"
	"time"

	"github.com/entente-dev/entente/gateway/source"
)

// stateMetrics adds what a gateway depends on, and how long that still holds.
func (g *running) stateMetrics(watched *source.Watched) {
	m := g.Metrics
	m.Gauges("entente_gateway_sources", "Datasets of this agency that were read in the last hour, by whether the system of records answered the latest query.",
		"state", []string{"up", "unavailable"}, func() []float64 {
			up, away := watched.Systems(time.Now())
			return []float64{float64(up), float64(away)}
		})
	m.Gauges("entente_gateway_credentials", "Agreement credentials that were of use in the last five minutes: those that are held, and those that could not be got or renewed.",
		"state", []string{"held", "failing"}, func() []float64 {
			held, failing, _ := g.peers.Credentials(time.Now())
			return []float64{float64(held), float64(failing)}
		})
	m.Gauge("entente_gateway_credential_remaining_seconds", "Time until the first agreement credential of use in the last five minutes ends; 0: there is none.", func() float64 {
		_, _, left := g.peers.Credentials(time.Now())
		return left.Seconds()
	})
	m.Gauge("entente_gateway_identity_remaining_seconds", "Time until the gateway's own certificate ends; 0: it has none.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c, err := g.Own.Certificate(ctx)
		if err != nil || c.Leaf == nil {
			return 0
		}
		return max(0, time.Until(c.Leaf.NotAfter).Seconds())
	})
	m.Gauge("entente_gateway_log_queue_records", "Records of the log that wait for its writer.", func() float64 { return float64(g.Log.Queued()) })
}
