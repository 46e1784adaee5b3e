package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// scribe writes into the status of agreements what compile, the credentials' reconciler and the gateways' reports have to say. An
// agreement that comes into force is spoken of some eight times within a moment, and each write costs the API server several times a
// read, however little changes: what is said meanwhile is one write.
type scribe struct {
	client    client.Client
	namespace string
	door      doorbell
	now       func() time.Time

	mu    sync.Mutex
	pages map[string]*page // by object name
}

// gatherFor is how long a first word waits for more.
const gatherFor = 50 * time.Millisecond

// part of an agreement's status that one reconciler has to say.
type part int

const (
	compiledPart part = iota
	credentialsPart
	programmedPart
	parts
)

// conditionsOf are the condition types of each part.
var conditionsOf = [parts][]string{
	compiledPart:    compiledConditions,
	credentialsPart: {v1alpha1.ConditionCredentialsReady},
	programmedPart:  {v1alpha1.ConditionProgrammed},
}

// page is what was said of one object and is not in the cache yet.
type page struct {
	uid   types.UID
	words [parts]*word
	// since when something waits to be written; zero: nothing does.
	since time.Time
	// written is the resource version of the last write, until the cache has it.
	written string
}

// word is what one reconciler says.
type word struct {
	status v1alpha1.SharingAgreementStatus
	// told is called once it is written, with the object as it was before; may be nil.
	told    func(before *v1alpha1.SharingAgreement)
	written bool
}

func newScribe(c client.Client, namespace string, now func() time.Time) *scribe {
	return &scribe{client: c, namespace: namespace, now: now, pages: map[string]*page{}}
}

func (s *scribe) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("status").
		WatchesRawSource(s.door.source()).
		Watches(&v1alpha1.SharingAgreement{}, enqueueName, builder.WithPredicates(predicate.NewPredicateFuncs(s.knows))).
		WithOptions(options(4)).
		Complete(s)
}

// knows says whether something was said of the object that the cache may have by now.
func (s *scribe) knows(o client.Object) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pages[o.GetName()] != nil
}

// read lays over an agreement from the cache what was said of it since: what is to be written counts as written.
func (s *scribe) read(a *v1alpha1.SharingAgreement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[a.Name]
	if p == nil || p.uid != a.UID {
		return
	}
	for k, w := range p.words {
		if w != nil {
			setPart(&a.Status, part(k), &w.status)
		}
	}
}

// say has a part of the status of an agreement that was read written, unless it is there.
func (s *scribe) say(a *v1alpha1.SharingAgreement, k part, want v1alpha1.SharingAgreementStatus, told func(before *v1alpha1.SharingAgreement)) {
	if samePart(&a.Status, &want, k) {
		return
	}
	s.mu.Lock()
	p := s.pages[a.Name]
	if p == nil || p.uid != a.UID {
		p = &page{uid: a.UID}
		s.pages[a.Name] = p
	}
	p.words[k] = &word{status: want, told: told}
	if p.since.IsZero() {
		p.since = s.now()
	}
	s.mu.Unlock()
	s.door.ring(a.Name)
}

// Reconcile implements reconcile.Reconciler for the object name of an agreement.
func (s *scribe) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	a := &v1alpha1.SharingAgreement{}
	err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: request.Name}, a)
	if apierrors.IsNotFound(err) {
		s.tear(request.Name, nil)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("get agreement %s: %w", request.Name, err)
	}
	words, wait := s.open(a)
	if wait > 0 || words == nil {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	next := a.DeepCopy()
	changed := false
	for k, w := range words {
		if w != nil {
			changed = changed || !samePart(&a.Status, &w.status, part(k))
			setPart(&next.Status, part(k), &w.status)
		}
	}
	written := a.ResourceVersion
	if changed {
		if written, err = s.write(ctx, next); apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			s.tear(a.Name, words) // another object of the name: who speaks of it will
			return reconcile.Result{}, nil
		} else if err != nil {
			return reconcile.Result{}, fmt.Errorf("write status of %s: %w", a.Name, err)
		}
	}
	s.close(a, words, written)
	for k, w := range words {
		if changed && w != nil && w.told != nil && !samePart(&a.Status, &w.status, part(k)) {
			w.told(a)
		}
	}
	return reconcile.Result{}, nil
}

