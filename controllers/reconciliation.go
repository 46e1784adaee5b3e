package controllers

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/controllers/reconciliation"
	"github.com/entente-dev/entente/gateway/kube"
	"github.com/entente-dev/entente/gateway/receipt"
)

// The last pass with each peer. Peers are known agencies, results are words from a fixed list.
var (
	reconciled = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "entente_reconciliation_disclosures",
		Help: "Disclosures by what holding this agency's logs against the peer's came to, in the last pass.",
	}, []string{"peer", "result"})
	reconciledUntil = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "entente_reconciliation_until_timestamp_seconds",
		Help: "Up to when this agency's logs were held against the peer's.",
	}, []string{"peer"})
)

func init() { metrics.Registry.MustRegister(reconciled, reconciledUntil) }

// reconciliations hold the logs of this agency against those of its peers, from time to time.
type reconciliations struct {
	client   client.Client
	record   *record
	pool     *exchange.Pool
	logs     receipt.Lister
	recorder events.EventRecorder
	log      *slog.Logger
	now      func() time.Time
	// every is the time between two passes, delay how old a disclosure is when it is compared.
	every, delay time.Duration
}

func (r *reconciliations) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("reconciliation").
		Watches(&v1alpha1.Agency{}, enqueueName, changed(generation)).
		WithOptions(options(2)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for a peer's name.
func (r *reconciliations) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	later := reconcile.Result{RequeueAfter: r.every + rand.N(r.every/10+1)}
	peer, ok, err := r.record.peer(ctx, request.Name)
	if err != nil || !ok {
		return reconcile.Result{}, err
	}
	a := &v1alpha1.Agency{}
	if found, err := r.record.gather.get(ctx, peer.Agency, a); err != nil || !found {
		return reconcile.Result{}, err
	}
	last := a.Status.Reconciliation
	w, due := reconciliation.Next(r.now(), until(last), openSince(last), r.delay)
	if !due {
		return later, nil
	}
	s, err := r.pass(ctx, peer, w)
	if status.Code(err) == codes.Unimplemented {
		return later, nil // an older release, or an agency without a log of its own
	}
	if err != nil {
		return later, r.failed(ctx, a, last, err)
	}
	next := summarised(s)
	if next.Faulty > 0 && (last == nil || last.Faulty < next.Faulty) {
		r.log.Warn("logs differ", "peer", peer.Agency, "disclosures", next.Faulty, "since", s.OpenSince)
		r.recorder.Eventf(a, nil, corev1.EventTypeWarning, v1alpha1.ReasonLogsDiffer, "Reconcile",
			"%d disclosures are in one log only, or differ: run entente audit reconcile --peer %s", next.Faulty, peer.Agency)
	}
	for _, result := range receipt.Results {
		reconciled.WithLabelValues(peer.Agency, string(result)).Set(float64(s.Counts[result]))
	}
	reconciledUntil.WithLabelValues(peer.Agency).Set(float64(s.Until.Unix()))
	if err := r.apply(ctx, a, next); err != nil {
		return reconcile.Result{}, err
	}
	return later, r.tell(ctx, a.Name, last, s)
}

// passTimeout bounds one pass: a peer whose receipts come to no end does not keep the others waiting.
const passTimeout = 10 * time.Minute

func (r *reconciliations) pass(ctx context.Context, peer exchange.Peer, w receipt.Window) (*reconciliation.Summary, error) {
	list, err := r.record.With(ctx, peer.Agency, "")
	if err != nil {
		return nil, err
	}
	between := make(map[string]bool, len(list))
	for i := range list {
		between[list[i].Name] = slices.ContainsFunc(list[i].Spec.Terms.Parties, func(p v1alpha1.Party) bool {
			return p.Agency == peer.Agency && p.TrustDomain == peer.TrustDomain
		})
	}
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	return reconciliation.Run(ctx, r.logs, exchange.Receipts{Pool: r.pool, Peer: peer}, peer.Agency, w, between, nil)
}

func until(r *v1alpha1.Reconciliation) time.Time {
	if r == nil {
		return time.Time{}
	}
	return r.Until.Time
}

func openSince(r *v1alpha1.Reconciliation) time.Time {
	if r == nil || r.OpenSince == nil {
		return time.Time{}
	}
	return r.OpenSince.Time
}

// summarised is a pass as the Agency's status shows it.
func summarised(s *reconciliation.Summary) *v1alpha1.Reconciliation {
	out := &v1alpha1.Reconciliation{Since: metav1.NewTime(s.Since), Until: metav1.NewTime(s.Until), Compared: s.Compared, Faulty: s.Faulty()}
	if !s.OpenSince.IsZero() {
		out.OpenSince = &metav1.Time{Time: s.OpenSince}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Agreements)) {
		if n := s.Agreements[name]; n > 0 && len(out.Open) < reconciliation.MaxOpen {
			out.Open = append(out.Open, v1alpha1.OpenReconciliation{Agreement: name, Disclosures: n})
		}
	}
	return out
}

// failed says that a pass could not be made. What the last one came to stands.
func (r *reconciliations) failed(ctx context.Context, a *v1alpha1.Agency, last *v1alpha1.Reconciliation, why error) error {
	r.log.Warn("logs cannot be compared", "peer", a.Name, "error", why)
	next := &v1alpha1.Reconciliation{}
	if last != nil {
		next = last.DeepCopy()
	} else {
		now := metav1.NewTime(r.now().Add(-reconciliation.FirstWindow).UTC().Truncate(time.Second))
		next.Since, next.Until = now, now // the next pass begins where this one would have
	}
	next.Failure = clip(status.Convert(why).Message())
	return r.apply(ctx, a, next)
}

