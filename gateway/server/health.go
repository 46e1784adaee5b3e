package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one thing that must be well for the gateway to answer.
type Check struct {
	Name string
	// Check returns nil, or why not. It answers at once and tells no secrets: anyone in the cluster may read it.
	Check func() error
	// Note, if not nil, adds to a check that is well what an operator should see.
	Note func() string
}

// Health gives the server of /metrics, /healthz and /readyz, without TLS. It has nothing that is personal data.
func (s *Server) Health(checks []Check) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		// Alive. A gateway that cannot write its log is not ready, but restarting it mends nothing.
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		lines, ready := "", true
		for _, c := range checks {
			if err := c.Check(); err != nil {
				ready = false
				lines += fmt.Sprintf("not ready: %s: %v\n", c.Name, err)
				continue
			}
			lines += "ok: " + c.Name
			if c.Note != nil {
				if note := c.Note(); note != "" {
					lines += ": " + note
				}
			}
			lines += "\n"
		}
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, lines)
	})
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader,
	}
}
