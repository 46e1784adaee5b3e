package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
)

// skews are how far peers' clocks are from ours. Peers are known agencies.
var skews = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "entente_exchange_clock_skew_seconds",
	Help: "How far the clock of a peer's operator is ahead of ours, negative when behind, when it was last asked; beyond 300 what permits is refused.",
}, []string{"peer"})

func init() { metrics.Registry.MustRegister(skews) }

// Clocks that differ too much are compared again sooner than others, and after a refusal at once, but not for each of many.
const (
	skewedAgain  = time.Minute
	suspectEvery = 30 * time.Second
)

// clockSkew is the condition, or none while the clocks agree.
func clockSkew(peer string, skew exchange.Skew) *observation {
	if !skew.Beyond() {
		return nil
	}
	where := "ahead of"
	if skew.Ahead < 0 {
		where = "behind"
	}
	return &observation{v1alpha1.ConditionClockSkew, metav1.ConditionTrue, v1alpha1.ReasonBeyondBound, fmt.Sprintf(
		"the clock of the operator of %s is %s %s ours, more than %s: what one side accepts, resumes or attests the other refuses (CLOCK_SKEW) until its clock has come that far; what suspends or ends is taken. Compare both with a time server",
		peer, skew.Ahead.Abs().Round(time.Minute), where, exchange.MaxSkew)}
}

// tellOf tells on the peer's Agency what its list says of itself: that its clock and ours differ too much, or do not any more, and when
// it answers no queries.
func (r *contacts) tellOf(ctx context.Context, peer exchange.Peer, listed exchange.Listed) error {
	a := &v1alpha1.Agency{}
	if found, err := r.record.gather.get(ctx, peer.Agency, a); err != nil || !found || a.Name == r.record.gather.self {
		return err
	}
	have := v1alpha1.AgencyStatus{Maintenance: a.Status.Maintenance, Conditions: only(a.Status.Conditions, v1alpha1.ConditionClockSkew)}
	want := v1alpha1.AgencyStatus{Maintenance: listed.Maintenance}
	var o *observation
	if listed.Skew == nil {
		want.Conditions = have.Conditions // an older operator does not say
	} else {
		skews.WithLabelValues(peer.Agency).Set(listed.Skew.Ahead.Seconds())
		o = clockSkew(peer.Agency, *listed.Skew)
	}
	if o != nil {
		want.Conditions = []metav1.Condition{o.condition(a.Generation, a.Status.Conditions, r.now())}
	}
	if same(&have, &want) {
		return nil
	}
	if err := applyStatus(ctx, r.record.client, "Agency", client.ObjectKeyFromObject(a), ownerContact, &want); err != nil {
		return err
	}
	if o != nil && len(have.Conditions) == 0 {
		r.recorder.Eventf(a, nil, corev1.EventTypeWarning, v1alpha1.ConditionClockSkew, "Contact", "%s", want.Conditions[0].Message)
	}
	return nil
}

// suspect compares clocks with a peer soon: one side refused what the other dated.
func (r *contacts) suspect(agency string) {
	now := r.now()
	r.mu.Lock()
	recent := now.Sub(r.suspected[agency]).Abs() < suspectEvery
	if !recent {
		r.suspected[agency] = now
	}
	r.mu.Unlock()
	if !recent {
		r.door.ring(agency)
	}
}
