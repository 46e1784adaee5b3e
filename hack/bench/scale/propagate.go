package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/peer"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/internal/demo/data"
)

// propagation is what a peer's gateway that asks without a pause sees of changes.
type propagation struct {
	// Enforced is from the creation of the agency's acceptance, with the peers' signatures there, until the first answer.
	Enforced []time.Duration
	// Denied is from the creation of a suspension until the first refusal.
	Denied []time.Duration
	// Question is how long an answer takes meanwhile: the client cannot see anything sooner.
	Question []time.Duration
}

// asker asks the agency's gateway under one agreement, as a peer's gateway.
type asker struct {
	service gatewayv1.SourceServiceClient
	conn    *grpc.ClientConn
	pact    *pact
}

// source is the agency as its peers know it.
func (w *world) source(ctx context.Context) (route.Peer, error) {
	a := &v1alpha1.Agency{}
	a.Name = w.agency.Name
	if err := w.agency.Get(ctx, a); err != nil {
		return route.Peer{}, err
	}
	return route.Peer{
		Party: route.Party{Agency: a.Name, TrustDomain: a.Spec.TrustDomain}, Gateway: a.Spec.Endpoints.Gateway, Exchange: a.Spec.Endpoints.Exchange,
		TrustBundle: a.Status.TrustBundle,
	}, nil
}

// asker gets an agreement credential, which is issued once the agreement is in force, and connects with it.
func (w *world) asker(ctx context.Context, source route.Peer, p *pact) (*asker, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	self := route.Party{Agency: p.peer.name, TrustDomain: p.peer.domain}
	issuer := peer.Exchange{Own: p.peer.keys.GatewayIdentity()}
	var certificate *tls.Certificate
	for {
		var err error
		if certificate, err = peer.Obtain(ctx, issuer, self, source, p.object.Spec.Terms.ID, time.Now()); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: no credential: %w\n%s", p.object.Name, err, w.agency.Dump(p.object.Name))
		case <-time.After(5 * time.Millisecond):
		}
	}
	bundle, err := identity.Bundle(source.TrustDomain, source.TrustBundle)
	if err != nil {
		return nil, err
	}
	config := identity.ClientConfig(identity.GatewayID(source.TrustDomain), bundle, func(context.Context) (*tls.Certificate, error) { return certificate, nil })
	conn, err := grpc.NewClient("passthrough:///"+source.Gateway, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return nil, err
	}
	return &asker{service: gatewayv1.NewSourceServiceClient(conn), conn: conn, pact: p}, nil
}

// ask asks one question about one person, and says how it ended.
func (a *asker) ask(ctx context.Context) (gatewayv1.Outcome, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return 0, err
	}
	t := &a.pact.object.Spec.Terms
	c := &t.Clauses[0]
	stream, err := a.service.Retrieve(ctx, &gatewayv1.RetrieveRequest{
		DisclosureId: id.String(), Agreement: t.ID, Version: t.Version, Clause: c.Name, Schema: fmt.Sprintf("%s.v%d", c.Schema.Name, c.Schema.Version),
		Filter: fmt.Sprintf("document_number == %q", data.Marisol().Document), Granularity: gatewayv1.Granularity_GRANULARITY_EXISTENCE,
		Purpose: c.Purposes[0], Justification: &gatewayv1.Justification{CaseReference: "HTF-2026-0417", SubjectRole: "victim"}, User: "u-bench",
	})
	if err != nil {
		return 0, err
	}
	for {
		frame, err := stream.Recv()
		if err != nil {
			return 0, err
		}
		if r := frame.GetResult(); r != nil {
			return r.GetOutcome(), nil
		}
	}
}

// until asks without a pause until it ends so, and says when that was and how long the answer before took.
func (a *asker) until(ctx context.Context, want gatewayv1.Outcome, began func()) (at time.Time, question time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for n := 0; ; n++ {
		asked := time.Now()
		got, err := a.ask(ctx)
		if got == want {
			return time.Now(), question, nil
		}
		if err != nil && ctx.Err() != nil {
			return at, question, fmt.Errorf("%s: not %s within a minute: %w", a.pact.object.Name, want, err)
		}
		question = time.Since(asked)
		if n == 2 && began != nil {
			began()
		}
	}
}

// propagate brings new agreements into force, one after the other, each as far down the queue as the estate is large; and suspends
// agreements of the estate at random.
func (w *world) propagate(ctx context.Context, rounds int) (propagation, error) {
	var out propagation
	source, err := w.source(ctx)
	if err != nil {
		return out, err
	}
	chosen := w.estate.random.Perm(len(w.pacts))
	for i := range rounds {
		p, err := w.estate.agreement(ctx, fmt.Sprintf("round-%04d", i))
		if err != nil {
			return out, err
		}
		if err := w.platform.Create(ctx, p.object.DeepCopy()); err != nil {
			return out, err
		}
		if err := w.agency.WaitConditions(ctx, p.object.Name, v1alpha1.ConditionAccepted); err != nil {
			return out, err
		}
		began := time.Now()
		if err := w.officer.Create(ctx, w.estate.decision(p, v1alpha1.DecisionAccept)); err != nil {
			return out, err
		}
		a, err := w.asker(ctx, source, p)
		if err != nil {
			return out, err
		}
		at, _, err := a.until(ctx, gatewayv1.Outcome_OUTCOME_OK, nil)
		a.conn.Close()
		if err != nil {
			return out, err
		}
		out.Enforced = append(out.Enforced, at.Sub(began))
		if err := w.suspend(ctx, source, w.pacts[chosen[i%len(chosen)]], i >= len(chosen), &out); err != nil {
			return out, err
		}
		if i%20 == 19 {
			w.progress("%d of %d rounds of changes", i+1, rounds)
		}
	}
	return out, nil
}

// suspend suspends an agreement under which its peer asks. One that was suspended before is resumed first.
func (w *world) suspend(ctx context.Context, source route.Peer, p *pact, again bool, out *propagation) error {
	if again {
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + 20*time.Millisecond)))
		if err := w.officer.Create(ctx, w.estate.decision(p, v1alpha1.DecisionResume)); err != nil {
			return err
		}
	}
	a, err := w.asker(ctx, source, p)
	if err != nil {
		return err
	}
	defer a.conn.Close()
	if _, _, err := a.until(ctx, gatewayv1.Outcome_OUTCOME_OK, nil); err != nil {
		return err
	}
	began := make(chan time.Time, 1)
	failed := make(chan error, 1)
	at, question, err := a.until(ctx, gatewayv1.Outcome_OUTCOME_DENIED, func() {
		go func() {
			began <- time.Now()
			failed <- w.officer.Create(ctx, w.estate.decision(p, v1alpha1.DecisionSuspend))
		}()
	})
	if err != nil {
		return err
	}
	if err := <-failed; err != nil {
		return err
	}
	out.Denied = append(out.Denied, at.Sub(<-began))
	out.Question = append(out.Question, question)
	return nil
}
