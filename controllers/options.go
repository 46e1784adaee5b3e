package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// A reconcile that fails is tried again after 50 ms, then twice as long, up to 15 s: Vault or the API server may be away for long,
// and what must be revoked must not wait for minutes once they are back.
const (
	firstRetry   = 50 * time.Millisecond
	longestRetry = 15 * time.Second
)

func options(workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, longestRetry),
	}
}

// changed lets updates through in which what input reads is another: not those that only a reconciler's own status makes.
func changed(input func(client.Object) any) builder.WatchesOption {
	return builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !equality.Semantic.DeepEqual(input(e.ObjectOld), input(e.ObjectNew))
	}})
}

func generation(o client.Object) any { return o.GetGeneration() }

// agreementInput is what compile reads of an agreement, and whether it may go; and what compile applies to it. Whoever applies
// a status compares it with the cache first, which may be behind: what stands there in the end is looked at once more.
func agreementInput(o client.Object) any {
	a := o.(*v1alpha1.SharingAgreement)
	return []any{
		a.Generation, a.DeletionTimestamp, a.Finalizers, a.Status.Signatures, a.Status.Received, a.Status.Digest, a.UID,
		a.Status.State, a.Status.Verified, a.Status.Decisions, a.Status.Duties, a.Status.Routes, only(a.Status.Conditions, compiledConditions...),
	}
}

// credentialsOutput is what the credentials reconciler applies to an agreement.
func credentialsOutput(o client.Object) any {
	a := o.(*v1alpha1.SharingAgreement)
	return []any{a.Status.Credentials, only(a.Status.Conditions, v1alpha1.ConditionCredentialsReady)}
}

// programmedOutput is what the programmed reconciler applies to an agreement.
func programmedOutput(o client.Object) any {
	return only(o.(*v1alpha1.SharingAgreement).Status.Conditions, v1alpha1.ConditionProgrammed)
}

// ofAgreement is from an agreement to its id.
func ofAgreement(_ context.Context, o client.Object) []reconcile.Request {
	return requests(o.(*v1alpha1.SharingAgreement).Spec.Terms.ID)
}

func agencyInput(o client.Object) any {
	a := o.(*v1alpha1.Agency)
	return []any{a.Generation, a.Status.TrustBundle, a.Status.SigningKeys, a.Status.Maintenance, a.UID}
}

func datasetInput(o client.Object) any {
	d := o.(*v1alpha1.Dataset)
	return []any{d.Generation, d.Status.Columns, d.Status.ColumnsGeneration, d.UID}
}
