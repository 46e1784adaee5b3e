package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

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

// startProcesses starts the agency's operator and gateway.
func (s *Stack) startProcesses(ctx context.Context, a *Agency) error {
	common := func(process string) []string {
		return []string{
			process, "--agency", a.Name, "--trust-domain", a.TrustDomain, "--namespace", a.Name,
			"--kubeconfig", a.File(process + ".kubeconfig"),
			"--vault-address", s.Vault.Address(), "--vault-ca-file", s.Vault.CAFile(), "--vault-mount-prefix", a.Short,
			"--vault-jwt-file", a.File(process + ".vault-token"), "--log-format", "text",
		}
	}
	host, _, err := net.SplitHostPort(a.Addresses.REST)
	if err != nil {
		return err
	}
	program := func(process string, args ...string) *testenv.Program {
		return &testenv.Program{Path: s.Entente, Args: append(common(process), args...), Env: cleanEnv(), Dir: a.Dir, LogFile: a.File(process + ".log")}
	}
	a.Operator = program("operator", "--leader-elect=false", "--exchange-address", a.Addresses.Exchange,
		"--metrics-address", a.Addresses.OperatorMetrics, "--health-address", a.Addresses.OperatorHealth, "--reconcile-every", "2s", "--reconcile-delay", "2s")
	a.Gateway = program("gateway", "--state-dir", a.File("gateway-state"), "--replica", a.Name+"-0",
		"--rest-address", a.Addresses.REST, "--grpc-address", a.Addresses.GRPC, "--peer-address", a.Addresses.Peer, "--health-address", a.Addresses.Health,
		"--client-ca-file", a.users.CAFile(), "--name", host, "--name", "localhost")
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
