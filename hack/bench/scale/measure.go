package main

import (
	"context"
	"errors"
	"time"

	"github.com/entente-dev/entente/hack/bench/scale/report"
)

func measure(ctx context.Context, o options, agreements int) (r report.Result, err error) {
	w, err := newWorld(ctx, o, agreements)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	r.Agreements, r.Peers, r.Rounds = agreements, len(w.estate.peers), o.rounds

	if err := w.restart(ctx, &r, 0); err != nil {
		return r, err
	}
	r.OperatorIdleBytes, r.GatewayIdleBytes = r.OperatorBytes, r.GatewayBytes
	r.OperatorIdleAnonBytes, r.GatewayIdleAnonBytes = r.OperatorAnonBytes, r.GatewayAnonBytes

	before, err := w.apiServer(ctx)
	if err != nil {
		return r, err
	}
	asked, err := w.vault(ctx)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := w.fill(ctx, agreements); err != nil {
		return r, err
	}
	n := float64(agreements)
	r.FillSeconds = time.Since(began).Seconds()
	r.FillPerSecond = n / r.FillSeconds
	w.progress("%d agreements in force after %.0f s", agreements, r.FillSeconds)
	after, err := w.apiServer(ctx)
	if err != nil {
		return r, err
	}
	askedThen, err := w.vault(ctx)
	if err != nil {
		return r, err
	}
	cost := after.minus(before)
	r.APIRequestsPerChange, r.APIBytesPerChange = cost.requests/n-2, cost.bytes/n
	r.VaultRequestsPerChange = (askedThen - asked) / n

	if err := w.restart(ctx, &r, agreements); err != nil {
		return r, err
	}
	w.progress("operator settled after %.1f s and wrote %.0f times, gateway ready after %.1f s", r.ColdStartSeconds, r.ColdStartWrites, r.GatewayStartSeconds)
	if err := w.idle(ctx, &r, o.idleFor); err != nil {
		return r, err
	}

	p, err := w.propagate(ctx, o.rounds)
	if err != nil {
		return r, err
	}
	r.EnforcedP50, r.EnforcedP99 = percentile(p.Enforced, 50).Seconds(), percentile(p.Enforced, 99).Seconds()
	r.DeniedP50, r.DeniedP99 = percentile(p.Denied, 50).Seconds(), percentile(p.Denied, 99).Seconds()
	r.QuestionP50 = percentile(p.Question, 50).Seconds()
	return r, nil
}

// restart starts operator and gateway anew, one after the other, and measures until each is where it was.
func (w *world) restart(ctx context.Context, r *report.Result, agreements int) error {
	a := w.agency
	if err := errors.Join(a.Operator.Stop(20*time.Second), a.Gateway.Stop(20*time.Second)); err != nil {
		return err
	}
	began := time.Now()
	if err := a.Gateway.Start(); err != nil {
		return err
	}
	err := w.until(ctx, "the gateway is ready with all routes", func(ctx context.Context) (float64, bool, error) {
		served, err := a.GatewayMetric(ctx, "entente_gateway_routes")
		return served, served >= float64(agreements), err
	})
	if err == nil {
		err = a.StartGateway(ctx)
	}
	if err != nil {
		return err
	}
	r.GatewayStartSeconds = time.Since(began).Seconds()

	before, err := w.apiServer(ctx)
	if err != nil {
		return err
	}
	asked, err := w.vault(ctx)
	if err != nil {
		return err
	}
	began = time.Now()
	if err := a.Operator.Start(); err != nil {
		return err
	}
	r.ColdStartQueue = 0
	err = w.until(ctx, "the operator has settled", func(ctx context.Context) (float64, bool, error) {
		m, err := w.operator(ctx)
		if err != nil {
			return 0, false, err
		}
		r.ColdStartQueue = max(r.ColdStartQueue, sum(m, "workqueue_depth", nil))
		left := left(m, agreements)
		return -left, left == 0, nil
	})
	if err != nil {
		return err
	}
	r.ColdStartSeconds = time.Since(began).Seconds()
	after, err := w.apiServer(ctx)
	if err != nil {
		return err
	}
	r.ColdStartWrites = after.minus(before).writes
	op, err := usageOf(a.Operator)
	if err != nil {
		return err
	}
	r.ColdStartCPUSeconds = op.CPU
	err = w.until(ctx, "all roles were read", func(ctx context.Context) (float64, bool, error) {
		m, err := w.operator(ctx)
		unread := sum(m, "entente_operator_credentials_unread", nil)
		return -unread, unread == 0, err
	})
	if err != nil {
		return err
	}
	r.ColdStartReadSeconds = time.Since(began).Seconds()
	askedThen, err := w.vault(ctx)
	if err != nil {
		return err
	}
	r.ColdStartVaultRequests = askedThen - asked
	if err := a.StartOperator(ctx); err != nil {
		return err
	}
	return w.memory(r)
}

// memory that the processes have.
func (w *world) memory(r *report.Result) error {
	operator, err := usageOf(w.agency.Operator)
	if err != nil {
		return err
	}
	gateway, err := usageOf(w.agency.Gateway)
	r.OperatorBytes, r.GatewayBytes = operator.RSS, gateway.RSS
	r.OperatorAnonBytes, r.GatewayAnonBytes = operator.Anon, gateway.Anon
	return err
}

// idle watches the agency while nothing changes.
func (w *world) idle(ctx context.Context, r *report.Result, idleFor time.Duration) error {
	before, err := w.vault(ctx)
	if err != nil {
		return err
	}
	busy, err := usageOf(w.agency.Operator)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idleFor):
	}
	after, err := w.vault(ctx)
	if err != nil {
		return err
	}
	operator, err := usageOf(w.agency.Operator)
	if err != nil {
		return err
	}
	n := float64(r.Agreements)
	r.VaultRequestsPerDay = ((after-before)*(24*time.Hour).Seconds()/idleFor.Seconds() + 24*r.ColdStartVaultRequests) / n
	r.OperatorIdleCPU = (operator.CPU - busy.CPU) / idleFor.Seconds()
	if err := w.memory(r); err != nil {
		return err
	}
	r.OperatorBytesPerAgreement = float64(r.OperatorAnonBytes-r.OperatorIdleAnonBytes) / n
	r.GatewayBytesPerAgreement = float64(r.GatewayAnonBytes-r.GatewayIdleAnonBytes) / n
	return nil
}
