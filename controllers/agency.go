package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/signature"
)

// agencies decides whether agencies are accepted, and publishes the local agency's trust bundle and signing keys.
type agencies struct {
	client client.Client
	gather *gatherer
	signer keys.AgreementSigner
	issuer keys.Issuer
	now    func() time.Time
}

// republishEvery is how soon a rotated key or authority is published.
const republishEvery = time.Minute

func (r *agencies) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("agency").
		Watches(&v1alpha1.Agency{}, handler.EnqueueRequestsFromMapFunc(r.ofTrustDomain), changed(agencyInput)).
		WithOptions(options(1)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for an agency's name.
func (r *agencies) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	a := &v1alpha1.Agency{}
	found, err := r.gather.get(ctx, request.Name, a)
	if err != nil || !found {
		return reconcile.Result{}, err
	}
	have := v1alpha1.AgencyStatus{
		Local: a.Status.Local, TrustBundle: a.Status.TrustBundle, SigningKeys: a.Status.SigningKeys,
		Conditions: only(a.Status.Conditions, v1alpha1.ConditionAccepted),
	}
	want := v1alpha1.AgencyStatus{Local: a.Name == r.gather.self}
	var result reconcile.Result
	var failed error
	if want.Local {
		result.RequeueAfter = republishEvery
		failed = r.publish(ctx, a, &want)
		a.Status.TrustBundle, a.Status.SigningKeys = want.TrustBundle, want.SigningKeys
		have.Maintenance, want.Maintenance = a.Status.Maintenance, a.Spec.Maintenance // a peer's has an owner of its own
	}
	x, err := r.gather.sameTrustDomain(ctx, a)
	if err != nil {
		return reconcile.Result{}, err
	}
	want.Conditions = compile.AgencyConditions(x, a, a.Status.Conditions, r.now())
	if !same(&have, &want) {
		err = applyStatus(ctx, r.client, "Agency", client.ObjectKeyFromObject(a), ownerAgency, &want)
	}
	return result, errors.Join(failed, err)
}

// publish fills in what the key holder says. What was published stays while the holder is away, and a signing key for good: the
// holder may lose it, and agreements that it signed must not end with it.
func (r *agencies) publish(ctx context.Context, a *v1alpha1.Agency, status *v1alpha1.AgencyStatus) error {
	status.TrustBundle, status.SigningKeys = a.Status.TrustBundle, a.Status.SigningKeys
	bundle, err := r.issuer.TrustBundle(ctx)
	if err != nil {
		return fmt.Errorf("own trust bundle: %w", err)
	}
	set, err := r.signer.Public(ctx)
	if err != nil {
		return fmt.Errorf("own signing keys: %w", err)
	}
	status.TrustBundle, status.SigningKeys = bundle, signature.Union(a.Status.SigningKeys, set)
	return nil
}

// ofTrustDomain are the agencies that claim the same trust domain, this one among them.
func (r *agencies) ofTrustDomain(ctx context.Context, o client.Object) []reconcile.Request {
	out := requests(o.GetName())
	x, err := r.gather.sameTrustDomain(ctx, o.(*v1alpha1.Agency))
	if err != nil {
		return out
	}
	for name := range x.Agencies {
		if name != o.GetName() {
			out = append(out, requests(name)...)
		}
	}
	return out
}

// sameTrustDomain gathers the agencies with the trust domain of one.
func (g *gatherer) sameTrustDomain(ctx context.Context, a *v1alpha1.Agency) (*compile.Index, error) {
	x := g.empty()
	var list v1alpha1.AgencyList
	if err := g.list(ctx, &list, agencyByTrustDomain, a.Spec.TrustDomain); err != nil {
		return nil, err
	}
	for i := range list.Items {
		x.Agencies[list.Items[i].Name] = &list.Items[i]
	}
	x.Agencies[a.Name] = a
	return x, nil
}
