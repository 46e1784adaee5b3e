package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// agreements compiles an agreement, publishes its route, and applies what compile decided to its objects' status.
type agreements struct {
	client   client.Client
	gather   *gatherer
	scribe   *scribe
	routes   *publisher
	plans    *plans
	door     *doorbell
	timers   *timers
	recorder events.EventRecorder
	now      func() time.Time
}

// compiledConditions are the condition types that compile decides.
var compiledConditions = []string{
	v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionSigned, v1alpha1.ConditionInForce,
	v1alpha1.ConditionSuspended, v1alpha1.ConditionBeginning, v1alpha1.ConditionExpiring, v1alpha1.ConditionRenewalDue,
	v1alpha1.ConditionReviewDue, v1alpha1.ConditionDutyDue,
}

func (r *agreements) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("agreement").
		WatchesRawSource(r.door.source()).
		Watches(&v1alpha1.SharingAgreement{}, handler.EnqueueRequestsFromMapFunc(ofAgreement), changed(agreementInput)).
		Watches(&v1alpha1.AgreementDecision{}, handler.EnqueueRequestsFromMapFunc(r.ofDecision)).
		Watches(&v1alpha1.GatewayRoute{}, handler.EnqueueRequestsFromMapFunc(byName)).
		Watches(&v1alpha1.Agency{}, handler.EnqueueRequestsFromMapFunc(r.ofAgency), changed(agencyInput)).
		Watches(&v1alpha1.ExchangeSchema{}, handler.EnqueueRequestsFromMapFunc(r.ofSchema), changed(generation)).
		Watches(&v1alpha1.AgreementProfile{}, handler.EnqueueRequestsFromMapFunc(r.ofProfile), changed(generation)).
		Watches(&v1alpha1.TaskForce{}, handler.EnqueueRequestsFromMapFunc(r.ofTaskForce), changed(generation)).
		Watches(&v1alpha1.Dataset{}, handler.EnqueueRequestsFromMapFunc(r.ofDataset), changed(datasetInput)).
		WithOptions(options(8)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for an agreement's id.
func (r *agreements) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	id := request.Name
	index, err := r.gather.agreement(ctx, id)
	if err != nil {
		return reconcile.Result{}, err
	}
	for _, v := range index.Agreements[id] {
		r.scribe.read(v)
	}
	// In a step of its own, before any effect outside: the change comes back as an event.
	if added, err := r.addFinalizers(ctx, index.Agreements[id]); added || err != nil {
		return reconcile.Result{}, err
	}
	have, readErr := r.routes.read(ctx, id)
	if readErr != nil && have.prior == nil {
		return reconcile.Result{}, readErr
	}
	result := compile.CompileAgreement(index, id, prior(index.Agreements[id], have), r.now())
	if !have.stands(result.Route) && result.Route.Tombstone == nil && !r.plans.isWritten(id, result.Credentials) {
		// A permission begins with its credentials and ends with its route. The credentials' reconciler calls back.
		next := planOf(result, index.Agreements[id], index.Self, readErr)
		next.prepare = true
		r.plans.put(id, next)
		r.timers.set(id, result.Next)
		r.say(index.Agreements[id], result)
		return reconcile.Result{}, readErr
	}
	routeErr := errors.Join(readErr, r.routes.publish(ctx, have, result.Route))
	if apierrors.IsConflict(routeErr) || apierrors.IsAlreadyExists(routeErr) {
		return reconcile.Result{RequeueAfter: 5 * time.Millisecond}, nil // the cache is behind
	}
	// Credentials end only after the tombstone is there; what is begun is done even when the status cannot be written.
	next := planOf(result, index.Agreements[id], index.Self, routeErr)
	next.stood = result.Route != nil && result.Route.Tombstone == nil && have.stands(result.Route)
	r.plans.put(id, next)
	r.timers.set(id, result.Next)
	r.say(index.Agreements[id], result)
	return reconcile.Result{}, routeErr
}

// prior is what was decided before.
func prior(versions []*v1alpha1.SharingAgreement, have published) compile.Prior {
	p := compile.Prior{Route: have.prior, Conditions: map[string][]metav1.Condition{}}
	for _, v := range versions {
		p.Conditions[v.Name] = v.Status.Conditions
	}
	return p
}

func (r *agreements) addFinalizers(ctx context.Context, versions []*v1alpha1.SharingAgreement) (added bool, err error) {
	for _, v := range versions {
		if !v.DeletionTimestamp.IsZero() || controllerutil.ContainsFinalizer(v, v1alpha1.Finalizer) {
			continue
		}
		before := v.DeepCopy()
		controllerutil.AddFinalizer(v, v1alpha1.Finalizer)
		// A patch of the finalizers only: an update would write back the terms as this release knows them.
		if err := r.client.Patch(ctx, v, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return added, client.IgnoreNotFound(fmt.Errorf("add finalizer to %s: %w", v.Name, err))
		}
		added = true
	}
	return added, nil
}

