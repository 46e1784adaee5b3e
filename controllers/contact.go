package controllers

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/gateway/route"
)

// contacts keeps in touch with peers' operators. It lists what each knows, at the start, every few minutes, and when one that was
// away is back: so whatever either side lost, messages or all of its state, is found out and told again. While a peer is away, it is
// the only one that calls there.
type contacts struct {
	record *record
	pool   *exchange.Pool
	inbox  *exchange.Inbox
	log    *slog.Logger
	door   doorbell
	// corrected is called when a peer does not hold what it acknowledged; ring when there may be something to tell.
	corrected func(agreement, agency string, held []v1alpha1.StatementRef)
	ring      func(agreement string)

	recorder events.EventRecorder
	now      func() time.Time

	mu       sync.Mutex
	failures map[string]int // by agency that is away; guarded by mu
	// suspected is when an agency's clock was last suspected to be wrong; guarded by mu.
	suspected map[string]time.Time
}

const (
	// contactEvery is how often a peer that answers is asked for its list.
	contactEvery = 10 * time.Minute
	// An agency that is away is called after 100 ms, then twice as long, up to 15 s.
	firstCall   = 100 * time.Millisecond
	longestCall = 15 * time.Second
)

func (r *contacts) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("contact").
		WatchesRawSource(r.door.source()).
		Watches(&v1alpha1.Agency{}, enqueueName, changed(contactInput)).
		WithOptions(options(8)).
		Complete(r)
}

// contactInput is what makes a peer worth a call.
func contactInput(o client.Object) any {
	a := o.(*v1alpha1.Agency)
	return []any{a.Generation, a.Status.AnnouncedAt}
}

// Reconcile implements reconcile.Reconciler for an agency's name.
func (r *contacts) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	peer, ok, err := r.record.peer(ctx, request.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !ok {
		err := r.tellOf(ctx, exchange.Peer{Party: route.Party{Agency: request.Name}}, exchange.Listed{Skew: &exchange.Skew{}})
		r.forget(request.Name)
		return reconcile.Result{}, err
	}
	ours, err := r.record.With(ctx, peer.Agency, "")
	if err != nil {
		return reconcile.Result{}, err
	}
	if len(ours) == 0 && !r.away(peer.Agency) {
		return reconcile.Result{RequeueAfter: contactEvery}, nil // nothing to talk about
	}
	held := map[string][]v1alpha1.StatementRef{}
	listed, err := r.pool.List(ctx, peer, r.now, once(ours, func(a *v1alpha1.SharingAgreement, shown *exchangev1.Agreement) {
		// By the terms: the status may be what was lost.
		if digest, err := a.Spec.Terms.Digest(); err == nil && shown.GetDigest() == digest {
			held[a.Name] = r.refs(digest, shown.GetReceived())
			r.pull(ctx, peer, a, shown.GetStatements())
		}
	}))
	if status.Code(err) == codes.Unimplemented {
		r.back(peer.Agency)
		return reconcile.Result{RequeueAfter: contactEvery}, nil
	}
	if err != nil {
		return reconcile.Result{RequeueAfter: r.failed(peer, err)}, nil
	}
	r.back(peer.Agency)
	for i := range ours {
		a := &ours[i]
		if d := delivery(a, peer.Agency); d != nil && lacks(held[a.Name], d.Acknowledged) {
			r.corrected(a.Name, peer.Agency, held[a.Name])
		}
		r.ring(a.Name)
	}
	again := contactEvery
	if listed.Skew != nil && listed.Skew.Beyond() {
		again = skewedAgain
	}
	if err := r.tellOf(ctx, peer, listed); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: again + rand.N(again/10)}, nil
}

