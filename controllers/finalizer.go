package controllers

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// finalizers let deleted agreements go, once a plan that knew of the deletion was carried out: the route does not carry them any
// more, and their credentials are ended. The tombstone stays: its sequence must go on if the id is ever used again.
type finalizers struct {
	client    client.Client
	namespace string
	plans     *plans
}

func (r *finalizers) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("finalizer").
		WatchesRawSource(r.plans.finalizer.source()).
		WithOptions(options(1)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for an agreement's id.
func (r *finalizers) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	p := r.plans.get(request.Name)
	if p == nil || !r.plans.isSettled(request.Name, p) {
		return reconcile.Result{}, nil
	}
	var errs []error
	for _, v := range p.versions {
		if v.deleting && !v.carried {
			errs = append(errs, r.release(ctx, v.name))
		}
	}
	return reconcile.Result{}, errors.Join(errs...)
}

func (r *finalizers) release(ctx context.Context, name string) error {
	a := &v1alpha1.SharingAgreement{}
	err := r.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, a)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get agreement %s: %w", name, err)
	}
	if a.DeletionTimestamp.IsZero() || !controllerutil.ContainsFinalizer(a, v1alpha1.Finalizer) {
		return nil // another object of the same name, or gone already
	}
	before := a.DeepCopy()
	controllerutil.RemoveFinalizer(a, v1alpha1.Finalizer)
	err = r.client.Patch(ctx, a, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("release agreement %s: %w", name, err)
	}
	return nil
}
