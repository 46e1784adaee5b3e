package charts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/gateway/transparency"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/hack/testenv"
	"github.com/entente-dev/entente/internal/demo/data"
)

// panel of a dashboard, as far as it matters here.
type panel struct {
	Title, Type string
	Targets     []struct{ Expr string }
}

// dashboards are those that the chart makes, by name.
func dashboards(t *testing.T) map[string][]panel {
	t.Helper()
	all := render(t, "full")
	out := map[string][]panel{}
	for _, name := range []string{"gateway", "operator"} {
		texts, _, _ := unstructured.NestedStringMap(find(t, all, "ConfigMap", "police-data-dashboard-"+name).Object, "data")
		var d struct {
			Title, UID string
			Panels     []panel
		}
		if err := json.Unmarshal([]byte(texts["entente-"+name+".json"]), &d); err != nil {
			t.Fatal(err)
		}
		if d.Title == "" || d.UID == "" || len(d.Panels) == 0 {
			t.Errorf("%s: title %q, uid %q, %d panels", name, d.Title, d.UID, len(d.Panels))
		}
		out[name] = d.Panels
	}
	return out
}

// TestObserved looks at three real agencies, as those do who watch over them.
func TestObserved(t *testing.T) {
	if testing.Short() {
		t.Skip("needs real servers: run without -short")
	}
	needHelm(t)
	spans := startSpanReceiver(t)
	s := startStack(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+spans.address, "OTEL_BSP_SCHEDULE_DELAY=200")
	t.Run("traces", func(t *testing.T) { checkTraces(t, s, spans) })
	t.Run("dashboards", func(t *testing.T) { checkDashboards(t, s) })
	t.Run("sizes", func(t *testing.T) { printSizes(t, s) })
	t.Run("GitOps", func(t *testing.T) { checkGitOps(t, s) })
	t.Run("process logs", func(t *testing.T) { checkProcessLogs(t, s) })
}

// checkDashboards: every expression of every panel, and every metric of every alert, on the metrics of real operators and gateways with
// real traffic, in a real Prometheus.
func checkDashboards(t *testing.T, s *stack.Stack) {
	police := s.Agency(stack.Police)
	overseer := witnessed(t, s, police)
	// An operator compares clocks when it calls its peers: at its start, if there are agreements, and then every ten minutes.
	border := s.Agency(stack.Border)
	if err := border.Operator.Stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := border.StartOperator(t.Context()); err != nil {
		t.Fatal(err)
	}

	// The labels are those that the ServiceMonitor gives.
	targets := ""
	target := func(address, component, namespace, pod string) {
		targets += fmt.Sprintf("      - {targets: [%q], labels: {namespace: %s, app_kubernetes_io_component: %s, pod: %s}}\n", address, namespace, component, pod)
	}
	for _, a := range s.Agencies {
		target(a.Addresses.Health, "gateway", a.Name, "entente-gateway-0")
		target(a.Addresses.OperatorMetrics, "operator", a.Name, "entente-operator-0")
	}
	target(overseer, "gateway", "overseer", "witness-0")
	p := testenv.RequirePrometheus(t, "global: {scrape_interval: 500ms}\nscrape_configs:\n  - job_name: entente\n    static_configs:\n"+targets)
	traffic(t, police)

	var missing []string
	all := dashboards(t)
	deadline := time.Now().Add(3 * time.Minute)
	for {
		missing = missing[:0]
		for name, panels := range all {
			for _, panel := range panels {
				if panel.Type != "row" && len(panel.Targets) == 0 {
					t.Errorf("%s, %s: no expression", name, panel.Title)
				}
				for _, target := range panel.Targets {
					expression := strings.NewReplacer("$namespace", ".*", "$__rate_interval", "20s").Replace(target.Expr)
					got, err := p.Query(t.Context(), expression)
					if err != nil {
						t.Fatalf("%s, %s: %v", name, panel.Title, err)
					}
					if len(got) == 0 || !slices.ContainsFunc(got, func(s testenv.Sample) bool { return s.Value[1] != "NaN" }) {
						missing = append(missing, fmt.Sprintf("%s, %s: %s gives %d series", name, panel.Title, expression, len(got)))
					}
				}
			}
		}
		if len(missing) == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(time.Second)
	}
	for _, m := range missing {
		t.Error(m)
	}
	t.Run("alerts", func(t *testing.T) { checkAlerts(t, p) })
	t.Run("the page lists every metric", func(t *testing.T) { checkMetricsPage(t, p) })
}

