// Command revoke measures how soon a suspension is felt, as clients feel it: from the decision of a person at one agency until a client
// of that agency, and a client of the other, are refused. Two agencies on a real kube-apiserver, Vault and PostgreSQL, an operator and a
// gateway of each as processes; the exchange between them over mutual TLS.
//
//	go run ./hack/bench/revoke -entente bin/entente
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/entente-dev/entente/hack/e2e/stack"
)

func main() {
	entente := flag.String("entente", "bin/entente", "the binary whose processes are measured (make build)")
	agreements := flag.Int("agreements", 20, "agreements, which are suspended one after the other in each round")
	rounds := flag.Int("rounds", 10, "rounds; the two agencies take turns at suspending")
	out := flag.String("out", "", "file to write the results to, as JSON (default: none)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *entente, *agreements, *rounds, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, entente string, agreements, rounds int, out string) (err error) {
	if agreements < 1 || agreements > 90 || rounds < 1 {
		return fmt.Errorf("-agreements %d -rounds %d: from 1 to 90 agreements, and at least one round", agreements, rounds)
	}
	s, err := stack.Start(ctx, stack.Options{Entente: entente, Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() {
		if stopped := s.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := s.Share(ctx); err != nil {
		return err
	}
	began := time.Now()
	r, err := s.MeasureRevocation(ctx, agreements, rounds, func(done, of int) {
		if done%agreements == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d suspensions, %s\n", done, of, time.Since(began).Round(time.Second))
		}
	})
	if err != nil {
		return err
	}
	fmt.Printf("suspend→denied, %d suspensions of %d agreements, %s, %s/%s, %d CPUs\n\n", len(r.Own), agreements, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Println("| | p50 | p99 | longest |")
	fmt.Println("|---|---:|---:|---:|")
	for _, side := range []struct {
		name  string
		times []time.Duration
	}{{"a client is refused at the agency that suspends", r.Own}, {"at the other", r.Peer}, {"(one question of a client meanwhile)", r.Question}} {
		slices.Sort(side.times)
		n := len(side.times)
		fmt.Printf("| %s | %s | %s | %s |\n", side.name, ms(side.times[n/2]), ms(side.times[n*99/100]), ms(side.times[n-1]))
	}
	if out == "" {
		return nil
	}
	return write(out, r, agreements)
}

// spread of times, in milliseconds.
type spread struct {
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Longest float64 `json:"longest"`
}

func spreadOf(sorted []time.Duration) spread {
	at := func(i int) float64 { return float64(sorted[i]) / float64(time.Millisecond) }
	return spread{at(len(sorted) / 2), at(len(sorted) * 99 / 100), at(len(sorted) - 1)}
}

func write(path string, r stack.Revocations, agreements int) error {
	text, err := json.MarshalIndent(map[string]any{
		"date": time.Now().UTC().Format(time.DateOnly), "command": "go run ./hack/bench/revoke " + strings.Join(os.Args[1:], " "),
		"go": runtime.Version(), "machine": fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		"suspensions": len(r.Own), "agreements": agreements,
		"own": spreadOf(r.Own), "peer": spreadOf(r.Peer), "question": spreadOf(r.Question),
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond)) }
