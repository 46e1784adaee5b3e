package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// credentials makes Vault have the roles that a plan declares, and no others of the agreement.
type credentials struct {
	client    client.Client
	namespace string
	roles     Roles
	scribe    *scribe
	inventory *inventory
	plans     *plans
	// compile calls for an agreement whose roles are prepared, or that has roles in Vault and no plan.
	compile *doorbell
	vault   *vaultWatch
	// back holds one signal that Vault answers again.
	back chan struct{}
	now  func() time.Time
}

func (r *credentials) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("credentials").
		WatchesRawSource(r.plans.credentials.source()).
		Watches(&v1alpha1.SharingAgreement{}, handler.EnqueueRequestsFromMapFunc(ofAgreement), changed(credentialsOutput)).
		WithOptions(options(8)).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler for an agreement's id.
func (r *credentials) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	id := request.Name
	p := r.plans.get(id)
	if p == nil {
		return reconcile.Result{}, nil
	}
	if p.unpublished != nil && !p.tombstone && !p.prepare {
		// Until the route stands, nothing is issued for it, and nothing that it may still carry ends.
		return reconcile.Result{}, r.report(ctx, p, progress{blocked: p.unpublished})
	}
	done := r.makeSo(ctx, id, p)
	if done.written && done.failed == nil {
		r.plans.write(id, p.credentials)
	}
	switch {
	case done.failed != nil:
	case p.prepare:
		r.compile.ringUrgent(id)
	default:
		r.plans.settle(id, p)
	}
	return reconcile.Result{}, errors.Join(done.failed, r.report(ctx, p, done))
}

// progress is how far the credentials of a plan are.
type progress struct {
	// blocked: the route must be published first.
	blocked error
	// away: Vault does not answer; written says whether everything that is declared was written before.
	away    error
	written bool
	// left are roles that must end and have not.
	left []string
	// failed is why something is still to be done.
	failed error
}

// makeSo ends the roles that the plan does not declare and writes those that it does, in this order. A plan that prepares a route
// ends none. Roles that were written and wait to be read (docs/adr/0047-start.md) are left for their turn.
func (r *credentials) makeSo(ctx context.Context, id string, p *plan) progress {
	if !r.inventory.isLoaded() {
		if _, err := r.inventory.load(ctx, r.roles); err != nil {
			return progress{away: err, failed: err}
		}
	}
	declared := map[roleKey]bool{}
	for _, c := range p.credentials {
		declared[keyOf(c)] = true
	}
	var out progress
	var errs []error
	for _, k := range r.inventory.of(id) {
		if declared[k] || p.prepare { // the route that stands may still need it
			continue
		}
		if err := r.revoke(ctx, k); err != nil {
			errs = append(errs, err)
			out.left = append(out.left, k.role)
			continue
		}
		r.inventory.remove(k)
	}
	out.written = !slices.ContainsFunc(p.credentials, func(c compile.Credential) bool { return !r.inventory.has(keyOf(c)) })
	// What is written goes on without Vault, whose return calls again; and its turn to be read comes.
	if out.away = r.vault.away(); out.written && (out.away != nil || r.plans.isUnread(id)) {
		out.failed = errors.Join(errs...)
		return out
	}
	for _, c := range p.credentials {
		// Noted before it is written: what may be there must be ended some day.
		r.inventory.add(keyOf(c))
		if err := r.roles.Ensure(ctx, c); err != nil {
			errs = append(errs, fmt.Errorf("write role %s: %w", c.Role, err))
			out.written = false
		}
	}
	if len(errs) == 0 {
		out.written = true
	}
	out.failed = errors.Join(errs...)
	return out
}

func (r *credentials) revoke(ctx context.Context, k roleKey) error {
	end := r.roles.RevokeAgreementRole
	if k.source {
		end = r.roles.RevokeSourceRole
	}
	if err := end(ctx, k.role); err != nil {
		return fmt.Errorf("end role %s: %w", k.role, err)
	}
	return nil
}

// report says CredentialsReady, and the credentials that there are, of each version.
func (r *credentials) report(ctx context.Context, p *plan, done progress) error {
	var errs []error
	for _, v := range p.versions {
		errs = append(errs, r.reportVersion(ctx, p, v, done))
	}
	return errors.Join(errs...)
}

func (r *credentials) reportVersion(ctx context.Context, p *plan, v plannedVersion, done progress) error {
	a := &v1alpha1.SharingAgreement{}
	key := client.ObjectKey{Namespace: r.namespace, Name: v.name}
	if err := r.client.Get(ctx, key, a); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("get agreement %s: %w", v.name, err)
	}
	r.scribe.read(a)
	want := v1alpha1.SharingAgreementStatus{Conditions: []metav1.Condition{
		credentialsReady(p, v, done).condition(v.generation, a.Status.Conditions, r.now()),
	}}
	if v.carried && (done.written || done.failed == nil && done.blocked == nil) {
		want.Credentials = r.statuses(p.credentials)
	}
	r.scribe.say(a, credentialsPart, want, nil)
	return nil
}

