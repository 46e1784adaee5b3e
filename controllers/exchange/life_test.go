package exchange_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/local"
)

// TestLife takes an agreement through its whole life between two operators that know only each other's Agency, each with rights in
// its own namespace only and with its own keys. Either side and the network are away in between.
func TestLife(t *testing.T) {
	p := newPair(t)
	labor, police := p.source, p.recipient
	labor.start(t)
	police.start(t)

	// Propose. Applying a draft tells nobody; accepting it does.
	labor.apply(t, p.terms(t, "wages"))
	labor.reaches(t, "wages.v1", v1alpha1.StateProposed, "")
	if _, err := police.get(t, "wages.v1"); err == nil {
		t.Fatal("a draft that nobody accepted reached the other agency")
	}
	labor.decide(t, "wages.v1", v1alpha1.DecisionAccept)
	proposed := police.reaches(t, "wages.v1", v1alpha1.StateProposed, "")
	if by := proposed.Labels[v1alpha1.LabelProposedBy]; by != labor.name {
		t.Errorf("proposed by %q", by)
	}
	labor.reaches(t, "wages.v1", v1alpha1.StateSigned, "")

	// Decide on both sides, while the one that hears of it cannot be reached.
	down(t, labor)
	police.decide(t, "wages.v1", v1alpha1.DecisionAccept)
	police.reaches(t, "wages.v1", v1alpha1.StateInForce, "")
	eventually(t, "the failure is shown", func() error {
		o, err := police.get(t, "wages.v1")
		if err == nil && (len(o.Status.Delivered) != 1 || o.Status.Delivered[0].Failure == "") {
			err = fmt.Errorf("%+v", o.Status.Delivered)
		}
		return err
	})
	up(t, labor)
	labor.reaches(t, "wages.v1", v1alpha1.StateInForce, "")
	p.agree(t, "wages.v1")

	// Amend while the other's operator is dead.
	police.stop()
	v2 := p.terms(t, "wages", func(terms *v1alpha1.AgreementTerms) {
		terms.Version, terms.Supersedes = 2, 1
		terms.Term.NotBefore = metav1.NewTime(time.Now().UTC().Truncate(time.Second).Add(5 * time.Second))
		terms.Clauses[0].Fields = []string{"employer", "person"}
	})
	labor.apply(t, v2)
	labor.decide(t, "wages.v2", v1alpha1.DecisionAccept)
	labor.reaches(t, "wages.v2", v1alpha1.StateSigned, "")
	police.start(t)
	police.reaches(t, "wages.v2", v1alpha1.StateProposed, "")
	police.decide(t, "wages.v2", v1alpha1.DecisionAccept)
	for _, a := range []*agency{labor, police} {
		a.reaches(t, "wages.v2", v1alpha1.StateInForce, "")
		a.reaches(t, "wages.v1", v1alpha1.StateSuperseded, "version 2")
	}
	p.agree(t, "wages.v2")

	// The recipient suspends while the source's operator is dead. It hears of it when it is back, and cannot lift it itself.
	labor.stop()
	police.decide(t, "wages.v2", v1alpha1.DecisionSuspend)
	police.reaches(t, "wages.v2", v1alpha1.StateSuspended, "carol@state-police")
	police.routes.await(t, "wages", "Tombstone")
	labor.start(t)
	labor.reaches(t, "wages.v2", v1alpha1.StateSuspended, "by agency state-police")
	labor.routes.await(t, "wages", "Tombstone")
	labor.decide(t, "wages.v2", v1alpha1.DecisionResume)
	p.agree(t, "wages.v2")
	labor.reaches(t, "wages.v2", v1alpha1.StateSuspended, "only that agency can resume it")

	// The same agency resumes, over a network that swallows everything for a while.
	if err := labor.proxy.Hang(); err != nil {
		t.Fatal(err)
	}
	nextSecond()
	police.decide(t, "wages.v2", v1alpha1.DecisionResume)
	police.reaches(t, "wages.v2", v1alpha1.StateInForce, "")
	time.Sleep(time.Second)
	up(t, labor)
	labor.reaches(t, "wages.v2", v1alpha1.StateInForce, "")
	p.agree(t, "wages.v2")

	// The source terminates, with both operators restarted while the network is cut.
	down(t, labor)
	down(t, police)
	labor.decide(t, "wages.v2", v1alpha1.DecisionTerminate)
	labor.reaches(t, "wages.v2", v1alpha1.StateTerminated, "")
	labor.stop()
	police.stop()
	police.start(t)
	labor.start(t)
	police.reaches(t, "wages.v2", v1alpha1.StateInForce, "")
	up(t, labor)
	up(t, police)
	police.reaches(t, "wages.v2", v1alpha1.StateTerminated, "by agency labor-inspectorate")
	police.routes.await(t, "wages", "Tombstone")
	p.agree(t, "wages.v1")
	p.agree(t, "wages.v2")
}