func (r *reconciliations) apply(ctx context.Context, a *v1alpha1.Agency, next *v1alpha1.Reconciliation) error {
	return applyStatus(ctx, r.client, "Agency", client.ObjectKeyFromObject(a), v1alpha1.OwnerReconciliation, &v1alpha1.AgencyStatus{Reconciliation: next})
}

// tell sets the condition on the agreements that were compared, and on those that were open before.
func (r *reconciliations) tell(ctx context.Context, peer string, last *v1alpha1.Reconciliation, s *reconciliation.Summary) error {
	names := maps.Clone(s.Agreements)
	if last != nil {
		for _, o := range last.Open {
			names[o.Agreement] += 0
		}
	}
	others, err := r.openElsewhere(ctx, peer)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		o := &v1alpha1.SharingAgreement{}
		if found, err := r.record.gather.get(ctx, name, o); err != nil {
			return err
		} else if !found {
			continue
		}
		open := others[name]
		if n := s.Agreements[name]; n > 0 {
			open = append(open, fmt.Sprintf("%d with %s", n, peer))
		}
		if err := r.condition(ctx, o, open); err != nil {
			return err
		}
	}
	return nil
}

// openElsewhere is what is open with other peers, by agreement.
func (r *reconciliations) openElsewhere(ctx context.Context, but string) (map[string][]string, error) {
	var list v1alpha1.AgencyList
	if err := r.client.List(ctx, &list, client.InNamespace(r.record.gather.namespace)); err != nil {
		return nil, fmt.Errorf("list agencies: %w", err)
	}
	open := map[string][]string{}
	for _, a := range list.Items {
		if a.Name == but || a.Status.Reconciliation == nil {
			continue
		}
		for _, o := range a.Status.Reconciliation.Open {
			open[o.Agreement] = append(open[o.Agreement], fmt.Sprintf("%d with %s", o.Disclosures, a.Name))
		}
	}
	return open, nil
}

func (r *reconciliations) condition(ctx context.Context, a *v1alpha1.SharingAgreement, open []string) error {
	o := observation{v1alpha1.ConditionReconciled, metav1.ConditionTrue, v1alpha1.ReasonLogsAgree,
		"the logs of all parties agreed about what was disclosed when they were last compared; what differed more than a week ago is not compared again: see entente audit reconcile --since"}
	if len(open) > 0 {
		o.status, o.reason = metav1.ConditionFalse, v1alpha1.ReasonLogsDiffer
		o.message = fmt.Sprintf("disclosures that one log alone has, or that differ: %s; run entente audit reconcile --peer for each", strings.Join(open, ", "))
	}
	want := v1alpha1.SharingAgreementStatus{Conditions: []metav1.Condition{o.condition(a.Generation, a.Status.Conditions, r.now())}}
	have := v1alpha1.SharingAgreementStatus{Conditions: only(a.Status.Conditions, v1alpha1.ConditionReconciled)}
	if same(&have, &want) {
		return nil
	}
	return applyStatus(ctx, r.client, "SharingAgreement", client.ObjectKeyFromObject(a), v1alpha1.OwnerReconciliation, &want)
}

// replicasOf are the agency's gateways by their Leases, those that went silent among them: their logs count as well.
func replicasOf(reader client.Reader, namespace string) func(context.Context) ([]reconciliation.Replica, error) {
	return func(ctx context.Context) ([]reconciliation.Replica, error) {
		var list coordinationv1.LeaseList
		if err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{kube.LabelGateway: "true"}); err != nil {
			return nil, fmt.Errorf("list leases of gateways: %w", err)
		}
		var out []reconciliation.Replica
		for i := range list.Items {
			l := &list.Items[i]
			out = append(out, reconciliation.Replica{Name: strings.TrimPrefix(l.Name, kube.LeaseName("")), Address: l.Annotations[kube.AnnotationPeerAddress]})
		}
		return out, nil
	}
}

// PeerLogs gives this agency's logs, and those of a peer, for a command that runs beside the operator with its rights. The pool is the
// caller's to close.
func PeerLogs(ctx context.Context, rc *rest.Config, o Options, peer string) (ours, theirs receipt.Lister, pool *exchange.Pool, err error) {
	c, err := client.New(rc, client.Options{Scheme: newScheme()})
	if err != nil {
		return nil, nil, nil, err
	}
	if peer == o.Agency {
		return nil, nil, nil, fmt.Errorf("%s is this agency itself: name another", peer)
	}
	a := &v1alpha1.Agency{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: peer}, a); err != nil {
		return nil, nil, nil, fmt.Errorf("agency %s: %w", peer, err)
	}
	to, err := exchange.PeerOf(a)
	if err != nil {
		return nil, nil, nil, err
	}
	pool = exchange.NewPool(o.Own)
	ours = &reconciliation.Logs{TrustDomain: o.TrustDomain, Own: o.Own, Replicas: replicasOf(c, o.Namespace)}
	return ours, exchange.Receipts{Pool: pool, Peer: to}, pool, nil
}
