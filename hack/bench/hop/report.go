package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/hack/bench/rig"
)

// results is what -out writes.
type results struct {
	Date, Go, System, Command, Commit string
	CPUs, Rounds                      int
	SegmentSeconds                    float64
	Targets                           []targetResult
	Ratios                            []ratio
	Shares                            []shareResult
	Verdicts                          []string
}

type targetResult struct {
	Target               string
	Callers              int
	LookupsPerSecond     rig.Spread
	P50Micros, P99Micros rig.Spread
	GatewayMicros        rig.Spread // CPU per request of the process with the servers
	PostgreSQLMicros     rig.Spread // CPU per request of PostgreSQL's processes
	CallerMicros         rig.Spread // CPU per request of the load, which is in no share
}

// ratio of look-ups a second in the same round.
type ratio struct {
	Name     string
	Callers  int
	Ratio    rig.Spread
	Promised float64 `json:",omitempty"`
}

// shareResult is the CPU time of one request by part.
type shareResult struct {
	Target  string
	Callers int
	Samples int64
	// Micros by part; SystemMicros is what of it is in system calls.
	Micros, SystemMicros map[string]float64
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (c *cell) spread(of func(round) float64) rig.Spread {
	values := make([]float64, len(c.rounds))
	for i, r := range c.rounds {
		values[i] = of(r)
	}
	return rig.SpreadOf(values)
}

// share spreads the measured CPU time of a request over the parts of its profile.
func (c *cell) shareResult(key cellKey) shareResult {
	s := shareResult{Target: key.target, Callers: key.callers, Samples: c.share.total(), Micros: map[string]float64{}, SystemMicros: map[string]float64{}}
	cpu := c.spread(func(r round) float64 { return micros(r.gateway) }).Median
	for part, n := range c.share.samples {
		s.Micros[part] = cpu * float64(n) / float64(s.Samples)
		s.SystemMicros[part] = cpu * float64(c.share.system[part]) / float64(s.Samples)
	}
	s.Micros[partServer] = c.spread(func(r round) float64 { return micros(r.server) }).Median
	return s
}

func (s *shareResult) own() (sum float64) {
	for part, v := range s.Micros {
		if strings.HasPrefix(part, ownPrefix) {
			sum += v
		}
	}
	return sum
}

// verdict says whether a request spends less time in Entente's own code than in TLS and PostgreSQL.
func (s *shareResult) verdict() string {
	tls, client, server := s.Micros["TLS"], s.Micros["PostgreSQL client"], s.Micros[partServer]
	word := "less"
	if s.own() >= tls+client+server {
		word = "NOT less"
	}
	return fmt.Sprintf("%s, %d callers: %.0f µs in Entente's own code (%.0f of it the log's system calls), %s than the %.0f µs in TLS (%.0f, %.0f of it system calls) and PostgreSQL (client %.0f, server %.0f)",
		s.Target, s.Callers, s.own(), s.SystemMicros["own: audit"], word, tls+client+server, tls, s.SystemMicros["TLS"], client, server)
}

func (b *bench) report(targets []target) error {
	r := results{
		Date: time.Now().UTC().Format(time.DateOnly), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		Command: b.command(), Commit: commit(), Rounds: b.rounds, SegmentSeconds: b.time.Seconds(),
	}
	for _, callers := range b.callers {
		for _, t := range targets {
			r.Targets = append(r.Targets, b.cells[cellKey{t.Name, callers}].result(t.Name, callers))
		}
		for _, x := range []struct {
			of, to   string
			promised float64
		}{
			{recordName, bareName, 0}, {governedName, bareName, 0.65}, {governedName, recordName, 0.9}, {queryName, aggregatorName, 0.8},
		} {
			if b.cells[cellKey{x.of, callers}] == nil || b.cells[cellKey{x.to, callers}] == nil {
				continue // not asked for
			}
			promised := x.promised
			if callers != 64 && x.of == governedName {
				promised = 0 // the promise is for 64 callers
			}
			r.Ratios = append(r.Ratios, ratio{x.of + " / " + x.to, callers, b.paired(x.of, x.to, callers), promised})
		}
		for _, name := range []string{bareName, recordName, governedName, aggregatorName, queryName} {
			key := cellKey{name, callers}
			if b.cells[key] == nil {
				continue
			}
			s := b.cells[key].shareResult(key)
			r.Shares = append(r.Shares, s)
			if name == governedName || name == queryName {
				r.Verdicts = append(r.Verdicts, s.verdict())
			}
		}
	}
	r.print()
	if b.out == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(b.out), 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.out, append(data, '\n'), 0o644)
}

