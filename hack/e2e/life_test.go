package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/internal/demo/data"
)

// revocation prints how soon a client at either party is refused; `make bench-revoke` has the figures of many rounds.
func revocation(t *testing.T, s *scene) {
	r, err := s.MeasureRevocation(t.Context(), 2, 2, nil)
	must(t, err)
	t.Logf("at the agency that suspends %v, at the other %v; one question %v", r.Own, r.Peer, r.Question)
	measured(t, "suspend→denied, at the agency that suspends", median(r.Own))
	measured(t, "suspend→denied, at the other", median(r.Peer))
}

// life takes an agreement through its whole life between two agencies, over the exchange: proposed, in force, amended, suspended by the
// recipient, resumed, terminated by the source. In between, processes are killed and the network between the agencies is cut; a client
// asks at every stage.
func life(t *testing.T, s *scene) {
	ctx := t.Context()
	labor, police := s.labor, s.police
	both := []*stack.Agency{labor, police}
	terms := narrow(t, s, "life", "entente:life")
	v1, v2 := "life.v1", "life.v2"
	q := about(data.Marisol())
	q.Purpose, q.Agencies = "entente:life", []string{stack.Labor}
	isOK := outcome(stack.Labor, "OK")
	refusedAt := func(locally bool) func(*stack.Answer) bool {
		return func(a *stack.Answer) bool {
			src := a.Of(stack.Labor)
			return src.Outcome == "DENIED" && src.RefusedLocally == locally && len(a.Records) == 0
		}
	}
	becomes := func(what string, meanwhile, enough func(*stack.Answer) bool) {
		t.Helper()
		if _, a, err := eventually(ctx, police.Analyst, q, meanwhile, enough); err != nil {
			t.Fatalf("%s: %v (%+v)", what, err, a)
		}
	}
	never := func(what string) {
		t.Helper()
		if a := ask(t, police, q); isOK(a) || len(a.Records) > 0 {
			t.Errorf("%s: answered: %+v", what, a)
		}
	}
	waits := func(a *stack.Agency, name string, state v1alpha1.AgreementState) {
		t.Helper()
		must(t, a.WaitState(ctx, name, state))
	}

	// The source proposes. Its operator is killed, and the recipient accepts: neither side is answered before both have decided.
	must(t, labor.ApplyTerms(ctx, terms))
	must(t, labor.Accept(ctx, v1))
	waits(police, v1, v1alpha1.StateProposed)
	proposed := &v1alpha1.SharingAgreement{ObjectMeta: metav1.ObjectMeta{Name: v1}}
	must(t, police.Get(ctx, proposed))
	if by := proposed.Labels[v1alpha1.LabelProposedBy]; by != labor.Name {
		t.Errorf("proposed by %q", by)
	}
	never("before the recipient decided")
	// The proposal may come before the proposer's signature: an operator that is killed in between has not signed.
	must(t, police.WaitFor(ctx, proposed, func(client.Object) string {
		if slices.Contains(proposed.Status.Verified, labor.Name) {
			return ""
		}
		return "the proposer's signature is not there"
	}))
	must(t, labor.Operator.Kill())
	must(t, police.Decide(ctx, v1, v1alpha1.DecisionAccept))
	waits(police, v1, v1alpha1.StateInForce)
	never("before the source heard of it")
	must(t, labor.StartOperator(ctx))
	for _, a := range both {
		must(t, a.WaitConditions(ctx, v1, stack.InForce...))
	}
	becomes("in force on both sides", nil, isOK)

	// An amendment, proposed while the network is cut. A client that asks throughout is always answered, first with five fields, then
	// with two; an answer that is on its way at the switch may be cut off, since nothing is released under terms that are over.
	must(t, police.Line.Down())
	amended := *terms.DeepCopy()
	amended.Version, amended.Supersedes = 2, 1
	amended.Term.NotBefore = metav1.NewTime(time.Now().UTC().Truncate(time.Second).Add(10 * time.Second))
	amended.Clauses[0].Fields = []string{"employer", "trade"}
	watch := watchFields(ctx, police, q, amended.Term.NotBefore.Time)
	must(t, labor.ApplyTerms(ctx, amended))
	must(t, labor.Accept(ctx, v2))
	must(t, police.Line.Up())
	waits(police, v2, v1alpha1.StateProposed)
	must(t, police.Decide(ctx, v2, v1alpha1.DecisionAccept))
	inTime := true
	for _, a := range both {
		must(t, a.WaitConditions(ctx, v2, v1alpha1.ConditionSigned, v1alpha1.ConditionCredentialsReady, v1alpha1.ConditionProgrammed))
		inTime = inTime && time.Now().Before(amended.Term.NotBefore.Time)
	}
	for _, a := range both {
		waits(a, v2, v1alpha1.StateInForce)
		waits(a, v1, v1alpha1.StateSuperseded)
	}
	becomes("amended", nil, func(a *stack.Answer) bool { return len(a.Records) == 1 && len(a.Records[0].Record) == 2 })
	seen, gaps := watch()
	if !slices.Equal(seen, []int{5, 2}) {
		t.Errorf("numbers of fields that a client saw in turn: %v", seen)
	}
	if inTime && len(gaps) > 0 {
		t.Errorf("%d gaps, first: %s", len(gaps), gaps[0])
	} else if !inTime {
		t.Log("the gateways of both had it too late for an amendment without a gap: this machine is slow")
	}

	// The recipient suspends while the source's operator is dead; then its own gateway is killed. It stays suspended throughout, and the
	// source hears of it when it is back.
	must(t, labor.Operator.Kill())
	must(t, police.Decide(ctx, v2, v1alpha1.DecisionSuspend))
	becomes("suspended by the recipient", nil, refusedAt(true))
	must(t, police.Gateway.Kill())
	must(t, police.StartGateway(ctx))
	never("after the gateway's return")
	must(t, labor.StartOperator(ctx))
	waits(labor, v2, v1alpha1.StateSuspended)
	within(t, func() string {
		has, err := labor.HasSourceRole(ctx, terms.ID)
		must(t, err)
		if left := rolesOf(t, s, labor, terms.ID); has || len(left) > 0 {
			return fmt.Sprintf("the source keeps credentials: role %v, users %v", has, left)
		}
		return ""
	})
	never("suspended on both sides")

	// It resumes while the source cannot be reached: the source answers when it knows, and not before.
	must(t, labor.Line.Down())
	must(t, police.Decide(ctx, v2, v1alpha1.DecisionResume))
	waits(police, v2, v1alpha1.StateInForce)
	waits(labor, v2, v1alpha1.StateSuspended)
	never("before the source heard of it")
	must(t, labor.Line.Up())
	waits(labor, v2, v1alpha1.StateInForce)
	becomes("resumed", nil, isOK)

	// The source terminates with the network cut on both sides, and both operators are killed. The recipient still asks, and the source
	// refuses by itself; when the network is back, the recipient's own gateway refuses.
	for _, a := range both {
		must(t, a.Line.Down())
	}
	must(t, labor.Decide(ctx, v2, v1alpha1.DecisionTerminate))
	waits(labor, v2, v1alpha1.StateTerminated)
	for _, a := range both {
		must(t, a.Operator.Kill())
	}
	becomes("terminated by the source", nil, refusedAt(false))
	for _, a := range both {
		must(t, a.StartOperator(ctx))
	}
	waits(police, v2, v1alpha1.StateInForce)
	never("before the recipient heard of it")
	for _, a := range both {
		must(t, a.Line.Up())
	}
	waits(police, v2, v1alpha1.StateTerminated)
	becomes("terminated on both sides", nil, refusedAt(true))

	for _, name := range []string{v1, v2} {
		within(t, func() string { return differ(t, name, labor, police) })
	}
	inForceAgain(t, s)
}

