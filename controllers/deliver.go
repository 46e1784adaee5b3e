package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
)

// deliveries tells the other parties what this agency says of its agreements, until they acknowledge it. What they acknowledged is
// kept in status, so nothing is forgotten over restarts. Terms are proposed with this agency's signature: what it has not accepted
// itself, it proposes to nobody.
type deliveries struct {
	client   client.Client
	record   *record
	pool     *exchange.Pool
	contacts *contacts
	recorder events.EventRecorder
	now      func() time.Time
	door     doorbell

	mu sync.Mutex
	// failures in a row and corrections of what status says was acknowledged, by agreement and agency; guarded by mu.
	failures  map[string]map[string]int
	corrected map[string]map[string][]v1alpha1.StatementRef
	// fresh statements by agreement, until the cache has them; guarded by mu.
	fresh map[string][]v1alpha1.AgreementStatement
}

// How soon a message is sent again that a peer refused. What may pass by itself is tried up to every minute; the rest waits for
// somebody to do something.
const (
	firstAgain   = 500 * time.Millisecond
	longestAgain = time.Minute
	refusedAgain = 10 * time.Minute
)

func (r *deliveries) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("deliver").
		WatchesRawSource(r.door.source()).
		Watches(&v1alpha1.SharingAgreement{}, enqueueName, changed(deliveryInput)).
		WithOptions(options(16)).
		Complete(r)
}

// deliveryInput is what there is to tell, and what may make a peer know of the agreement.
func deliveryInput(o client.Object) any {
	a := o.(*v1alpha1.SharingAgreement)
	return []any{a.Status.Digest, a.Status.Signatures, a.Status.Statements, a.Status.Received, a.DeletionTimestamp, a.UID}
}

// Reconcile implements reconcile.Reconciler for the object name of an agreement.
func (r *deliveries) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	a := &v1alpha1.SharingAgreement{}
	found, err := r.record.gather.get(ctx, request.Name, a)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !found || a.Status.Digest == "" || !a.DeletionTimestamp.IsZero() {
		r.forget(request.Name)
		return reconcile.Result{}, nil
	}
	a = r.withFresh(a)
	said := exchange.Said(a, r.record.gather.self)
	if len(said) == 0 {
		return reconcile.Result{}, nil
	}
	told, again, err := r.tellAll(ctx, a, said)
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: again}, r.report(ctx, a, told)
}

// tellAll tells each other party what it does not know, all at once: one that is slow does not make the others wait.
func (r *deliveries) tellAll(ctx context.Context, a *v1alpha1.SharingAgreement, said []v1alpha1.AgreementStatement) ([]v1alpha1.AgreementDelivery, time.Duration, error) {
	var peers []exchange.Peer
	for _, p := range a.Spec.Terms.Parties {
		peer, ok, err := r.record.peer(ctx, p.Agency)
		if err != nil {
			return nil, 0, err
		}
		if ok && peer.TrustDomain == p.TrustDomain {
			peers = append(peers, peer)
		}
	}
	slices.SortFunc(peers, func(x, y exchange.Peer) int { return strings.Compare(x.Agency, y.Agency) })
	told := make([]v1alpha1.AgreementDelivery, len(peers))
	waits := make([]time.Duration, len(peers))
	var wg sync.WaitGroup
	for i, peer := range peers {
		wg.Go(func() { told[i], waits[i] = r.tell(ctx, a, peer, said) })
	}
	wg.Wait()
	again := time.Duration(0)
	for _, w := range waits {
		if w > 0 && (again == 0 || w < again) {
			again = w
		}
	}
	return told, again, nil
}

// tell sends what one party has not acknowledged, and says when to try again; 0: when something changes.
func (r *deliveries) tell(ctx context.Context, a *v1alpha1.SharingAgreement, peer exchange.Peer, said []v1alpha1.AgreementStatement) (v1alpha1.AgreementDelivery, time.Duration) {
	l := letter{
		pool: r.pool, record: r.record, to: peer, agreement: a, said: said, over: over(a, said, r.now()),
		done: make([]bool, len(said)), acknowledged: make([]bool, len(said)),
	}
	acknowledged, known := r.take(a.Name, peer.Agency)
	if d := delivery(a, peer.Agency); !known && d != nil {
		acknowledged = d.Acknowledged
	}
	l.acknowledge(acknowledged)
	out := v1alpha1.AgreementDelivery{Agency: peer.Agency}
	var again time.Duration
	if l.open() {
		if r.contacts.away(peer.Agency) {
			out.Failure = unreachable(peer) // its return calls
		} else if err := l.send(ctx); err != nil {
			out.Failure, again = r.failed(a.Name, peer, err)
		} else {
			r.sent(a.Name, peer.Agency)
		}
	}
	out.Acknowledged = l.refs()
	return out, again
}