// credentialsReady says how the credentials of a version are.
func credentialsReady(p *plan, v plannedVersion, done progress) observation {
	o := observation{kind: v1alpha1.ConditionCredentialsReady, status: metav1.ConditionFalse}
	switch {
	case !v.carried && len(done.left) > 0:
		o.reason = v1alpha1.ReasonVaultError
		o.message = fmt.Sprintf("nothing is disclosed any more, but in Vault %s could not be ended yet, which is tried again: %v", strings.Join(done.left, ", "), done.failed)
	case !v.carried:
		o.reason, o.message = v1alpha1.ReasonNotInForce, "credentials exist while the agreement is in force"
	case done.blocked != nil:
		o.reason, o.message = v1alpha1.ReasonPending, fmt.Sprintf("waits for the gateway route: %v", done.blocked)
	case done.away != nil && done.written:
		o.status, o.reason = metav1.ConditionUnknown, v1alpha1.ReasonVaultError
		o.message = fmt.Sprintf("Vault gives %v: credentials that were issued go on until they end, new ones cannot be issued; see that Vault is up and unsealed", done.away)
	case done.failed != nil:
		o.reason, o.message = v1alpha1.ReasonVaultError, fmt.Sprintf("tried again: %v", done.failed)
	case len(p.credentials) == 0:
		o.status, o.reason = metav1.ConditionTrue, v1alpha1.ReasonReady
		o.message = "this agency is now the source of nothing under the agreement: the sources issue the credentials"
	default:
		o.status, o.reason = metav1.ConditionTrue, v1alpha1.ReasonReady
		o.message = fmt.Sprintf("%d roles are written in Vault", len(p.credentials))
	}
	return o
}

func (r *credentials) statuses(plan []compile.Credential) []v1alpha1.CredentialStatus {
	out := make([]v1alpha1.CredentialStatus, 0, len(plan))
	for _, c := range plan {
		end := metav1.NewTime(c.NotAfter)
		s := v1alpha1.CredentialStatus{Kind: "Agreement", Recipient: c.Recipient, VaultRole: r.roles.RolePath(c), NotAfter: &end}
		if c.Source != nil {
			s.Kind, s.Dataset = "Source", c.Source.Dataset
		}
		out = append(out, s)
	}
	return out
}

const (
	// sweepEvery is how often the names of Vault's roles are compared with the plans, and rereadEvery how often all roles are read.
	sweepEvery  = 10 * time.Minute
	rereadEvery = time.Hour
	// readEvery is how soon after another the roles of an agreement are read: Vault has others to serve, and ten thousand agreements
	// are read within four minutes.
	readEvery = 20 * time.Millisecond
	// lookForUnread is how often it is looked whether roles wait to be read, while none do.
	lookForUnread = time.Second
)

// sweep implements manager.RunnableFunc: it finds roles of agreements that no longer exist, and roles that are missing, which a list of
// names shows; and once an hour it has all others read.
func (r *credentials) sweep(ctx context.Context) error {
	var reread time.Time
	for {
		wait := sweepEvery
		if there, err := r.inventory.load(ctx, r.roles); err != nil {
			wait = longestRetry
		} else {
			for _, id := range r.inventory.ids() {
				if r.plans.get(id) == nil {
					r.compile.ring(id)
				}
			}
			due := time.Since(reread) >= rereadEvery
			if r.compare(there, due); due {
				reread = time.Now()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.back:
		case <-time.After(wait):
		}
	}
}

// compare calls for the agreements with a role that is not there, and leaves the others to be read when that is due.
func (r *credentials) compare(there map[roleKey]bool, due bool) {
	for _, id := range r.plans.ids() {
		p := r.plans.get(id)
		switch {
		case p == nil || len(p.credentials) == 0 || !r.plans.isSettled(id, p): // what is not settled is at work
		case slices.ContainsFunc(p.credentials, func(c compile.Credential) bool { return !there[keyOf(c)] }):
			r.plans.readNow(id)
			r.plans.credentials.ring(id)
		case due:
			r.plans.leaveUnread(id, p)
		}
	}
}

// read implements manager.RunnableFunc: it has the roles that wait for it read, one agreement after the other.
func (r *credentials) read(ctx context.Context) error {
	for {
		wait := lookForUnread
		if id := r.plans.nextUnread(); id != "" {
			r.plans.credentials.ringWhenever(id)
			wait = readEvery
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// vaultChanged calls for all whose status says how Vault is, and for those whose route could not be signed. A Vault that is back may not
// have what it had.
func (r *credentials) vaultChanged() {
	for _, id := range r.plans.ids() {
		p := r.plans.get(id)
		switch {
		case p == nil:
		case p.unpublished != nil:
			r.compile.ringUrgent(id)
			r.plans.credentials.ringUrgent(id)
		case !r.plans.isSettled(id, p):
			r.plans.credentials.ring(id)
		case len(p.credentials) > 0:
			r.plans.leaveUnread(id, p)
			r.plans.credentials.ringWhenever(id) // ten thousand of them: what somebody waits for goes first
		}
	}
	if r.vault.away() == nil {
		select {
		case r.back <- struct{}{}:
		default:
		}
	}
}