func startStack(t *testing.T, env ...string) *stack.Stack {
	t.Helper()
	s, err := stack.Start(t.Context(), stack.Options{Entente: testenv.RequireEntente(t), People: 2000, LogFormat: "json", Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Share(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// witnessed runs an overseer's witness, and has it witness the agency's log. It gives the address of its metrics.
func witnessed(t *testing.T, s *stack.Stack, a *stack.Agency) string {
	t.Helper()
	dir := t.TempDir()
	var addresses [2]string
	for i := range addresses {
		address, release, err := testenv.ReserveAddress()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = release() })
		addresses[i] = address
	}
	logs := filepath.Join(dir, "logs")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(logs, "")
	w := &testenv.Program{
		Path: s.Entente, Dir: dir, LogFile: filepath.Join(dir, "witness.log"),
		Args: []string{"witness", "--name", "oversight.example/witness", "--logs", logs, "--state-dir", filepath.Join(dir, "state"), "--address", addresses[0], "--metrics-address", addresses[1]},
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Stop(time.Minute) })
	key := ""
	err := w.WaitReady(t.Context(), func(ctx context.Context) (err error) {
		key, err = text(ctx, "http://"+addresses[0]+"/key")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(dir, "policy")
	write(policy, "witness overseer "+strings.TrimSpace(key)+" http://"+addresses[0]+"\ngroup enough 1 overseer\nquorum enough\n")
	if err := a.Gateway.Stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	a.Gateway.Args = append(a.Gateway.Args, "--log-witness-policy", policy, "--log-witness-interval", "1s")
	if err := a.StartGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	var info transparency.Info
	out, err := a.Analyst.Get(t.Context(), "/log/")
	if err == nil {
		err = json.Unmarshal([]byte(out), &info)
	}
	if err != nil || info.Key == "" {
		t.Fatalf("the log's key: %v: %s", err, out)
	}
	write(logs, info.Key+"\n")
	return addresses[1]
}

func text(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return string(b), err
}

// traffic of answers and refusals, until the test ends.
func traffic(t *testing.T, a *stack.Agency) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { stop(); <-done })
	permitted := stack.Question{
		Schema: "person", Filter: fmt.Sprintf("document_number == %q", data.Marisol().Document), Purpose: "entente:trafficking-investigation",
		Justification: stack.Justification{CaseReference: "HTF-2026-0417", SubjectRole: "victim"},
	}
	refused := permitted
	refused.Purpose = "entente:immigration-enforcement"
	if answer, err := a.Analyst.Ask(ctx, permitted); err != nil || len(answer.Records) == 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = a.Analyst.Ask(ctx, permitted)
			_, _ = a.Analyst.Ask(ctx, refused)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
}

// checkAlerts: promtool takes the rules; what an alert selects is there, and it does not stay true while all is well. (Most alerts wait for
// minutes before they fire: a busy machine makes some true for a moment.)
func checkAlerts(t *testing.T, p *testenv.Prometheus) {
	spec, _, _ := unstructured.NestedMap(find(t, render(t, "full"), "PrometheusRule", "police-data").Object, "spec")
	rules, err := yaml.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, rules, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), p.Promtool(), "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	selector := regexp.MustCompile(`entente_[a-z_]+\{[^}]*\}`)
	groups := spec["groups"].([]any)
	for _, r := range groups[0].(map[string]any)["rules"].([]any) {
		rule := r.(map[string]any)
		// All agencies are in one Prometheus here.
		expression := strings.ReplaceAll(rule["expr"].(string), `namespace="state-police"`, `namespace=~".+"`)
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
			firing, err := p.Query(t.Context(), expression)
			if err != nil {
				t.Errorf("%s: %v", rule["alert"], err)
			}
			if err != nil || len(firing) == 0 || rule["alert"] == "EntenteUnauthenticated" {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s fires, and all is well: %v", rule["alert"], firing)
				break
			}
		}
		selectors := selector.FindAllString(expression, -1)
		if len(selectors) == 0 {
			t.Errorf("%s selects nothing: %s", rule["alert"], expression)
		}
		for _, s := range selectors {
			if got, err := p.Query(t.Context(), s); err != nil || len(got) == 0 {
				t.Errorf("%s: %s gives %d series, %v", rule["alert"], s, len(got), err)
			}
		}
	}
}

// checkMetricsPage: docs/operations/observe.md has every metric of Entente's own, and no other.
func checkMetricsPage(t *testing.T, p *testenv.Prometheus) {
	names, err := p.Query(t.Context(), `count by (__name__) ({__name__=~"entente_.+"})`)
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]bool{}
	for _, n := range names {
		name := n.Metric["__name__"]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		exported[name] = true
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(entente_[a-z_]+)` ").FindAllStringSubmatch(read(t, filepath.Join(root(t), "docs", "operations", "observe.md")), -1) {
		listed[m[1]] = true
	}
	for n := range exported {
		if !listed[n] {
			t.Errorf("%s is exported and not on the page", n)
		}
	}
	for n := range listed {
		if !exported[n] {
			t.Errorf("%s is on the page, and nothing exports it", n)
		}
	}
	if len(listed) == 0 {
		t.Error("the page lists none")
	}
}
