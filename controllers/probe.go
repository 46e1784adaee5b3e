package controllers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/source"
)

// Catalogue reads which columns the relation of a dataset has: names, never values.
type Catalogue interface {
	Columns(ctx context.Context, d *v1alpha1.Dataset) ([]string, error)
}

// probes reads the catalogues of sources, so that a mapping to a column that is not there is seen before anybody asks.
type probes struct {
	client    client.Client
	gather    *gatherer
	catalogue Catalogue
	now       func() time.Time
}

const (
	// probeEvery is how often a catalogue is read again; probeAgain is after what time when that failed.
	probeEvery   = 5 * time.Minute
	probeAgain   = 15 * time.Second
	probeTimeout = 10 * time.Second
)

func (r *probes) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("probe").
		Watches(&v1alpha1.Dataset{}, enqueueName, changed(generation)).
		WithOptions(options(4)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for a dataset's name.
func (r *probes) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	d := &v1alpha1.Dataset{}
	found, err := r.gather.get(ctx, request.Name, d)
	if err != nil || !found {
		return reconcile.Result{}, err
	}
	want := v1alpha1.DatasetStatus{Columns: d.Status.Columns, ColumnsGeneration: d.Status.ColumnsGeneration}
	again := probeEvery + rand.N(probeEvery/10)
	o := observation{kind: v1alpha1.ConditionSourceReachable, status: metav1.ConditionUnknown, reason: v1alpha1.ReasonPending}
	switch {
	case d.Spec.Source.SQLite != nil:
		o.message, again = "only the gateway sees the file of an SQLite source: its columns are not checked here", 0
	case d.Spec.Source.Trino != nil:
		o.message, again = "only the gateway has the secret for Trino: its columns are not checked here", 0
	case d.Spec.Source.PostgreSQL == nil:
		o.message, again = "only the gateway, which has its secret, asks an HTTP service", 0
	default:
		asked, cancel := context.WithTimeout(ctx, probeTimeout)
		columns, err := r.catalogue.Columns(asked, d)
		cancel()
		switch {
		case ctx.Err() != nil:
			return reconcile.Result{}, ctx.Err()
		case err == nil, errors.Is(err, source.ErrNoRelation):
			want.Columns, want.ColumnsGeneration = columns, d.Generation
			o.status, o.reason = metav1.ConditionTrue, v1alpha1.ReasonReady
			o.message = fmt.Sprintf("the relation has %d columns", len(columns))
			if err != nil {
				o.message = fmt.Sprintf("the source answers, but there is no relation %q: correct relation, or create it", d.Spec.Relation)
			}
		default:
			again = probeAgain
			o.status, o.reason = metav1.ConditionFalse, v1alpha1.ReasonUnreachable
			o.message = fmt.Sprintf("the columns cannot be read, which is tried again: %v", err)
		}
	}
	want.Conditions = []metav1.Condition{o.condition(d.Generation, d.Status.Conditions, r.now())}
	have := v1alpha1.DatasetStatus{
		Columns: d.Status.Columns, ColumnsGeneration: d.Status.ColumnsGeneration,
		Conditions: only(d.Status.Conditions, v1alpha1.ConditionSourceReachable),
	}
	if !same(&have, &want) {
		err = applyStatus(ctx, r.client, "Dataset", client.ObjectKeyFromObject(d), ownerProbe, &want)
	}
	return reconcile.Result{RequeueAfter: again}, err
}