// TestLostState: a side that lost what it was told is told again, though the other side has its acknowledgement.
func TestLostState(t *testing.T) {
	p := newPair(t)
	p.source.start(t)
	p.recipient.start(t)
	p.inForce(t, "wages")
	nextSecond()
	p.source.decide(t, "wages.v1", v1alpha1.DecisionSuspend)
	p.recipient.reaches(t, "wages.v1", v1alpha1.StateSuspended, "")
	p.agree(t, "wages.v1")

	p.recipient.stop()
	o, err := p.recipient.get(t, "wages.v1")
	if err != nil {
		t.Fatal(err)
	}
	o.Status = v1alpha1.SharingAgreementStatus{}
	if err := p.recipient.client.Status().Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	p.recipient.start(t)
	p.recipient.reaches(t, "wages.v1", v1alpha1.StateSuspended, "by agency labor-inspectorate")
	// Its own signature was lost too. It signs anew, by the decisions that are there, as soon as that can bring it into force.
	nextSecond()
	p.source.decide(t, "wages.v1", v1alpha1.DecisionResume)
	p.recipient.reaches(t, "wages.v1", v1alpha1.StateInForce, "")
	p.agree(t, "wages.v1")
}

// TestLostKey: an agency loses every key it has and begins anew. What it signed stays verifiable, here and at its peer, whether the peer
// has heard of the new keys or not; what it says next needs them.
func TestLostKey(t *testing.T) {
	p := newPair(t)
	labor, police := p.source, p.recipient
	labor.start(t)
	police.start(t)
	p.inForce(t, "wages")

	labor.stop()
	var err error
	if labor.keys, err = local.Open(filepath.Join(t.TempDir(), "keys"), labor.domain); err != nil {
		t.Fatal(err)
	}
	labor.start(t)
	own := &v1alpha1.Agency{}
	eventually(t, "the new key is published beside the lost one", func() error {
		err := labor.client.Get(t.Context(), client.ObjectKey{Namespace: labor.name, Name: labor.name}, own)
		if err == nil && (own.Status.SigningKeys == nil || len(own.Status.SigningKeys.Keys) != 2) {
			err = fmt.Errorf("%+v", own.Status.SigningKeys)
		}
		return err
	})
	labor.apply(t, p.terms(t, "more"))
	labor.decide(t, "more.v1", v1alpha1.DecisionAccept)
	labor.reaches(t, "more.v1", v1alpha1.StateSigned, "")
	for _, a := range []*agency{labor, police} {
		a.reaches(t, "wages.v1", v1alpha1.StateInForce, "")
	}

	// The peer applies what the agency prints of itself now.
	there := &v1alpha1.Agency{}
	if err := police.client.Get(t.Context(), client.ObjectKey{Namespace: police.name, Name: labor.name}, there); err != nil {
		t.Fatal(err)
	}
	before := there.DeepCopy()
	there.Spec.TrustBundle, there.Spec.SigningKeys = own.Status.TrustBundle, own.Status.SigningKeys
	if err := police.client.Patch(t.Context(), there, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	police.reaches(t, "more.v1", v1alpha1.StateProposed, "")
	police.decide(t, "more.v1", v1alpha1.DecisionAccept)
	for _, a := range []*agency{labor, police} {
		a.reaches(t, "more.v1", v1alpha1.StateInForce, "")
		a.reaches(t, "wages.v1", v1alpha1.StateInForce, "")
	}
	p.agree(t, "more.v1")
	p.agree(t, "wages.v1")
}

// TestBothAmend: two parties that amend at once come to the same version, and the other is shown as refused.
func TestBothAmend(t *testing.T) {
	p := newPair(t)
	p.source.start(t)
	p.recipient.start(t)
	p.inForce(t, "wages")
	down(t, p.source)
	down(t, p.recipient)
	amend := func(a *agency, title string) *v1alpha1.SharingAgreement {
		o := p.terms(t, "wages", func(terms *v1alpha1.AgreementTerms) {
			terms.Version, terms.Supersedes, terms.Title = 2, 1, title
		})
		a.apply(t, o)
		a.decide(t, "wages.v2", v1alpha1.DecisionAccept)
		return a.reaches(t, "wages.v2", v1alpha1.StateSigned, "")
	}
	byLabor, byPolice := amend(p.source, "Wages, as labor wants it"), amend(p.recipient, "Wages, as the police want it")
	winner, loser := p.source, p.recipient
	if byPolice.Status.Digest < byLabor.Status.Digest {
		winner, loser = loser, winner
	}
	up(t, p.source)
	up(t, p.recipient)
	loser.reaches(t, "wages.v2", v1alpha1.StateRejected, "")
	winner.reaches(t, "wages.v2", v1alpha1.StateSigned, "")
	for _, a := range []*agency{winner, loser} {
		a.reaches(t, "wages.v1", v1alpha1.StateInForce, "")
	}
	// The loser gives way; the winner's proposal takes the place.
	o, err := loser.get(t, "wages.v2")
	if err != nil {
		t.Fatal(err)
	}
	if err := loser.client.Delete(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the winner's terms are proposed", func() error {
		o, err := loser.get(t, "wages.v2")
		if err == nil && o.Labels[v1alpha1.LabelProposedBy] != winner.name {
			err = fmt.Errorf("still there: %s", o.Status.State)
		}
		return err
	})
	loser.decide(t, "wages.v2", v1alpha1.DecisionAccept)
	for _, a := range []*agency{winner, loser} {
		a.reaches(t, "wages.v2", v1alpha1.StateInForce, "")
		a.reaches(t, "wages.v1", v1alpha1.StateSuperseded, "")
	}
	p.agree(t, "wages.v2")
}

