package controllers_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/local"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/controllers/vault"
	"github.com/entente-dev/entente/controllers/vault/vaulttest"
	"github.com/entente-dev/entente/gateway/kube"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/hack/testenv"
)

func TestMain(m *testing.M) { vaulttest.Main(m) }

// scene is an operator of one agency, on a real API server, Vault and PostgreSQL, and a peer that has only keys.
type scene struct {
	client.Client
	kube   *testenv.Kube
	agency *vaulttest.Agency
	peer   *local.Store
	stop   context.CancelFunc
}

const (
	peerDomain = "peer.example.gov"
	agreement  = "anvil.v1"
	id         = "anvil"
	schemaYAML = `
apiVersion: entente.dev/v1alpha1
kind: ExchangeSchema
metadata: {name: person.v1}
spec:
  name: person
  version: 1
  fields:
    - {name: number, type: int}
    - {name: name, type: string}
    - {name: birth_date, type: date}
`
)

func newScene(t *testing.T, name string) *scene {
	t.Helper()
	agency := vaulttest.NewBootstrapped(t, name)
	k := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{filepath.Join("..", "config", "crd")}})
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	c, err := client.New(k.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := local.Open(t.TempDir(), peerDomain)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.EnsureNamespace(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s := &scene{Client: c, kube: k, agency: agency, peer: peer}
	s.operate(t)
	return s
}

// operate starts the operator, after ending the one that runs.
func (s *scene) operate(t *testing.T) {
	t.Helper()
	if s.stop != nil {
		s.stop()
	}
	log := slog.New(slog.DiscardHandler)
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	m, err := controllers.New(s.kube.Config(), controllers.Options{
		Agency: s.agency.Name, TrustDomain: s.agency.TrustDomain(), Namespace: s.agency.Name,
		Keys: s.agency.Client, Roles: s.agency.Client, Catalogue: &controllers.VaultCatalogue{Vault: s.agency.Client},
		VaultCheck: func(ctx context.Context) error {
			_, err := s.agency.Operator.Read(ctx, "auth/token/lookup-self")
			return err
		},
		Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Start(ctx) }()
	var once bool
	s.stop = func() {
		if once {
			return
		}
		once = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("operator: %v", err)
		}
	}
	stop := s.stop
	t.Cleanup(stop)
}

func (s *scene) apply(t *testing.T, text string) {
	t.Helper()
	for _, document := range strings.Split(text, "\n---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			t.Fatal(err)
		}
		u.SetNamespace(s.agency.Name)
		// As kubectl apply --validate=false does: unknown members are not refused.
		err := s.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("test"), client.ForceOwnership)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// describe applies agencies, schema and dataset.
func (s *scene) describe(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	bundle, err := s.peer.TrustBundle(ctx)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.peer.Public(ctx)
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(s.agency.Postgres.Addr(), ":")
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	s.apply(t, schemaYAML)
	for _, o := range []client.Object{
		&v1alpha1.Agency{ObjectMeta: metav1.ObjectMeta{Name: s.agency.Name}, Spec: v1alpha1.AgencySpec{DisplayName: "Own", TrustDomain: s.agency.TrustDomain()}},
		&v1alpha1.Agency{ObjectMeta: metav1.ObjectMeta{Name: "peer"}, Spec: v1alpha1.AgencySpec{
			DisplayName: "Peer", TrustDomain: peerDomain, TrustBundle: bundle, SigningKeys: keys,
			Endpoints: v1alpha1.AgencyEndpoints{Gateway: "127.0.0.1:1", Exchange: "127.0.0.1:2"},
		}},
		&v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: "people"}, Spec: v1alpha1.DatasetSpec{
			Schema: v1alpha1.SchemaVersion{Name: "person", Version: 1},
			Source: v1alpha1.DatasetSource{PostgreSQL: &v1alpha1.PostgreSQLSource{
				Host: host, Port: int32(number), Database: s.agency.Name, SSLMode: "verify-full",
				CABundle: s.agency.Options.Databases[0].CA, VaultConnection: vaulttest.Connection,
			}},
			Relation: "people",
			Fields: []v1alpha1.FieldMapping{
				{Field: "number", Column: "id"}, {Field: "name", Column: "name"}, {Field: "birth_date", Column: "born"},
			},
			Selectors: []v1alpha1.SelectorSet{{"number"}},
		}},
	} {
		o.SetNamespace(s.agency.Name)
		if err := s.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
}

