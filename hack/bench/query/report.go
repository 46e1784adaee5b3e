package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	Bulk                              *bulkResults `json:",omitempty"`
}

// targetResult has the medians and extremes of all rounds; CPU in µs of one request.
type targetResult struct {
	Target                                                   string
	Callers                                                  int
	QueriesPerSecond                                         rig.Spread
	P50Micros, P99Micros                                     rig.Spread
	ServersMicros, LuraMicros, PostgreSQLMicros, LoadsMicros rig.Spread
}

// ratio of two targets in the same round: of queries a second, and of the CPU time that all servers need for a request.
type ratio struct {
	Of, To     string
	Callers    int
	Throughput rig.Spread
	CPU        rig.Spread
	// Promised is what Throughput is to be at least; 0: nothing is promised.
	Promised float64 `json:",omitempty"`
}

var compared = []struct {
	of, to   string
	promised float64
	at       int // callers of the promise; 0: any number
}{
	{recordName, bareName, 0, 0},
	{governedName, bareName, 0.65, 64},
	{governedName, recordName, 0.9, 64},
	{queryName, aggregatorName, 0.8, 0},
	{ententeName, fanoutName, 0, 0},
	{ententeName, fdwName, 1, 0},
	{ententeName, luraName, 1, 0},
}

func (b *bench) spread(key cellKey, of func(round) float64) rig.Spread {
	var values []float64
	for _, r := range b.cells[key] {
		values = append(values, of(r))
	}
	return rig.SpreadOf(values)
}

func (b *bench) paired(x, y cellKey, of func(round) float64) rig.Spread {
	var values []float64
	for i, r := range b.cells[x] {
		values = append(values, of(r)/of(b.cells[y][i]))
	}
	return rig.SpreadOf(values)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (b *bench) report() error {
	r := results{
		Date: time.Now().UTC().Format(time.DateOnly), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		Command: fmt.Sprintf("go run ./hack/bench/query -rounds %d -time %s -callers %s", b.rounds, b.time, strings.Trim(strings.ReplaceAll(fmt.Sprint(b.callers), " ", ","), "[]")),
		Rounds:  b.rounds, SegmentSeconds: b.time.Seconds(), Bulk: b.bulk,
	}
	if len(b.targets) == 0 {
		r.Command = fmt.Sprintf("go run ./hack/bench/query -targets %s -rows %d -rounds %d", bulkName, b.rows, b.rounds)
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		r.Commit = strings.TrimSpace(string(out))
	}
	for _, callers := range b.callers {
		for _, t := range b.targets {
			k := cellKey{t, callers}
			r.Targets = append(r.Targets, targetResult{
				Target: t, Callers: callers,
				QueriesPerSecond: b.spread(k, func(r round) float64 { return r.perSecond }),
				P50Micros:        b.spread(k, func(r round) float64 { return micros(r.p50) }),
				P99Micros:        b.spread(k, func(r round) float64 { return micros(r.p99) }),
				ServersMicros:    b.spread(k, func(r round) float64 { return micros(r.servers) }),
				LuraMicros:       b.spread(k, func(r round) float64 { return micros(r.lura) }),
				PostgreSQLMicros: b.spread(k, func(r round) float64 { return micros(r.database) }),
				LoadsMicros:      b.spread(k, func(r round) float64 { return micros(r.caller) }),
			})
		}
		for _, c := range compared {
			x, y := cellKey{c.of, callers}, cellKey{c.to, callers}
			if b.cells[x] == nil || b.cells[y] == nil {
				continue // not asked for
			}
			promised := c.promised
			if c.at != 0 && c.at != callers {
				promised = 0
			}
			r.Ratios = append(r.Ratios, ratio{
				Of: c.of, To: c.to, Callers: callers, Promised: promised,
				Throughput: b.paired(x, y, func(r round) float64 { return r.perSecond }),
				CPU:        b.paired(x, y, func(r round) float64 { return micros(r.servers + r.lura + r.database) }),
			})
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

func (r *results) print() {
	fmt.Printf("%s; %s, %s, %d CPUs, commit %s, %s\n", r.Command, r.Go, r.System, r.CPUs, r.Commit, r.Date)
	if r.Bulk != nil {
		r.Bulk.print()
	}
	if len(r.Targets) == 0 {
		return
	}
	fmt.Printf("\n%-16s %7s %11s %9s %9s   %s\n", "target", "callers", "queries/s", "p50 µs", "p99 µs", "CPU µs: servers + lura + PostgreSQL; load")
	for _, t := range r.Targets {
		fmt.Printf("%-16s %7d %11.0f %9.0f %9.0f   %.0f + %.0f + %.0f; %.0f\n", t.Target, t.Callers, t.QueriesPerSecond.Median, t.P50Micros.Median, t.P99Micros.Median,
			t.ServersMicros.Median, t.LuraMicros.Median, t.PostgreSQLMicros.Median, t.LoadsMicros.Median)
	}
	fmt.Printf("\n%-32s %7s %10s %15s %9s   %s\n", "queries/s, paired", "callers", "ratio", "least to most", "promised", "CPU a request (least to most)")
	for _, x := range r.Ratios {
		promised := ""
		switch {
		case x.Promised == 1:
			promised = "> 1"
		case x.Promised > 0:
			promised = fmt.Sprintf("≥ %.2f", x.Promised)
		}
		fmt.Printf("%-32s %7d %10.2f %7.2f to %4.2f %9s   %.2f (%.2f to %.2f)\n", x.Of+" / "+x.To, x.Callers, x.Throughput.Median, x.Throughput.Least, x.Throughput.Most,
			promised, x.CPU.Median, x.CPU.Least, x.CPU.Most)
	}
}
