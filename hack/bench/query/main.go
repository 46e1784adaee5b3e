package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/hack/bench/rig"
)

// Names of targets; see doc.go.
const (
	bareName       = "bare"
	recordName     = "bare-record"
	governedName   = "governed"
	aggregatorName = "aggregator"
	queryName      = "governed-query"

	fanoutName  = "bare-fanout"
	ententeName = "entente"
	fdwName     = "fdw"
	luraName    = "lura"
)

// names of all targets, in the order in which they are printed.
var names = []string{bareName, recordName, governedName, aggregatorName, queryName, fanoutName, ententeName, fdwName, luraName}

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
	flag.StringVar(&only, "targets", "", "only these, separated by commas; default: all")
	flag.IntVar(&o.rows, "rows", 1_000_000, "rows of the bulk stream; 0: without it")
	flag.StringVar(&o.dir, "dir", "", "where the logs are written, on a disk; default: a temporary folder, removed afterwards")
	flag.StringVar(&o.out, "out", "", "file for the results, in JSON")
	flag.StringVar(&o.profiles, "profiles", "", "folder for CPU profiles of this process in the last round")
	flag.Parse()
	var err error
	if o.callers, err = rig.Counts("callers", callers, 100); err != nil {
		exit(err)
	}
	o.targets = names
	if only == bulkName {
		o.targets = nil
	} else if only != "" {
		o.targets = strings.Split(only, ",")
		for _, t := range o.targets {
			if !slices.Contains(names, t) {
				exit(fmt.Errorf("-targets: there is no %q; there are %s, or %s alone", t, strings.Join(names, ", "), bulkName))
			}
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "query:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds   int
	time     time.Duration
	callers  []int
	targets  []string
	dir, out string
	// rows of the bulk stream; 0: without it.
	rows     int
	profiles string
}

func run(ctx context.Context, o options) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "entente-query-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	b := &bench{options: o, cells: map[cellKey][]round{}}
	if o.rows > 0 {
		if b.bulk, err = runBulk(ctx, bulkOptions{rows: o.rows, rounds: o.rounds, dir: filepath.Join(o.dir, "bulk"), profiles: o.profiles}); err != nil {
			return err
		}
	}
	if len(o.targets) == 0 {
		return b.report()
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
	b.lura = w.lura.cmd.Process.Pid
	if b.server, err = rig.FindPostmaster(w.postgres.SocketDir()); err != nil {
		return err
	}
	if b.child, err = rig.StartChild(w.targets); err != nil {
		return err
	}
	defer func() { _ = b.child.Stop() }()
	for _, t := range o.targets { // connections and statements are there
		if _, err := b.child.Run(rig.Order{Target: t, Callers: slices.Max(o.callers), Time: o.time}); err != nil {
			return err
		}
	}
	for round := range o.rounds {
		for _, callers := range o.callers {
			for i := range o.targets {
				at := rig.Turn(i, round, len(o.targets))
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := b.segment(o.targets[at], callers); err != nil {
					return err
				}
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	return b.report()
}

type bench struct {
	options
	child  *rig.Child
	server rig.ServerCPU
	lura   int // process
	cells  map[cellKey][]round
	bulk   *bulkResults // nil: it was not asked for
}

type cellKey struct {
	target  string
	callers int
}

// round is one segment; CPU times are of one request: of the servers in this process, of lura, of PostgreSQL, and of the load.
type round struct {
	perSecond                       float64
	p50, p99                        time.Duration
	servers, lura, database, caller time.Duration
}

// segment loads a target and takes its time and its CPU time.
func (b *bench) segment(name string, callers int) error {
	runtime.GC() // no target pays for the garbage of the one before
	server, err := b.server.Read()
	if err != nil {
		return err
	}
	lura, err := rig.ProcessCPU(b.lura)
	if err != nil {
		return err
	}
	if b.profiles != "" {
		f, err := os.Create(filepath.Join(b.profiles, fmt.Sprintf("%s-%d.prof", name, callers)))
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			return err
		}
		defer f.Close()
	}
	cpu := rig.CPUTime()
	r, err := b.child.Run(rig.Order{Target: name, Callers: callers, Time: b.time})
	cpu = rig.CPUTime() - cpu
	pprof.StopCPUProfile()
	if err != nil {
		return err
	}
	after, err := rig.ProcessCPU(b.lura)
	if err != nil {
		return err
	}
	database, err := b.server.Since(server)
	if err != nil {
		return err
	}
	n := time.Duration(r.Lookups)
	key := cellKey{name, callers}
	b.cells[key] = append(b.cells[key], round{float64(r.Lookups) / r.Elapsed.Seconds(), r.P50, r.P99, cpu / n, (after - lura) / n, database / n, r.CPU / n})
	return nil
}
