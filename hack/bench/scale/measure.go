package main

import (
	"context"
	"errors"
	"time"
)

// result is what was measured with one number of agreements. Durations are in seconds, sizes in bytes.
type result struct {
	Agreements int `json:"agreements"`
	Peers      int `json:"peers"`

	// FillSeconds is from the first agreement applied until all are served, FillPerSecond how many a second.
	FillSeconds   float64 `json:"fillSeconds"`
	FillPerSecond float64 `json:"fillPerSecond"`
	// Requests and bytes that the API server answered for each agreement that was brought into force, those of the people who did so
	// apart: two. Requests of Vault likewise.
	APIRequestsPerChange   float64 `json:"apiRequestsPerChange"`
	APIBytesPerChange      float64 `json:"apiBytesPerChange"`
	VaultRequestsPerChange float64 `json:"vaultRequestsPerChange"`
	// VaultRequestsPerDay for each agreement while nothing changes, by what was counted in half a minute.
	VaultRequestsPerDay float64 `json:"vaultRequestsPerDay"`

	// ColdStartSeconds is from the start of the operator until it has looked at every agreement and has nothing left to do, with all
	// routes there; its CPU time until then, and the most that its queues held.
	ColdStartSeconds    float64 `json:"coldStartSeconds"`
	ColdStartCPUSeconds float64 `json:"coldStartCPUSeconds"`
	ColdStartQueue      float64 `json:"coldStartQueue"`
	// GatewayStartSeconds is from the start of the gateway until it is ready with all routes.
	GatewayStartSeconds float64 `json:"gatewayStartSeconds"`

	// Resident memory of the processes after that, and what it is for an agreement, over what an empty one takes.
	OperatorBytes     int64 `json:"operatorBytes"`
	GatewayBytes      int64 `json:"gatewayBytes"`
	OperatorIdleBytes int64 `json:"operatorIdleBytes"`
	GatewayIdleBytes  int64 `json:"gatewayIdleBytes"`
	// What of that is the processes' own, without the pages of the binary.
	OperatorAnonBytes         int64   `json:"operatorAnonBytes"`
	GatewayAnonBytes          int64   `json:"gatewayAnonBytes"`
	OperatorIdleAnonBytes     int64   `json:"operatorIdleAnonBytes"`
	GatewayIdleAnonBytes      int64   `json:"gatewayIdleAnonBytes"`
	OperatorBytesPerAgreement float64 `json:"operatorBytesPerAgreement"`
	GatewayBytesPerAgreement  float64 `json:"gatewayBytesPerAgreement"`
	// CPU of the operator in a second in which nothing changes, in parts of one core.
	OperatorIdleCPU float64 `json:"operatorIdleCPU"`

	EnforcedP50 float64 `json:"enforcedP50"`
	EnforcedP99 float64 `json:"enforcedP99"`
	DeniedP50   float64 `json:"deniedP50"`
	DeniedP99   float64 `json:"deniedP99"`
	QuestionP50 float64 `json:"questionP50"`
	Rounds      int     `json:"rounds"`

	CompileNanos  float64 `json:"compileNanosPerAgreement,omitempty"`
	CompileAllocs float64 `json:"compileAllocsPerAgreement,omitempty"`
}

func measure(ctx context.Context, o options, agreements int) (r result, err error) {
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

	requests, bytes, err := w.apiServer(ctx)
	if err != nil {
		return r, err
	}
	asked, err := w.vault(ctx)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if _, err := w.fill(ctx, agreements); err != nil {
		return r, err
	}
	n := float64(agreements)
	r.FillSeconds = time.Since(began).Seconds()
	r.FillPerSecond = n / r.FillSeconds
	w.progress("%d agreements in force after %.0f s", agreements, r.FillSeconds)
	requestsThen, bytesThen, err := w.apiServer(ctx)
	if err != nil {
		return r, err
	}
	askedThen, err := w.vault(ctx)
	if err != nil {
		return r, err
	}
	r.APIRequestsPerChange, r.APIBytesPerChange = (requestsThen-requests)/n-2, (bytesThen-bytes)/n
	r.VaultRequestsPerChange = (askedThen - asked) / n

	if err := w.restart(ctx, &r, agreements); err != nil {
		return r, err
	}
	w.progress("operator settled after %.1f s, gateway ready after %.1f s", r.ColdStartSeconds, r.GatewayStartSeconds)
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
func (w *world) restart(ctx context.Context, r *result, agreements int) error {
	a := w.agency
	if err := errors.Join(a.Operator.Stop(20*time.Second), a.Gateway.Stop(20*time.Second)); err != nil {
		return err
	}
	began := time.Now()
	if err := a.Gateway.Start(); err != nil {
		return err
	}
	err := w.until(ctx, "the gateway is ready with all routes", func(ctx context.Context) (bool, error) {
		served, err := a.GatewayMetric(ctx, "entente_gateway_routes")
		return err == nil && served >= float64(agreements), err
	})
	if err == nil {
		err = a.StartGateway(ctx)
	}
	if err != nil {
		return err
	}
	r.GatewayStartSeconds = time.Since(began).Seconds()

	began = time.Now()
	if err := a.Operator.Start(); err != nil {
		return err
	}
	r.ColdStartQueue = 0
	err = w.until(ctx, "the operator has settled", func(ctx context.Context) (bool, error) {
		if m, err := w.operator(ctx); err == nil {
			r.ColdStartQueue = max(r.ColdStartQueue, sum(m, "workqueue_depth", nil))
		}
		return w.settled(ctx, agreements)
	})
	if err != nil {
		return err
	}
	r.ColdStartSeconds = time.Since(began).Seconds()
	op, err := usageOf(a.Operator)
	if err != nil {
		return err
	}
	r.ColdStartCPUSeconds = op.CPU
	if err := a.StartOperator(ctx); err != nil {
		return err
	}
	return w.memory(r)
}

// memory that the processes have.
func (w *world) memory(r *result) error {
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
func (w *world) idle(ctx context.Context, r *result, idleFor time.Duration) error {
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
	r.VaultRequestsPerDay = (after - before) / n * (24 * time.Hour).Seconds() / idleFor.Seconds()
	r.OperatorIdleCPU = (operator.CPU - busy.CPU) / idleFor.Seconds()
	if err := w.memory(r); err != nil {
		return err
	}
	r.OperatorBytesPerAgreement = float64(r.OperatorAnonBytes-r.OperatorIdleAnonBytes) / n
	r.GatewayBytesPerAgreement = float64(r.GatewayAnonBytes-r.GatewayIdleAnonBytes) / n
	return nil
}
