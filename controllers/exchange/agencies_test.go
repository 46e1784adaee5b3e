package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/controllers/local"
	"github.com/entente-dev/entente/controllers/vault"
	"github.com/entente-dev/entente/hack/testenv"
)

// agency is one that runs in a namespace of its own, with keys of its own, and knows of the other only its Agency.
type agency struct {
	name, domain string
	keys         *local.Store
	config       *rest.Config // of the operator's service account
	client       client.WithWatch
	// address is where the exchange listens; peers come through proxy, which can be cut.
	address string
	proxy   *testenv.Proxy
	log     *slog.Logger

	// ahead is how far the operator's clock is ahead of the right time, from its next start on.
	ahead time.Duration

	stop func()
	// routes is the state of each GatewayRoute and since when, as a watcher sees it.
	routes *routeWatch
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// newAgency makes a namespace with the operator's rights in it and no others, and keys.
func newAgency(t testing.TB, kube *testenv.Kube, name, domain string) *agency {
	t.Helper()
	ctx := t.Context()
	a := &agency{name: name, domain: domain, log: slog.New(slog.DiscardHandler)}
	if testing.Verbose() {
		a.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})).With("operator", name)
	}
	var err error
	if a.keys, err = local.Open(filepath.Join(t.TempDir(), "keys"), domain); err != nil {
		t.Fatal(err)
	}
	if err := kube.EnsureNamespace(ctx, name); err != nil {
		t.Fatal(err)
	}
	if _, err := kube.Kubectl(ctx, "apply", "-n", name, "-k", "../../config/rbac"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if _, err := kube.WriteServiceAccountKubeconfig(ctx, path, name, "entente-operator", testenv.TokenOptions{}); err != nil {
		t.Fatal(err)
	}
	if a.config, err = clientcmd.BuildConfigFromFlags("", path); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	if a.client, err = client.NewWithWatch(kube.Config(), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.address = l.Addr().String()
	l.Close()
	if a.proxy, err = testenv.NewProxy(a.address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.proxy.Stop() })
	a.routes = watchRoutes(t, a.client, name)
	return a
}

// publish gives the agency as its peers apply it, or as it applies itself.
func (a *agency) publish(t testing.TB, namespace string) *v1alpha1.Agency {
	t.Helper()
	o := &v1alpha1.Agency{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: a.name}}
	o.Spec = v1alpha1.AgencySpec{DisplayName: a.name, TrustDomain: a.domain}
	o.Spec.Endpoints = v1alpha1.AgencyEndpoints{Gateway: "127.0.0.1:9", Exchange: a.proxy.Addr()}
	if namespace == a.name {
		return o
	}
	var err error
	if o.Spec.TrustBundle, err = a.keys.TrustBundle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o.Spec.SigningKeys, err = a.keys.Public(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o
}

// start runs the operator until stop.
func (a *agency) start(t testing.TB) {
	t.Helper()
	var l net.Listener
	eventually(t, "the port of "+a.name+" is free", func() (err error) {
		l, err = net.Listen("tcp", a.address)
		return err
	})
	ahead := a.ahead
	m, err := controllers.New(a.config, controllers.Options{
		Agency: a.name, TrustDomain: a.domain, Namespace: a.name,
		Keys: a.keys, Roles: &roles{}, Catalogue: catalogue{}, VaultCheck: func(context.Context) error { return nil },
		Own: a.keys.OperatorIdentity(), Exchange: l, Logger: a.log, Now: func() time.Time { return time.Now().Add(ahead) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	var once sync.Once
	a.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("operator of %s: %v", a.name, err)
			}
		})
	}
	t.Cleanup(a.stop)
}

func (a *agency) apply(t testing.TB, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		o.SetNamespace(a.name)
		if err := a.client.Create(t.Context(), o); err != nil {
			t.Fatalf("%s at %s: %v", o.GetName(), a.name, err)
		}
	}
}

func (a *agency) get(t testing.TB, name string) (*v1alpha1.SharingAgreement, error) {
	t.Helper()
	o := &v1alpha1.SharingAgreement{}
	return o, a.client.Get(t.Context(), client.ObjectKey{Namespace: a.name, Name: name}, o)
}

