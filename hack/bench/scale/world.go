package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/e2e/stack"
)

// world is the agency that is measured, with its estate.
type world struct {
	*stack.Stack
	agency *stack.Agency
	estate *estate
	pacts  []*pact
	// platform and officer apply and decide without limits of their own.
	platform, officer client.Client
	scraper           *http.Client // of the API server
	progress          func(string, ...any)
}

// writers of objects at a time, and how many agreements may be on their way: whoever brings in ten thousand waits for the first.
const (
	writers = 16
	backlog = 500
)

func newWorld(ctx context.Context, o options, agreements int) (*world, error) {
	s, err := stack.Start(ctx, stack.Options{Entente: o.entente, People: 1000, Log: o.log})
	if err != nil {
		return nil, err
	}
	w := &world{Stack: s, agency: s.Agency(stack.Labor), progress: o.progress}
	if err := w.prepare(ctx, o, agreements); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return w, nil
}

func (w *world) prepare(ctx context.Context, o options, agreements int) (err error) {
	sch := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(sch), v1alpha1.AddToScheme(sch)); err != nil {
		return err
	}
	as := func(user string) (client.Client, error) {
		config := w.Kube.Config()
		config.QPS = -1
		config.Impersonate = rest.ImpersonationConfig{UserName: user}
		return client.New(config, client.Options{Scheme: sch, Mapper: w.Client.RESTMapper()})
	}
	if w.platform, err = as(w.agency.Platform); err != nil {
		return err
	}
	if w.officer, err = as(w.agency.Officer); err != nil {
		return err
	}
	transport, err := rest.TransportFor(w.Kube.Config())
	if err != nil {
		return err
	}
	w.scraper = &http.Client{Transport: transport}
	// The peers have no logs to compare with.
	for _, a := range w.Agencies {
		if i := slices.Index(a.Operator.Args, "--reconcile-every"); i >= 0 {
			a.Operator.Args[i+1] = "24h"
		}
	}
	if err := w.agency.Operator.Stop(10 * time.Second); err != nil {
		return err
	}
	if err := w.agency.StartOperator(ctx); err != nil {
		return err
	}
	// The two others have nothing to do here but to cost.
	for _, a := range w.Agencies {
		if a != w.agency {
			if err := errors.Join(a.Operator.Stop(10*time.Second), a.Gateway.Stop(10*time.Second)); err != nil {
				return err
			}
		}
	}
	if err := w.agency.Describe(ctx); err != nil {
		return err
	}
	if w.estate, err = newEstate(ctx, w.Stack, w.agency.File("peers"), agreements, o.seed); err != nil {
		return err
	}
	for _, p := range w.estate.peers {
		if err := w.platform.Create(ctx, p.object); err != nil {
			return err
		}
	}
	for _, f := range w.estate.forces {
		if err := w.platform.Create(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// fill brings the agreements into force, and returns when the gateway serves them all.
func (w *world) fill(ctx context.Context, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.pacts = make([]*pact, n)
	var applied, served atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, writers+1)
	todo := make(chan int)
	for k := range writers {
		group.Go(func() {
			for i := range todo {
				if errs[k] = w.bring(ctx, w.pacts[i]); errs[k] != nil {
					cancel() // the others need not go on
					return
				}
				applied.Add(1)
			}
		})
	}
	group.Go(func() {
		defer close(todo)
		for i := range w.pacts {
			if w.pacts[i], errs[writers] = w.estate.agreement(ctx, fmt.Sprintf("pact-%05d", i)); errs[writers] != nil {
				cancel()
				return
			}
			for int64(i)-served.Load() > backlog && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			select {
			case todo <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	began := time.Now()
	said := began
	err := w.until(ctx, "the gateway serves all agreements", func(ctx context.Context) (float64, bool, error) {
		there, err := w.agency.GatewayMetric(ctx, "entente_gateway_routes")
		if err != nil {
			return 0, false, err
		}
		served.Store(int64(there))
		if time.Since(said) > 15*time.Second && there > 0 {
			said = time.Now()
			rate := there / time.Since(began).Seconds()
			more := time.Duration((float64(n) - there) / rate * float64(time.Second))
			w.progress("%d of %d applied, %.0f served, %.1f a second: %s more", applied.Load(), n, there, rate, more.Round(time.Second))
		}
		if there < float64(n) {
			return there, false, nil
		}
		m, err := w.operator(ctx)
		if err != nil {
			return 0, false, err
		}
		left := left(m, 0)
		return there - left, left == 0, nil
	})
	cancel()
	group.Wait()
	return errors.Join(append(errs, err)...)
}

// bring applies an agreement that the others have signed, and accepts it.
func (w *world) bring(ctx context.Context, p *pact) error {
	if err := w.platform.Create(ctx, p.object.DeepCopy()); err != nil {
		return err
	}
	return w.officer.Create(ctx, w.estate.decision(p, v1alpha1.DecisionAccept))
}

// patience is how long there may be no progress.
const patience = 5 * time.Minute

// until tries four times a second, as long as there is progress.
func (w *world) until(ctx context.Context, what string, ok func(context.Context) (progress float64, done bool, err error)) error {
	most, moved := -1e9, time.Now()
	for {
		progress, done, err := ok(ctx)
		switch {
		case done && err == nil:
			return nil
		case err == nil && progress > most:
			most, moved = progress, time.Now()
		case time.Since(moved) > patience:
			return fmt.Errorf("%s: no progress for %v: %w", what, patience, err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s: %w", what, ctx.Err()), err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// operator reads the metrics of the operator.
func (w *world) operator(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	return scrape(ctx, http.DefaultClient, "http://"+w.agency.Addresses.OperatorMetrics+"/metrics")
}

// left is how much the operator has left to do by its metrics, where it must look at each of n agreements after its start. Roles that wait
// for their turn to be read do not count.
func left(m map[string]*dto.MetricFamily, n int) float64 {
	looked := sum(m, "controller_runtime_reconcile_total", map[string]string{"controller": "agreement"})
	return max(0, float64(n)-looked) + sum(m, "workqueue_depth", nil) + sum(m, "controller_runtime_active_workers", nil) + sum(m, "entente_operator_credentials_pending", nil)
}

// served is what the API server has answered, watches apart.
type served struct {
	requests, bytes float64
	// writes that change something, but gateways' Leases.
	writes float64
}

func (s served) minus(o served) served {
	return served{s.requests - o.requests, s.bytes - o.bytes, s.writes - o.writes}
}

func (w *world) apiServer(ctx context.Context) (s served, err error) {
	m, err := scrape(ctx, w.scraper, w.Kube.URL()+"/metrics")
	if err != nil {
		return s, err
	}
	for verb, writes := range map[string]bool{"GET": false, "LIST": false, "POST": true, "PUT": true, "PATCH": true, "APPLY": true, "DELETE": true} {
		n := sum(m, "apiserver_request_total", map[string]string{"verb": verb})
		if s.requests += n; !writes {
			continue
		}
		s.writes += n
		// Of the gateways, and questions of Vault, who logs in, that are asked by creating something.
		for _, resource := range []string{"leases", "tokenreviews", "subjectaccessreviews"} {
			s.writes -= sum(m, "apiserver_request_total", map[string]string{"verb": verb, "resource": resource})
		}
	}
	s.bytes = sum(m, "apiserver_response_sizes_sum", nil) + sum(m, "apiserver_request_body_size_bytes_sum", nil)
	return s, nil
}

// vault reads how many requests Vault has handled.
func (w *world) vault(ctx context.Context) (float64, error) {
	ca, err := os.ReadFile(w.Vault.CAFile())
	if err != nil {
		return 0, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Vault.Address()+"/v1/sys/metrics?format=prometheus", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Vault-Token", w.Vault.Token())
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("metrics of Vault: %s", resp.Status)
	}
	m, err := parse(resp.Body)
	return sum(m, "vault_core_handle_request_count", nil), err
}