// say has what was decided written into the objects' status. Changes are events, once they are written.
func (r *agreements) say(versions []*v1alpha1.SharingAgreement, result compile.Result) {
	objects := map[string]*v1alpha1.SharingAgreement{}
	for _, v := range versions {
		objects[v.Name] = v
	}
	for i := range result.Versions {
		v := &result.Versions[i]
		o := objects[v.Name]
		if o == nil {
			continue
		}
		r.scribe.say(o, compiledPart, v.Status, func(before *v1alpha1.SharingAgreement) {
			if before.Status.State != v.Status.State {
				r.tell(before, v.Status)
			}
			r.remind(before, before.Status.Conditions, v.Status.Conditions)
			r.remindOfDuties(before, before.Status.Duties, v.Status.Duties)
		})
	}
}

// tell records a change of state as an event.
func (r *agreements) tell(o *v1alpha1.SharingAgreement, status v1alpha1.SharingAgreementStatus) {
	kind := corev1.EventTypeNormal
	switch status.State {
	case v1alpha1.StateRejected, v1alpha1.StateSuspended, v1alpha1.StateTerminated, v1alpha1.StateExpired:
		kind = corev1.EventTypeWarning
	}
	r.recorder.Eventf(o, nil, kind, string(status.State), "Compile", "%s", because(status.Conditions))
}

// because is the message of the first condition that is not met, or else that of InForce.
func because(conditions []metav1.Condition) string {
	message := ""
	for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionSigned, v1alpha1.ConditionInForce} {
		for _, c := range conditions {
			if c.Type != kind {
				continue
			}
			if message = c.Message; c.Status != metav1.ConditionTrue {
				return message
			}
		}
	}
	return message
}

func planOf(result compile.Result, versions []*v1alpha1.SharingAgreement, self string, unpublished error) *plan {
	p := &plan{credentials: result.Credentials, unpublished: unpublished}
	if result.Route != nil {
		p.sequence, p.tombstone = result.Route.Sequence, result.Route.Tombstone != nil
	}
	objects := map[string]*v1alpha1.SharingAgreement{}
	for _, v := range versions {
		objects[v.Name] = v
	}
	for _, v := range result.Versions {
		pv := plannedVersion{
			name: v.Name, state: v.Status.State, carried: len(v.Status.Routes) > 0,
			sign: v.Sign, digest: v.Status.Digest, decided: v.Status.Decisions,
			say: v.Say, due: due(v.Status.Conditions), duties: owed(v.Status.Duties, self),
		}
		if o := objects[v.Name]; o != nil {
			pv.generation, pv.deleting = o.Generation, !o.DeletionTimestamp.IsZero()
		}
		p.versions = append(p.versions, pv)
	}
	return p
}

// From an object to the agreements that it concerns. A change maps both what the object was and what it is.

func byName(_ context.Context, o client.Object) []reconcile.Request { return requests(o.GetName()) }

func (r *agreements) ofDecision(_ context.Context, o client.Object) []reconcile.Request {
	return requests(agreementID(o.(*v1alpha1.AgreementDecision).Spec.Agreement))
}

func (r *agreements) ofAgency(ctx context.Context, o client.Object) []reconcile.Request {
	return r.naming(ctx, agencyRef(o.GetName()))
}

func (r *agreements) ofSchema(ctx context.Context, o client.Object) []reconcile.Request {
	out := r.naming(ctx, schemaRef(o.GetName()))
	// Terms do not name the schema of consents: their dataset does.
	var datasets v1alpha1.DatasetList
	if err := r.gather.list(ctx, &datasets, datasetBySchema, o.GetName(), client.UnsafeDisableDeepCopy); err != nil {
		unmapped(ctx, o.GetName(), err)
	}
	for i := range datasets.Items {
		out = append(out, r.naming(ctx, datasetRef(datasets.Items[i].Name))...)
	}
	return out
}

func (r *agreements) ofProfile(ctx context.Context, o client.Object) []reconcile.Request {
	return r.naming(ctx, profileRef(o.GetName()))
}

func (r *agreements) ofTaskForce(ctx context.Context, o client.Object) []reconcile.Request {
	return r.naming(ctx, taskForceRef(o.GetName()))
}

func (r *agreements) ofDataset(ctx context.Context, o client.Object) []reconcile.Request {
	d := o.(*v1alpha1.Dataset)
	return append(r.naming(ctx, schemaRef(schemaName(d.Spec.Schema))), r.naming(ctx, datasetRef(d.Name))...)
}

// unmapped tells that the cache did not answer, as when the operator is stopped before its first lists have come. The next start compiles everything.
func unmapped(ctx context.Context, what string, err error) {
	log.FromContext(ctx).Error(err, "the agreements that name it are not compiled again", "name", what)
}

// naming are the agreements whose terms name the reference.
func (r *agreements) naming(ctx context.Context, ref string) []reconcile.Request {
	var list v1alpha1.SharingAgreementList
	// Only ids are read: no copies of what may be ten thousand agreements.
	if err := r.gather.list(ctx, &list, agreementByRef, ref, client.UnsafeDisableDeepCopy); err != nil {
		unmapped(ctx, ref, err)
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, requests(list.Items[i].Spec.Terms.ID)...)
	}
	return out
}

func requests(name string) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: name}}}
}