// decide creates a decision, as a person would.
func (a *agency) decide(t testing.TB, name string, decision v1alpha1.Decision) {
	t.Helper()
	o, err := a.get(t, name)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := o.Spec.Terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	a.apply(t, &v1alpha1.AgreementDecision{
		ObjectMeta: metav1.ObjectMeta{GenerateName: strings.ToLower(string(decision)) + "-"},
		Spec:       v1alpha1.AgreementDecisionSpec{Agreement: name, Digest: digest, Decision: decision, DecidedBy: "carol@" + a.name},
	})
}

// reaches waits for a state whose message of InForce contains text.
func (a *agency) reaches(t testing.TB, name string, state v1alpha1.AgreementState, text string) *v1alpha1.SharingAgreement {
	t.Helper()
	var o *v1alpha1.SharingAgreement
	eventually(t, fmt.Sprintf("%s at %s is %s", name, a.name, state), func() (err error) {
		if o, err = a.get(t, name); err != nil {
			return err
		}
		message := ""
		for _, c := range o.Status.Conditions {
			if c.Type == v1alpha1.ConditionInForce {
				message = c.Message
			}
		}
		if o.Status.State != state || !strings.Contains(message, text) {
			return fmt.Errorf("it is %s: %s; %+v", o.Status.State, message, o.Status.Delivered)
		}
		return nil
	})
	return o
}

const patience = 2 * time.Minute

func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %s: %v", what, patience, err)
}

// roles keeps roles in memory. What happens to credentials is tested with Vault elsewhere.
type roles struct {
	mu    sync.Mutex
	named map[string]bool
}

func (r *roles) Ensure(_ context.Context, c compile.Credential) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.named == nil {
		r.named = map[string]bool{}
	}
	r.named[c.Role] = true
	return nil
}
func (r *roles) RolePath(c compile.Credential) string { return c.Role }
func (r *roles) end(role string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.named, role)
	return nil
}
func (r *roles) RevokeAgreementRole(_ context.Context, role string) error { return r.end(role) }
func (r *roles) RevokeSourceRole(_ context.Context, role string) error    { return r.end(role) }
func (r *roles) ListRoles(context.Context) (vault.Roles, error)           { return vault.Roles{}, nil }

type catalogue struct{}

func (catalogue) Columns(context.Context, *v1alpha1.Dataset) ([]string, error) {
	return []string{"employer", "person"}, nil
}

// routeWatch knows since when each route is in its state.
type routeWatch struct {
	mu    sync.Mutex
	state map[string]string
	since map[string]time.Time
	woken chan struct{}
}

func watchRoutes(t testing.TB, c client.WithWatch, namespace string) *routeWatch {
	t.Helper()
	r := &routeWatch{state: map[string]string{}, since: map[string]time.Time{}, woken: make(chan struct{})}
	w, err := c.Watch(t.Context(), &v1alpha1.GatewayRouteList{}, client.InNamespace(namespace))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for e := range w.ResultChan() {
			g, ok := e.Object.(*v1alpha1.GatewayRoute)
			if !ok {
				continue
			}
			r.mu.Lock()
			if r.state[g.Name] != g.Spec.State {
				r.state[g.Name], r.since[g.Name] = g.Spec.State, time.Now()
				close(r.woken)
				r.woken = make(chan struct{})
			}
			r.mu.Unlock()
		}
	}()
	return r
}

// await waits for a route's state and says since when it is in it.
func (r *routeWatch) await(t testing.TB, id, state string) time.Time {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		is, since, woken := r.state[id], r.since[id], r.woken
		r.mu.Unlock()
		if is == state {
			return since
		}
		select {
		case <-woken:
		case <-deadline:
			t.Fatalf("route %s: %q, not %s within %s", id, is, state, patience)
		}
	}
}

// pair is two agencies that know each other's Agency and nothing else.
type pair struct{ source, recipient *agency }

func newPair(t testing.TB) *pair {
	t.Helper()
	kube := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{"../../config/crd"}})
	p := &pair{newAgency(t, kube, "labor-inspectorate", "labor.example"), newAgency(t, kube, "state-police", "police.example")}
	for _, a := range []*agency{p.source, p.recipient} {
		a.apply(t, p.source.publish(t, a.name), p.recipient.publish(t, a.name), schema())
	}
	p.source.apply(t, dataset())
	return p
}