// watchFields asks until it is told to stop, and says which numbers of fields it saw one after the other, and which questions were not
// answered, but for the one that was under way at the switch.
func watchFields(ctx context.Context, who *stack.Agency, q stack.Question, at time.Time) (stop func() (seen []int, gaps []string)) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var seen []int
	var gaps []string
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			began := time.Now()
			a, err := who.Analyst.Ask(ctx, q)
			cut := began.Before(at) && time.Now().After(at) && err == nil && len(a.Sources) == 1 && a.Sources[0].Outcome == "DENIED" && a.Sources[0].Reason == "agreement"
			switch {
			case ctx.Err() != nil, cut:
			case err != nil:
				gaps = append(gaps, err.Error())
			case len(a.Records) != 1:
				gaps = append(gaps, fmt.Sprintf("%+v", a))
			default:
				if n := len(a.Records[0].Record); len(seen) == 0 || seen[len(seen)-1] != n {
					seen = append(seen, n)
				}
			}
		}
	}()
	return func() ([]int, []string) {
		cancel()
		<-done
		return seen, gaps
	}
}

// differ says in what the records that two agencies keep of an agreement differ; "" in nothing.
func differ(t *testing.T, name string, a, b *stack.Agency) string {
	t.Helper()
	kept := map[*stack.Agency]*v1alpha1.SharingAgreement{}
	for _, x := range []*stack.Agency{a, b} {
		kept[x] = &v1alpha1.SharingAgreement{ObjectMeta: metav1.ObjectMeta{Name: name}}
		must(t, x.Get(t.Context(), kept[x]))
	}
	if x, y := kept[a].Status, kept[b].Status; x.Digest == "" || x.Digest != y.Digest || x.State != y.State {
		return fmt.Sprintf("%s: %s %s, and %s %s", name, x.State, x.Digest, y.State, y.Digest)
	}
	words := func(statements []v1alpha1.AgreementStatement) []string {
		var out []string
		for _, s := range statements {
			out = append(out, fmt.Sprint(s.Agency, s.Decision, s.DecidedAt.Unix()))
		}
		slices.Sort(out)
		return out
	}
	for from, to := range map[*stack.Agency]*stack.Agency{a: b, b: a} {
		said, received := words(exchange.Said(kept[from], from.Name)), words(kept[to].Status.Received)
		if len(said) == 0 || !slices.Equal(said, received) {
			return fmt.Sprintf("%s: %s said %v, %s received %v", name, from.Name, said, to.Name, received)
		}
	}
	return ""
}
