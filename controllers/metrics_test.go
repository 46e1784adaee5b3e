package controllers

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/entente-dev/entente/controllers/exchange"
)

// TestMetrics: the operator's own metrics keep to the conventions, and have no label but these. Only the peers are names, and
// those are of Agency objects.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := newOperatorMetrics(newPlans(), &vaultWatch{})
	registry.MustRegister(c, messages, reconciled, reconciledUntil)
	messages.WithLabelValues("state-police", "Propose", "taken").Inc()
	messages.WithLabelValues("state-police", "RecordDecision", string(exchange.UnknownAgreement)).Inc()
	reconciled.WithLabelValues("state-police", "Matched").Set(1)
	reconciledUntil.WithLabelValues("state-police").Set(1)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	allowed := map[string][]string{
		"entente_operator_agreements":                    {"state"},
		"entente_operator_agreements_due":                {"condition", "reason"},
		"entente_operator_agreement_duties":              {"state", "whose"},
		"entente_operator_credentials_pending":           nil,
		"entente_operator_credentials_unread":            nil,
		"entente_operator_vault_up":                      nil,
		"entente_exchange_messages_total":                {"message", "outcome", "peer"},
		"entente_reconciliation_disclosures":             {"peer", "result"},
		"entente_reconciliation_until_timestamp_seconds": {"peer"},
	}
	seen := map[string]bool{}
	for _, f := range families {
		seen[f.GetName()] = true
		labels, known := allowed[f.GetName()]
		if !known {
			t.Errorf("%s is not in the list of this test: see that its labels are bounded, and add it", f.GetName())
			continue
		}
		delete(allowed, f.GetName())
		for _, m := range f.GetMetric() {
			var names []string
			for _, l := range m.GetLabel() {
				names = append(names, l.GetName())
			}
			if !slices.Equal(names, labels) {
				t.Errorf("%s has the labels %v, want %v", f.GetName(), names, labels)
			}
		}
	}
	for name := range allowed {
		t.Errorf("%s is not exposed", name)
	}
	// What else this process registers by itself.
	all, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if strings.HasPrefix(f.GetName(), "entente_") && !seen[f.GetName()] {
			t.Errorf("%s is registered and was not looked at", f.GetName())
		}
	}
}
