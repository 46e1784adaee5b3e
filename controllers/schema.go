package controllers

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// schemas decides whether exchange schemas are accepted, and shows the digests that agreements pin.
type schemas struct {
	client client.Client
	gather *gatherer
	now    func() time.Time
}

func (r *schemas) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("schema").
		Watches(&v1alpha1.ExchangeSchema{}, &handler.EnqueueRequestForObject{}, changed(generation)).
		WithOptions(options(1)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for a schema's object name.
func (r *schemas) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	s := &v1alpha1.ExchangeSchema{}
	found, err := r.gather.get(ctx, request.Name, s)
	if err != nil || !found {
		return reconcile.Result{}, err
	}
	var want v1alpha1.ExchangeSchemaStatus
	want.Digest, want.Conditions = compile.SchemaConditions(s, s.Status.Conditions, r.now())
	have := v1alpha1.ExchangeSchemaStatus{Digest: s.Status.Digest, Conditions: only(s.Status.Conditions, v1alpha1.ConditionAccepted)}
	if same(&have, &want) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, applyStatus(ctx, r.client, "ExchangeSchema", client.ObjectKeyFromObject(s), ownerSchema, &want)
}
