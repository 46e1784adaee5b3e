package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/federation"
)

// allowedLabels are all the labels that a gateway's metrics may have, with all their values: what is not here would be a
// name that somebody chose, and grow without bound.
func allowedLabels() map[string]map[string][]string {
	sides := []string{"source", "recipient"}
	checks := []string{"source", "request", federation.ReasonNoAgreement}
	for _, c := range enforce.Checks {
		checks = append(checks, c.Name)
	}
	return map[string]map[string][]string{
		"entente_gateway_disclosures_total":           {"side": sides, "outcome": {"OK", "DENIED", "UNAVAILABLE", "TIMEOUT", "PARTIAL"}},
		"entente_gateway_records_total":               {"side": sides},
		"entente_gateway_denials_total":               {"side": sides, "check": checks},
		"entente_gateway_disclosure_duration_seconds": {"side": sides},
		"entente_gateway_stage_duration_seconds":      {"side": sides, "stage": {"decision", "source", "log_wait", "ask"}},
		"entente_gateway_sources":                     {"state": {"up", "unavailable"}},
		"entente_gateway_credentials":                 {"state": {"held", "failing"}},
		"entente_gateway_unauthenticated_total":       {"listener": {"rest", "grpc", "peer"}},
	}
}

// TestMetrics: after every kind of traffic, hostile words in it, the metrics keep to the conventions, and have no label but
// those that are allowed, and nothing of persons, users, cases or agreements.
func TestMetrics(t *testing.T) {
	src, rec := pair(t, options{})
	alice := rec.client("alice-the-analyst")
	for _, body := range []string{
		q(`person_number == "P000042"`),
		q(`person_number == "nobody-at-all"`, `"granularity":"Existence"`),
		q(`family_name == "f3"`, `"granularity":"Count"`),
		q(`given_name == "hidden"`),
		q(`person_number == "P000042"`, `"fields":["note"]`),
		q(`age > 3`),
		q(`((`),
		strings.Replace(q(`person_number == "P000042"`), purpose, "attacker:chosen-purpose", 1),
		strings.Replace(q(`person_number == "P000042"`), "SP-2026-1", "attacker-chosen-case", 1),
		q(`person_number == "P000042"`, `"agencies":["attacker-chosen-agency"]`),
	} {
		rec.query(t, alice, body)
	}
	rec.post(rec.client(""), "/v1/query", q(`person_number == "P000042"`)) // a stranger
	rec.apply("agr", nil, clause("another-name", src, rec))                // the sides no longer agree: the source refuses
	rec.query(t, alice, q(`person_number == "P000042"`))
	src.sources.hook(nil)

	for _, a := range []*agency{src, rec} {
		resp, err := http.Get("http://" + a.addrs.Health + "/metrics")
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		problems, err := promlint.New(strings.NewReader(string(text))).Lint()
		must(t, err)
		for _, p := range problems {
			t.Errorf("%s: %s: %s", a.party.Agency, p.Metric, p.Text)
		}
		for _, word := range []string{"alice", "P000042", "nobody", "f3", "hidden", "attacker", "SP-2026", "persons", "agr\"", "border-service", "state-police", "another-name"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s: the metrics have %q", a.party.Agency, word)
			}
		}
		checkLabels(t, a)
	}
	// They do count.
	for _, want := range []string{
		`entente_gateway_disclosures_total{outcome="OK",side="recipient"} 3`, `entente_gateway_records_total{side="recipient"} 1`,
		`entente_gateway_denials_total{check="source",side="recipient"} 1`, `entente_gateway_unauthenticated_total{listener="rest"} 1`,
	} {
		if _, text := get(t, "http://"+rec.addrs.Health+"/metrics"); !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

func checkLabels(t *testing.T, a *agency) {
	t.Helper()
	families, err := a.metrics.Registry.Gather()
	must(t, err)
	allowed, series := allowedLabels(), 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "entente_") {
			continue // of the Go runtime and the process
		}
		for _, m := range f.GetMetric() {
			series++
			for _, l := range m.GetLabel() {
				if !slices.Contains(allowed[f.GetName()][l.GetName()], l.GetValue()) {
					t.Errorf("%s: %s", a.party.Agency, fmt.Sprintf("%s{%s=%q} is not an allowed label", f.GetName(), l.GetName(), l.GetValue()))
				}
			}
		}
	}
	if series == 0 {
		t.Error("no metrics")
	}
}
