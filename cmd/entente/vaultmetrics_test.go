package main

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/entente-dev/entente/gateway/metrics"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// What a gateway in a cluster adds keeps to the conventions too, and has no labels.
func TestVaultMetrics(t *testing.T) {
	m := metrics.New()
	vaultMetrics(m, &gwvault.Session{})
	families, err := m.Registry.Gather()
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
	n := 0
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "entente_vault_") {
			if n++; len(f.GetMetric()) != 1 || len(f.GetMetric()[0].GetLabel()) > 0 {
				t.Errorf("%s: %v", f.GetName(), f.GetMetric())
			}
		}
	}
	if n != 2 {
		t.Errorf("%d metrics of Vault", n)
	}
}

// So does what an operator adds.
func TestOperatorVaultMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	operatorVaultMetrics(r, &gwvault.Session{}, gwvault.NewIdentity(nil, gwvault.IdentityConfig{}))
	families, err := r.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
