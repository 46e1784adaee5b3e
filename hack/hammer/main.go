// Command hammer asks three agencies for minutes under load while their gateways are killed with kill -9, one after the other,
// and then looks for a proof of every answer that was received:
//
//   - the recipient's log has the outcome, and the source's log the intent and the outcome, under the answer's disclosure id
//     and with one response digest; a refusal is where it was made;
//   - every log verifies, with its keys: the chain, and each record against its commitment;
//   - each of these records is in the transparency log: an inclusion proof leads from it to the root of a signed checkpoint,
//     checked by the code of golang.org/x/mod/sumdb.
//
// It prints figures, and exits with 1 when a proof is missing.
//
//	go run ./hack/hammer -duration 3m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/entente-dev/entente/internal/demo"
	"github.com/entente-dev/entente/internal/demo/data"
)

type options struct {
	duration, kill   time.Duration
	workers, proofs  int
	entente, dir     string
	checkpointsAfter time.Duration
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "duration", 20*time.Second, "how long the agencies are asked")
	flag.DurationVar(&o.kill, "kill", 4*time.Second, "time between kills; 0: none is killed")
	flag.IntVar(&o.workers, "workers", 16, "queries at once, each to up to two sources")
	flag.IntVar(&o.proofs, "proofs", 20_000, "inclusion proofs that are checked in each log at most, spread evenly")
	flag.StringVar(&o.entente, "entente", "", "entente binary (default: built from this tree)")
	flag.StringVar(&o.dir, "dir", "", "empty folder for the agencies, kept (default: a temporary one, removed)")
	flag.DurationVar(&o.checkpointsAfter, "checkpoints-after", time.Minute, "how long to wait at the end for the last checkpoints")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "hammer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.entente == "" {
		tmp, err := os.MkdirTemp("", "entente-hammer-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		o.entente = filepath.Join(tmp, "entente")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.entente, "./cmd/entente")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("go build ./cmd/entente: %w", err)
		}
	}
	w, err := demo.Build(ctx, demo.Options{Binary: o.entente, Dir: o.dir, Out: io.Discard})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	fmt.Printf("three agencies; %d queries at once for %s, a gateway killed every %s\n", o.workers, o.duration, o.kill)

	h := &hammer{w: w}
	if err := h.strike(ctx, o); err != nil {
		return err
	}
	h.figures()
	return h.prove(ctx, o)
}

// received is an answer of one source that somebody has in hand.
type received struct {
	recipient string
	demo.Answered
}

type hammer struct {
	w *demo.World

	mu       sync.Mutex
	answers  []received
	took     []time.Duration
	outcomes map[string]int
	failed   int // queries without an answer, while a gateway was down
	kills    int
	elapsed  time.Duration
}

// strike asks until the time is over.
func (h *hammer) strike(ctx context.Context, o options) error {
	h.outcomes = map[string]int{}
	var people []*data.Person
	for i, p := range data.People {
		if people = append(people, p); i == 500 {
			break
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.duration)
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	agencies := h.w.Agencies()
	for n := range o.workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				h.ask(ctx, agencies[n%len(agencies)], people[rand.IntN(len(people))])
			}
		})
	}
	var killing error
	for i := 0; o.kill > 0 && killing == nil; i++ {
		select {
		case <-ctx.Done():
		case <-time.After(o.kill):
			agency := agencies[i%len(agencies)]
			h.w.Kill(agency)
			h.kills++
			start, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			killing = h.w.Start(start, agency)
			cancel()
			continue
		}
		break
	}
	if killing != nil {
		cancel()
	}
	wg.Wait()
	h.elapsed = time.Since(began)
	return killing
}

func (h *hammer) ask(ctx context.Context, as string, p *data.Person) {
	at := time.Now()
	// Not cut off with the time: an answer is received whole, or it is none.
	one, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	answered, err := h.w.Ask(one, as, p)
	took := time.Since(at)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.failed++
		h.mu.Unlock()
		time.Sleep(20 * time.Millisecond) // it is down
		h.mu.Lock()
		return
	}
	h.took = append(h.took, took)
	for _, a := range answered {
		h.outcomes[a.Outcome]++
		h.answers = append(h.answers, received{as, a})
	}
}

func (h *hammer) figures() {
	slices.Sort(h.took)
	n := len(h.took)
	if n == 0 {
		fmt.Println("no query was answered")
		return
	}
	fmt.Printf("%d queries answered in %s (%.0f a second; p50 %s, p99 %s), %d got no answer while a gateway was down; %d kills\n", n,
		h.elapsed.Round(time.Second), float64(n)/h.elapsed.Seconds(), h.took[n/2].Round(100*time.Microsecond), h.took[n*99/100].Round(100*time.Microsecond), h.failed, h.kills)
	fmt.Printf("%d answers of sources:", len(h.answers))
	for _, o := range []string{"OK", "PARTIAL", "DENIED", "UNAVAILABLE", "TIMEOUT"} {
		fmt.Printf(" %s %d", o, h.outcomes[o])
	}
	fmt.Println()
}
