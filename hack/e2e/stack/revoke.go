package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/internal/demo/data"
)

// Revocations are how long it took from a decision to suspend, made by a person at one party, until a client that asks without a pause
// was refused by that party's gateway (Own), and until a client of the other party was refused by the other's (Peer). A client notices with
// its next answer only: Question is how long the last answers before took.
type Revocations struct{ Own, Peer, Question []time.Duration }

// pact is an agreement between police and labor under which each asks the other.
type pact struct {
	name      string
	questions map[*Agency]Question
}

// MeasureRevocation brings agreements into force between police and labor, over the exchange, and suspends each of them in each round:
// the two agencies take turns. told, if set, hears of progress.
func (s *Stack) MeasureRevocation(ctx context.Context, agreements, rounds int, told func(done, of int)) (Revocations, error) {
	var out Revocations
	pacts := make([]pact, agreements)
	for i := range pacts {
		var err error
		if pacts[i], err = s.agreePact(ctx, fmt.Sprintf("revoke-%02d", i)); err != nil {
			return out, err
		}
	}
	sides := []*Agency{s.Agency(Police), s.Agency(Labor)}
	for round := range rounds {
		suspends, hears := sides[round%2], sides[1-round%2]
		for i, p := range pacts {
			if err := p.suspend(ctx, suspends, hears, &out); err != nil {
				return out, fmt.Errorf("round %d, %s: %w", round+1, p.name, err)
			}
			if told != nil {
				told(round*agreements+i+1, rounds*agreements)
			}
		}
		nextSecond()
		for _, p := range pacts {
			if err := suspends.decideAtOnce(ctx, p.name, v1alpha1.DecisionResume); err != nil {
				return out, err
			}
		}
		for _, p := range pacts {
			if err := p.answered(ctx, sides); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// agreePact brings one into force: police proposes, labor accepts.
func (s *Stack) agreePact(ctx context.Context, id string) (pact, error) {
	purpose := "entente:" + id
	terms, err := s.Between(id, purpose, "wages", "open-case")
	if err != nil {
		return pact{}, err
	}
	police, labor := s.Agency(Police), s.Agency(Labor)
	p := pact{name: ObjectName(terms), questions: map[*Agency]Question{}}
	for _, a := range []*Agency{police, labor} {
		p.questions[a] = Question{
			Schema: "person", Filter: fmt.Sprintf("document_number == %q", data.Marisol().Document), Purpose: purpose,
			Justification: Justification{CaseReference: "HTF-2026-0417", SubjectRole: "victim"}, Granularity: "Existence",
			Agencies: []string{map[*Agency]string{police: Labor, labor: Police}[a]},
		}
	}
	platform, err := s.ClientAs(police.Platform)
	if err != nil {
		return p, err
	}
	o := &v1alpha1.SharingAgreement{
		ObjectMeta: metav1.ObjectMeta{Namespace: police.Name, Name: p.name}, Spec: v1alpha1.SharingAgreementSpec{Terms: terms},
	}
	if err := platform.Create(ctx, o); err != nil {
		return p, err
	}
	for _, a := range []*Agency{police, labor} {
		if err := a.WaitState(ctx, p.name, v1alpha1.StateProposed); err != nil {
			return p, err
		}
		if err := a.decideAtOnce(ctx, p.name, v1alpha1.DecisionAccept); err != nil {
			return p, err
		}
	}
	return p, errors.Join(s.WaitInForce(ctx, terms), p.answered(ctx, []*Agency{police, labor}))
}

func (a *Agency) decideAtOnce(ctx context.Context, name string, decision v1alpha1.Decision) error {
	d, err := a.Decision(ctx, name, decision)
	if err == nil {
		_, err = a.DecideAtOnce(ctx, d)
	}
	return err
}

// suspend has one agency suspend while both ask.
func (p pact) suspend(ctx context.Context, suspends, hears *Agency, out *Revocations) error {
	decision, err := suspends.Decision(ctx, p.name, v1alpha1.DecisionSuspend)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type refusal struct {
		at       time.Time
		question time.Duration // the last answer before
		err      error
	}
	watch := func(a *Agency) (asked <-chan struct{}, refused <-chan refusal) {
		first, out := make(chan struct{}), make(chan refusal, 1)
		go func() {
			last := time.Duration(0)
			for answers := 1; ; answers++ {
				began := time.Now()
				answer, err := a.Analyst.Ask(ctx, p.questions[a])
				if err != nil {
					out <- refusal{err: fmt.Errorf("%s asks: %w", a.Name, err)}
					return
				}
				if len(answer.Sources) == 1 && answer.Sources[0].Outcome == "DENIED" && answer.Sources[0].RefusedLocally {
					out <- refusal{at: time.Now(), question: last}
					return
				}
				last = time.Since(began)
				if answers == 1 {
					close(first)
				}
			}
		}()
		return first, out
	}
	ownAsked, ownRefused := watch(suspends)
	peerAsked, peerRefused := watch(hears)
	for _, asked := range []<-chan struct{}{ownAsked, peerAsked} {
		select {
		case <-asked:
		case <-ctx.Done():
			return fmt.Errorf("nobody is answered: %w", ctx.Err())
		}
	}
	began, err := suspends.DecideAtOnce(ctx, decision)
	if err != nil {
		return err
	}
	atOwn, atPeer := <-ownRefused, <-peerRefused
	out.Own, out.Peer = append(out.Own, atOwn.at.Sub(began)), append(out.Peer, atPeer.at.Sub(began))
	out.Question = append(out.Question, atOwn.question, atPeer.question)
	return errors.Join(atOwn.err, atPeer.err)
}

// answered returns when each is answered.
func (p pact) answered(ctx context.Context, who []*Agency) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, a := range who {
		for {
			answer, err := a.Analyst.Ask(ctx, p.questions[a])
			if err != nil {
				return fmt.Errorf("%s asks: %w", a.Name, err)
			}
			if len(answer.Sources) == 1 && answer.Sources[0].Outcome == "OK" {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is not answered under %s: %+v", a.Name, p.name, answer)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return nil
}
