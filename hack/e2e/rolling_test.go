package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/hack/testenv"
	"github.com/entente-dev/entente/internal/demo/data"
)

const (
	rollingClients = 8
	// rollingRetries is how often a client tries again when its connection ends under a question; the pauses are of 20 ms.
	rollingRetries = 10
	// rollingNotice is from when a replica gets no new connections until it is told to stop; the chart's preStop waits for five seconds.
	rollingNotice = 300 * time.Millisecond
)

// rolling restarts both replicas of both agencies' gateways, one after the other, while clients ask without a pause. No question is
// lost, and each that was answered is in both logs.
func rolling(t *testing.T, s *scene) {
	ctx := t.Context()
	rest, err := testenv.NewService(s.police.Addresses.REST)
	must(t, err)
	defer rest.Stop()
	type replica struct {
		program  *testenv.Program
		begin    func(context.Context) error
		services map[*testenv.Service]string
	}
	replicas := []replica{
		{s.police.Gateway, s.police.StartGateway, map[*testenv.Service]string{s.police.Service: s.police.Addresses.Peer, rest: s.police.Addresses.REST}},
		{s.labor.Gateway, s.labor.StartGateway, map[*testenv.Service]string{s.labor.Service: s.labor.Addresses.Peer}},
	}
	logs := map[*stack.Agency][]string{s.police: {s.police.LogDir()}, s.labor: {s.labor.LogDir()}}
	for _, a := range []*stack.Agency{s.police, s.labor} {
		second, err := a.StartReplica(ctx)
		must(t, err)
		to := map[*testenv.Service]string{a.Service: second.Addresses.Peer}
		if a == s.police {
			to[rest] = second.Addresses.REST
		}
		replicas = append(replicas, replica{second.Program, second.Begin, to})
		logs[a] = append(logs[a], second.LogDir)
		defer func() {
			for service, address := range to {
				service.Remove(address)
			}
			must(t, second.Remove(context.WithoutCancel(ctx)))
		}()
		for service, address := range to {
			service.Add(address)
		}
	}

	q := about(data.Marisol())
	q.Agencies = []string{stack.Labor}
	asking, stop := context.WithCancel(ctx)
	var retries atomic.Int64
	var mu sync.Mutex
	answered := map[string]bool{} // by disclosure
	var lost []string
	var clients sync.WaitGroup
	for i := range rollingClients {
		who, err := s.police.NewAnalyst(fmt.Sprintf("roller-%d", i), "analysts")
		must(t, err)
		clients.Go(func() {
			defer who.Close()
			for asking.Err() == nil {
				var a *stack.Answer
				var err error
				for try := range rollingRetries {
					if try > 0 {
						retries.Add(1)
						time.Sleep(20 * time.Millisecond)
					}
					if a, err = who.AskAt(ctx, rest.Addr(), q); err == nil {
						break
					}
				}
				mu.Lock()
				if err != nil {
					lost = append(lost, err.Error())
				} else if a.Of(stack.Labor).Outcome != "OK" || len(a.Records) != 1 {
					lost = append(lost, fmt.Sprintf("%+v", a))
				} else {
					answered[a.Of(stack.Labor).DisclosureID] = true
				}
				mu.Unlock()
			}
		})
	}
	for _, r := range replicas {
		for service, address := range r.services {
			service.Remove(address)
		}
		time.Sleep(rollingNotice)
		must(t, r.program.Stop(patience)) // who is killed loses questions
		must(t, r.begin(ctx))
		for service, address := range r.services {
			service.Add(address)
		}
	}
	stop()
	clients.Wait()
	t.Logf("%d questions answered, %d lost, while %d replicas were restarted; clients tried again %d times", len(answered), len(lost), len(replicas), retries.Load())
	fmt.Printf("rolling restart of %d replicas: %d questions answered, %d lost, %d tried again\n", len(replicas), len(answered), len(lost), retries.Load())
	if len(lost) > 0 {
		t.Errorf("%d questions were lost, first: %s", len(lost), lost[0])
	}
	if len(answered) < 10 {
		t.Errorf("only %d questions were asked", len(answered))
	}
	for a, dirs := range logs {
		has := disclosuresIn(t, s, a, dirs)
		for id := range answered {
			if !has[id] {
				t.Errorf("%s: disclosure %s was answered and is in no log", a.Name, id)
			}
		}
		for _, dir := range dirs {
			out, err := s.Command(ctx, "audit", "verify", "--dir", dir)
			must(t, err)
			contains(t, out, "whole")
		}
	}
}

// disclosuresIn are the disclosures of which the logs of an agency have an outcome that is OK.
func disclosuresIn(t *testing.T, s *scene, a *stack.Agency, dirs []string) map[string]bool {
	t.Helper()
	args := []string{"audit", "export"}
	for _, d := range dirs {
		args = append(args, "--dir", d)
	}
	out, err := s.Command(t.Context(), append(args, a.LogKeys()...)...)
	must(t, err)
	has := map[string]bool{}
	for line := range strings.Lines(out) {
		var entry struct {
			Record struct{ Disclosure, Outcome string }
		}
		must(t, json.Unmarshal([]byte(line), &entry))
		if entry.Record.Outcome == "OK" {
			has[entry.Record.Disclosure] = true
		}
	}
	return has
}
