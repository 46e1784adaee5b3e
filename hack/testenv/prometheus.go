package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Prometheus is a running one.
type Prometheus struct {
	dir     workDir
	port    port
	process *process
	program string
}

// RequirePrometheus starts Prometheus for one test, with a configuration file of that text; skipped under -short.
func RequirePrometheus(tb testing.TB, config string) *Prometheus {
	tb.Helper()
	var dir string
	ctx := require(tb, &dir)
	return started(tb, dir, func() (*Prometheus, error) { return startPrometheus(ctx, dir, config) })
}

func startPrometheus(ctx context.Context, dir, config string) (*Prometheus, error) {
	tools, err := Tools(ctx, PrometheusTools)
	if err != nil {
		return nil, err
	}
	p := &Prometheus{program: tools.Prometheus}
	if p.dir, err = newWorkDir(dir, "prometheus"); err != nil {
		return nil, err
	}
	if p.port, err = freePort(); err != nil {
		return nil, errors.Join(err, p.dir.remove())
	}
	file, err := p.dir.write("prometheus.yaml", []byte(config))
	if err != nil {
		return nil, errors.Join(err, p.port.release())
	}
	p.process = &process{
		path: tools.Prometheus, dir: p.dir.path, logFile: p.dir.file("prometheus.log"), orphaned: os.Kill,
		args: []string{"--config.file=" + file, "--storage.tsdb.path=" + p.dir.file("data"), "--web.listen-address=" + p.port.addr(), "--log.level=warn"},
	}
	if err := p.process.start(); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	if err := p.process.waitReady(ctx, func(ctx context.Context) error { return p.get(ctx, "/-/ready", nil, nil) }); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// Promtool is the program of that name which belongs to it.
func (p *Prometheus) Promtool() string { return filepath.Join(filepath.Dir(p.program), "promtool") }

// Sample is one element of what an expression gives.
type Sample struct {
	Metric map[string]string
	Value  [2]any // time and value, a string
}

// Query evaluates an expression now. A scalar is a sample without labels.
func (p *Prometheus) Query(ctx context.Context, expression string) ([]Sample, error) {
	var answer struct {
		Data struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := p.get(ctx, "/api/v1/query", url.Values{"query": {expression}}, &answer); err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	if answer.Data.ResultType == "scalar" {
		s := Sample{}
		return []Sample{s}, json.Unmarshal(answer.Data.Result, &s.Value)
	}
	var samples []Sample
	return samples, json.Unmarshal(answer.Data.Result, &samples)
}

func (p *Prometheus) get(ctx context.Context, path string, query url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.port.addr()+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var said struct{ Error string }
		_ = json.NewDecoder(resp.Body).Decode(&said)
		return fmt.Errorf("Prometheus says %s: %s", resp.Status, said.Error)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Stop ends it.
func (p *Prometheus) Stop() error {
	return errors.Join(p.process.stop(syscall.SIGTERM, 10*time.Second), p.port.release(), p.dir.remove())
}
