package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/kube"
)

// programmed says, from the reports on the gateways' Leases, whether every replica serves a route.
type programmed struct {
	client    client.Client
	namespace string
	scribe    *scribe
	plans     *plans
	gateways  *gateways
	now       func() time.Time
}

func (r *programmed) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("programmed").
		WatchesRawSource(r.plans.programmed.source()).
		Watches(&v1alpha1.GatewayRoute{}, enqueueName).
		Watches(&v1alpha1.SharingAgreement{}, handler.EnqueueRequestsFromMapFunc(ofAgreement), changed(programmedOutput)).
		Watches(&coordinationv1.Lease{}, r.gateways).
		WithOptions(options(4)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for an agreement's id.
func (r *programmed) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	id := request.Name
	p := r.plans.get(id)
	if p == nil || len(p.versions) == 0 {
		return reconcile.Result{}, nil
	}
	g := &v1alpha1.GatewayRoute{}
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: id}, g); apierrors.IsNotFound(err) {
		g = nil
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("get route %s: %w", id, err)
	}
	reports, err := r.gateways.on(ctx, id, g)
	if err != nil {
		return reconcile.Result{}, err
	}
	var errs []error
	for _, v := range p.versions {
		errs = append(errs, r.report(ctx, v, judge(p, v, g, reports)))
	}
	return reconcile.Result{}, errors.Join(errs...)
}

func (r *programmed) report(ctx context.Context, v plannedVersion, o observation) error {
	a := &v1alpha1.SharingAgreement{}
	key := client.ObjectKey{Namespace: r.namespace, Name: v.name}
	if err := r.client.Get(ctx, key, a); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("get agreement %s: %w", v.name, err)
	}
	r.scribe.read(a)
	r.scribe.say(a, programmedPart, v1alpha1.SharingAgreementStatus{
		Conditions: []metav1.Condition{o.condition(v.generation, a.Status.Conditions, r.now())},
	}, nil)
	return nil
}

// judge decides Programmed of a version. It is pure.
func judge(p *plan, v plannedVersion, g *v1alpha1.GatewayRoute, reports []kube.Report) observation {
	o := observation{kind: v1alpha1.ConditionProgrammed, status: metav1.ConditionFalse}
	switch {
	case !v.carried && (p.sequence == 0 || !p.tombstone):
		o.reason, o.message = v1alpha1.ReasonNotInForce, "gateways serve it while it is in force"
		return o
	case p.unpublished != nil && v.carried:
		o.reason, o.message = v1alpha1.ReasonPending, fmt.Sprintf("the route is not published: %v", p.unpublished)
		return o
	case g == nil || g.Spec.Sequence < p.sequence:
		if o.reason, o.message = v1alpha1.ReasonPending, "the route is being published"; !v.carried {
			o.reason = v1alpha1.ReasonNotInForce
		}
		return o
	}
	w := weigh(g, reports)
	if !v.carried {
		o.reason, o.message = v1alpha1.ReasonNotInForce, w.revocation()
		return o
	}
	switch {
	case len(reports) == 0:
		o.reason, o.message = v1alpha1.ReasonNoGateway, "no gateway has reported in this namespace: start one, or see its log"
	case len(w.rejected) > 0:
		o.reason, o.message = v1alpha1.ReasonRouteRejected, strings.Join(w.rejected, "; ")
	case len(w.behind) > 0:
		o.reason, o.message = v1alpha1.ReasonPending, fmt.Sprintf("%s has not taken it in yet", strings.Join(w.behind, ", "))
	case len(w.silent) > 0:
		o.status, o.reason = metav1.ConditionUnknown, v1alpha1.ReasonUnreachable
		o.message = fmt.Sprintf("%s has not reported in time: see whether it runs and reaches the API server", strings.Join(w.silent, ", "))
	default:
		o.status, o.reason = metav1.ConditionTrue, v1alpha1.ReasonProgrammed
		o.message = fmt.Sprintf("served by %s, sequence %d", strings.Join(w.serving, ", "), g.Spec.Sequence)
	}
	return o
}

// weighed are the replicas by how they are with a route.
type weighed struct{ serving, behind, silent, rejected []string }

func weigh(g *v1alpha1.GatewayRoute, reports []kube.Report) weighed {
	var w weighed
	for _, r := range reports {
		reason, rejects := r.Rejected[g.Name]
		switch {
		case !r.Alive:
			w.silent = append(w.silent, r.Replica)
		case !reached(r.ResourceVersion, g.ResourceVersion):
			w.behind = append(w.behind, r.Replica)
		case rejects:
			w.rejected = append(w.rejected, fmt.Sprintf("gateway %s refuses the route: %s", r.Replica, reason))
		case len(r.Rejected) >= kube.MaxRejected:
			w.rejected = append(w.rejected, fmt.Sprintf("gateway %s refuses so many routes that it cannot name them all: see its log", r.Replica))
		default:
			w.serving = append(w.serving, r.Replica)
		}
	}
	return w
}

// revocation says whether every gateway has taken in that nothing may be disclosed any more.
func (w weighed) revocation() string {
	open := slices.Concat(w.behind, w.silent)
	if len(open) == 0 {
		return "no gateway serves it any more"
	}
	return fmt.Sprintf("waits for %s to report that it is no longer served", strings.Join(open, ", "))
}

// reached says whether a replica that has taken in everything up to have has taken in want.
func reached(have, want string) bool {
	c, err := resourceversion.CompareResourceVersion(have, want)
	return err == nil && c >= 0
}