// failed notes a failure: what people are told, and when to try again.
func (r *deliveries) failed(name string, peer exchange.Peer, err error) (message string, again time.Duration) {
	reason := exchange.ReasonOf(err)
	if reason == exchange.ClockSkew {
		r.contacts.suspect(peer.Agency)
	}
	switch reason {
	case "":
		if status.Code(err) == codes.Unimplemented {
			return fmt.Sprintf("agency %s takes agreements by file only", peer.Agency), refusedAgain
		}
		r.contacts.lost(peer.Agency, err)
		return unreachable(peer), 0
	case exchange.RateLimited, exchange.TooManyProposals, exchange.Busy, exchange.ClockSkew, exchange.OtherTerms:
		r.mu.Lock()
		if r.failures[name] == nil {
			r.failures[name] = map[string]int{}
		}
		n := r.failures[name][peer.Agency]
		r.failures[name][peer.Agency]++
		r.mu.Unlock()
		again = backoff(firstAgain, longestAgain, n)
	default:
		again = refusedAgain
	}
	return clip(fmt.Sprintf("agency %s refuses it (%s): %s", peer.Agency, reason, status.Convert(err).Message())), again
}

func (r *deliveries) sent(name, agency string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if delete(r.failures[name], agency); len(r.failures[name]) == 0 {
		delete(r.failures, name)
	}
}

// correct takes note of what a peer holds, which is not what it acknowledged.
func (r *deliveries) correct(name, agency string, held []v1alpha1.StatementRef) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.corrected[name] == nil {
		r.corrected[name] = map[string][]v1alpha1.StatementRef{}
	}
	r.corrected[name][agency] = held
}

// take gives the correction, once.
func (r *deliveries) take(name, agency string) ([]v1alpha1.StatementRef, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held, ok := r.corrected[name][agency]
	if delete(r.corrected[name], agency); len(r.corrected[name]) == 0 {
		delete(r.corrected, name)
	}
	return held, ok
}

// hurry sends statements that are not in the cache yet. What stops must not wait until it was written and read again; a statement
// that was sent and not written is signed anew, and is the same to whoever has it.
func (r *deliveries) hurry(name string, statements []v1alpha1.AgreementStatement) {
	r.mu.Lock()
	r.fresh[name] = statements
	r.mu.Unlock()
	r.door.ringUrgent(name)
}

// withFresh is the agreement with the statements that were just signed, once: the next change of the object has them.
func (r *deliveries) withFresh(a *v1alpha1.SharingAgreement) *v1alpha1.SharingAgreement {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh, ok := r.fresh[a.Name]
	if !ok {
		return a
	}
	delete(r.fresh, a.Name)
	a = a.DeepCopy()
	a.Status.Statements = fresh
	return a
}

func (r *deliveries) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.fresh, name)
	delete(r.failures, name)
	delete(r.corrected, name)
}

// report applies what the parties were told. A failure that is new is an event, once.
func (r *deliveries) report(ctx context.Context, a *v1alpha1.SharingAgreement, told []v1alpha1.AgreementDelivery) error {
	have := v1alpha1.SharingAgreementStatus{Delivered: a.Status.Delivered}
	want := v1alpha1.SharingAgreementStatus{Delivered: told}
	if same(&have, &want) {
		return nil
	}
	if err := applyStatus(ctx, r.client, "SharingAgreement", client.ObjectKeyFromObject(a), v1alpha1.OwnerDelivered, &want); err != nil {
		return err
	}
	for _, d := range told {
		if before := delivery(a, d.Agency); d.Failure != "" && (before == nil || before.Failure == "") {
			r.recorder.Eventf(a, nil, corev1.EventTypeWarning, "NotDelivered", "Deliver", "%s", d.Failure)
		}
	}
	return nil
}

