// Command footprint measures what an installation takes before anybody asks for anything, and what Go's settings for its memory do under
// load: the size of the binary and what it is built from; how long an operator and a gateway take from their start until they are ready, and
// how much memory they have then, idle, at an agency without agreements; and for several values of GOGC, and a memory limit, requests a
// second, CPU time and memory of two gateways, in paired rounds whose order changes. On a real kube-apiserver, Vault and PostgreSQL.
//
//	go run ./hack/bench/footprint -entente bin/entente
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/entente-dev/entente/hack/bench/rig"
	"github.com/entente-dev/entente/hack/e2e/stack"
)

type options struct {
	entente, out           string
	starts, rounds, loaded int
	time, idle             time.Duration
}

// results are what is written down.
type results struct {
	Date, Command, Go, Machine string
	Binary                     binary
	Operator, Gateway          process
	// Settings of Go's memory, and what they do; Callers at once.
	Callers  int
	Settings []setting
	// Loaded is the gateway's memory at the end of a load with the settings that it has by itself, and Quiet some time after it.
	Loaded, Quiet memory
	QuietSeconds  float64
}

// memory in MB (10⁶ bytes).
type memory struct{ Resident, Own float64 }

func megabytes(m rig.Memory) memory { return memory{float64(m.Resident) / 1e6, float64(m.Own) / 1e6} }

func main() {
	var o options
	flag.StringVar(&o.entente, "entente", "bin/entente", "the entente binary (make build)")
	flag.StringVar(&o.out, "out", "", "file to write the results to, as JSON (default: none)")
	flag.IntVar(&o.starts, "starts", 7, "times that each process is started")
	flag.IntVar(&o.rounds, "rounds", 5, "paired rounds of the settings")
	flag.IntVar(&o.loaded, "callers", 64, "callers at once")
	flag.DurationVar(&o.time, "time", 1500*time.Millisecond, "length of a segment")
	flag.DurationVar(&o.idle, "idle", 20*time.Second, "how long a process has been idle when its memory is read")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if flag.NArg() > 0 || o.starts < 1 || o.rounds < 1 || o.loaded < 1 {
		return errors.New("there are no arguments; -starts, -rounds and -callers are at least 1")
	}
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	r.print()
	if o.out == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, append(text, '\n'), 0o644)
}

func measure(ctx context.Context, o options) (r *results, err error) {
	r = &results{
		Date: time.Now().UTC().Format(time.DateOnly), Command: "go run ./hack/bench/footprint " + strings.Join(os.Args[1:], " "),
		Go: runtime.Version(), Machine: fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()), Callers: o.loaded,
	}
	if r.Binary, err = readBinary(ctx, o.entente); err != nil {
		return nil, err
	}
	s, err := stack.Start(ctx, stack.Options{Entente: o.entente, People: 1000, Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	// Logs are held against each other every other second for tests, which costs more than all that is measured here.
	for _, a := range s.Agencies {
		if i := slices.Index(a.Operator.Args, "--reconcile-every"); i >= 0 {
			a.Operator.Args[i+1] = "24h"
		}
		if err := errors.Join(a.Operator.Stop(20*time.Second), a.StartOperator(ctx)); err != nil {
			return nil, err
		}
	}
	if r.Operator, r.Gateway, err = idle(ctx, s.Agency(stack.Border), o); err != nil {
		return nil, err
	}
	if err := s.Share(ctx); err != nil {
		return nil, err
	}
	return r, load(ctx, s, o, r)
}

func (r *results) print() {
	b := &r.Binary
	fmt.Printf("binary: %d bytes (%d of code), %d packages of %d modules\n", b.Bytes, b.CodeBytes, b.Packages, b.Modules)
	for _, p := range []struct {
		name string
		process
	}{{"operator", r.Operator}, {"gateway", r.Gateway}} {
		fmt.Printf("%s: ready after %.2f s (%.2f to %.2f); idle %.1f MB resident, %.1f of them its own\n", p.name, p.ReadySeconds.Median, p.ReadySeconds.Least, p.ReadySeconds.Most, p.Idle.Resident, p.Idle.Own)
	}
	fmt.Printf("\n%-26s %22s %22s %14s %10s %24s\n", fmt.Sprintf("%d callers", r.Callers), "a second, paired", "CPU a request, paired", "resident MB", "own MB", "collections a thousand")
	for _, x := range r.Settings {
		fmt.Printf("%-26s %8.2f (%.2f to %.2f) %8.2f (%.2f to %.2f) %14.1f %10.1f %24.1f\n", x.Name, x.Throughput.Median, x.Throughput.Least, x.Throughput.Most,
			x.CPU.Median, x.CPU.Least, x.CPU.Most, x.Resident.Median, x.Own.Median, x.Collections.Median)
	}
	fmt.Printf("\nafter the load %.1f MB resident, %.1f of them the gateway's own; %.0f s later %.1f and %.1f\n", r.Loaded.Resident, r.Loaded.Own, r.QuietSeconds, r.Quiet.Resident, r.Quiet.Own)
}
