package controllers

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// operatorMetrics are gauges that are computed when they are read. Labels are words from a fixed list.
type operatorMetrics struct {
	plans          *plans
	vault          *vaultWatch
	agreements, up *prometheus.Desc
	unsettled      *prometheus.Desc
	unread         *prometheus.Desc
	due, duties    *prometheus.Desc
}

var states = []v1alpha1.AgreementState{
	v1alpha1.StateRejected, v1alpha1.StateProposed, v1alpha1.StateSigned, v1alpha1.StatePending, v1alpha1.StateInForce,
	v1alpha1.StateSuspended, v1alpha1.StateTerminated, v1alpha1.StateSuperseded, v1alpha1.StateExpired,
}

var dutyStates = []v1alpha1.DutyState{
	v1alpha1.DutyPending, v1alpha1.DutyWithin90Days, v1alpha1.DutyWithin30Days, v1alpha1.DutyWithin7Days, v1alpha1.DutyOverdue, v1alpha1.DutyDone,
}

func newOperatorMetrics(p *plans, w *vaultWatch) *operatorMetrics {
	return &operatorMetrics{
		plans: p, vault: w,
		agreements: prometheus.NewDesc("entente_operator_agreements", "Versions of agreements by state, at the replica that leads.", []string{"state"}, nil),
		unsettled:  prometheus.NewDesc("entente_operator_credentials_pending", "Agreements whose roles in Vault are not yet as they should be.", nil, nil),
		unread: prometheus.NewDesc("entente_operator_credentials_unread",
			"Agreements whose roles were written and wait to be read in Vault: all at the start and once an hour, fifty a second.", nil, nil),
		due: prometheus.NewDesc("entente_operator_agreements_due",
			"Versions of agreements that begin or end soon, or of which something is due: condition Beginning, Expiring, RenewalDue, ReviewDue or DutyDue, within 90, 30 or 7 days, open or overdue.", []string{"condition", "reason"}, nil),
		duties: prometheus.NewDesc("entente_operator_agreement_duties",
			"Duties under agreements, of this agency (own) and of other parties (other), by where they stand.", []string{"whose", "state"}, nil),
		up: prometheus.NewDesc("entente_operator_vault_up", "1 while Vault answers.", nil, nil),
	}
}

func registerMetrics(p *plans, w *vaultWatch) error {
	err := metrics.Registry.Register(newOperatorMetrics(p, w))
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		return nil // another manager in this process, as tests have
	}
	return err
}

// Describe implements prometheus.Collector.
func (m *operatorMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.agreements
	out <- m.unsettled
	out <- m.unread
	out <- m.due
	out <- m.duties
	out <- m.up
}

// Collect implements prometheus.Collector.
func (m *operatorMetrics) Collect(out chan<- prometheus.Metric) {
	counts := m.plans.counts()
	for _, s := range states {
		out <- prometheus.MustNewConstMetric(m.agreements, prometheus.GaugeValue, float64(counts.states[s]), string(s))
	}
	for _, d := range clocks {
		condition, reason, _ := strings.Cut(d, "/")
		out <- prometheus.MustNewConstMetric(m.due, prometheus.GaugeValue, float64(counts.due[d]), condition, reason)
	}
	for _, whose := range []string{own, other} {
		for _, s := range dutyStates {
			out <- prometheus.MustNewConstMetric(m.duties, prometheus.GaugeValue, float64(counts.duties[whose+"/"+string(s)]), whose, string(s))
		}
	}
	out <- prometheus.MustNewConstMetric(m.unsettled, prometheus.GaugeValue, float64(counts.unsettled))
	out <- prometheus.MustNewConstMetric(m.unread, prometheus.GaugeValue, float64(counts.unread))
	up := 1.0
	if m.vault.away() != nil {
		up = 0
	}
	out <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, up)
}