func (c *cell) result(name string, callers int) targetResult {
	return targetResult{
		Target: name, Callers: callers,
		LookupsPerSecond: c.spread(func(r round) float64 { return r.perSecond }),
		P50Micros:        c.spread(func(r round) float64 { return micros(r.p50) }),
		P99Micros:        c.spread(func(r round) float64 { return micros(r.p99) }),
		GatewayMicros:    c.spread(func(r round) float64 { return micros(r.gateway) }),
		PostgreSQLMicros: c.spread(func(r round) float64 { return micros(r.server) }),
		CallerMicros:     c.spread(func(r round) float64 { return micros(r.caller) }),
	}
}

// paired is the ratio of two targets round by round.
func (b *bench) paired(of, to string, callers int) rig.Spread {
	x, y := b.cells[cellKey{of, callers}].rounds, b.cells[cellKey{to, callers}].rounds
	values := make([]float64, len(x))
	for i := range x {
		values[i] = x[i].perSecond / y[i].perSecond
	}
	return rig.SpreadOf(values)
}

func (b *bench) command() string {
	return fmt.Sprintf("go run ./hack/bench/hop -rounds %d -time %s -callers %s", b.rounds, b.time, strings.Trim(strings.ReplaceAll(fmt.Sprint(b.callers), " ", ","), "[]"))
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func (r *results) print() {
	fmt.Printf("%s; %s, %s, %d CPUs, commit %s, %s\n", r.Command, r.Go, r.System, r.CPUs, r.Commit, r.Date)
	fmt.Printf("\n%-16s %7s %14s %10s %10s %12s %12s %10s\n", "target", "callers", "look-ups/s", "p50 µs", "p99 µs", "servers' CPU", "PostgreSQL's", "caller's")
	for _, t := range r.Targets {
		fmt.Printf("%-16s %7d %14.0f %10.0f %10.0f %12.0f %12.0f %10.0f\n", t.Target, t.Callers, t.LookupsPerSecond.Median, t.P50Micros.Median,
			t.P99Micros.Median, t.GatewayMicros.Median, t.PostgreSQLMicros.Median, t.CallerMicros.Median)
	}
	fmt.Printf("\n%-28s %7s %8s %17s %9s\n", "look-ups/s, paired", "callers", "ratio", "least to most", "promised")
	for _, x := range r.Ratios {
		promised := ""
		if x.Promised > 0 {
			promised = fmt.Sprintf("≥ %.2f", x.Promised)
		}
		fmt.Printf("%-28s %7d %8.2f %8.2f to %5.2f %9s\n", x.Name, x.Callers, x.Ratio.Median, x.Ratio.Least, x.Ratio.Most, promised)
	}
	r.printShares()
	fmt.Println()
	for _, v := range r.Verdicts {
		fmt.Println(v)
	}
}

// printShares prints a table for each number of callers: a row for each part, a column for each target.
func (r *results) printShares() {
	for left := r.Shares; len(left) > 0; {
		n := 0
		found := map[string]bool{}
		for n < len(left) && left[n].Callers == left[0].Callers {
			for part := range left[n].Micros {
				found[part] = true
			}
			n++
		}
		columns := left[:n]
		fmt.Printf("\nµs of CPU per request, %d callers (of it in system calls)\n%-22s", columns[0].Callers, "")
		for _, s := range columns {
			fmt.Printf(" %16s", s.Target)
		}
		fmt.Println()
		row := func(name string, value func(*shareResult) string) {
			fmt.Printf("%-22s", name)
			for i := range columns {
				fmt.Printf(" %16s", value(&columns[i]))
			}
			fmt.Println()
		}
		for _, part := range slices.Sorted(maps.Keys(found)) {
			row(part, func(s *shareResult) string {
				if s.Micros[part] == 0 {
					return "-"
				}
				if s.SystemMicros[part] < 0.5 {
					return fmt.Sprintf("%.0f     ", s.Micros[part])
				}
				return fmt.Sprintf("%.0f (%.0f)", s.Micros[part], s.SystemMicros[part])
			})
		}
		row("own, sum", func(s *shareResult) string { return fmt.Sprintf("%.0f     ", s.own()) })
		left = left[n:]
	}
}
