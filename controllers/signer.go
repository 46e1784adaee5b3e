package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/signature"
)

// signer signs the terms that compile says this agency has accepted.
type signer struct {
	client    client.Client
	namespace string
	self      string
	keys      keys.AgreementSigner
	plans     *plans
	recorder  events.EventRecorder
	now       func() time.Time
}

func (r *signer) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("signer").
		WatchesRawSource(r.plans.signer.source()).
		WithOptions(options(8)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for an agreement's id.
func (r *signer) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	p := r.plans.get(request.Name)
	if p == nil {
		return reconcile.Result{}, nil
	}
	var errs []error
	for _, v := range p.versions {
		if v.sign {
			errs = append(errs, r.sign(ctx, v))
		}
	}
	return reconcile.Result{}, errors.Join(errs...)
}

func (r *signer) sign(ctx context.Context, v plannedVersion) error {
	a := &v1alpha1.SharingAgreement{}
	key := client.ObjectKey{Namespace: r.namespace, Name: v.name}
	if err := r.client.Get(ctx, key, a); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("get agreement %s: %w", v.name, err)
	}
	jws, err := signature.Sign(ctx, r.keys, signature.Claims{
		Digest: v.digest, Decision: v1alpha1.DecisionAccept, Agency: r.self, DecidedAt: decidedAt(v.decided, r.now()),
	})
	if err != nil {
		return fmt.Errorf("sign agreement %s: %w", v.name, err)
	}
	status := v1alpha1.SharingAgreementStatus{Signatures: []v1alpha1.AgreementSignature{{Agency: r.self, JWS: jws}}}
	if err := applyStatus(ctx, r.client, "SharingAgreement", key, v1alpha1.OwnerSigner, &status); err != nil {
		return err
	}
	r.recorder.Eventf(a, nil, corev1.EventTypeNormal, "Signed", "Sign", "signed for %s: the exchange tells the other parties; a party without one needs what `entente agreement signature export %s` prints", r.self, v.name)
	return nil
}

// decidedAt is when the last of the decisions to accept was taken.
func decidedAt(records []v1alpha1.DecisionRecord, now time.Time) time.Time {
	var at time.Time
	for _, d := range records {
		if d.Decision == v1alpha1.DecisionAccept && d.DecidedAt.After(at) {
			at = d.DecidedAt.Time
		}
	}
	if at.IsZero() {
		return now
	}
	return at
}