// TestSuspendIsPrompt measures from a person's decision to suspend until the route is a tombstone, on both sides.
func TestSuspendIsPrompt(t *testing.T) {
	const agreements, rounds, enough = 10, 2, time.Minute // few: `make bench-revoke` measures what a client feels, of many
	p := newPair(t)
	p.source.start(t)
	p.recipient.start(t)
	ids := make([]string, agreements)
	for i := range ids {
		ids[i] = fmt.Sprintf("wages-%02d", i)
		p.inForce(t, ids[i])
	}
	var own, peer []time.Duration
	for round, began := 0, time.Now(); round < rounds && (round == 0 || time.Since(began) < enough); round++ {
		suspends, hears := p.source, p.recipient
		if round%2 == 1 {
			suspends, hears = hears, suspends
		}
		for _, id := range ids {
			began := time.Now()
			suspends.decide(t, id+".v1", v1alpha1.DecisionSuspend)
			own = append(own, suspends.routes.await(t, id, "Tombstone").Sub(began))
			peer = append(peer, hears.routes.await(t, id, "Tombstone").Sub(began))
		}
		nextSecond() // a Resume counts when it is later than the Suspend, to the second
		for _, id := range ids {
			suspends.decide(t, id+".v1", v1alpha1.DecisionResume)
		}
		for _, id := range ids {
			p.source.routes.await(t, id, "Active")
			p.recipient.routes.await(t, id, "Active")
		}
	}
	p50, p99 := percentiles(own)
	t.Logf("suspend→denied on the own side:  p50 %s, p99 %s, %d rounds", p50, p99, len(own))
	p50, p99 = percentiles(peer)
	t.Logf("suspend→denied on the peer's side: p50 %s, p99 %s, %d rounds", p50, p99, len(peer))
}

func percentiles(d []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(d)
	return d[len(d)/2].Round(100 * time.Microsecond), d[len(d)*99/100].Round(100 * time.Microsecond)
}

// inForce brings an agreement into force on both sides.
func (p *pair) inForce(t testing.TB, id string, change ...func(*v1alpha1.AgreementTerms)) {
	t.Helper()
	p.source.apply(t, p.terms(t, id, change...))
	p.source.decide(t, id+".v1", v1alpha1.DecisionAccept)
	p.recipient.reaches(t, id+".v1", v1alpha1.StateProposed, "")
	p.recipient.decide(t, id+".v1", v1alpha1.DecisionAccept)
	p.source.reaches(t, id+".v1", v1alpha1.StateInForce, "")
	p.recipient.reaches(t, id+".v1", v1alpha1.StateInForce, "")
	p.source.routes.await(t, id, "Active")
	p.recipient.routes.await(t, id, "Active")
}

// amended is inForce, and version 2 in its place.
func (p *pair) amended(t testing.TB, id string) {
	t.Helper()
	p.inForce(t, id)
	p.source.apply(t, p.terms(t, id, func(terms *v1alpha1.AgreementTerms) { terms.Version, terms.Supersedes = 2, 1 }))
	p.source.decide(t, id+".v2", v1alpha1.DecisionAccept)
	p.recipient.reaches(t, id+".v2", v1alpha1.StateProposed, "")
	p.recipient.decide(t, id+".v2", v1alpha1.DecisionAccept)
	p.source.reaches(t, id+".v2", v1alpha1.StateInForce, "")
	p.recipient.reaches(t, id+".v2", v1alpha1.StateInForce, "")
}

func down(t testing.TB, a *agency) {
	t.Helper()
	if err := a.proxy.Down(); err != nil {
		t.Fatal(err)
	}
}

func up(t testing.TB, a *agency) {
	t.Helper()
	if err := a.proxy.Up(); err != nil {
		t.Fatal(err)
	}
}

func nextSecond() {
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + 20*time.Millisecond)))
}
