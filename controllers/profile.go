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

// profiles decides whether agreement profiles are accepted.
type profiles struct {
	client client.Client
	gather *gatherer
	now    func() time.Time
}

func (r *profiles) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("profile").
		Watches(&v1alpha1.AgreementProfile{}, &handler.EnqueueRequestForObject{}, changed(generation)).
		WithOptions(options(1)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for a profile's name.
func (r *profiles) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	p := &v1alpha1.AgreementProfile{}
	found, err := r.gather.get(ctx, request.Name, p)
	if err != nil || !found {
		return reconcile.Result{}, err
	}
	want := v1alpha1.AgreementProfileStatus{
		Rules:      int64(len(p.Spec.Rules)),
		Conditions: compile.ProfileConditions(p, r.gather.profiles, p.Status.Conditions, r.now()),
	}
	if same(&p.Status, &want) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, applyStatus(ctx, r.client, "AgreementProfile", client.ObjectKeyFromObject(p), ownerProfile, &want)
}