// open gives the words that are to be written, or how long they still wait. What the cache has is forgotten. Until the cache has the
// last write, its event calls again.
func (s *scribe) open(a *v1alpha1.SharingAgreement) (words *[parts]*word, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[a.Name]
	switch {
	case p == nil:
		return nil, 0
	case p.uid != a.UID:
		delete(s.pages, a.Name)
		return nil, 0
	case p.written != "" && !reached(a.ResourceVersion, p.written):
		return nil, 0
	}
	p.written = ""
	for k, w := range p.words {
		if w != nil && w.written {
			p.words[k] = nil
		}
	}
	if p.since.IsZero() {
		delete(s.pages, a.Name)
		return nil, 0
	}
	if wait = p.since.Add(gatherFor).Sub(s.now()); wait > 0 {
		return nil, wait
	}
	return new(p.words), 0
}

// close notes what was written as of a resource version. What was said meanwhile waits for the cache to have it.
func (s *scribe) close(a *v1alpha1.SharingAgreement, words *[parts]*word, written string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[a.Name]
	if p == nil || p.uid != a.UID {
		return
	}
	there, more := reached(a.ResourceVersion, written), false
	for k, w := range p.words {
		switch {
		case w == nil:
		case w != words[k]:
			more = true
		case there:
			p.words[k] = nil
		default:
			w.written = true
		}
	}
	if !there {
		p.written = written
	}
	if !more {
		p.since = time.Time{}
	}
	if there && !more {
		delete(s.pages, a.Name)
	}
}

// tear forgets what was said of an object: all of it, or these words.
func (s *scribe) tear(name string, words *[parts]*word) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[name]
	if p == nil {
		return
	}
	for k, w := range p.words {
		if w != nil && words != nil && w != words[k] {
			return // of the object that is there now
		}
	}
	delete(s.pages, name)
}

// write applies all parts at once, since what an owner leaves out is removed, and gives the resource version since then.
func (s *scribe) write(ctx context.Context, a *v1alpha1.SharingAgreement) (string, error) {
	status := &v1alpha1.SharingAgreementStatus{}
	for k := range parts {
		setPart(status, k, &a.Status)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
	if err != nil {
		return "", err
	}
	if len(status.Credentials) == 0 {
		// Where the release before, which had an owner for each part, said that there are some, leaving them out would keep them.
		content["credentials"] = []any{}
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "SharingAgreement",
		"metadata":   map[string]any{"name": a.Name, "namespace": a.Namespace, "uid": string(a.UID)},
		"status":     content,
	}}
	err = s.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(v1alpha1.OwnerCompile), client.ForceOwnership)
	return u.GetResourceVersion(), err
}

// setPart makes a part of a status be as in another.
func setPart(to *v1alpha1.SharingAgreementStatus, k part, from *v1alpha1.SharingAgreementStatus) {
	switch k {
	case compiledPart:
		to.Digest, to.Parties, to.State, to.Verified, to.Decisions = from.Digest, from.Parties, from.State, from.Verified, from.Decisions
		to.Coverage, to.Duties, to.Routes = from.Coverage, from.Duties, from.Routes
	case credentialsPart:
		to.Credentials = from.Credentials
	}
	var conditions []metav1.Condition
	for _, c := range to.Conditions {
		if !slices.Contains(conditionsOf[k], c.Type) {
			conditions = append(conditions, c)
		}
	}
	to.Conditions = append(conditions, only(from.Conditions, conditionsOf[k]...)...)
}

// samePart compares a part of two statuses; empty and absent are the same, and the order of conditions means nothing.
func samePart(a, b *v1alpha1.SharingAgreementStatus, k part) bool {
	var x, y v1alpha1.SharingAgreementStatus
	setPart(&x, k, a)
	setPart(&y, k, b)
	x.Conditions, y.Conditions = byType(x.Conditions), byType(y.Conditions)
	return same(&x, &y)
}
