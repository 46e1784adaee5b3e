package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/entente-dev/entente/hack/testenv"
)

// usage is what a process has taken.
type usage struct {
	// CPU time in seconds, user and system.
	CPU float64
	// Resident memory in bytes, and what of it is the process's own: the rest are pages of the binary, which the kernel may drop.
	RSS, Anon int64
}

// clockTick is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTick = 100

func usageOf(p *testenv.Program) (usage, error) {
	dir := fmt.Sprintf("/proc/%d/", p.PID())
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return usage{}, err
	}
	// The second field is the name in parentheses, which may have blanks in it; utime and stime are the 14th and the 15th.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return usage{}, errors.New(dir + "stat is shorter than proc(5) says")
	}
	user, errU := strconv.ParseFloat(string(fields[11]), 64)
	system, errS := strconv.ParseFloat(string(fields[12]), 64)
	status, errM := os.ReadFile(dir + "status")
	if err := errors.Join(errU, errS, errM); err != nil {
		return usage{}, err
	}
	u := usage{CPU: (user + system) / clockTick}
	for line := range strings.Lines(string(status)) {
		for name, to := range map[string]*int64{"VmRSS:": &u.RSS, "RssAnon:": &u.Anon} {
			rest, ok := strings.CutPrefix(line, name)
			if !ok {
				continue
			}
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return u, err
			}
			*to = kib << 10
		}
	}
	return u, nil
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
