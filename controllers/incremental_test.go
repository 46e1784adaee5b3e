package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/compile/profile"
	"github.com/entente-dev/entente/controllers/local"
	"github.com/entente-dev/entente/controllers/openapi"
	"github.com/entente-dev/entente/controllers/signature"
)

// TestIncremental: after any sequence of changes, what was compiled change by change, each only for the agreements that the operator
// maps it to and from what it gathers for them, is to the byte what compiling everything gives.
func TestIncremental(t *testing.T) {
	states := map[v1alpha1.AgreementState]int{}
	for seed := range uint64(6) {
		w := newChanging(t, seed)
		steps := 150
		if testing.Short() {
			steps = 40
		}
		for n := range steps {
			what := w.change(t)
			full := compile.Compile(w.everything(t), w.priors(), w.now)
			for _, id := range slices.Sorted(maps.Keys(full)) {
				if got, want := asJSON(t, w.results[id]), asJSON(t, full[id]); got != want {
					t.Fatalf("seed %d, change %d, %s: %s is\n%s\nand compiled with everything\n%s", seed, n, what, id, got, want)
				}
				for _, v := range full[id].Versions {
					states[v.Status.State]++
				}
			}
		}
	}
	t.Log(states)
	for _, state := range []v1alpha1.AgreementState{v1alpha1.StateProposed, v1alpha1.StateRejected, v1alpha1.StatePending, v1alpha1.StateInForce, v1alpha1.StateSuspended} {
		if states[state] == 0 {
			t.Errorf("nothing was ever %s: the changes are of little use", state)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// changing is the objects of a namespace, and what was compiled of them so far.
type changing struct {
	random  *rand.Rand
	now     time.Time
	objects map[reflect.Type]map[string]client.Object
	indexes map[string]client.IndexerFunc // by type and field
	gather  *gatherer
	mapping *agreements
	results map[string]compile.Result
	keys    map[string]*local.Store // of the agencies
	serial  int
}

const (
	incrementalAgencies   = 4 // agency-0 is the own one
	incrementalSchemas    = 3
	incrementalDatasets   = 4
	incrementalAgreements = 8
)

func newChanging(t *testing.T, seed uint64) *changing {
	t.Helper()
	w := &changing{
		random: rand.New(rand.NewPCG(seed, 7)), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		objects: map[reflect.Type]map[string]client.Object{}, indexes: map[string]client.IndexerFunc{}, results: map[string]compile.Result{},
		keys: map[string]*local.Store{},
	}
	w.gather = &gatherer{reader: w, self: "agency-0", profiles: profile.NewCache(), apis: openapi.NewCache()}
	w.mapping = &agreements{gather: w.gather}
	if err := addIndexes(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	for i := range incrementalAgencies {
		name := fmt.Sprintf("agency-%d", i)
		store, err := local.Open(t.TempDir(), name+".example")
		if err != nil {
			t.Fatal(err)
		}
		w.keys[name] = store
	}
	for range 60 {
		w.change(t)
	}
	return w
}

// IndexField implements client.FieldIndexer.
func (w *changing) IndexField(_ context.Context, o client.Object, field string, of client.IndexerFunc) error {
	w.indexes[fmt.Sprintf("%T %s", o, field)] = of
	return nil
}

// Get implements client.Reader.
func (w *changing) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	o := w.objects[reflect.TypeOf(into)][key.Name]
	if o == nil {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(o.DeepCopyObject()).Elem())
	return nil
}

// List implements client.Reader, by one field.
func (w *changing) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	o := (&client.ListOptions{}).ApplyOptions(options)
	items, err := meta.GetItemsPtr(into)
	if err != nil {
		return err
	}
	kind := reflect.PointerTo(reflect.TypeOf(items).Elem().Elem())
	var found []runtime.Object
	for _, name := range slices.Sorted(maps.Keys(w.objects[kind])) {
		object := w.objects[kind][name]
		matches := true
		for _, r := range o.FieldSelector.Requirements() {
			of := w.indexes[fmt.Sprintf("%v %s", kind, r.Field)]
			matches = matches && of != nil && slices.Contains(of(object), r.Value)
		}
		if matches {
			found = append(found, object.DeepCopyObject())
		}
	}
	return meta.SetList(into, found)
}

// put makes the object be there, or not with nil, and compiles what the operator maps the change to.
func (w *changing) put(t *testing.T, kind client.Object, name string, object client.Object) {
	t.Helper()
	of := reflect.TypeOf(kind)
	if w.objects[of] == nil {
		w.objects[of] = map[string]client.Object{}
	}
	before := w.objects[of][name]
	if object == nil && before == nil {
		return
	}
	if object == nil {
		delete(w.objects[of], name)
	} else {
		w.serial++
		object.SetName(name)
		object.SetGeneration(int64(w.serial))
		object.SetUID(types.UID(fmt.Sprint(name, " ", w.serial)))
		object.SetCreationTimestamp(metav1.NewTime(w.now.Add(time.Duration(w.serial)*time.Second - 24*time.Hour))) // later than the last
		w.objects[of][name] = object
	}
	ids := map[string]bool{}
	for _, o := range []client.Object{before, object} {
		if o == nil || before != nil && object != nil && equality.Semantic.DeepEqual(inputOf(before), inputOf(object)) {
			continue
		}
		for _, r := range w.concerned(o) {
			ids[r] = true
		}
	}
	for id := range ids {
		w.compile(t, id)
	}
}

// inputOf is what the operator's predicates look at.
func inputOf(o client.Object) any {
	switch o.(type) {
	case *v1alpha1.SharingAgreement:
		return agreementInput(o)
	case *v1alpha1.Agency:
		return agencyInput(o)
	case *v1alpha1.Dataset:
		return datasetInput(o)
	case *v1alpha1.AgreementDecision:
		return o
	}
	return generation(o)
}

// concerned are the agreements that the operator looks at when an object changed.
func (w *changing) concerned(o client.Object) (ids []string) {
	var mapped []string
	of := map[reflect.Type]func(context.Context, client.Object) []reconcile.Request{
		reflect.TypeFor[*v1alpha1.SharingAgreement]():  ofAgreement,
		reflect.TypeFor[*v1alpha1.AgreementDecision](): w.mapping.ofDecision,
		reflect.TypeFor[*v1alpha1.Agency]():            w.mapping.ofAgency,
		reflect.TypeFor[*v1alpha1.ExchangeSchema]():    w.mapping.ofSchema,
		reflect.TypeFor[*v1alpha1.AgreementProfile]():  w.mapping.ofProfile,
		reflect.TypeFor[*v1alpha1.TaskForce]():         w.mapping.ofTaskForce,
		reflect.TypeFor[*v1alpha1.Dataset]():           w.mapping.ofDataset,
	}[reflect.TypeOf(o)]
	for _, r := range of(context.Background(), o) {
		mapped = append(mapped, r.Name)
	}
	return mapped
}

// compile does what the operator does of an agreement, and writes the status back.
func (w *changing) compile(t *testing.T, id string) {
	t.Helper()
	for range 10 { // until its own status says nothing new
		index, err := w.gather.agreement(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		r := compile.CompileAgreement(index, id, w.prior(id), w.now)
		w.results[id] = r
		changed := false
		for _, v := range r.Versions {
			a := w.objects[reflect.TypeFor[*v1alpha1.SharingAgreement]()][v.Name].(*v1alpha1.SharingAgreement)
			was := asJSON(t, a.Status)
			setPart(&a.Status, compiledPart, &v.Status)
			if v.Sign {
				jws, err := signature.Sign(t.Context(), w.keys["agency-0"], signature.Claims{Digest: v.Status.Digest, Decision: v1alpha1.DecisionAccept, Agency: "agency-0", DecidedAt: w.now})
				if err != nil {
					t.Fatal(err)
				}
				a.Status.Signatures = []v1alpha1.AgreementSignature{{Agency: "agency-0", JWS: jws}}
			}
			changed = changed || asJSON(t, a.Status) != was
		}
		if !changed {
			return
		}
	}
	t.Fatalf("%s does not settle", id)
}

func (w *changing) prior(id string) compile.Prior {
	p := compile.Prior{Route: w.results[id].Route, Conditions: map[string][]metav1.Condition{}}
	for name, o := range w.objects[reflect.TypeFor[*v1alpha1.SharingAgreement]()] {
		if a := o.(*v1alpha1.SharingAgreement); a.Spec.Terms.ID == id {
			p.Conditions[name] = a.Status.Conditions
		}
	}
	return p
}

func (w *changing) priors() map[string]compile.Prior {
	out := map[string]compile.Prior{}
	for id := range w.results {
		out[id] = w.prior(id)
	}
	return out
}

// everything is the index of all objects.
func (w *changing) everything(t *testing.T) *compile.Index {
	t.Helper()
	x := w.gather.empty()
	for _, objects := range w.objects {
		for name, o := range objects {
			switch o := o.DeepCopyObject().(type) {
			case *v1alpha1.SharingAgreement:
				x.Agreements[o.Spec.Terms.ID] = append(x.Agreements[o.Spec.Terms.ID], o)
			case *v1alpha1.AgreementDecision:
				x.Decisions[o.Spec.Agreement] = append(x.Decisions[o.Spec.Agreement], o)
			case *v1alpha1.Agency:
				x.Agencies[name] = o
			case *v1alpha1.ExchangeSchema:
				x.Schemas[name] = o
			case *v1alpha1.AgreementProfile:
				x.Profiles[name] = o
			case *v1alpha1.TaskForce:
				x.TaskForces[name] = o
			case *v1alpha1.Dataset:
				x.Datasets[name] = o
			}
		}
	}
	return x
}

// change makes one change at random, and says which.
func (w *changing) change(t *testing.T) string {
	t.Helper()
	pick := func(n int) int { return w.random.IntN(n) }
	gone := pick(8) == 0
	switch pick(8) {
	case 0:
		name := fmt.Sprintf("agency-%d", pick(incrementalAgencies))
		w.put(t, &v1alpha1.Agency{}, name, unless(gone, func() client.Object { return w.agency(t, name) }))
		return "agency " + name
	case 1:
		n := pick(incrementalSchemas)
		name := fmt.Sprintf("schema-%d.v1", n)
		w.put(t, &v1alpha1.ExchangeSchema{}, name, unless(gone, func() client.Object { return incrementalSchema(n, pick(8) == 0) }))
		return "schema " + name
	case 2:
		name := fmt.Sprintf("dataset-%d", pick(incrementalDatasets))
		w.put(t, &v1alpha1.Dataset{}, name, unless(gone, func() client.Object { return w.dataset() }))
		return "dataset " + name
	case 3:
		name := "rules"
		w.put(t, &v1alpha1.AgreementProfile{}, name, unless(gone, func() client.Object {
			return &v1alpha1.AgreementProfile{Spec: v1alpha1.AgreementProfileSpec{Title: "Rules", Citation: "Code 1", Rules: []v1alpha1.ProfileRule{{
				Name: "short", Citation: "Code 1(a)", Severity: v1alpha1.SeverityError, Field: "clauses", Rule: fmt.Sprintf("size(terms.clauses) < %d", 2+pick(2)), Message: "it is too long",
			}}}}
		}))
		return "profile"
	case 4:
		w.put(t, &v1alpha1.TaskForce{}, "force.v1", unless(gone, func() client.Object { return w.force(pick(8) == 0) }))
		return "task force"
	case 5, 6:
		name := fmt.Sprintf("pact-%d.v1", pick(incrementalAgreements))
		o := w.objects[reflect.TypeFor[*v1alpha1.SharingAgreement]()][name]
		if o == nil {
			w.put(t, &v1alpha1.SharingAgreement{}, name, w.agreement(t, agreementID(name)))
			return "agreement " + name
		}
		a := o.(*v1alpha1.SharingAgreement)
		decision := []v1alpha1.Decision{v1alpha1.DecisionSuspend, v1alpha1.DecisionReject, v1alpha1.DecisionResume, v1alpha1.DecisionAccept}[min(3, pick(8))]
		w.put(t, &v1alpha1.AgreementDecision{}, fmt.Sprintf("%s-%d", a.Spec.Terms.ID, pick(3)), &v1alpha1.AgreementDecision{
			Spec: v1alpha1.AgreementDecisionSpec{Agreement: name, Digest: a.Status.Digest, Decision: decision, DecidedBy: "officer"},
		})
		return string(decision) + " " + name
	default:
		name := fmt.Sprintf("pact-%d.v1", pick(incrementalAgreements))
		o := w.objects[reflect.TypeFor[*v1alpha1.SharingAgreement]()][name]
		if o == nil {
			return "nothing"
		}
		if gone {
			w.put(t, &v1alpha1.SharingAgreement{}, name, nil)
			return "end of " + name
		}
		a := o.DeepCopyObject().(*v1alpha1.SharingAgreement)
		peer := a.Spec.Terms.Parties[1].Agency
		decision := []v1alpha1.Decision{v1alpha1.DecisionSuspend, v1alpha1.DecisionResume}[min(1, pick(4))]
		at := metav1.NewTime(w.now.Add(-time.Duration(1+pick(1000)) * time.Second))
		jws, err := signature.SignStatement(t.Context(), w.keys[peer], signature.Claims{Digest: a.Status.Digest, Decision: decision, Agency: peer, DecidedAt: at.Time})
		if err != nil {
			return "nothing"
		}
		a.Status.Received = []v1alpha1.AgreementStatement{{Agency: peer, Decision: decision, DecidedAt: at, JWS: jws}}
		w.put(t, &v1alpha1.SharingAgreement{}, name, a)
		return string(decision) + " of " + peer + " on " + name
	}
}

func unless(gone bool, object func() client.Object) client.Object {
	if gone {
		return nil
	}
	return object()
}

func (w *changing) agency(t *testing.T, name string) client.Object {
	t.Helper()
	bundle, err := w.keys[name].TrustBundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := w.keys[name].Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := &v1alpha1.Agency{Spec: v1alpha1.AgencySpec{
		DisplayName: name, TrustDomain: name + ".example", TrustBundle: bundle, SigningKeys: keys,
		Endpoints: v1alpha1.AgencyEndpoints{Gateway: fmt.Sprintf("127.0.0.1:%d", 1+w.random.IntN(3)), Exchange: "127.0.0.1:9"},
	}}
	if name == "agency-0" {
		a.Status.TrustBundle, a.Status.SigningKeys = bundle, keys
	}
	return a
}

// incrementalSchema is the one that agreements pin, or another of its name.
func incrementalSchema(n int, other bool) *v1alpha1.ExchangeSchema {
	s := &v1alpha1.ExchangeSchema{Spec: v1alpha1.ExchangeSchemaSpec{
		Name: fmt.Sprintf("schema-%d", n), Version: 1,
		Fields: []v1alpha1.SchemaField{{Name: "number", Type: "int"}, {Name: "name", Type: "string"}},
	}}
	if other {
		s.Spec.Fields = append(s.Spec.Fields, v1alpha1.SchemaField{Name: "born", Type: "date"})
	}
	return s
}

func (w *changing) dataset() *v1alpha1.Dataset {
	return &v1alpha1.Dataset{Spec: v1alpha1.DatasetSpec{
		Schema: v1alpha1.SchemaVersion{Name: fmt.Sprintf("schema-%d", w.random.IntN(incrementalSchemas)), Version: 1},
		Source: v1alpha1.DatasetSource{PostgreSQL: &v1alpha1.PostgreSQLSource{
			Host: "127.0.0.1", Port: 5432, Database: "records", SSLMode: "require", VaultConnection: "records",
		}},
		Relation: fmt.Sprintf("people_%d", w.random.IntN(2)),
		Fields:   []v1alpha1.FieldMapping{{Field: "number", Column: "id"}, {Field: "name", Column: fmt.Sprintf("name_%d", w.random.IntN(2))}}, Selectors: []v1alpha1.SelectorSet{{"number"}},
	}}
}

// force is the one that agreements pin, or another of its name.
func (w *changing) force(other bool) *v1alpha1.TaskForce {
	f := &v1alpha1.TaskForce{Spec: v1alpha1.TaskForceSpec{
		Name: "force", Version: 1, Objective: "To test.", Lead: "agency-0",
		Members: []v1alpha1.TaskForceMember{{Agency: "agency-0", TrustDomain: "agency-0.example"}, {Agency: "agency-1", TrustDomain: "agency-1.example"}},
		Window:  v1alpha1.TaskForceWindow{NotBefore: metav1.NewTime(w.now.AddDate(0, 0, -10)), NotAfter: metav1.NewTime(w.now.AddDate(0, 0, 300))},
	}}
	if other {
		f.Spec.Objective = "To test otherwise."
	}
	return f
}

// agreement of the agency with a peer, of one or two clauses, that the peer has signed.
func (w *changing) agreement(t *testing.T, id string) *v1alpha1.SharingAgreement {
	t.Helper()
	peer := fmt.Sprintf("agency-%d", 1+w.random.IntN(incrementalAgencies-1))
	terms := v1alpha1.AgreementTerms{
		ID: id, Version: 1, Title: id, Type: "MemorandumOfUnderstanding", PurposeStatement: "To test.",
		Parties: []v1alpha1.Party{{Agency: "agency-0", TrustDomain: "agency-0.example"}, {Agency: peer, TrustDomain: peer + ".example"}},
		Term:    v1alpha1.Term{NotBefore: metav1.NewTime(w.now.AddDate(0, 0, -1)), NotAfter: metav1.NewTime(w.now.AddDate(0, 0, 20+w.random.IntN(300)))},
	}
	if w.random.IntN(3) == 0 {
		terms.Profiles = []string{"rules"}
	}
	recipient := v1alpha1.Recipient{Agency: peer}
	if peer == "agency-1" && w.random.IntN(2) == 0 {
		digest, err := w.force(false).Spec.Digest()
		if err != nil {
			t.Fatal(err)
		}
		recipient = v1alpha1.Recipient{TaskForce: &v1alpha1.TaskForceRef{Name: "force", Version: 1, Digest: digest}}
	}
	for n := range 1 + w.random.IntN(2) {
		s := incrementalSchema(w.random.IntN(incrementalSchemas), false)
		digest, err := s.Spec.Digest()
		if err != nil {
			t.Fatal(err)
		}
		c := v1alpha1.Clause{
			Name: fmt.Sprintf("clause-%d", n), Source: "agency-0", Recipients: []v1alpha1.Recipient{recipient}, Purposes: []string{"entente:test"},
			Schema: v1alpha1.SchemaRef{Name: s.Spec.Name, Version: 1, Digest: digest}, Granularity: v1alpha1.GranularityRecords, Fields: []string{"name"}, FilterFields: []string{"number"},
		}
		if w.random.IntN(3) == 0 {
			c.Dataset = fmt.Sprintf("dataset-%d", w.random.IntN(incrementalDatasets))
		}
		terms.Clauses = append(terms.Clauses, c)
	}
	digest, err := terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signature.Sign(t.Context(), w.keys[peer], signature.Claims{Digest: digest, Decision: v1alpha1.DecisionAccept, Agency: peer, DecidedAt: w.now.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return &v1alpha1.SharingAgreement{Spec: v1alpha1.SharingAgreementSpec{Terms: terms, Signatures: []v1alpha1.AgreementSignature{{Agency: peer, JWS: jws}}}}
}