func schema() *v1alpha1.ExchangeSchema {
	return &v1alpha1.ExchangeSchema{ObjectMeta: metav1.ObjectMeta{Name: "employment.v1"}, Spec: v1alpha1.ExchangeSchemaSpec{
		Name: "employment", Version: 1,
		Fields: []v1alpha1.SchemaField{{Name: "employer", Type: "string"}, {Name: "person", Type: "string"}},
	}}
}

func dataset() *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: "wages"}}
	d.Spec.Schema = v1alpha1.SchemaVersion{Name: "employment", Version: 1}
	d.Spec.Relation = "registry.wages"
	d.Spec.Source.PostgreSQL = &v1alpha1.PostgreSQLSource{Host: "db.example", Database: "registry", VaultConnection: "registry"}
	d.Spec.Fields = []v1alpha1.FieldMapping{{Field: "employer", Column: "employer"}, {Field: "person", Column: "person"}}
	d.Spec.Selectors = []v1alpha1.SelectorSet{{"person"}}
	d.Spec.SubjectKey = "person"
	return d
}

// terms of an agreement; change may make them differ.
func (p *pair) terms(t testing.TB, id string, change ...func(*v1alpha1.AgreementTerms)) *v1alpha1.SharingAgreement {
	t.Helper()
	s := schema()
	digest, err := s.Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	terms := v1alpha1.AgreementTerms{
		ID: id, Version: 1, Title: "Wages", Type: "InformationExchangeAgreement", PurposeStatement: "To find victims of labour trafficking.",
		Parties: []v1alpha1.Party{
			{Agency: p.source.name, TrustDomain: p.source.domain}, {Agency: p.recipient.name, TrustDomain: p.recipient.domain},
		},
		Term: v1alpha1.Term{NotBefore: metav1.NewTime(now.Add(-time.Hour)), NotAfter: metav1.NewTime(now.Add(200 * 24 * time.Hour))},
		Clauses: []v1alpha1.Clause{{
			Name: "wages", Source: p.source.name, Recipients: []v1alpha1.Recipient{{Agency: p.recipient.name}},
			Schema:   v1alpha1.SchemaRef{Name: "employment", Version: 1, Digest: digest},
			Purposes: []string{"entente:trafficking-investigation"}, Granularity: v1alpha1.GranularityRecords, Fields: []string{"employer"},
		}},
	}
	for _, c := range change {
		c(&terms)
	}
	return &v1alpha1.SharingAgreement{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.v%d", terms.ID, terms.Version)},
		Spec:       v1alpha1.SharingAgreementSpec{Terms: terms},
	}
}

// agree waits until both sides' records of a version say the same: what each said is what the other received, and all is delivered.
func (p *pair) agree(t testing.TB, name string) {
	t.Helper()
	eventually(t, "the records of "+name+" agree", func() error {
		a, errA := p.source.get(t, name)
		b, errB := p.recipient.get(t, name)
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		if a.Status.Digest != b.Status.Digest || a.Status.Digest == "" {
			return fmt.Errorf("digests %s and %s", a.Status.Digest, b.Status.Digest)
		}
		if a.Status.State != b.Status.State {
			return fmt.Errorf("states %s and %s", a.Status.State, b.Status.State)
		}
		return errors.Join(heard(a, b, p.source.name), heard(b, a, p.recipient.name), delivered(a), delivered(b))
	})
}

func delivered(a *v1alpha1.SharingAgreement) error {
	for _, d := range a.Status.Delivered {
		if d.Failure != "" {
			return fmt.Errorf("%s to %s: %s", a.Name, d.Agency, d.Failure)
		}
	}
	return nil
}

// heard compares what one side said with what the other received.
func heard(by, at *v1alpha1.SharingAgreement, who string) error {
	var said, received []string
	for _, s := range exchange.Said(by, who) {
		said = append(said, fmt.Sprint(s.Decision, s.DecidedAt.Unix()))
	}
	for _, s := range at.Status.Received {
		received = append(received, fmt.Sprint(s.Decision, s.DecidedAt.Unix()))
	}
	slices.Sort(said)
	slices.Sort(received)
	if !slices.Equal(said, received) {
		return fmt.Errorf("%s said %v, the other received %v", who, said, received)
	}
	return nil
}
