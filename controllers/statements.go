package controllers

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/signature"
)

// statements signs what this agency has to tell the other parties beside its signature.
type statements struct {
	client client.Client
	gather *gatherer
	keys   keys.AgreementSigner
	plans  *plans
	// fresh hears of statements that were just signed: they are sent while they are written down.
	fresh func(agreement string, statements []v1alpha1.AgreementStatement)
}

func (r *statements) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("statement").
		WatchesRawSource(r.plans.statements.source()).
		WithOptions(options(4)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for an agreement's id.
func (r *statements) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	p := r.plans.get(request.Name)
	if p == nil {
		return reconcile.Result{}, nil
	}
	var errs []error
	for _, v := range p.versions {
		if v.digest != "" && !v.deleting {
			errs = append(errs, r.state(ctx, v))
		}
	}
	return reconcile.Result{}, errors.Join(errs...)
}

// state makes the statements of a version be what this agency says now, and signs those that are new.
func (r *statements) state(ctx context.Context, v plannedVersion) error {
	a := &v1alpha1.SharingAgreement{}
	if found, err := r.gather.get(ctx, v.name, a); err != nil || !found {
		return err
	}
	var want []v1alpha1.AgreementStatement
	for _, ref := range v.say {
		if ref.Decision == v1alpha1.DecisionAccept && r.signed(a, v.digest, ref) {
			continue
		}
		s, err := r.statement(ctx, a, v.digest, ref)
		if err != nil {
			return fmt.Errorf("state %s of agreement %s: %w", ref.Decision, v.name, err)
		}
		want = append(want, s)
	}
	have := v1alpha1.SharingAgreementStatus{Statements: a.Status.Statements}
	status := v1alpha1.SharingAgreementStatus{Statements: want}
	if same(&have, &status) {
		return nil
	}
	r.fresh(v.name, want)
	return applyStatus(ctx, r.client, "SharingAgreement", client.ObjectKeyFromObject(a), v1alpha1.OwnerStatements, &status)
}

// signed says whether the signature says as much already.
func (r *statements) signed(a *v1alpha1.SharingAgreement, digest string, ref v1alpha1.StatementRef) bool {
	for _, s := range a.Status.Signatures {
		claims, err := signature.Read(s.JWS)
		if err == nil && s.Agency == r.gather.self && claims.Digest == digest && claims.DecidedAt.Unix() >= ref.DecidedAt.Unix() {
			return true
		}
	}
	return false
}

// statement is the one that is kept, or else a new one.
func (r *statements) statement(ctx context.Context, a *v1alpha1.SharingAgreement, digest string, ref v1alpha1.StatementRef) (v1alpha1.AgreementStatement, error) {
	for _, s := range a.Status.Statements {
		if s.Decision != ref.Decision || s.Duty != ref.Duty || !sameInstant(s.DecidedAt, ref.DecidedAt) {
			continue
		}
		if claims, err := signature.Read(s.JWS); err == nil && claims.Digest == digest {
			return s, nil
		}
	}
	jws, err := signature.SignStatement(ctx, r.keys, signature.Claims{
		Digest: digest, Decision: ref.Decision, Duty: ref.Duty, Agency: r.gather.self, DecidedAt: ref.DecidedAt.Time,
	})
	return v1alpha1.AgreementStatement{Agency: r.gather.self, Decision: ref.Decision, Duty: ref.Duty, DecidedAt: ref.DecidedAt, JWS: jws}, err
}
