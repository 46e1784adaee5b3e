// Package charts tests the charts and config/default with the real Helm on a real API server. `make test-charts` runs it.
package charts
