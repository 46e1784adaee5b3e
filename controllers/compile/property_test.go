package compile

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/mapping"
	"github.com/entente-dev/entente/gateway/route"
)

func fixtures(t testing.TB) map[string]*fixture {
	t.Helper()
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	out := map[string]*fixture{}
	for _, in := range inputs {
		out[in] = readFixture(t, in)
	}
	return out
}

// TestOrderDoesNotMatter: however the inputs are listed, the output is the same to the byte.
func TestOrderDoesNotMatter(t *testing.T) {
	for name, f := range fixtures(t) {
		random := rand.New(rand.NewPCG(1, 2))
		for _, now := range f.Now {
			ix := f.index(now.Time)
			want := mustJSON(Compile(ix, nil, now.Time))
			for range 20 {
				if got := mustJSON(Compile(shuffled(ix, random), nil, now.Time)); got != want {
					t.Fatalf("%s at %s: another order gives\n%s\nnot\n%s", name, now, got, want)
				}
			}
		}
	}
}

// shuffled reorders every list of the index whose order means nothing, and every list of the terms that is a set.
func shuffled(ix *Index, random *rand.Rand) *Index {
	out := *ix
	out.Agreements = map[string][]*v1alpha1.SharingAgreement{}
	for id, list := range ix.Agreements {
		for _, a := range list {
			a = a.DeepCopy()
			shuffle(random, a.Spec.Signatures)
			shuffle(random, a.Status.Signatures)
			shuffle(random, a.Status.Decisions)
			for i := range a.Spec.Terms.Clauses {
				c := &a.Spec.Terms.Clauses[i]
				// What is wrong is told in the order of the terms; only good lists are sets.
				if len(checkTerms(a.Name, &a.Spec.Terms)) == 0 && len(a.Spec.UnknownFields) == 0 {
					shuffle(random, c.Purposes)
					shuffle(random, c.Fields)
					shuffle(random, c.FilterFields)
					if c.Conditions != nil {
						shuffle(random, c.Conditions.SubjectRoles)
					}
				}
			}
			out.Agreements[id] = append(out.Agreements[id], a)
		}
		shuffle(random, out.Agreements[id])
	}
	out.Decisions = map[string][]*v1alpha1.AgreementDecision{}
	for name, list := range ix.Decisions {
		out.Decisions[name] = slices.Clone(list)
		shuffle(random, out.Decisions[name])
	}
	return &out
}

func shuffle[T any](random *rand.Rand, list []T) {
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// TestManyIsEach: compiling all is compiling each, and nothing of the index is changed.
func TestManyIsEach(t *testing.T) {
	for name, f := range fixtures(t) {
		for _, now := range f.Now {
			ix := f.index(now.Time)
			before := mustJSON(ix)
			for id, got := range Compile(ix, map[string]Prior{"gone": {}}, now.Time) {
				if want := CompileAgreement(ix, id, Prior{}, now.Time); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %s differs when compiled alone", name, id)
				}
			}
			if mustJSON(ix) != before {
				t.Errorf("%s: the index was changed", name)
			}
		}
	}
}

// TestInvariants hold of every result at every instant around those that matter.
func TestInvariants(t *testing.T) {
	for name, f := range fixtures(t) {
		prior := map[string]Prior{}
		var sequence int64
		for _, now := range instants(f) {
			for id, r := range Compile(f.index(now), prior, now) {
				if err := invariants(r, now); err != nil {
					t.Errorf("%s at %s: %v", name, now, err)
				}
				if r.Route != nil && r.Route.Sequence < sequence {
					t.Errorf("%s at %s: sequence %d after %d", name, now, r.Route.Sequence, sequence)
				} else if r.Route != nil {
					sequence = r.Route.Sequence
				}
				again := f.writeBack(t, r, now)
				if prior[id].Route != nil && r.Route == nil {
					t.Errorf("%s at %s: the route is gone without a tombstone", name, now)
				}
				prior[id] = again
			}
		}
	}
}

