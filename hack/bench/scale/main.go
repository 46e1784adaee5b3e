package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/entente-dev/entente/hack/bench/rig"
	"github.com/entente-dev/entente/hack/bench/scale/report"
)

type options struct {
	entente    string
	agreements []int
	rounds     int
	seed       uint64
	// idleFor is how long the agency is watched while nothing changes.
	idleFor  time.Duration
	log      io.Writer
	progress func(string, ...any)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	began := time.Now()
	o := options{idleFor: 30 * time.Second, log: os.Stderr, progress: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}}
	var list, out string
	flag.StringVar(&o.entente, "entente", "bin/entente", "the entente binary")
	flag.StringVar(&list, "agreements", "100,1000,10000", "numbers of agreements, one after the other")
	flag.IntVar(&o.rounds, "rounds", 200, "changes whose propagation is measured, of each kind")
	flag.Uint64Var(&o.seed, "seed", 1, "of the estate")
	flag.StringVar(&out, "out", "", "file to write the results to, as JSON; its content before is compared with (default: none)")
	flag.Parse()
	var err error
	if o.agreements, err = rig.Counts("agreements", list, 100_000); err != nil {
		return err
	}
	if flag.NArg() > 0 || o.rounds < 1 {
		return errors.New("there are no arguments, and -rounds is at least 1")
	}
	bounds, err := report.ReadPromises()
	if err != nil {
		return err
	}
	var before *report.Report
	if out != "" {
		if before, err = report.Read(out); err != nil {
			return err
		}
	}
	r := report.Report{
		Date: time.Now().UTC().Format(time.DateOnly), Command: "go run ./hack/bench/scale " + strings.Join(os.Args[1:], " "),
		Go: runtime.Version(), Machine: fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
	}
	for _, n := range o.agreements {
		got, err := measure(ctx, o, n)
		if err != nil {
			return fmt.Errorf("%d agreements: %w", n, err)
		}
		r.Results = append(r.Results, got)
		// What was measured stays measured, whatever becomes of the rest.
		if err := write(r, out); err != nil {
			return err
		}
	}
	o.progress("compiles")
	if err := compiled(ctx, r.Results); err != nil {
		return err
	}
	if err := r.Table(os.Stdout, bounds, before); err != nil {
		return err
	}
	for _, m := range r.Misses(bounds) {
		fmt.Println("missed:", m)
	}
	return write(r, out)
}

func write(r report.Report, out string) error {
	if out == "" {
		return nil
	}
	return r.Write(out)
}

// compileLine is one of `go test -bench`, with the number of agreements in its name.
var compileLine = regexp.MustCompile(`^BenchmarkCompile/(\d+)\S*\s+\d+\s+[\d.]+ ns/op\s+([\d.]+) ns/agreement\s+[\d.]+ B/op\s+(\d+) allocs/op`)

// compiled fills in what a full compile costs, by the benchmark of the package.
func compiled(ctx context.Context, results []report.Result) error {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkCompile$", "./controllers/compile").Output()
	if err != nil {
		return fmt.Errorf("go test -bench Compile: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		m := compileLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, errN := strconv.Atoi(m[1])
		nanos, errT := strconv.ParseFloat(m[2], 64)
		allocs, errA := strconv.ParseFloat(m[3], 64)
		if err := errors.Join(errN, errT, errA); err != nil {
			return err
		}
		for i := range results {
			if results[i].Agreements == n {
				results[i].CompileNanos, results[i].CompileAllocs = nanos, allocs/float64(n)
			}
		}
	}
	return nil
}
