package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/federation"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/peer"
	"github.com/entente-dev/entente/gateway/route"
)

var (
	recipient = route.Party{Agency: "state-police", TrustDomain: "police.example"}
	fields    = []string{"person_number", "family_name"}
	schema    = route.Schema{Name: "person", Version: 1, Digest: "sha256:bench", Fields: []route.Field{{Name: "person_number", Type: "string"}, {Name: "family_name", Type: "string"}}}
)

const purpose = "entente:trafficking-investigation"

// measure asks n agencies, at each of the widths.
func measure(ctx context.Context, n int, widths []int, rounds int, timeout time.Duration) (out []result, err error) {
	dir, err := os.MkdirTemp("", "entente-width-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	before := heap()
	s, err := startSources(dir, n)
	if err != nil {
		return nil, err
	}
	defer s.close()
	table := route.NewTable(recipient)
	for i, p := range s.peers {
		if err := put(table, i, p); err != nil {
			return nil, err
		}
	}
	log, err := audit.Open(filepath.Join(dir, "log"), audit.Options{Origin: "police.example/bench"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	pseudonyms, err := federation.OpenPseudonyms(dir)
	if err != nil {
		return nil, err
	}
	for _, width := range widths {
		// Each width with connections of its own, as after a start.
		pool := peer.NewPool(recipient, s, nil)
		core := federation.New(federation.Config{
			Table: table, Log: log, Peers: pool, Pseudonyms: pseudonyms, Compile: filter.NewCache(1024).Compile, Timeout: timeout, Width: width, MaxSources: n,
			Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler),
		})
		r := result{Agencies: n, Width: width, Rounds: rounds}
		if err := r.ask(ctx, core, s, timeout); err != nil {
			pool.Close()
			return nil, err
		}
		r.HeapPerSource = (heap() - before) / float64(n) / 1024
		r.Goroutines, r.Connections = runtime.NumGoroutine(), int(s.open.Load())
		out = append(out, r)
		pool.Close()
	}
	return out, nil
}

func put(table *route.Table, i int, source route.Peer) error {
	now := time.Now()
	return table.Put(&route.Route{
		Format: route.Format, Agreement: fmt.Sprintf("agr-%04d", i), Sequence: 1, Self: recipient,
		Versions: []route.Version{{Version: 1, Digest: "sha256:bench", NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), Clauses: []route.Clause{{
			Name: "persons", Source: source, Recipients: []route.Recipient{{Party: recipient}}, Schema: schema, Purposes: []string{purpose},
			Granularity: "Records", Fields: fields, FilterFields: fields,
		}}}},
	})
}

// ask makes one query to open the connections, and then those that count.
func (r *result) ask(ctx context.Context, core *federation.Core, s *sources, timeout time.Duration) error {
	var first, all, floor []float64
	var ok, asked int32
	var cpu time.Duration
	for i := range r.Rounds + 1 {
		s.slowestOf()
		began, used := time.Now(), cpuTime()
		var firstAt time.Duration
		var summary *gatewayv1.QuerySummary
		err := core.Query(ctx, federation.User{Name: "bench"}, &gatewayv1.QueryRequest{
			Schema: "person", Filter: `person_number == "P000001"`, Purpose: purpose, Justification: &gatewayv1.Justification{CaseReference: "HTF-2026-0417"},
		}, func(f *gatewayv1.QueryResponse) error {
			if f.GetRecords() != nil && firstAt == 0 {
				firstAt = time.Since(began)
			}
			if f.GetSummary() != nil {
				summary = f.GetSummary()
			}
			return nil
		})
		if err != nil {
			return err
		}
		if summary == nil {
			return errors.New("a query without a summary")
		}
		if i == 0 {
			continue
		}
		first, all = append(first, millis(firstAt)), append(all, millis(time.Since(began)))
		floor = append(floor, millis(min(s.slowestOf(), timeout)))
		cpu += cpuTime() - used
		ok, asked = ok+summary.GetOk(), asked+summary.GetSources()
	}
	r.FirstP50, r.FirstP99, r.AllP50, r.AllP99 = percentile(first, 50), percentile(first, 99), percentile(all, 50), percentile(all, 99)
	r.FloorP50, r.Answered = percentile(floor, 50), float64(ok)/float64(asked)
	r.CPUPerSource = float64(cpu.Microseconds()) / float64(asked)
	return nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// heap is what is live, in bytes.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// cpuTime that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
