package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/gateway/kube"
	"github.com/entente-dev/entente/hack/testenv"
)

// Flags that a command of the agency's operator needs beside its own, to run as the operator does.
func (a *Agency) OperatorFlags() []string {
	return []string{
		"--agency", a.Name, "--trust-domain", a.TrustDomain, "--namespace", a.Name, "--kubeconfig", a.File("operator.kubeconfig"),
		"--vault-address", a.stack.Vault.Address(), "--vault-ca-file", a.stack.Vault.CAFile(), "--vault-mount-prefix", a.Short,
		"--vault-jwt-file", a.File("operator.vault-token"),
	}
}

// program is one of the agency's processes, with the flags that all have.
func (a *Agency) program(process, log string, args ...string) *testenv.Program {
	v := a.stack.Vault
	common := []string{
		process, "--agency", a.Name, "--trust-domain", a.TrustDomain, "--namespace", a.Name,
		"--kubeconfig", a.File(process + ".kubeconfig"),
		"--vault-address", v.Address(), "--vault-ca-file", v.CAFile(), "--vault-mount-prefix", a.Short,
		"--vault-jwt-file", a.File(process + ".vault-token"), "--log-format", cmp.Or(a.stack.LogFormat, "text"),
	}
	return &testenv.Program{Path: a.stack.Entente, Args: append(common, args...), Env: append(cleanEnv(), a.stack.Env...), Dir: a.Dir, LogFile: a.File(log)}
}

// gateway is a replica of the agency's gateway.
func (a *Agency) gateway(replica, state, log string, at Addresses) *testenv.Program {
	host, _, _ := net.SplitHostPort(at.REST)
	return a.program("gateway", log, "--state-dir", a.File(state), "--replica", replica,
		"--rest-address", at.REST, "--grpc-address", at.GRPC, "--peer-address", at.Peer, "--health-address", at.Health,
		"--client-ca-file", a.users.CAFile(), "--name", host, "--name", "localhost")
}

// startProcesses starts the agency's operator and gateway.
func (s *Stack) startProcesses(ctx context.Context, a *Agency) (err error) {
	a.Operator = a.program("operator", "operator.log", "--leader-elect=false", "--exchange-address", a.Addresses.Exchange,
		"--metrics-address", a.Addresses.OperatorMetrics, "--health-address", a.Addresses.OperatorHealth, "--reconcile-every", "2s", "--reconcile-delay", "2s")
	a.Gateway = a.gateway(a.Name+"-0", "gateway-state", "gateway.log", a.Addresses)
	if err := a.StartOperator(ctx); err != nil {
		return err
	}
	if err := a.StartGateway(ctx); err != nil {
		return err
	}
	a.Analyst, err = a.NewAnalyst("analyst", "analysts")
	return err
}

// StartOperator starts the operator unless it runs, and waits until it is ready.
func (a *Agency) StartOperator(ctx context.Context) error {
	return start(ctx, a.Operator, a.Addresses.OperatorHealth)
}

// StartGateway starts the gateway unless it runs, and waits until it is ready.
func (a *Agency) StartGateway(ctx context.Context) error {
	return start(ctx, a.Gateway, a.Addresses.Health)
}

// Replica is a gateway of an agency beside its first.
type Replica struct {
	*testenv.Program
	Name, LogDir string
	Addresses    Addresses

	agency  *Agency
	release func() error
}

// StartReplica starts one more gateway of the agency, for a while: until Remove.
func (a *Agency) StartReplica(ctx context.Context) (*Replica, error) {
	r := &Replica{Name: a.Name + "-1", LogDir: a.File("gateway-state-1/log"), agency: a}
	var releases []func() error
	r.release = func() error {
		var errs []error
		for _, f := range releases {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	for _, p := range []*string{&r.Addresses.REST, &r.Addresses.GRPC, &r.Addresses.Peer, &r.Addresses.Health} {
		address, release, err := testenv.ReserveAddress()
		if err != nil {
			return nil, errors.Join(err, r.release())
		}
		*p = address
		releases = append(releases, release)
	}
	r.Program = a.gateway(r.Name, "gateway-state-1", "gateway-1.log", r.Addresses)
	return r, r.Begin(ctx)
}

// Begin starts it unless it runs, and waits until it is ready.
func (r *Replica) Begin(ctx context.Context) error { return start(ctx, r.Program, r.Addresses.Health) }

// Remove ends it for good, as scaling down does, and says so to the operator: without its Lease it is no replica.
func (r *Replica) Remove(ctx context.Context) error {
	err := r.Stop(patience)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: r.agency.Name, Name: kube.LeaseName(r.Name)}}
	return errors.Join(err, client.IgnoreNotFound(r.agency.stack.Client.Delete(ctx, lease)), r.release())
}

func start(ctx context.Context, p *testenv.Program, health string) error {
	if err := p.Start(); err != nil {
		return err
	}
	return p.WaitReady(ctx, func(ctx context.Context) error {
		_, err := fetch(ctx, "http://"+health+"/readyz")
		return err
	})
}

func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, strings.TrimSpace(string(text)))
	}
	return string(text), err
}

// GatewayMetric is the value of a metric of the agency's gateway that has no labels.
func (a *Agency) GatewayMetric(ctx context.Context, name string) (float64, error) {
	return metric(ctx, a.Addresses.Health, name)
}

// OperatorMetric is the value of a metric of the agency's operator that has no labels.
func (a *Agency) OperatorMetric(ctx context.Context, name string) (float64, error) {
	return metric(ctx, a.Addresses.OperatorMetrics, name)
}

func metric(ctx context.Context, address, name string) (float64, error) {
	text, err := fetch(ctx, "http://"+address+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, errors.New("no metric " + name + " at " + address)
}
