package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/entente-dev/entente/hack/bench/rig"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == rig.ChildArgument {
		exit(rig.Load(asker))
		return
	}
	var o options
	var callers, only string
	flag.IntVar(&o.rounds, "rounds", 7, "paired rounds")
	flag.DurationVar(&o.time, "time", 2*time.Second, "length of a segment")
	flag.StringVar(&callers, "callers", "1,16,64", "callers at once")
	flag.StringVar(&o.dir, "dir", "", "where the logs are written, on a disk; default: a temporary folder, removed afterwards")
	flag.StringVar(&o.out, "out", "", "file for the results, in JSON")
	flag.StringVar(&o.profiles, "profiles", "", "folder for CPU profiles of the last round, and for what was allocated")
	flag.StringVar(&only, "targets", "", "only these, separated by commas; default: all")
	flag.BoolVar(&o.smoke, "smoke", false, "only see that it runs: one round of 0.2 s")
	flag.Parse()
	if o.smoke {
		o.rounds, o.time, callers = 1, 200*time.Millisecond, "1,16"
	}
	var err error
	if o.callers, err = rig.Counts("callers", callers, math.MaxInt); err != nil {
		exit(err)
	}
	if only != "" {
		o.targets = strings.Split(only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "hop:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds             int
	time               time.Duration
	callers            []int
	dir, out, profiles string
	targets            []string // nil: all
	smoke              bool
}

func run(ctx context.Context, o options) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "entente-hop-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	w, err := startWorld(ctx, o.dir)
	if err != nil {
		return err
	}
	defer func() {
		if e := w.stop(); err == nil {
			err = e
		}
	}()
	b := &bench{options: o, cells: map[cellKey]*cell{}}
	if b.server, err = rig.FindPostmaster(w.postgres.SocketDir()); err != nil {
		return err
	}
	targets, err := w.targets()
	if err != nil {
		return err
	}
	if targets, err = o.choose(targets); err != nil {
		return err
	}
	if b.child, err = rig.StartChild(targets); err != nil {
		return err
	}
	defer func() { _ = b.child.Stop() }()
	for _, t := range targets {
		if _, err := b.child.Run(rig.Order{Target: t.Name, Callers: max(16, o.callers[0]), Time: o.time}); err != nil {
			return err
		}
	}
	for round := range o.rounds {
		for _, callers := range o.callers {
			for i := range targets {
				at := rig.Turn(i, round, len(targets))
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := b.segment(targets[at].Name, callers); err != nil {
					return err
				}
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	if o.profiles != "" {
		if err := writeAllocations(filepath.Join(o.profiles, "allocs.prof")); err != nil {
			return err
		}
	}
	return b.report(targets)
}

// choose leaves the targets that are wanted.
func (o *options) choose(targets []target) ([]target, error) {
	if o.targets == nil {
		return targets, nil
	}
	var out []target
	for _, name := range o.targets {
		i := slices.IndexFunc(targets, func(t target) bool { return t.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("-targets: there is no %q", name)
		}
		out = append(out, targets[i])
	}
	return out, nil
}

// writeAllocations writes what was allocated since the start, by all targets.
func writeAllocations(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// targets in the order of doc.go.
func (w *world) targets() ([]target, error) {
	var out []target
	for _, t := range []struct {
		name, address string
		users         bool
	}{
		{bareName, w.bare.plain, false},
		{recordName, w.bare.recorded, false},
		{governedName, w.source.Addrs.Peer, false},
		{aggregatorName, w.bare.aggregator, true},
		{queryName, w.recipient.Addrs.GRPC, true},
	} {
		own, authority := w.credential, w.source.CA.Certificate
		if t.users {
			own, authority = w.user, w.recipient.CA.Certificate
		}
		made, err := newTarget(t.name, t.address, t.users, own, authority)
		if err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

const (
	bareName       = "bare"
	recordName     = "bare-record"
	governedName   = "governed"
	aggregatorName = "aggregator"
	queryName      = "governed-query"
)

type bench struct {
	options
	child  *rig.Child
	server rig.ServerCPU
	cells  map[cellKey]*cell
}

type cellKey struct {
	target  string
	callers int
}

// cell is all rounds of one target at one number of callers.
type cell struct {
	rounds []round
	share  *share
}

// round is one segment; CPU times are of one request.
type round struct {
	perSecond               float64
	p50, p99                time.Duration
	gateway, server, caller time.Duration
}

// segment loads a target and takes its time, its CPU time and its profile.
func (b *bench) segment(name string, callers int) error {
	c := b.cells[cellKey{name, callers}]
	if c == nil {
		c = &cell{share: newShare()}
		b.cells[cellKey{name, callers}] = c
	}
	runtime.GC() // no target pays for the garbage of the one before
	server, err := b.server.Read()
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := pprof.StartCPUProfile(&buf); err != nil {
		return err
	}
	cpu := rig.CPUTime()
	r, err := b.child.Run(rig.Order{Target: name, Callers: callers, Time: b.time})
	cpu = rig.CPUTime() - cpu
	pprof.StopCPUProfile()
	if err != nil {
		return err
	}
	postgres, err := b.server.Since(server)
	if err != nil {
		return err
	}
	if b.profiles != "" {
		if err := os.WriteFile(filepath.Join(b.profiles, fmt.Sprintf("%s-%d.prof", name, callers)), buf.Bytes(), 0o644); err != nil {
			return err
		}
	}
	p, err := profile.Parse(&buf)
	if err != nil {
		return err
	}
	c.share.add(p)
	n := time.Duration(r.Lookups)
	c.rounds = append(c.rounds, round{float64(r.Lookups) / r.Elapsed.Seconds(), r.P50, r.P99, cpu / n, postgres / n, r.CPU / n})
	return nil
}
