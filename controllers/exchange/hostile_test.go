package exchange_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/local"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/gateway/identity"
)

// dial connects to an agency's exchange with any identity.
func (a *agency) dial(t testing.TB, own identity.Own) exchangev1.ExchangeServiceClient {
	t.Helper()
	pem, err := a.keys.TrustBundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := identity.Bundle(a.domain, pem)
	if err != nil {
		t.Fatal(err)
	}
	config := identity.ClientConfig(identity.OperatorID(a.domain), bundle, own.Certificate)
	conn, err := grpc.NewClient("passthrough:///"+a.proxy.Addr(), grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return exchangev1.NewExchangeServiceClient(conn)
}

// says makes a statement of an agency, with any key.
func says(t testing.TB, signer keys.AgreementSigner, agency string, decision v1alpha1.Decision, digest string, at time.Time) string {
	t.Helper()
	d, duty, _ := strings.Cut(string(decision), ":") // Attest:report
	jws, err := signature.SignStatement(t.Context(), signer, signature.Claims{Digest: digest, Decision: v1alpha1.Decision(d), Duty: duty, Agency: agency, DecidedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

// proposal is a good one of the recipient's, which a case then spoils.
func (p *pair) proposal(t testing.TB, id string, change ...func(*v1alpha1.AgreementTerms)) *exchangev1.ProposeRequest {
	t.Helper()
	terms := p.terms(t, id, change...).Spec.Terms
	digest, err := terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(&terms)
	if err != nil {
		t.Fatal(err)
	}
	return &exchangev1.ProposeRequest{
		Format: exchange.Format, Terms: text, Digest: digest,
		Signature: says(t, p.recipient.keys, p.recipient.name, v1alpha1.DecisionAccept, digest, time.Now()),
	}
}

// TestHostile is what a peer tries that is out for no good, and what becomes of it: a refusal that says why, and no object.
func TestHostile(t *testing.T) {
	p := newPair(t)
	heard := &refusals{}
	p.source.log = slog.New(heard)
	p.source.start(t)
	p.recipient.start(t)
	p.inForce(t, "wages")
	p.inForce(t, "ended")
	p.recipient.stop() // from here on, the recipient is what the cases say
	police := p.source.dial(t, p.recipient.keys.OperatorIdentity())
	other, err := local.Open(t.TempDir()+"/keys", p.recipient.domain)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	digest := func(name string) string {
		o, err := p.source.get(t, name)
		if err != nil {
			t.Fatal(err)
		}
		return o.Status.Digest
	}
	wages, ended := digest("wages.v1"), digest("ended.v1")
	say := func(decision v1alpha1.Decision, digest string, at time.Time) string {
		return says(t, p.recipient.keys, p.recipient.name, decision, digest, at)
	}
	record := func(agreement, jws string) error {
		_, err := police.RecordDecision(t.Context(), &exchangev1.RecordDecisionRequest{Format: exchange.Format, Agreement: agreement, Statement: jws})
		return err
	}
	if err := record("ended.v1", say(v1alpha1.DecisionTerminate, ended, now)); err != nil {
		t.Fatal(err)
	}
	if err := record("wages.v1", say(v1alpha1.DecisionSuspend, wages, now)); err != nil {
		t.Fatal(err)
	}
	p.source.reaches(t, "wages.v1", v1alpha1.StateSuspended, "by agency state-police")
	if err := record("wages.v1", say(v1alpha1.DecisionSuspend, wages, now)); err != nil {
		t.Errorf("a message that was taken already: %v", err)
	}

	proposals := map[string]struct {
		want  exchange.Reason
		spoil func(*exchangev1.ProposeRequest)
		terms func(*v1alpha1.AgreementTerms)
	}{
		"a later format":        {exchange.UnsupportedFormat, func(r *exchangev1.ProposeRequest) { r.Format = 2 }, nil},
		"no format":             {exchange.UnsupportedFormat, func(r *exchangev1.ProposeRequest) { r.Format = 0 }, nil},
		"a member nobody knows": {exchange.UnknownMember, withUnknown, nil},
		"a term nobody knows":   {exchange.UnknownMember, inTerms(`{"id"`, `{"except":"weekends","id"`), nil},
		"a term twice":          {exchange.UnknownMember, inTerms(`{"id"`, `{"version":2,"id"`), nil},
		"a term's case":         {exchange.UnknownMember, inTerms(`"purposeStatement"`, `"PurposeStatement"`), nil},
		"no JSON":               {exchange.Malformed, func(r *exchangev1.ProposeRequest) { r.Terms = []byte("terms: yes") }, nil},
		"no terms":              {exchange.DigestMismatch, func(r *exchangev1.ProposeRequest) { r.Terms = []byte("{}") }, nil},
		"deeply nested":         {exchange.Malformed, func(r *exchangev1.ProposeRequest) { r.Terms = bytes.Repeat([]byte("["), 200_000) }, nil},
		"too large": {exchange.TooLarge, func(r *exchangev1.ProposeRequest) {
			r.Terms = append(r.Terms, bytes.Repeat([]byte(" "), exchange.MaxTerms)...)
		}, nil},
		"terms that differ":          {exchange.DigestMismatch, inTerms(`"fields":["employer"]`, `"fields":["employer","person"]`), nil},
		"the digest of other terms":  {exchange.DigestMismatch, func(r *exchangev1.ProposeRequest) { r.Digest = wages }, nil},
		"a signature on other terms": {exchange.DigestMismatch, func(r *exchangev1.ProposeRequest) { r.Signature = say(v1alpha1.DecisionAccept, wages, now) }, nil},
		"signed by another key": {exchange.BadSignature, func(r *exchangev1.ProposeRequest) {
			r.Signature = says(t, other, p.recipient.name, v1alpha1.DecisionAccept, r.Digest, now)
		}, nil},
		"signed for the other party": {exchange.WrongAgency, func(r *exchangev1.ProposeRequest) {
			r.Signature = says(t, p.recipient.keys, p.source.name, v1alpha1.DecisionAccept, r.Digest, now)
		}, nil},
		"no signature":                           {exchange.Malformed, func(r *exchangev1.ProposeRequest) { r.Signature = "" }, nil},
		"a task force that the terms do not pin": {exchange.DigestMismatch, func(r *exchangev1.ProposeRequest) { r.TaskForces = [][]byte{[]byte(someTaskForce)} }, nil},
		"a task force with a member nobody knows": {exchange.UnknownMember, func(r *exchangev1.ProposeRequest) {
			r.TaskForces = [][]byte{[]byte(strings.Replace(someTaskForce, `{"name"`, `{"except":"weekends","name"`, 1))}
		}, nil},
		"a task force that is none": {exchange.Malformed, func(r *exchangev1.ProposeRequest) { r.TaskForces = [][]byte{[]byte("[")} }, nil},
		"a task force that is too big": {exchange.TooLarge, func(r *exchangev1.ProposeRequest) {
			r.TaskForces = [][]byte{bytes.Repeat([]byte(" "), exchange.MaxTaskForce+1)}
		}, nil},
		"too many task forces":      {exchange.TooLarge, func(r *exchangev1.ProposeRequest) { r.TaskForces = make([][]byte, exchange.MaxTaskForces+1) }, nil},
		"a signature that suspends": {exchange.Malformed, func(r *exchangev1.ProposeRequest) { r.Signature = say(v1alpha1.DecisionSuspend, r.Digest, now) }, nil},
		"accepted tomorrow": {exchange.ClockSkew, func(r *exchangev1.ProposeRequest) {
			r.Signature = say(v1alpha1.DecisionAccept, r.Digest, now.Add(24*time.Hour))
		}, nil},
		"the sender is no party": {exchange.NotAParty, nil, func(a *v1alpha1.AgreementTerms) {
			a.Parties[1].Agency, a.Clauses[0].Recipients[0].Agency = "border-service", "border-service"
		}},
		"the receiver is no party": {exchange.NotAParty, nil, func(a *v1alpha1.AgreementTerms) {
			a.Parties[0].Agency, a.Clauses[0].Source = "border-service", "border-service"
		}},
		"another trust domain of ours": {exchange.NotAParty, nil, func(a *v1alpha1.AgreementTerms) { a.Parties[0].TrustDomain = "labour.example" }},
		"another trust domain of its":  {exchange.NotAParty, nil, func(a *v1alpha1.AgreementTerms) { a.Parties[1].TrustDomain = "police.example.evil" }},
		"a source that is no party":    {exchange.Malformed, nil, func(a *v1alpha1.AgreementTerms) { a.Clauses[0].Source = "border-service" }},
		"a window that is over": {exchange.Over, nil, func(a *v1alpha1.AgreementTerms) {
			a.Term.NotAfter = a.Term.NotBefore
			a.Term.NotBefore.Time = now.Add(-48 * time.Hour)
		}},
		"an id that is a path":     {exchange.Malformed, nil, func(a *v1alpha1.AgreementTerms) { a.ID = "../../secrets" }},
		"other terms under a name": {exchange.OtherTerms, nil, func(a *v1alpha1.AgreementTerms) { a.ID = "wages"; a.Title = "Other wages" }},
	}
	for name, c := range proposals {
		t.Run("proposes: "+name, func(t *testing.T) {
			var change []func(*v1alpha1.AgreementTerms)
			if c.terms != nil {
				change = append(change, c.terms)
			}
			r := p.proposal(t, "hostile", change...)
			if c.spoil != nil {
				c.spoil(r)
			}
			_, err := police.Propose(t.Context(), r)
			if got := exchange.ReasonOf(err); got != c.want {
				t.Errorf("%q (%v), not %s", got, err, c.want)
			}
		})
	}
	var made v1alpha1.SharingAgreementList
	if err := p.source.client.List(t.Context(), &made, client.InNamespace(p.source.name)); err != nil || len(made.Items) != 2 {
		t.Errorf("%d agreements, not 2 (%v)", len(made.Items), err)
	}

	statements := map[string]struct {
		want      exchange.Reason
		agreement string
		jws       string
	}{
		"of what is not there":            {exchange.UnknownAgreement, "harbor.v1", say(v1alpha1.DecisionReject, wages, now)},
		"of a path":                       {exchange.Malformed, "../wages.v1", say(v1alpha1.DecisionReject, wages, now)},
		"for the other party":             {exchange.WrongAgency, "wages.v1", says(t, p.recipient.keys, p.source.name, v1alpha1.DecisionTerminate, wages, now)},
		"the other party's own":           {exchange.WrongAgency, "wages.v1", says(t, p.source.keys, p.source.name, v1alpha1.DecisionTerminate, wages, now)},
		"with another key":                {exchange.BadSignature, "wages.v1", says(t, other, p.recipient.name, v1alpha1.DecisionTerminate, wages, now)},
		"of another agreement's terms":    {exchange.DigestMismatch, "wages.v1", say(v1alpha1.DecisionTerminate, ended, now)},
		"an older resume":                 {exchange.Stale, "wages.v1", say(v1alpha1.DecisionResume, wages, now.Add(-time.Minute))},
		"a resume at the same time":       {exchange.Stale, "wages.v1", say(v1alpha1.DecisionResume, wages, now)},
		"an older suspend":                {exchange.Stale, "wages.v1", say(v1alpha1.DecisionSuspend, wages, now.Add(-time.Minute))},
		"an older accept":                 {exchange.Stale, "wages.v1", say(v1alpha1.DecisionAccept, wages, now.Add(-24*time.Hour))},
		"a resume from the future":        {exchange.ClockSkew, "wages.v1", say(v1alpha1.DecisionResume, wages, now.Add(time.Hour))},
		"a resume of what it terminated":  {exchange.Final, "ended.v1", say(v1alpha1.DecisionResume, ended, now.Add(time.Minute))},
		"a suspend of what it terminated": {exchange.Final, "ended.v1", say(v1alpha1.DecisionSuspend, ended, now.Add(time.Minute))},
		"a duty that it does not owe":     {exchange.UnknownDuty, "wages.v1", say("Attest:report", wages, now)},
		"an attestation from the future":  {exchange.ClockSkew, "wages.v1", say("Attest:destruction", wages, now.Add(time.Hour))},
		"nothing":                         {exchange.Malformed, "wages.v1", ""},
		"too long":                        {exchange.Malformed, "wages.v1", strings.Repeat("A", 100_000)},
	}
	for name, c := range statements {
		t.Run("states: "+name, func(t *testing.T) {
			err := record(c.agreement, c.jws)
			if got := exchange.ReasonOf(err); got != c.want {
				t.Errorf("%q (%v), not %s", got, err, c.want)
			}
		})
	}
	p.source.reaches(t, "wages.v1", v1alpha1.StateSuspended, "by agency state-police")
	p.source.reaches(t, "ended.v1", v1alpha1.StateTerminated, "by agency state-police")

	t.Run("a version before the one in force", func(t *testing.T) {
		p.recipient.start(t)
		p.amended(t, "old")
		p.recipient.stop()
		first := &v1alpha1.SharingAgreement{}
		first.Namespace, first.Name = p.source.name, "old.v1"
		if err := p.source.client.Delete(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		eventually(t, "version 1 is gone", func() error {
			if _, err := p.source.get(t, "old.v1"); err == nil {
				return fmt.Errorf("still there")
			}
			return nil
		})
		if _, err := police.Propose(t.Context(), p.proposal(t, "old")); exchange.ReasonOf(err) != exchange.Downgrade {
			t.Errorf("%v", err)
		}
	})

	t.Run("a draft is nobody else's business", func(t *testing.T) {
		p.source.apply(t, p.terms(t, "draft"))
		p.source.reaches(t, "draft.v1", v1alpha1.StateProposed, "")
		if _, err := police.Get(t.Context(), &exchangev1.GetRequest{Agreement: "draft.v1"}); exchange.ReasonOf(err) != exchange.UnknownAgreement {
			t.Errorf("get: %v", err)
		}
		if err := record("draft.v1", say(v1alpha1.DecisionReject, wages, now)); exchange.ReasonOf(err) != exchange.UnknownAgreement {
			t.Errorf("a statement: %v", err)
		}
		_, err := police.Propose(t.Context(), p.proposal(t, "draft", func(a *v1alpha1.AgreementTerms) { a.Title = "Guess" }))
		if exchange.ReasonOf(err) != exchange.OtherTerms || strings.Contains(err.Error(), v1alpha1.DigestPrefix) {
			t.Errorf("a proposal: %v", err)
		}
		list, err := police.List(t.Context(), &exchangev1.ListRequest{PageSize: 1})
		if err != nil || len(list.GetAgreements()) != 1 || list.GetAgreements()[0].GetName() != "ended.v1" || list.GetNextPageToken() == "" {
			t.Fatalf("first page: %v, %v", list, err)
		}
		list, err = police.List(t.Context(), &exchangev1.ListRequest{PageToken: list.GetNextPageToken()})
		if err != nil || len(list.GetAgreements()) != 2 || list.GetAgreements()[0].GetName() != "old.v2" || list.GetAgreements()[1].GetName() != "wages.v1" || list.GetNextPageToken() != "" {
			t.Fatalf("second page: %v, %v", list, err)
		}
	})

	t.Run("a gateway asks for certificates only", func(t *testing.T) {
		gateway := p.source.dial(t, p.recipient.keys.GatewayIdentity())
		for name, call := range map[string]func(context.Context) error{
			"Propose": func(ctx context.Context) error { _, err := gateway.Propose(ctx, p.proposal(t, "hostile")); return err },
			"RecordDecision": func(ctx context.Context) error {
				_, err := gateway.RecordDecision(ctx, &exchangev1.RecordDecisionRequest{Format: 1, Agreement: "wages.v1"})
				return err
			},
			"Get": func(ctx context.Context) error {
				_, err := gateway.Get(ctx, &exchangev1.GetRequest{Agreement: "wages.v1"})
				return err
			},
			"List": func(ctx context.Context) error { _, err := gateway.List(ctx, &exchangev1.ListRequest{}); return err },
		} {
			if err := call(t.Context()); exchange.ReasonOf(err) != exchange.NotOperator {
				t.Errorf("%s: %v", name, err)
			}
		}
	})

	t.Run("a certificate request for which nobody issues anything", func(t *testing.T) {
		gateway := p.source.dial(t, p.recipient.keys.GatewayIdentity())
		for name, der := range map[string][]byte{"none": nil, "not DER": []byte("hello"), "too large": bytes.Repeat([]byte{0x30}, 5000)} {
			_, err := gateway.IssueCertificate(t.Context(), &exchangev1.IssueCertificateRequest{Agreement: "wages", CertificateRequest: der})
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "PKCS #10") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})

	t.Run("a stranger with the right name", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		stranger := p.source.dial(t, other.OperatorIdentity())
		if _, err := stranger.List(ctx, &exchangev1.ListRequest{}, grpc.WaitForReady(false)); status.Code(err) != codes.Unavailable {
			t.Errorf("got in: %v", err)
		}
	})

	t.Run("a message that is too large to be read", func(t *testing.T) {
		r := p.proposal(t, "hostile")
		r.Terms = bytes.Repeat([]byte(" "), 64<<20)
		before := heard.number(p.recipient.name, exchange.TooLarge)
		if _, err := police.Propose(t.Context(), r); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("got through: %v", err)
		}
		eventually(t, "it is logged with the peer's name", func() error {
			if n := heard.number(p.recipient.name, exchange.TooLarge); n <= before {
				return fmt.Errorf("%d, as before", n)
			}
			return nil
		})
	})

	t.Run("what was said days ago", func(t *testing.T) {
		r := p.proposal(t, "late", func(a *v1alpha1.AgreementTerms) { a.Term.NotBefore.Time = now.Add(-20 * 24 * time.Hour) })
		r.Signature = say(v1alpha1.DecisionAccept, r.Digest, now.Add(-10*24*time.Hour))
		if _, err := police.Propose(t.Context(), r); err != nil {
			t.Fatalf("a proposal that was ten days under way: %v", err)
		}
		if err := record("late.v1", say(v1alpha1.DecisionSuspend, r.Digest, now.Add(-9*24*time.Hour))); err != nil {
			t.Errorf("a suspension that was nine days under way: %v", err)
		}
	})

	t.Run("a flood", func(t *testing.T) {
		counts := map[exchange.Reason]int{}
		for i := range 400 {
			_, err := police.Propose(t.Context(), p.proposal(t, fmt.Sprintf("flood-%d", i)))
			counts[exchange.ReasonOf(err)]++
		}
		t.Logf("of 400 proposals: %v", counts)
		if counts[exchange.RateLimited] == 0 && counts[exchange.TooManyProposals] == 0 || counts[""] > exchange.MaxUndecided {
			t.Error("a flood got through")
		}
		for deadline := time.Now().Add(patience); counts[exchange.TooManyProposals] == 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			_, err := police.Propose(t.Context(), p.proposal(t, fmt.Sprintf("flood-%d", 1000+len(counts)+int(time.Now().UnixNano()%1e9))))
			counts[exchange.ReasonOf(err)]++
		}
		var list v1alpha1.SharingAgreementList
		err := p.source.client.List(t.Context(), &list, client.InNamespace(p.source.name), client.MatchingLabels{v1alpha1.LabelProposedBy: p.recipient.name})
		if err != nil || len(list.Items) != exchange.MaxUndecided {
			t.Errorf("%d proposals wait, not %d (%v)", len(list.Items), exchange.MaxUndecided, err)
		}
	})

	t.Run("every refusal is logged and counted with the peer's name", func(t *testing.T) {
		want := map[exchange.Reason]bool{exchange.Downgrade: true, exchange.NotOperator: true, exchange.TooManyProposals: true, exchange.RateLimited: true}
		for _, c := range proposals {
			want[c.want] = true
		}
		for _, c := range statements {
			want[c.want] = true
		}
		families, err := metrics.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		counted := map[exchange.Reason]float64{}
		for _, f := range families {
			if f.GetName() != "entente_exchange_messages_total" {
				continue
			}
			for _, m := range f.GetMetric() {
				labels := map[string]string{}
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				if labels["peer"] == p.recipient.name {
					counted[exchange.Reason(labels["outcome"])] += m.GetCounter().GetValue()
				}
			}
		}
		for reason := range want {
			if n := heard.number(p.recipient.name, reason); n == 0 || counted[reason] < float64(n) {
				t.Errorf("%s: logged %d times, counted %v times", reason, n, counted[reason])
			}
		}
		t.Logf("%d reasons: %v", len(want), counted)
	})

	t.Run("it is reported on the Agency", func(t *testing.T) {
		eventually(t, "events name the peer", func() error {
			u := &unstructured.UnstructuredList{}
			u.SetGroupVersionKind(runtimeschema.GroupVersionKind{Group: "events.k8s.io", Version: "v1", Kind: "EventList"})
			if err := p.source.client.List(t.Context(), u, client.InNamespace(p.source.name)); err != nil {
				return err
			}
			for _, e := range u.Items {
				reason, _, _ := unstructured.NestedString(e.Object, "reason")
				name, _, _ := unstructured.NestedString(e.Object, "regarding", "name")
				kind, _, _ := unstructured.NestedString(e.Object, "type")
				if reason == "MessageRefused" && name == p.recipient.name && kind == corev1.EventTypeWarning {
					return nil
				}
			}
			return fmt.Errorf("none among %d events", len(u.Items))
		})
	})
}

// refusals is a log that counts the refusals of messages.
type refusals struct {
	mu    sync.Mutex
	count map[string]int // by peer and reason
}

func (r *refusals) number(peer string, reason exchange.Reason) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[peer+" "+string(reason)]
}

// Handle implements slog.Handler.
func (r *refusals) Handle(_ context.Context, record slog.Record) error {
	if record.Message != "message of a peer refused" {
		return nil
	}
	attrs := map[string]string{}
	record.Attrs(func(a slog.Attr) bool { attrs[a.Key] = a.Value.String(); return true })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == nil {
		r.count = map[string]int{}
	}
	r.count[attrs["peer"]+" "+attrs["reason"]]++
	return nil
}

// Enabled implements slog.Handler.
func (r *refusals) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (r *refusals) WithAttrs([]slog.Attr) slog.Handler { return r }

// WithGroup implements slog.Handler.
func (r *refusals) WithGroup(string) slog.Handler { return r }

func inTerms(old, new string) func(*exchangev1.ProposeRequest) {
	return func(r *exchangev1.ProposeRequest) {
		if !bytes.Contains(r.Terms, []byte(old)) {
			panic(old + " is not in " + string(r.Terms))
		}
		r.Terms = bytes.Replace(r.Terms, []byte(old), []byte(new), 1)
	}
}

func withUnknown(r *exchangev1.ProposeRequest) {
	r.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), "only on weekdays"))
}

const someTaskForce = `{"name":"harbor","version":1,"objective":"o","lead":"a","members":[{"agency":"a","trustDomain":"a.example"},{"agency":"b","trustDomain":"b.example"}],"window":{"notBefore":"2026-01-01T00:00:00Z","notAfter":"2036-01-01T00:00:00Z"}}`
