package controllers

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/testenv"
)

const scribedYAML = `
metadata: {name: anvil.v1, namespace: scribe}
spec:
  terms:
    id: anvil
    version: 1
    title: Anvil
    type: MemorandumOfUnderstanding
    parties:
      - {agency: a, trustDomain: a.example}
      - {agency: b, trustDomain: b.example}
    purposeStatement: To test.
    term: {notBefore: "2026-01-01T00:00:00Z", notAfter: "2027-01-01T00:00:00Z"}
    clauses:
      - name: names
        source: a
        recipients: [{agency: b}]
        schema: {name: person, version: 1, digest: "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
        purposes: ["entente:test"]
        granularity: Records
        fields: [name]
`

// What is said of an agreement within a moment is one write, what an owner leaves out goes, and nothing that was said of one object
// is written into another of its name.
func TestScribe(t *testing.T) {
	k := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{filepath.Join("..", "config", "crd")}})
	ctx := t.Context()
	c, err := client.New(k.Config(), client.Options{Scheme: newScheme()})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.EnsureNamespace(ctx, "scribe"); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	s := newScribe(c, "scribe", func() time.Time { return now })
	create := func() *v1alpha1.SharingAgreement {
		a := &v1alpha1.SharingAgreement{}
		if err := yaml.UnmarshalStrict([]byte(scribedYAML), a); err != nil {
			t.Fatal(err)
		}
		if err := c.Create(ctx, a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	get := func() *v1alpha1.SharingAgreement {
		a := &v1alpha1.SharingAgreement{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: "scribe", Name: "anvil.v1"}, a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	work := func() time.Duration {
		result, err := s.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKey{Name: "anvil.v1"}})
		if err != nil {
			t.Fatal(err)
		}
		return result.RequeueAfter
	}
	conditions := func(kinds ...string) (out []metav1.Condition) {
		for _, kind := range kinds {
			out = append(out, observation{kind, metav1.ConditionTrue, "Tested", "tested"}.condition(1, nil, now))
		}
		return out
	}
	type status = v1alpha1.SharingAgreementStatus

	a := create()
	told := 0
	tell := func(before *v1alpha1.SharingAgreement) {
		if told++; before.Status.State != "" {
			t.Errorf("before: %+v", before.Status)
		}
	}
	s.say(a, compiledPart, status{State: v1alpha1.StateProposed, Conditions: conditions(v1alpha1.ConditionAccepted)}, tell)
	s.read(a)
	if a.Status.State != v1alpha1.StateProposed || meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionAccepted) == nil {
		t.Errorf("what is to be written does not count as written: %+v", a.Status)
	}
	s.say(a, compiledPart, status{
		State: v1alpha1.StateSuspended, Routes: []string{"anvil"}, Conditions: conditions(v1alpha1.ConditionAccepted, v1alpha1.ConditionSuspended),
	}, tell)
	credentials := status{Credentials: []v1alpha1.CredentialStatus{{Kind: "Source", VaultRole: "r"}}, Conditions: conditions(v1alpha1.ConditionCredentialsReady)}
	s.say(a, credentialsPart, credentials, nil)
	s.say(a, programmedPart, status{Conditions: conditions(v1alpha1.ConditionProgrammed)}, nil)
	if wait := work(); wait <= 0 || get().ResourceVersion != a.ResourceVersion {
		t.Fatalf("written at once, or never: waits for %v", wait)
	}
	now = now.Add(gatherFor)
	if wait := work(); wait != 0 {
		t.Errorf("waits for %v", wait)
	}
	b := get()
	if b.Status.State != v1alpha1.StateSuspended || len(b.Status.Conditions) != 4 || len(b.Status.Credentials) != 1 || told != 1 {
		t.Errorf("told %d times: %+v", told, b.Status)
	}
	if n := len(b.ManagedFields); n != 2 { // of who created it, and of one write
		t.Errorf("%d field managers", n)
	}
	if s.knows(b) {
		work()
		if s.knows(b) {
			t.Error("what the cache has is not forgotten")
		}
	}
	s.say(b, compiledPart, status{State: v1alpha1.StateSuspended, Routes: []string{"anvil"}, Conditions: conditions(v1alpha1.ConditionSuspended, v1alpha1.ConditionAccepted)}, nil)
	if s.knows(b) {
		t.Error("what stands there is to be written")
	}

	// The release before had an owner for each part. Both said the same of the credentials, which end now, and so does Suspended.
	if err := applyStatus(ctx, c, "SharingAgreement", client.ObjectKeyFromObject(b), "entente-credentials", &credentials); err != nil {
		t.Fatal(err)
	}
	b = get()
	s.say(b, compiledPart, status{State: v1alpha1.StateTerminated, Conditions: conditions(v1alpha1.ConditionAccepted)}, nil)
	s.say(b, credentialsPart, status{Conditions: conditions(v1alpha1.ConditionCredentialsReady)}, nil)
	now = now.Add(gatherFor)
	work()
	if b = get(); len(b.Status.Credentials) != 0 || len(b.Status.Routes) != 0 || len(b.Status.Conditions) != 3 || b.Status.State != v1alpha1.StateTerminated {
		t.Errorf("what ended is still there: %+v", b.Status)
	}

	// Another object of the name.
	s.say(b, compiledPart, status{State: v1alpha1.StateInForce}, func(*v1alpha1.SharingAgreement) { t.Error("told of another object") })
	if err := c.Delete(ctx, b); err != nil {
		t.Fatal(err)
	}
	create()
	now = now.Add(gatherFor)
	work()
	if got := fmt.Sprint(get().Status.State); got != "" || s.knows(b) {
		t.Errorf("the other object of the name is %s", got)
	}
}

