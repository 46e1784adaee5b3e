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

// datasets decides whether datasets are accepted and fit their schema and their source.
type datasets struct {
	client client.Client
	gather *gatherer
	now    func() time.Time
}

func (r *datasets) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("dataset").
		Watches(&v1alpha1.Dataset{}, enqueueName, changed(datasetInput)).
		Watches(&v1alpha1.ExchangeSchema{}, handler.EnqueueRequestsFromMapFunc(r.ofSchema), changed(generation)).
		WithOptions(options(2)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for a dataset's name.
func (r *datasets) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	d := &v1alpha1.Dataset{}
	found, err := r.gather.get(ctx, request.Name, d)
	if err != nil || !found {
		return reconcile.Result{}, err
	}
	x := r.gather.empty()
	x.Datasets[d.Name] = d
	if err := r.gather.schema(ctx, x, schemaName(d.Spec.Schema)); err != nil {
		return reconcile.Result{}, err
	}
	want := v1alpha1.DatasetStatus{Conditions: compile.DatasetConditions(x, d, d.Status.Conditions, r.now())}
	have := v1alpha1.DatasetStatus{Conditions: byType(only(d.Status.Conditions, v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs))}
	want.Conditions = byType(want.Conditions)
	if same(&have, &want) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, applyStatus(ctx, r.client, "Dataset", client.ObjectKeyFromObject(d), ownerDataset, &want)
}

func (r *datasets) ofSchema(ctx context.Context, o client.Object) []reconcile.Request {
	var list v1alpha1.DatasetList
	if err := r.gather.list(ctx, &list, datasetBySchema, o.GetName()); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, requests(list.Items[i].Name)...)
	}
	return out
}
