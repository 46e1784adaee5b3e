// Command log measures durable records a second and their latency: the gateway's log against the least that could do it, a
// raw group-committed file with the same bytes for each record. In one run, in paired rounds:
//
//	raw          one write and one sync for all who wait
//	records      the log: encoded, salted, committed to, sealed with AES-256-GCM, chained, in its journal and two files
//	disclosures  the same, two records for each: an intent that is deferred and an outcome, both waited for
//
//	go run ./hack/bench/log -out hack/bench/results/log.json
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/hack/bench/floor"
	"github.com/entente-dev/entente/hack/bench/rig"
)

func main() {
	var o options
	var writers string
	flag.IntVar(&o.rounds, "rounds", 7, "paired rounds")
	flag.DurationVar(&o.time, "time", time.Second, "length of a segment")
	flag.StringVar(&writers, "writers", "1,16,64,512", "writers at once")
	flag.StringVar(&o.dir, "dir", "", "where the files are written, on a disk; default: a temporary folder, removed afterwards")
	flag.StringVar(&o.out, "out", "", "file for the results, in JSON")
	flag.StringVar(&o.profile, "profile", "", "file for a CPU profile of the log's segments in the last round")
	flag.Parse()
	var err error
	if o.writers, err = rig.Counts("writers", writers, math.MaxInt); err != nil {
		exit(err)
	}
	exit(run(o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "log:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds            int
	time              time.Duration
	writers           []int
	dir, out, profile string
}

// record is one as a gateway writes it.
var record = audit.Record{
	Disclosure: "0192f0c1-7b1e-7c3a-9d54-3b7f1f0a2c11", Kind: audit.Outcome, Side: audit.Source, Operation: audit.Consultation,
	Agreement: "labor-trafficking", Version: 3, Clause: "wages", Purpose: "entente:trafficking-investigation",
	Justification: audit.Justification{CaseReference: "TF-2026-00417", SubjectRole: "victim", Aim: "identify"},
	Source:        "labor-inspectorate", Recipient: "state-police", RecipientAddress: "1 Main Street, Capital City",
	User: "u-5f1d3c", Dataset: "wage-records", Granularity: "Records",
	Fields:       []string{"given_name", "family_name", "birth_date", "employer", "wage"},
	Filter:       `family_name == "Doe" && birth_date == date("1980-01-01")`,
	SubjectToken: "st-0c7be1c6f1f54b55", Records: 1, Outcome: "OK",
	RouteDigest: "sha256:RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o", QueryDigest: "sha256:n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
	RetainUntil: time.Date(2031, 12, 31, 0, 0, 0, 0, time.UTC),
}

const (
	rawName        = "raw"
	recordsName    = "records"
	disclosureName = "disclosures"
)

func run(o options) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "entente-log-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	size, err := recordSize(filepath.Join(o.dir, "size"))
	if err != nil {
		return err
	}
	cells := map[string]map[int][]segment{rawName: {}, recordsName: {}, disclosureName: {}}
	for round := range o.rounds {
		for _, writers := range o.writers {
			names := []string{rawName, recordsName, disclosureName}
			if round%2 == 1 {
				slices.Reverse(names)
			}
			for _, name := range names {
				profile := o.profile != "" && round == o.rounds-1 && name == recordsName && writers == 64
				s, err := measure(o, name, writers, size, profile)
				if err != nil {
					return err
				}
				cells[name][writers] = append(cells[name][writers], s)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	return report(o, size, cells)
}

// recordSize is what a record takes on the disk, in both files.
func recordSize(dir string) (int, error) {
	size := func(n int) (total int64, err error) {
		dir := fmt.Sprint(dir, n)
		l, err := audit.Open(dir, audit.Options{Origin: "bench.example/gateway-0"})
		if err != nil {
			return 0, err
		}
		for range n {
			if err := one(l); err != nil {
				return 0, err
			}
		}
		if err := l.Close(); err != nil {
			return 0, err
		}
		for _, pattern := range []string{"*.chain", "*.payload"} {
			files, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, f := range files {
				st, err := os.Stat(f)
				if err != nil {
					return 0, err
				}
				total += st.Size()
			}
		}
		return total, nil
	}
	a, errA := size(1)
	b, errB := size(2)
	return int(b - a), errors.Join(errA, errB)
}

// one makes a record durable.
func one(l *audit.Log) error {
	rc, err := l.Append(context.Background(), record)
	if err != nil {
		return err
	}
	return rc.Wait(context.Background())
}

// pair makes the two records of a disclosure durable.
func pair(l *audit.Log) error {
	begins := record
	begins.Kind = audit.Intent
	intent, err := l.AppendDeferred(context.Background(), begins)
	if err != nil {
		return err
	}
	outcome, err := l.Append(context.Background(), record)
	if err != nil {
		return err
	}
	return errors.Join(outcome.Wait(context.Background()), intent.Wait(context.Background()))
}

// segment is one target under load.
type segment struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of one
}

func measure(o options, name string, writers, size int, profile bool) (s segment, err error) {
	dir, err := os.MkdirTemp(o.dir, name)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var do func() error
	if name == rawName {
		f, err := floor.Create(filepath.Join(dir, "raw"), size)
		if err != nil {
			return s, err
		}
		defer f.Close()
		do = func() error { f.Append(); return nil }
	} else {
		l, err := audit.Open(filepath.Join(dir, "log"), audit.Options{Origin: "bench.example/gateway-0"})
		if err != nil {
			return s, err
		}
		defer l.Close()
		do = func() error { return one(l) }
		if name == disclosureName {
			do = func() error { return pair(l) }
		}
	}
	if profile {
		f, err := os.Create(o.profile)
		if err != nil {
			return s, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return s, err
		}
		defer pprof.StopCPUProfile()
	}
	runtime.GC() // no target pays for the garbage of the one before
	took := make([][]time.Duration, writers)
	errs := make([]error, writers)
	var wg sync.WaitGroup
	began, cpu := time.Now(), cpuTime()
	for w := range writers {
		wg.Go(func() {
			for {
				at := time.Now()
				if at.Sub(began) >= o.time {
					return
				}
				if errs[w] = do(); errs[w] != nil {
					return
				}
				took[w] = append(took[w], time.Since(at))
			}
		})
	}
	wg.Wait()
	elapsed, cpu := time.Since(began), cpuTime()-cpu
	all := slices.Concat(took...)
	if err := errors.Join(errs...); err != nil || len(all) == 0 {
		return s, errors.Join(err, errors.New("nothing was measured"))
	}
	slices.Sort(all)
	n := len(all)
	return segment{float64(n) / elapsed.Seconds(), all[n/2], all[n*99/100], cpu / time.Duration(n)}, nil
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// spread is a median and the extremes over the rounds.
type spread struct{ Median, Least, Most float64 }

func spreadOf(n int, value func(int) float64) spread {
	v := make([]float64, n)
	for i := range v {
		v[i] = value(i)
	}
	slices.Sort(v)
	return spread{v[n/2], v[0], v[n-1]}
}

type result struct {
	Target                          string
	Writers                         int
	PerSecond                       spread
	P50Micros, P99Micros, CPUMicros spread
	// RatioToRaw in the same round.
	RatioToRaw spread
	Promised   float64 `json:",omitempty"`
}

type results struct {
	Date, Go, System, Command, Commit string
	CPUs, Rounds, RecordBytes         int
	SegmentSeconds                    float64
	Results                           []result
}

func report(o options, size int, cells map[string]map[int][]segment) error {
	command := fmt.Sprintf("go run ./hack/bench/log -rounds %d -time %s -writers %s", o.rounds, o.time, strings.Trim(strings.ReplaceAll(fmt.Sprint(o.writers), " ", ","), "[]"))
	commit, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	r := results{
		Date: time.Now().UTC().Format(time.DateOnly), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Command: command, Commit: strings.TrimSpace(string(commit)), CPUs: runtime.NumCPU(), Rounds: o.rounds, RecordBytes: size, SegmentSeconds: o.time.Seconds(),
	}
	fmt.Printf("%s; %s, %s, %d CPUs, commit %s, %s; records of %d bytes\n\n", r.Command, r.Go, r.System, r.CPUs, r.Commit, r.Date, size)
	fmt.Printf("%-12s %8s %12s %10s %10s %10s  %s\n", "target", "writers", "a second", "p50 µs", "p99 µs", "CPU µs", "ratio to raw (least to most)")
	for _, writers := range o.writers {
		raw := cells[rawName][writers]
		for _, name := range []string{rawName, recordsName, disclosureName} {
			c := cells[name][writers]
			micros := func(of func(segment) time.Duration) spread {
				return spreadOf(len(c), func(i int) float64 { return float64(of(c[i])) / float64(time.Microsecond) })
			}
			x := result{
				Target: name, Writers: writers,
				PerSecond:  spreadOf(len(c), func(i int) float64 { return c[i].perSecond }),
				P50Micros:  micros(func(s segment) time.Duration { return s.p50 }),
				P99Micros:  micros(func(s segment) time.Duration { return s.p99 }),
				CPUMicros:  micros(func(s segment) time.Duration { return s.cpu }),
				RatioToRaw: spreadOf(len(c), func(i int) float64 { return c[i].perSecond / raw[i].perSecond }),
			}
			if name == recordsName && writers == 64 {
				x.Promised = 0.5
			}
			r.Results = append(r.Results, x)
			fmt.Printf("%-12s %8d %12.0f %10.0f %10.0f %10.1f", name, writers, x.PerSecond.Median, x.P50Micros.Median, x.P99Micros.Median, x.CPUMicros.Median)
			if name != rawName {
				fmt.Printf("  %.2f (%.2f to %.2f)", x.RatioToRaw.Median, x.RatioToRaw.Least, x.RatioToRaw.Most)
			}
			if x.Promised > 0 {
				fmt.Printf("  promised %.1f", x.Promised)
			}
			fmt.Println()
		}
	}
	if o.out == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(o.out), 0o755), os.WriteFile(o.out, append(data, '\n'), 0o644))
}
