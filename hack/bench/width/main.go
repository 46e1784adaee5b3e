// Command width measures a query that asks many agencies at once: how its time, and the memory and connections of the gateway that asks,
// grow from ten to a thousand. Everything is in one process: the recipient's core with its log and its pool of connections, as in a
// gateway, and for each agency a server that answers over mutual TLS after a time that is drawn from a distribution, as real ones would:
// half within 40 ms, one in a hundred after 400 ms and more, two in a hundred not reachable, one in a hundred that never answers.
//
//	go run ./hack/bench/width -agencies 10,100,1000 -rounds 30
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
	"text/tabwriter"
	"time"

	"github.com/entente-dev/entente/hack/bench/rig"
)

// result is what was measured with one number of agencies and one width. Times are in milliseconds.
type result struct {
	Agencies int `json:"agencies"`
	// Width is how many sources the query asks at a time.
	Width  int `json:"width"`
	Rounds int `json:"rounds"`
	// First is until the first record, All until the summary.
	FirstP50 float64 `json:"firstP50"`
	FirstP99 float64 `json:"firstP99"`
	AllP50   float64 `json:"allP50"`
	AllP99   float64 `json:"allP99"`
	// Floor is the median of what the sources themselves took when asked all at once: the slowest of those that answer at all, or the bound.
	FloorP50 float64 `json:"floorP50"`
	// Answered is the part of sources that ended OK.
	Answered float64 `json:"answered"`
	// CPUPerSource is µs of CPU for one source asked, that of the simulated source included.
	CPUPerSource float64 `json:"cpuPerSourceMicros"`
	// HeapPerSource is KiB of live heap for one agency, with its connection, that of the simulated source included.
	HeapPerSource float64 `json:"heapPerSourceKiB"`
	Goroutines    int     `json:"goroutines"`
	Connections   int     `json:"connections"`
}

type report struct {
	Date    string   `json:"date"`
	Command string   `json:"command"`
	Go      string   `json:"go"`
	Machine string   `json:"machine"`
	Timeout float64  `json:"timeoutMillis"`
	Results []result `json:"results"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "width:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	agencies := flag.String("agencies", "10,100,1000", "numbers of agencies")
	widths := flag.String("widths", "64,256", "how many sources a query asks at a time")
	rounds := flag.Int("rounds", 30, "queries of each")
	timeout := flag.Duration("timeout", 2*time.Second, "how long a source is waited for")
	out := flag.String("out", "", "file to write the results to, as JSON (default: none)")
	flag.Parse()
	ns, errN := rig.Counts("agencies", *agencies, 1000)
	ws, errW := rig.Counts("widths", *widths, 1000)
	if err := errors.Join(errN, errW); err != nil {
		return err
	}
	r := report{
		Date: time.Now().UTC().Format(time.DateOnly), Command: "go run ./hack/bench/width " + strings.Join(os.Args[1:], " "),
		Go: runtime.Version(), Machine: fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		Timeout: float64(timeout.Milliseconds()),
	}
	for _, n := range ns {
		got, err := measure(ctx, n, ws, *rounds, *timeout)
		if err != nil {
			return fmt.Errorf("%d agencies: %w", n, err)
		}
		r.Results = append(r.Results, got...)
	}
	print(r)
	if *out == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*out, append(text, '\n'), 0o644)
}

func print(r report) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "agencies\twidth\tfirst record p50\tp99\tall p50\tp99 ms\tof the slowest source\tanswered\tCPU µs a source\theap KiB an agency\tgoroutines\tconnections\t")
	for _, x := range r.Results {
		fmt.Fprintf(t, "%d\t%d\t%.1f\t%.1f\t%.0f\t%.0f\t%.2f ×\t%.1f %%\t%.0f\t%.0f\t%d\t%d\t\n", x.Agencies, x.Width, x.FirstP50, x.FirstP99, x.AllP50, x.AllP99,
			x.AllP50/x.FloorP50, 100*x.Answered, x.CPUPerSource, x.HeapPerSource, x.Goroutines, x.Connections)
	}
	_ = t.Flush()
}

func percentile(values []float64, p int) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, len(values)*p/100)]
}
