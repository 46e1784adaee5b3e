package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/entente-dev/entente/hack/bench/rig"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/internal/demo/data"
)

// setting of Go's memory, and what became of the two gateways under it. Throughput and CPU time of a request are ratios to those under the
// first setting in the same round; memory is the source's gateway's at the end of the load, in MB; Collections of its garbage are of a thousand
// requests.
type setting struct {
	Name            string
	Env             []string
	Throughput, CPU rig.Spread
	Resident, Own   rig.Spread
	Collections     rig.Spread
}

// settings that are compared: the first is what a gateway sets by itself.
func settings() []setting {
	return []setting{
		{Name: "GOGC=400 (by itself)", Env: []string{"GOGC=400"}},
		{Name: "GOGC=200", Env: []string{"GOGC=200"}},
		{Name: "GOGC=100", Env: []string{"GOGC=100"}},
		{Name: "GOGC=50", Env: []string{"GOGC=50"}},
		{Name: "GOGC=400 GOMEMLIMIT=24MiB", Env: []string{"GOGC=400", "GOMEMLIMIT=24MiB"}},
	}
}

// collections is the metric that counts them.
const collections = "go_gc_duration_seconds_count"

// load has the police ask the labor inspectorate, through both gateways, under each setting in turn.
func load(ctx context.Context, s *stack.Stack, o options, r *results) error {
	police, labor, border := s.Agency(stack.Police), s.Agency(stack.Labor), s.Agency(stack.Border)
	if err := errors.Join(border.Operator.Stop(20*time.Second), border.Gateway.Stop(20*time.Second)); err != nil {
		return err
	}
	own := police.Gateway.Env
	restart := func(env []string) error {
		for _, a := range []*stack.Agency{labor, police} {
			if err := a.Gateway.Stop(20 * time.Second); err != nil {
				return err
			}
			a.Gateway.Env = slices.Concat(own, env)
			if err := a.StartGateway(ctx); err != nil {
				return err
			}
		}
		// Connections, credentials and statements are there.
		return until(ctx, func() error { return ask(ctx, police) })
	}
	segment := func(d time.Duration) (rig.Reply, error) {
		reply := rig.Drive(func(int64) error { return ask(ctx, police) }, rig.Order{Callers: o.loaded, Time: d})
		if reply.Error != "" {
			return reply, errors.New(reply.Error)
		}
		return reply, ctx.Err()
	}
	r.Settings = settings()
	type cell struct{ perSecond, cpu, resident, own, collections float64 }
	cells := make([][]cell, len(r.Settings))
	for round := range o.rounds {
		for i := range r.Settings {
			at := rig.Turn(i, round, len(r.Settings))
			if err := restart(r.Settings[at].Env); err != nil {
				return err
			}
			if _, err := segment(o.time / 2); err != nil { // it warms up
				return err
			}
			collected, err := labor.GatewayMetric(ctx, collections)
			if err != nil {
				return err
			}
			before, err := cpuOf(labor, police)
			if err != nil {
				return err
			}
			reply, err := segment(o.time)
			if err != nil {
				return err
			}
			after, err := cpuOf(labor, police)
			if err != nil {
				return err
			}
			m, err := rig.ProcessMemory(labor.Gateway.PID())
			if err != nil {
				return err
			}
			collectedThen, err := labor.GatewayMetric(ctx, collections)
			if err != nil {
				return err
			}
			n := float64(reply.Lookups)
			cells[at] = append(cells[at], cell{n / reply.Elapsed.Seconds(), float64((after - before).Microseconds()) / n, megabytes(m).Resident, megabytes(m).Own, 1000 * (collectedThen - collected) / n})
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	for i := range r.Settings {
		of := func(value func(c, first cell) float64) rig.Spread {
			var v []float64
			for k, c := range cells[i] {
				v = append(v, value(c, cells[0][k]))
			}
			return rig.SpreadOf(v)
		}
		x := &r.Settings[i]
		x.Throughput = of(func(c, first cell) float64 { return c.perSecond / first.perSecond })
		x.CPU = of(func(c, first cell) float64 { return c.cpu / first.cpu })
		x.Resident, x.Own = of(func(c, _ cell) float64 { return c.resident }), of(func(c, _ cell) float64 { return c.own })
		x.Collections = of(func(c, _ cell) float64 { return c.collections })
	}
	return quiet(ctx, labor, func() error { return restart(nil) }, segment, o, r)
}

// quiet loads gateways that set by themselves what they need, and then leaves them alone.
func quiet(ctx context.Context, source *stack.Agency, restart func() error, segment func(time.Duration) (rig.Reply, error), o options, r *results) error {
	if err := restart(); err != nil {
		return err
	}
	if _, err := segment(2 * o.time); err != nil {
		return err
	}
	m, err := rig.ProcessMemory(source.Gateway.PID())
	if err != nil {
		return err
	}
	r.Loaded, r.QuietSeconds = megabytes(m), o.idle.Seconds()
	if err := sleep(ctx, o.idle); err != nil {
		return err
	}
	m, err = rig.ProcessMemory(source.Gateway.PID())
	r.Quiet = megabytes(m)
	return err
}

// ask asks the labor inspectorate about one person.
func ask(ctx context.Context, police *stack.Agency) error {
	a, err := police.Analyst.AskGRPC(ctx, stack.Question{
		Schema: "person", Filter: fmt.Sprintf("document_number == %q", data.Marisol().Document), Purpose: "entente:trafficking-investigation",
		Justification: stack.Justification{CaseReference: "HTF-2026-0417", SubjectRole: "victim"}, Agencies: []string{stack.Labor},
	})
	if err != nil {
		return err
	}
	if of := a.Of(stack.Labor); of.Outcome != "OK" {
		return fmt.Errorf("%+v", of)
	}
	return nil
}

func until(ctx context.Context, ok func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		if wait := sleep(ctx, 50*time.Millisecond); wait != nil {
			return errors.Join(err, wait)
		}
	}
}

// cpuOf is the CPU time that the gateways have had.
func cpuOf(agencies ...*stack.Agency) (sum time.Duration, err error) {
	for _, a := range agencies {
		t, err := rig.ProcessCPU(a.Gateway.PID())
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}