// once handles each of our agreements that a peer's list shows, the first time that it does; nothing else of the list is kept, however
// long a peer makes it.
func once(ours []v1alpha1.SharingAgreement, handle func(a *v1alpha1.SharingAgreement, shown *exchangev1.Agreement)) func(*exchangev1.Agreement) {
	open := make(map[string]*v1alpha1.SharingAgreement, len(ours))
	for i := range ours {
		open[ours[i].Name] = &ours[i]
	}
	return func(shown *exchangev1.Agreement) {
		if a := open[shown.GetName()]; a != nil {
			delete(open, a.Name)
			handle(a, shown)
		}
	}
}

// refs are our own statements on the agreement that the peer holds.
func (r *contacts) refs(digest string, received []string) []v1alpha1.StatementRef {
	var out []v1alpha1.StatementRef
	for _, jws := range received[:min(len(received), maxShown)] {
		claims, err := signature.Read(jws)
		if err == nil && claims.Agency == r.record.gather.self && claims.Digest == digest {
			out = append(out, v1alpha1.StatementRef{Decision: claims.Decision, Duty: claims.Duty, DecidedAt: metav1.NewTime(claims.DecidedAt)})
		}
	}
	return out
}

// maxShown bounds how many statements are taken from one agreement of a list: a party has two, and one for each of its duties.
const maxShown = 64

// pull takes in what the peer says and we do not know yet.
func (r *contacts) pull(ctx context.Context, peer exchange.Peer, a *v1alpha1.SharingAgreement, statements []string) {
	for _, jws := range statements[:min(len(statements), maxShown)] {
		if slices.ContainsFunc(a.Status.Received, func(s v1alpha1.AgreementStatement) bool { return s.JWS == jws }) {
			continue
		}
		if err := r.inbox.RecordDecision(ctx, peer.Party, a.Name, jws); err != nil {
			r.log.Warn("statement in a peer's list not taken", "peer", peer.Agency, "agreement", a.Name, "error", err)
		}
	}
}

// away says whether an agency did not answer when it was called last.
func (r *contacts) away(agency string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, away := r.failures[agency]
	return away
}

// lost notes that an agency does not answer, and calls it until it does.
func (r *contacts) lost(agency string, err error) {
	r.mu.Lock()
	_, known := r.failures[agency]
	if !known {
		r.failures[agency] = 0
	}
	r.mu.Unlock()
	if !known {
		r.log.Warn("peer's exchange does not answer", "peer", agency, "error", err)
		r.door.ring(agency)
	}
}

// failed says when to call again.
func (r *contacts) failed(peer exchange.Peer, err error) time.Duration {
	r.mu.Lock()
	n, known := r.failures[peer.Agency]
	r.failures[peer.Agency] = n + 1
	r.mu.Unlock()
	if !known {
		r.log.Warn("peer's exchange does not answer", "peer", peer.Agency, "endpoint", peer.Endpoint, "error", err)
	}
	return backoff(firstCall, longestCall, n)
}

// back notes that an agency answers.
func (r *contacts) back(agency string) {
	r.mu.Lock()
	_, was := r.failures[agency]
	delete(r.failures, agency)
	r.mu.Unlock()
	if was {
		r.log.Info("peer's exchange answers again", "peer", agency)
	}
}

// heard calls an agency that was away and has just called us.
func (r *contacts) heard(agency string) {
	if r.away(agency) {
		r.door.ringUrgent(agency)
	}
}

func (r *contacts) forget(agency string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failures, agency)
	delete(r.suspected, agency)
	skews.DeleteLabelValues(agency)
}

// backoff is the n-th wait, from n = 0: doubled each time up to longest, and shortened by up to a fifth at random.
func backoff(first, longest time.Duration, n int) time.Duration {
	d := longest
	if n < 20 {
		d = min(first<<n, longest)
	}
	return d - rand.N(d/5+1)
}

// unreachable is what people are told of a peer that is away. It does not change while it is.
func unreachable(peer exchange.Peer) string {
	return fmt.Sprintf("the exchange of %s at %s does not answer: the operator goes on trying", peer.Agency, peer.Endpoint)
}