// instants are those of the fixture, all that compiling announces, and the seconds around them.
func instants(f *fixture) []time.Time {
	all := map[time.Time]bool{}
	for _, now := range f.Now {
		all[now.UTC()] = true
		for _, r := range Compile(f.index(now.Time), nil, now.Time) {
			if !r.Next.IsZero() {
				all[r.Next.Add(-time.Second)], all[r.Next], all[r.Next.Add(time.Second)] = true, true, true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), time.Time.Compare)
}

// invariants are promises about every result.
func invariants(r Result, now time.Time) error {
	if !r.Next.IsZero() && !r.Next.After(now) {
		return fmt.Errorf("next is %s, not after now", r.Next)
	}
	current := 0
	for _, v := range r.Versions {
		var types []string
		for _, c := range v.Status.Conditions {
			types = append(types, c.Type)
			if c.Message == "" || c.Reason == "" || c.LastTransitionTime.IsZero() {
				return fmt.Errorf("%s: condition %s says nothing", v.Name, c.Type)
			}
			if c.Type == v1alpha1.ConditionInForce && (c.Status == "True") != (v.Status.State == v1alpha1.StateInForce) {
				return fmt.Errorf("%s: InForce is %s, the state %s", v.Name, c.Status, v.Status.State)
			}
		}
		always := []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionSigned, v1alpha1.ConditionInForce}
		if len(types) < len(always) || !slices.Equal(types[:len(always)], always) {
			return fmt.Errorf("%s: conditions %v", v.Name, types)
		}
		if v.Status.State == "" {
			return fmt.Errorf("%s: no state", v.Name)
		}
		if v.Status.State == v1alpha1.StateInForce {
			current++
		}
	}
	if current > 1 {
		return fmt.Errorf("%d versions in force", current)
	}
	if r.Route == nil {
		if current > 0 || len(r.Credentials) > 0 {
			return fmt.Errorf("in force, or credentials, without a route")
		}
		return nil
	}
	if (r.Route.Tombstone != nil) != (len(r.Route.Versions) == 0) {
		return fmt.Errorf("tombstone %v with %d versions", r.Route.Tombstone, len(r.Route.Versions))
	}
	if (r.Route.Current(now) != nil) != (current == 1) {
		return fmt.Errorf("%d versions in force, the route's current one is %v", current, r.Route.Current(now))
	}
	for i := 1; i < len(r.Route.Versions); i++ {
		if r.Route.Versions[i].NotBefore.Before(r.Route.Versions[i-1].NotAfter) {
			return fmt.Errorf("versions overlap")
		}
	}
	return grantsAreNeeded(r)
}

// readBy gives the columns that a route reads.
func readBy(columns map[string]string, mappings map[string]mapping.Mapping) []string {
	out := slices.Collect(maps.Values(columns))
	for _, m := range mappings {
		out = append(out, mapping.Columns(&m)...)
	}
	return out
}

// grantsAreNeeded: a database role reads exactly the columns of the route's clauses, or of fewer of its versions.
func grantsAreNeeded(r Result) error {
	columns, consents := map[string]map[string]bool{}, map[string]bool{}
	for _, v := range r.Route.Versions {
		for _, c := range v.Clauses {
			for _, d := range c.Datasets {
				if columns[d.Name] == nil {
					columns[d.Name] = map[string]bool{}
				}
				for _, column := range readBy(d.Columns, d.Mappings) {
					columns[d.Name][column] = true
				}
				if c.Consent != "" && d.Consent == nil {
					return fmt.Errorf("clause %s needs consent, dataset %s is not bound to any", c.Name, d.Name)
				}
				if d.Consent != nil {
					for _, column := range readBy(d.Consent.Columns, d.Consent.Mappings) {
						consents[d.Name+" "+d.Consent.Relation+" "+column] = true
					}
				}
				if _, computed := d.Mappings[d.SubjectKey]; d.SubjectKey != "" && d.Columns[d.SubjectKey] == "" && !computed {
					return fmt.Errorf("subject key %q is not among the columns", d.SubjectKey)
				}
			}
		}
	}
	for _, c := range r.Credentials {
		if c.Source == nil {
			continue
		}
		for _, column := range c.Source.Columns {
			if !columns[c.Source.Dataset][column] {
				return fmt.Errorf("role %s reads column %q, which no clause needs", c.Role, column)
			}
		}
		for _, g := range c.Source.Consents {
			for _, column := range g.Columns {
				if !consents[c.Source.Dataset+" "+g.Relation+" "+column] {
					return fmt.Errorf("role %s reads column %q of the consents in %s, which no clause needs", c.Role, column, g.Relation)
				}
			}
		}
	}
	return nil
}

// FuzzCompile: no resource makes compiling panic, or break a promise.
func FuzzCompile(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(fixtures(f))) {
		f.Add(readFile(f, name), int64(1_772_323_200))
	}
	f.Fuzz(func(t *testing.T, data []byte, at int64) {
		fx, err := parseFixture("testdata/fuzz.in.yaml", data)
		if err != nil || at < 0 || at > 1<<34 {
			return
		}
		now := time.Unix(at, 0).UTC()
		prior := map[string]Prior{}
		for range 2 {
			ix := fx.index(now)
			for id, r := range Compile(ix, prior, now) {
				if err := invariants(r, now); err != nil {
					t.Fatal(err)
				}
				if r.Route != nil {
					payload, err := route.Encode(r.Route)
					if err != nil {
						t.Fatal(err)
					}
					if id == "" {
						continue
					}
					if _, err := route.Decode(payload); err != nil {
						t.Fatal(err)
					}
				}
				for _, v := range r.Versions {
					if _, err := json.Marshal(v); err != nil {
						t.Fatal(err)
					}
				}
				prior[id] = Prior{Route: r.Route}
			}
			for _, d := range fx.datasets {
				DatasetConditions(ix, d, nil, now)
			}
			for _, a := range fx.agencies {
				AgencyConditions(ix, a, nil, now)
			}
			for _, s := range fx.schemas {
				SchemaConditions(s, nil, now)
			}
		}
	})
}