// terms of an agreement under which the peer may see names.
func (s *scene) agreementYAML(t *testing.T, version int, extra string) string {
	t.Helper()
	var schema v1alpha1.ExchangeSchema
	if err := yaml.UnmarshalStrict([]byte(schemaYAML), &schema); err != nil {
		t.Fatal(err)
	}
	digest, err := schema.Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	return fmt.Sprintf(`
apiVersion: entente.dev/v1alpha1
kind: SharingAgreement
metadata: {name: anvil.v%[1]d}
spec:
  terms:
    id: anvil
    version: %[1]d
    title: Anvil
    type: MemorandumOfUnderstanding
    parties:
      - {agency: %[2]s, trustDomain: %[3]s}
      - {agency: peer, trustDomain: %[4]s}
    purposeStatement: To test.
    term: {notBefore: %[5]q, notAfter: %[6]q}
    clauses:
      - name: names
        source: %[2]s
        recipients: [{agency: peer}]
        schema: {name: person, version: 1, digest: %[7]q}
        purposes: ["entente:test"]
        granularity: Records
        fields: [name]
        filterFields: [number]
%[8]s`, version, s.agency.Name, s.agency.TrustDomain(), peerDomain, now.Add(-time.Hour).Format(time.RFC3339), now.Add(240*time.Hour).Format(time.RFC3339), digest, extra)
}

func (s *scene) get(t *testing.T, name string, into client.Object) error {
	t.Helper()
	return s.Get(t.Context(), client.ObjectKey{Namespace: s.agency.Name, Name: name}, into)
}

