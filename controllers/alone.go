package controllers

import (
	"context"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// alone decides about the objects of one kind, each from nothing but itself: whether it is accepted, and what its status shows.
// O is the kind's type, S that of its status.
type alone[O client.Object, S any] struct {
	client client.Client
	gather *gatherer
	now    func() time.Time
	// kind of the objects, and the field owner of their status.
	kind, owner string
	// empty makes an object to read into.
	empty func() O
	// decide gives the status as the object has it and as it should be, and when that changes by itself; zero: never.
	decide func(o O, now time.Time) (have, want S, next time.Time)
}

func (r *alone[O, S]) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named(strings.ToLower(r.kind)).
		Watches(r.empty(), enqueueName, changed(generation)).
		WithOptions(options(1)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for an object's name.
func (r *alone[O, S]) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	o := r.empty()
	found, err := r.gather.get(ctx, request.Name, o)
	if err != nil || !found {
		return reconcile.Result{}, err
	}
	now := r.now()
	have, want, next := r.decide(o, now)
	var result reconcile.Result
	if !next.IsZero() {
		result.RequeueAfter = next.Sub(now)
	}
	if same(&have, &want) {
		return result, nil
	}
	return result, applyStatus(ctx, r.client, r.kind, client.ObjectKeyFromObject(o), r.owner, &want)
}

// newSchemas decides about exchange schemas, and shows the digests that agreements pin.
func newSchemas(c client.Client, g *gatherer, now func() time.Time) *alone[*v1alpha1.ExchangeSchema, v1alpha1.ExchangeSchemaStatus] {
	return &alone[*v1alpha1.ExchangeSchema, v1alpha1.ExchangeSchemaStatus]{
		client: c, gather: g, now: now, kind: "ExchangeSchema", owner: ownerSchema,
		empty: func() *v1alpha1.ExchangeSchema { return &v1alpha1.ExchangeSchema{} },
		decide: func(s *v1alpha1.ExchangeSchema, now time.Time) (have, want v1alpha1.ExchangeSchemaStatus, next time.Time) {
			want.Digest, want.Conditions = compile.SchemaConditions(s, s.Status.Conditions, now)
			return s.Status, want, next
		},
	}
}

// newProfiles decides about agreement profiles.
func newProfiles(c client.Client, g *gatherer, now func() time.Time) *alone[*v1alpha1.AgreementProfile, v1alpha1.AgreementProfileStatus] {
	return &alone[*v1alpha1.AgreementProfile, v1alpha1.AgreementProfileStatus]{
		client: c, gather: g, now: now, kind: "AgreementProfile", owner: ownerProfile,
		empty: func() *v1alpha1.AgreementProfile { return &v1alpha1.AgreementProfile{} },
		decide: func(p *v1alpha1.AgreementProfile, now time.Time) (have, want v1alpha1.AgreementProfileStatus, next time.Time) {
			want.Rules = int64(len(p.Spec.Rules))
			want.Conditions = compile.ProfileConditions(p, g.profiles, p.Status.Conditions, now)
			return p.Status, want, next
		},
	}
}

// newTaskForces decides about task forces, and shows the digests that agreements pin and where in its window each is.
func newTaskForces(c client.Client, g *gatherer, now func() time.Time) *alone[*v1alpha1.TaskForce, v1alpha1.TaskForceStatus] {
	return &alone[*v1alpha1.TaskForce, v1alpha1.TaskForceStatus]{
		client: c, gather: g, now: now, kind: "TaskForce", owner: ownerTaskForce,
		empty: func() *v1alpha1.TaskForce { return &v1alpha1.TaskForce{} },
		decide: func(f *v1alpha1.TaskForce, now time.Time) (have, want v1alpha1.TaskForceStatus, next time.Time) {
			want, next = compile.TaskForceStatus(f, now)
			return f.Status, want, next
		},
	}
}