// held lets writes of a status through one by one, and knows how many there were at once.
type held struct {
	client.Client
	begun   chan struct{}
	let     chan struct{}
	writing atomic.Int32
	most    atomic.Int32
}

func (h *held) Status() client.SubResourceWriter { return heldStatus{h.Client.Status(), h} }

type heldStatus struct {
	client.SubResourceWriter
	held *held
}

func (s heldStatus) Apply(ctx context.Context, o runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
	n := s.held.writing.Add(1)
	defer s.held.writing.Add(-1)
	for most := s.held.most.Load(); n > most && !s.held.most.CompareAndSwap(most, n); most = s.held.most.Load() {
	}
	s.held.begun <- struct{}{}
	<-s.held.let
	return s.SubResourceWriter.Apply(ctx, o, options...)
}

// While a status is written, nobody else writes it: not even when the object changes meanwhile, by others' doing. Of two writes at once
// the older could be the last, and then nothing would say that it is not true any more.
func TestScribeWritesOneAtATime(t *testing.T) {
	k := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{filepath.Join("..", "config", "crd")}})
	ctx := t.Context()
	if err := k.EnsureNamespace(ctx, "scribe"); err != nil {
		t.Fatal(err)
	}
	m, err := newManager(k.Config(), Options{Namespace: "scribe", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &held{Client: m.GetClient(), begun: make(chan struct{}, 100), let: make(chan struct{})}
	s := newScribe(h, "scribe", time.Now)
	if err := s.setUp(m); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	if !m.GetCache().WaitForCacheSync(ctx) {
		t.Fatal(<-ended)
	}

	a := &v1alpha1.SharingAgreement{}
	if err := yaml.UnmarshalStrict([]byte(scribedYAML), a); err != nil {
		t.Fatal(err)
	}
	if err := h.Create(ctx, a); err != nil {
		t.Fatal(err)
	}
	cached := func(what string, ok func(*v1alpha1.SharingAgreement) bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
			c := &v1alpha1.SharingAgreement{}
			err := h.Get(ctx, client.ObjectKeyFromObject(a), c)
			if err == nil && ok(c) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("never: %s: %+v, %v", what, c.Status, err)
			}
		}
	}
	cached("it is there", func(*v1alpha1.SharingAgreement) bool { return true })
	say := func(state v1alpha1.AgreementState) {
		s.say(a, compiledPart, v1alpha1.SharingAgreementStatus{State: state}, nil)
	}
	say(v1alpha1.StateProposed)
	<-h.begun
	say(v1alpha1.StateSigned)
	before := a.DeepCopy()
	a.Labels = map[string]string{"changed": "meanwhile"}
	if err := h.Patch(ctx, a, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	cached("the change", func(c *v1alpha1.SharingAgreement) bool { return c.Labels["changed"] != "" })
	select {
	case <-h.begun:
		t.Error("a second write began before the first had ended")
	case <-time.After(time.Second):
	}
	close(h.let)
	cached("what was said last", func(c *v1alpha1.SharingAgreement) bool { return c.Status.State == v1alpha1.StateSigned })
	if n := h.most.Load(); n > 1 {
		t.Errorf("%d writes at once", n)
	}
}
