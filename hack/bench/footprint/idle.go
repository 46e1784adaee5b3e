package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/entente-dev/entente/hack/bench/rig"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/hack/testenv"
)

// process is one that does nothing.
type process struct {
	// ReadySeconds from its start until it says that it is ready.
	ReadySeconds rig.Spread
	Idle         memory
}

// idle starts the agency's operator and gateway several times each, and leaves them running.
func idle(ctx context.Context, a *stack.Agency, o options) (operator, gateway process, err error) {
	for _, p := range []struct {
		program *testenv.Program
		health  string
		to      *process
	}{{a.Operator, a.Addresses.OperatorHealth, &operator}, {a.Gateway, a.Addresses.Health, &gateway}} {
		var took []float64
		for range o.starts {
			if err := p.program.Stop(20 * time.Second); err != nil {
				return operator, gateway, err
			}
			began := time.Now()
			if err := p.program.Start(); err != nil {
				return operator, gateway, err
			}
			if err := ready(ctx, p.health); err != nil {
				return operator, gateway, fmt.Errorf("%w\n%s", err, p.program.LogTail(20))
			}
			took = append(took, time.Since(began).Seconds())
		}
		p.to.ReadySeconds = rig.SpreadOf(took)
	}
	if err := sleep(ctx, o.idle); err != nil {
		return operator, gateway, err
	}
	m, err := rig.ProcessMemory(a.Operator.PID())
	if err != nil {
		return operator, gateway, err
	}
	operator.Idle = megabytes(m)
	m, err = rig.ProcessMemory(a.Gateway.PID())
	gateway.Idle = megabytes(m)
	return operator, gateway, err
}

// ready asks every two milliseconds, for a minute at most.
func ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("%s does not get ready: %w", address, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
