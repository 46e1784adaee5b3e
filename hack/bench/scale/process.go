package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/entente-dev/entente/hack/bench/rig"
	"github.com/entente-dev/entente/hack/testenv"
)

// usage is what a process has taken.
type usage struct {
	// CPU time in seconds, user and system.
	CPU float64
	// Resident memory in bytes, and what of it is the process's own: the rest are pages of the binary, which the kernel may drop.
	RSS, Anon int64
}

func usageOf(p *testenv.Program) (usage, error) {
	cpu, err := rig.ProcessCPU(p.PID())
	if err != nil {
		return usage{}, err
	}
	m, err := rig.ProcessMemory(p.PID())
	return usage{CPU: cpu.Seconds(), RSS: m.Resident, Anon: m.Own}, err
}

// scrape reads metrics in the form of Prometheus.
func scrape(ctx context.Context, c *http.Client, url string) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, resp.Body)
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return parse(resp.Body)
}

func parse(r io.Reader) (map[string]*dto.MetricFamily, error) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	return p.TextToMetricFamilies(r)
}

// sum of a family's counters and gauges, and of the sums or counts of its histograms, whose labels are all as given.
func sum(families map[string]*dto.MetricFamily, name string, labels map[string]string) (total float64) {
	count := strings.TrimSuffix(name, "_count")
	f := families[name]
	if f == nil && count != name {
		f = families[count]
	}
	if f == nil {
		f = families[strings.TrimSuffix(name, "_sum")]
	}
	for _, m := range f.GetMetric() {
		has := map[string]string{}
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		matches := true
		for k, v := range labels {
			matches = matches && has[k] == v
		}
		switch {
		case !matches:
		case m.Counter != nil:
			total += m.Counter.GetValue()
		case m.Gauge != nil:
			total += m.Gauge.GetValue()
		case m.Histogram != nil && count != name:
			total += float64(m.Histogram.GetSampleCount())
		case m.Histogram != nil:
			total += m.Histogram.GetSampleSum()
		case m.Summary != nil && count != name:
			total += float64(m.Summary.GetSampleCount())
		}
	}
	return total
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// percentile of durations, which it sorts.
func percentile(d []time.Duration, p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, len(d)*p/100)]
}