// until waits until check says nothing.
func until(t *testing.T, what string, check func() string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		missing := check()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s", what, missing)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// condition waits for a condition of the agreement.
func (s *scene) condition(t *testing.T, name, kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	t.Helper()
	var found metav1.Condition
	until(t, name+" "+kind, func() string {
		a := &v1alpha1.SharingAgreement{}
		if err := s.get(t, name, a); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(a.Status.Conditions, kind)
		if c == nil {
			return "is not there"
		}
		found = *c
		if c.Status != status || reason != "" && c.Reason != reason {
			return fmt.Sprintf("is %s, %s: %s", c.Status, c.Reason, c.Message)
		}
		if c.ObservedGeneration != a.Generation {
			return "is of another generation"
		}
		return ""
	})
	return found
}

func (s *scene) decide(t *testing.T, name string, what v1alpha1.Decision) {
	t.Helper()
	a := &v1alpha1.SharingAgreement{}
	if err := s.get(t, name, a); err != nil {
		t.Fatal(err)
	}
	d := &v1alpha1.AgreementDecision{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.agency.Name, GenerateName: "d-"},
		Spec:       v1alpha1.AgreementDecisionSpec{Agreement: name, Digest: a.Status.Digest, Decision: what, DecidedBy: "officer"},
	}
	if err := s.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// peerSigns files the peer's signature.
func (s *scene) peerSigns(t *testing.T, name string) {
	t.Helper()
	a := &v1alpha1.SharingAgreement{}
	if err := s.get(t, name, a); err != nil {
		t.Fatal(err)
	}
	jws, err := signature.Sign(t.Context(), s.peer, signature.Claims{Digest: a.Status.Digest, Decision: v1alpha1.DecisionAccept, Agency: "peer", DecidedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	before := a.DeepCopy()
	a.Spec.Signatures = []v1alpha1.AgreementSignature{{Agency: "peer", JWS: jws}}
	if err := s.Patch(t.Context(), a, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// inForce brings the agreement into force.
func (s *scene) inForce(t *testing.T) {
	t.Helper()
	s.describe(t)
	s.apply(t, s.agreementYAML(t, 1, ""))
	s.condition(t, agreement, v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, "")
	s.decide(t, agreement, v1alpha1.DecisionAccept)
	s.peerSigns(t, agreement)
	s.condition(t, agreement, v1alpha1.ConditionInForce, metav1.ConditionTrue, "")
	s.condition(t, agreement, v1alpha1.ConditionCredentialsReady, metav1.ConditionTrue, "")
}

// route waits for a route of a state that the operator signed.
func (s *scene) route(t *testing.T, state string) *route.Route {
	t.Helper()
	keys, err := s.agency.Client.RouteKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out *route.Route
	until(t, "route", func() string {
		g := &v1alpha1.GatewayRoute{}
		if err := s.get(t, id, g); err != nil {
			return err.Error()
		}
		if g.Spec.State != state {
			return "is " + g.Spec.State
		}
		if out, err = route.Verify(route.Signed{Payload: g.Spec.Payload, KeyID: g.Spec.KeyID, Signature: g.Spec.Signature}, keys); err != nil {
			return err.Error()
		}
		return ""
	})
	return out
}

// roles of the agreement in Vault.
func (s *scene) roles(t *testing.T) []string {
	t.Helper()
	r, err := s.agency.Client.ListRoles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(r.Agreement, r.Source)
}

// The life of an agreement: seen, signed, in force, served, suspended, resumed, deleted.
func TestAgreementLives(t *testing.T) {
	s := newScene(t, "lives")
	ctx := t.Context()
	s.describe(t)
	s.apply(t, s.agreementYAML(t, 1, ""))

	// From first sight all conditions are there, and say what is waited for.
	s.condition(t, agreement, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	s.condition(t, agreement, v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, v1alpha1.ReasonResolved)
	s.condition(t, agreement, v1alpha1.ConditionSigned, metav1.ConditionFalse, v1alpha1.ReasonAwaitingDecision)
	s.condition(t, agreement, v1alpha1.ConditionInForce, metav1.ConditionFalse, v1alpha1.ReasonNotSigned)
	s.condition(t, agreement, v1alpha1.ConditionCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonNotInForce)
	s.condition(t, agreement, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNotInForce)

	s.decide(t, agreement, v1alpha1.DecisionAccept)
	s.condition(t, agreement, v1alpha1.ConditionSigned, metav1.ConditionFalse, v1alpha1.ReasonAwaitingSignature)
	if got := s.roles(t); len(got) != 0 {
		t.Errorf("roles before every party signed: %v", got)
	}
	s.peerSigns(t, agreement)
	s.condition(t, agreement, v1alpha1.ConditionInForce, metav1.ConditionTrue, "")
	s.condition(t, agreement, v1alpha1.ConditionCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	first := s.route(t, "Active")
	if want := []string{compile.AgreementRole(id, "peer"), compile.SourceRole(id, "people")}; !slices.Equal(s.roles(t), want) {
		t.Errorf("roles %v, want %v", s.roles(t), want)
	}
	s.condition(t, agreement, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNoGateway)

	// A gateway that takes routes in as gateways do.
	table := route.NewTable(first.Self)
	feed, err := kube.New(kube.Config{
		REST: s.kube.Config(), Namespace: s.agency.Name, Replica: "gateway-0", StateDir: t.TempDir(), Table: table,
		Keys: s.agency.Client.RouteKeys, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	feeding, stop := context.WithCancel(ctx)
	fed := make(chan struct{})
	go func() { defer close(fed); feed.Run(feeding) }()
	defer func() { stop(); <-fed }()
	s.condition(t, agreement, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed)
	if r := table.Get(id); r == nil || r.Current(time.Now()) == nil {
		t.Fatalf("the gateway serves %+v", r)
	}

	// Suspended: denied, acknowledged, and no role left.
	s.decide(t, agreement, v1alpha1.DecisionSuspend)
	s.condition(t, agreement, v1alpha1.ConditionSuspended, metav1.ConditionTrue, "")
	s.condition(t, agreement, v1alpha1.ConditionCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonNotInForce)
	until(t, "acknowledgement", func() string {
		c := s.condition(t, agreement, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNotInForce)
		if !strings.Contains(c.Message, "no gateway serves it any more") {
			return c.Message
		}
		return ""
	})
	if r := table.Get(id); r == nil || r.Tombstone == nil {
		t.Errorf("acknowledged, but the gateway serves %+v", r)
	}
	if got := s.roles(t); len(got) != 0 {
		t.Errorf("roles while suspended: %v", got)
	}
	events := &unstructured.UnstructuredList{}
	events.SetAPIVersion("events.k8s.io/v1")
	events.SetKind("EventList")
	until(t, "events", func() string {
		if err := s.List(ctx, events, client.InNamespace(s.agency.Name)); err != nil {
			return err.Error()
		}
		told := fmt.Sprint(events.Items)
		for _, state := range []v1alpha1.AgreementState{v1alpha1.StateProposed, v1alpha1.StateInForce, v1alpha1.StateSuspended} {
			if !strings.Contains(told, "reason:"+string(state)) {
				return "no event " + string(state)
			}
		}
		return ""
	})

	// Resumed: of two decisions in a second the one that takes away counts.
	time.Sleep(time.Second)
	s.decide(t, agreement, v1alpha1.DecisionResume)
	s.condition(t, agreement, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed)
	if r := s.route(t, "Active"); r.Sequence <= first.Sequence {
		t.Errorf("sequence %d after %d", r.Sequence, first.Sequence)
	}

	// Deleted: it goes only when everything has ended. The tombstone stays.
	a := &v1alpha1.SharingAgreement{ObjectMeta: metav1.ObjectMeta{Namespace: s.agency.Name, Name: agreement}}
	if err := s.Delete(ctx, a); err != nil {
		t.Fatal(err)
	}
	until(t, "deletion", func() string {
		if err := s.get(t, agreement, a); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("%v, finalizers %v", err, a.Finalizers)
		}
		return ""
	})
	if got := s.roles(t); len(got) != 0 {
		t.Errorf("roles after the deletion: %v", got)
	}
	if r := s.route(t, "Tombstone"); r.Tombstone.Reason != v1alpha1.ReasonDeleted {
		t.Errorf("tombstone %+v", r.Tombstone)
	}
}

// A member that this release does not know is named, wherever it stands, although the API server lets it through.
func TestUnknownMembers(t *testing.T) {
	s := newScene(t, "unknown")
	s.describe(t)
	s.apply(t, s.agreementYAML(t, 1, "        onlyOnWeekdays: true\n"))
	c := s.condition(t, agreement, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonUnknownField)
	if !strings.Contains(c.Message, "onlyOnWeekdays") {
		t.Errorf("the message does not name it: %s", c.Message)
	}
	s.condition(t, agreement, v1alpha1.ConditionInForce, metav1.ConditionFalse, "")

	dataset := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Dataset", "metadata": map[string]any{"name": "people", "namespace": s.agency.Name},
		"spec": map[string]any{"mask": "ssn"},
	}}
	if err := s.Patch(t.Context(), dataset, client.Merge, client.FieldOwner("test")); err != nil {
		t.Fatal(err)
	}
	until(t, "dataset", func() string {
		d := &v1alpha1.Dataset{}
		if err := s.get(t, "people", d); err != nil {
			return err.Error()
		}
		if c := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionAccepted); c == nil || c.Reason != v1alpha1.ReasonUnknownField || !strings.Contains(c.Message, "mask") {
			return fmt.Sprint(c)
		}
		return ""
	})
}

// Terms name the consents' dataset, and that its schema: whichever comes last, the agreement hears of it.
func TestConsentResolves(t *testing.T) {
	s := newScene(t, "consent")
	s.describe(t)
	people := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: "people", Namespace: s.agency.Name}}
	if err := s.Patch(t.Context(), people, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"subjectKey":"number"}}`))); err != nil {
		t.Fatal(err)
	}
	s.apply(t, s.agreementYAML(t, 1, "        conditions: {consent: {dataset: consents}}\n"))
	s.condition(t, agreement, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonUnknownDataset)
	s.apply(t, `
apiVersion: entente.dev/v1alpha1
kind: Dataset
metadata: {name: consents}
spec:
  schema: {name: consent, version: 1}
  source:
    consentService: {url: "https://consent.example.gov/v1/check"}
  subjectKey: person
  consent: {}
`)
	s.condition(t, agreement, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonUnknownSchema)
	s.apply(t, `
apiVersion: entente.dev/v1alpha1
kind: ExchangeSchema
metadata: {name: consent.v1}
spec:
  name: consent
  version: 1
  fields:
  - {name: person, type: int}
`)
	s.condition(t, agreement, v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, v1alpha1.ReasonResolved)
}

// The catalogue is read, and a mapping to a column that is not there is named on the dataset and on the agreement.
func TestUnknownColumn(t *testing.T) {
	s := newScene(t, "columns")
	s.describe(t)
	dataset := func() *v1alpha1.Dataset {
		d := &v1alpha1.Dataset{}
		if err := s.get(t, "people", d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	until(t, "columns", func() string {
		if d := dataset(); !slices.Equal(d.Status.Columns, []string{"id", "name", "born", "ssn"}) || d.Status.ColumnsGeneration != d.Generation {
			return fmt.Sprintf("%+v", d.Status)
		}
		return ""
	})
	d := dataset()
	before := d.DeepCopy()
	d.Spec.Fields[1].Column = "full_name"
	if err := s.Patch(t.Context(), d, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	s.apply(t, s.agreementYAML(t, 1, ""))
	c := s.condition(t, agreement, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonUnknownColumn)
	if !strings.Contains(c.Message, "full_name") {
		t.Errorf("the message does not name the column: %s", c.Message)
	}
	until(t, "dataset", func() string {
		c := meta.FindStatusCondition(dataset().Status.Conditions, v1alpha1.ConditionResolvedRefs)
		if c == nil || c.Reason != v1alpha1.ReasonUnknownColumn {
			return fmt.Sprint(c)
		}
		return ""
	})
}

// Whoever writes GatewayRoutes gets nowhere: what is overwritten or removed comes back, newer.
func TestRoutesAreRestored(t *testing.T) {
	s := newScene(t, "restored")
	ctx := t.Context()
	s.inForce(t)
	first := s.route(t, "Active")

	g := &v1alpha1.GatewayRoute{}
	if err := s.get(t, id, g); err != nil {
		t.Fatal(err)
	}
	g.Spec.Payload = []byte(strings.Replace(string(g.Spec.Payload), `"number"`, `"name"`, 1))
	if err := s.Update(ctx, g); err != nil {
		t.Fatal(err)
	}
	second := s.route(t, "Active")
	if second.Sequence <= first.Sequence {
		t.Errorf("sequence %d after %d", second.Sequence, first.Sequence)
	}
	if err := s.Delete(ctx, g); err != nil {
		t.Fatal(err)
	}
	if third := s.route(t, "Active"); third.Sequence <= second.Sequence {
		t.Errorf("sequence %d after %d", third.Sequence, second.Sequence)
	}
	s.condition(t, agreement, v1alpha1.ConditionInForce, metav1.ConditionTrue, "")
}

// Vault is away: a suspension ends the route all the same, unsigned, and credentials as soon as Vault is back.
func TestSuspensionWithoutVault(t *testing.T) {
	s := newScene(t, "vaultless")
	s.inForce(t)
	active := s.route(t, "Active")
	table := route.NewTable(active.Self)
	feed, err := kube.New(kube.Config{
		REST: s.kube.Config(), Namespace: s.agency.Name, Replica: "gateway-0", StateDir: t.TempDir(), Table: table,
		Keys: s.agency.Client.RouteKeys, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	feeding, stop := context.WithCancel(t.Context())
	fed := make(chan struct{})
	go func() { defer close(fed); feed.Run(feeding) }()
	defer func() { stop(); <-fed }()
	s.condition(t, agreement, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")

	if err := s.agency.Vault.Down(); err != nil {
		t.Fatal(err)
	}
	up := func() {
		if err := s.agency.Vault.Up(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	defer up()
	began := time.Now()
	s.decide(t, agreement, v1alpha1.DecisionSuspend)
	until(t, "the gateway", func() string {
		if r := table.Get(id); r != nil {
			return "still serves"
		}
		return ""
	})
	t.Logf("decision → no longer served, without Vault: %v", time.Since(began).Round(time.Millisecond))
	c := s.condition(t, agreement, v1alpha1.ConditionCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonVaultError)
	if !strings.Contains(c.Message, "nothing is disclosed any more") {
		t.Errorf("the message: %s", c.Message)
	}
	up()
	if r := s.route(t, "Tombstone"); r.Sequence <= active.Sequence {
		t.Errorf("sequence %d after %d", r.Sequence, active.Sequence)
	}
	s.condition(t, agreement, v1alpha1.ConditionCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonNotInForce)
	if got := s.roles(t); len(got) != 0 {
		t.Errorf("roles after Vault came back: %v", got)
	}
	until(t, "the gateway", func() string {
		if r := table.Get(id); r == nil || r.Tombstone == nil {
			return "does not have the signed tombstone"
		}
		return ""
	})
}

// An operator that starts finds what ended while none ran: roles of agreements that are no more, and an expired route.
func TestRestart(t *testing.T) {
	s := newScene(t, "restart")
	ctx := t.Context()
	s.inForce(t)
	before := s.route(t, "Active")
	roles, err := s.agency.Client.ListRoles(ctx)
	if err != nil || len(roles.Agreement) != 1 || len(roles.Source) != 1 {
		t.Fatalf("%+v %v", roles, err)
	}
	s.stop()

	orphan := compile.Credential{
		Agreement: "gone", Role: compile.AgreementRole("gone", "peer"), Recipient: "peer",
		SPIFFEID: compile.AgreementSPIFFEID(s.agency.TrustDomain(), "gone", "peer"),
	}
	if err := s.agency.Client.EnsureAgreementRole(ctx, orphan); err != nil {
		t.Fatal(err)
	}
	// Somebody removed one role of the agreement in force and changed the other.
	removed := s.agency.Options.Mounts.PKI() + "/roles/" + roles.Agreement[0]
	if err := s.agency.Root.Delete(ctx, removed); err != nil {
		t.Fatal(err)
	}
	changed := s.agency.Options.Mounts.Database() + "/roles/" + roles.Source[0]
	role, err := s.agency.Root.Read(ctx, changed)
	if err != nil {
		t.Fatal(err)
	}
	role.Data["default_ttl"] = "60s"
	if _, err := s.agency.Root.Write(ctx, changed, role.Data); err != nil {
		t.Fatal(err)
	}
	// The new process remembers nothing of Vault.
	if s.agency.Client, err = vault.New(s.agency.Operator, vault.Config{Agency: s.agency.Name, TrustDomain: s.agency.TrustDomain()}); err != nil {
		t.Fatal(err)
	}
	s.operate(t)
	until(t, "roles", func() string {
		if slices.Contains(s.roles(t), orphan.Role) {
			return "the role of an agreement that is no more is still there"
		}
		if _, err := s.agency.Root.Read(ctx, removed); err != nil {
			return "the role that was removed: " + err.Error()
		}
		if now, err := s.agency.Root.Read(ctx, changed); err != nil || fmt.Sprint(now.Data["default_ttl"]) == "60" {
			return fmt.Sprintf("the role that was changed is still so, %v", err)
		}
		return ""
	})
	if got := s.roles(t); len(got) != 2 {
		t.Errorf("the roles of the agreement in force: %v", got)
	}
	if after := s.route(t, "Active"); after.Sequence != before.Sequence {
		t.Errorf("a restart published the route anew: %d after %d", after.Sequence, before.Sequence)
	}
}