// delivery finds what a party was told, as status says.
func delivery(a *v1alpha1.SharingAgreement, agency string) *v1alpha1.AgreementDelivery {
	for i := range a.Status.Delivered {
		if a.Status.Delivered[i].Agency == agency {
			return &a.Status.Delivered[i]
		}
	}
	return nil
}

// lacks says whether have is without one of want.
func lacks(have, want []v1alpha1.StatementRef) bool {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h v1alpha1.StatementRef) bool {
			return h.Decision == w.Decision && h.Duty == w.Duty && sameInstant(h.DecidedAt, w.DecidedAt)
		}) {
			return true
		}
	}
	return false
}

// over says that there is no point in proposing the agreement any more.
func over(a *v1alpha1.SharingAgreement, said []v1alpha1.AgreementStatement, now time.Time) bool {
	if slices.ContainsFunc(said, func(s v1alpha1.AgreementStatement) bool { return s.Decision == v1alpha1.DecisionTerminate }) {
		return true
	}
	switch a.Status.State {
	case v1alpha1.StateTerminated, v1alpha1.StateExpired, v1alpha1.StateSuperseded:
		return true
	}
	return !now.Before(a.Spec.Terms.Term.NotAfter.Time)
}

// letter is what one party is told of one agreement.
type letter struct {
	pool      *exchange.Pool
	record    *record
	to        exchange.Peer
	agreement *v1alpha1.SharingAgreement
	said      []v1alpha1.AgreementStatement
	// over: it is not proposed any more.
	over bool
	// done, for each of said: acknowledged, or nothing to tell this party.
	done, acknowledged []bool
}

func ref(s v1alpha1.AgreementStatement) v1alpha1.StatementRef {
	return v1alpha1.StatementRef{Decision: s.Decision, Duty: s.Duty, DecidedAt: s.DecidedAt}
}

func (l *letter) acknowledge(refs []v1alpha1.StatementRef) {
	for i, s := range l.said {
		if !lacks(refs, []v1alpha1.StatementRef{ref(s)}) {
			l.done[i], l.acknowledged[i] = true, true
		} else if s.Decision == v1alpha1.DecisionAccept && l.over {
			l.done[i] = true
		}
	}
}

func (l *letter) open() bool {
	for i := range l.said {
		if !l.done[i] {
			return true
		}
	}
	return false
}

func (l *letter) refs() []v1alpha1.StatementRef {
	var out []v1alpha1.StatementRef
	for i, s := range l.said {
		if l.acknowledged[i] {
			out = append(out, ref(s))
		}
	}
	return out
}

// send sends what is open; what stops comes first.
func (l *letter) send(ctx context.Context) error {
	for i := len(l.said) - 1; i >= 0; i-- {
		if l.done[i] {
			continue
		}
		if err := l.sendOne(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (l *letter) sendOne(ctx context.Context, i int) error {
	s := l.said[i]
	if s.Decision == v1alpha1.DecisionAccept {
		return l.propose(ctx, i)
	}
	err := l.pool.RecordDecision(ctx, l.to, l.agreement.Name, s.JWS)
	if exchange.ReasonOf(err) == exchange.UnknownAgreement {
		// The party was never told of the agreement, or has lost it.
		vote := slices.IndexFunc(l.said, func(s v1alpha1.AgreementStatement) bool { return s.Decision == v1alpha1.DecisionAccept })
		if vote < 0 || l.over {
			l.done[i] = true // it need not know what this agency says of it
			return nil
		}
		if err := l.propose(ctx, vote); err != nil {
			return err
		}
		err = l.pool.RecordDecision(ctx, l.to, l.agreement.Name, s.JWS)
	}
	if err == nil {
		l.done[i], l.acknowledged[i] = true, true
	}
	return err
}

func (l *letter) propose(ctx context.Context, i int) error {
	terms, err := json.Marshal(&l.agreement.Spec.Terms)
	if err != nil {
		return fmt.Errorf("terms of %s: %w", l.agreement.Name, err)
	}
	taskForces, err := l.record.taskForces(ctx, &l.agreement.Spec.Terms)
	if err != nil {
		return err
	}
	if err := l.pool.Propose(ctx, l.to, terms, l.agreement.Status.Digest, l.said[i].JWS, taskForces); err != nil {
		return err
	}
	l.done[i], l.acknowledged[i] = true, true
	return nil
}
