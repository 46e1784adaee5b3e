package words

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

func compare(t *testing.T, from, to *v1alpha1.SharingAgreement) *Diff {
	t.Helper()
	d, err := Compare(from, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDiff(t *testing.T) {
	one, two := read(t, "harbor.v1.yaml"), read(t, "harbor.v2.yaml")
	forth := compare(t, one, two)
	golden(t, "diff-1-2.txt", forth.Text())
	goldenJSON(t, "diff-1-2.json", forth)
	golden(t, "diff-2-1.txt", compare(t, two, one).Text())
	golden(t, "diff-1-1.txt", compare(t, one, one).Text())
}

// TestVisible: what one clause shows counts, whichever clause it is, and what every dataset shows each of them shows.
func TestVisible(t *testing.T) {
	wide := func(x *v1alpha1.AgreementTerms) { x.Clauses[1].Dataset = "" }
	for _, c := range []struct {
		name          string
		from, to      func(*v1alpha1.AgreementTerms)
		becomes, ends []string
	}{
		{"a dataset to every dataset", nil, wide, []string{
			"border-service may learn whether any of labor-inspectorate's person records in any dataset but wage-records match a query, for entente:trafficking-investigation and entente:victim-protection",
			"state-police may learn whether any of labor-inspectorate's person records in any dataset but wage-records match a query, for entente:victim-protection",
		}, nil},
		{"every dataset to a dataset", wide, nil, nil, []string{
			"border-service may no longer learn whether any of labor-inspectorate's person records in any dataset but wage-records match a query, for entente:trafficking-investigation and entente:victim-protection",
			"state-police may no longer learn whether any of labor-inspectorate's person records in any dataset but wage-records match a query, for entente:victim-protection",
		}},
		{"a clause whose permission another has, too", nil, func(x *v1alpha1.AgreementTerms) {
			x.Clauses[1].Recipients, x.Clauses[1].Purposes = x.Clauses[0].Recipients, x.Clauses[0].Purposes
		}, nil, []string{
			"border-service may no longer learn whether any of labor-inspectorate's person records in dataset wage-records match a query, for entente:trafficking-investigation and entente:victim-protection",
			"state-police may no longer learn whether any of labor-inspectorate's person records in dataset wage-records match a query, for entente:victim-protection",
		}},
		{"down the ladder", nil, func(x *v1alpha1.AgreementTerms) { x.Clauses[0].Granularity = v1alpha1.GranularityCount }, nil, []string{
			"state-police may no longer see employer and monthly_wage of labor-inspectorate's person records, for entente:trafficking-investigation",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := read(t, "harbor.v1.yaml"), read(t, "harbor.v1.yaml")
			if c.from != nil {
				c.from(&from.Spec.Terms)
			}
			if c.to != nil {
				c.to(&to.Spec.Terms)
			}
			d := compare(t, from, to)
			for side, pair := range map[string][2][]string{"becomes": {texts(d.Becomes), c.becomes}, "ceases": {texts(d.Ceases), c.ends}} {
				if !slices.Equal(pair[0], pair[1]) {
					t.Errorf("%s: got %q, want %q", side, pair[0], pair[1])
				}
			}
		})
	}
}

func texts(list []Visible) (out []string) {
	for _, v := range list {
		out = append(out, v.Text)
	}
	return out
}

// TestDirection: what is permitted, and in which direction each term moves it. Every case is tried the other way round, too,
// where the direction turns, unless it is one that software cannot compare.
func TestDirection(t *testing.T) {
	type terms = v1alpha1.AgreementTerms
	days := func(n int64) *int64 { return &n }
	at := func(d string) metav1.Time { return metav1.NewTime(day(d)) }
	// Clause 0 is wages (Records), clause 1 is employed (Existence).
	cases := []struct {
		name   string
		change func(*terms)
		want   []string // kind and term, in order
	}{
		{"nothing", func(*terms) {}, nil},
		{"a recipient more", func(x *terms) {
			x.Clauses[0].Recipients = append(x.Clauses[0].Recipients, v1alpha1.Recipient{Agency: "border-service"})
		}, []string{"Widens clauses[wages].recipients"}},
		{"a task force more", func(x *terms) {
			x.Clauses[0].Recipients = append(x.Clauses[0].Recipients, v1alpha1.Recipient{TaskForce: &v1alpha1.TaskForceRef{Name: "state-police", Version: 1}})
		}, []string{"Widens clauses[wages].recipients", "Changes clauses[wages].recipients"}},
		{"a purpose more", func(x *terms) { x.Clauses[0].Purposes = append(x.Clauses[0].Purposes, "ncic:C") }, []string{"Widens clauses[wages].purposes"}},
		{"every dataset", func(x *terms) { x.Clauses[1].Dataset = "" }, []string{"Widens clauses[employed].dataset"}},
		{"another dataset", func(x *terms) { x.Clauses[1].Dataset = "other" }, []string{"Changes clauses[employed].dataset"}},
		{"a field more, filters unchanged", func(x *terms) { x.Clauses[0].Fields = append(x.Clauses[0].Fields, "bank_account") }, []string{"Widens clauses[wages].fields"}},
		{"up the ladder", func(x *terms) { x.Clauses[1].Granularity = "Count" }, []string{"Widens clauses[employed].granularity"}},
		{"up the ladder to records", func(x *terms) { x.Clauses[1].Granularity, x.Clauses[1].Fields = "Records", []string{"employer"} }, []string{"Widens clauses[employed].granularity"}},
		{"down the ladder keeps what may be filtered on", func(x *terms) { x.Clauses[0].Granularity = "Count" }, []string{"Narrows clauses[wages].granularity"}},
		{"fields below Records show nothing", func(x *terms) { x.Clauses[1].Fields = []string{"employer"} }, []string{"Changes clauses[employed].fields"}},
		{"the default of filterFields is fields and selectors", func(x *terms) { x.Clauses[0].FilterFields = nil }, []string{"Widens clauses[wages].filterFields"}},
		{"a narrower list of filterFields", func(x *terms) {
			x.Clauses[0].FilterFields = x.Clauses[0].FilterFields[:2]
		}, []string{"Narrows clauses[wages].filterFields"}},
		{"no filterFields and no fields is nothing to filter on", func(x *terms) { x.Clauses[1].FilterFields = nil }, []string{"Narrows clauses[employed].filterFields"}},
		{"no row filter", func(x *terms) { x.Clauses[0].RowFilter = "" }, []string{"Widens clauses[wages].rowFilter"}},
		{"another row filter", func(x *terms) { x.Clauses[0].RowFilter = "monthly_wage > 1.0" }, []string{"Changes clauses[wages].rowFilter"}},
		{"no case reference", func(x *terms) { x.Clauses[0].Conditions.CaseReference = nil }, []string{"Widens clauses[wages].conditions.caseReference"}},
		{"another case reference", func(x *terms) { x.Clauses[0].Conditions.CaseReference.Pattern = ".*" }, []string{"Changes clauses[wages].conditions.caseReference"}},
		{"claims of users", func(x *terms) { x.Clauses[0].Conditions.UserAttributes = "claims.sworn" }, []string{"Narrows clauses[wages].conditions.userAttributes"}},
		{"consent", func(x *terms) { x.Clauses[0].Conditions.Consent = &v1alpha1.Consent{Dataset: "consents"} }, []string{"Narrows clauses[wages].conditions.consent"}},
		{"no selectors", func(x *terms) { x.Clauses[0].Conditions.RequireSelectors = nil }, []string{"Widens clauses[wages].conditions.requireSelectors"}},
		{"no conditions at all", func(x *terms) { x.Clauses[0].Conditions = nil }, []string{
			"Widens clauses[wages].conditions.caseReference", "Widens clauses[wages].conditions.requireSelectors", "Widens clauses[wages].conditions.subjectRoles",
		}},
		{"an alternative more", func(x *terms) {
			x.Clauses[0].Conditions.RequireSelectors = append(x.Clauses[0].Conditions.RequireSelectors, []string{"birth_date"})
		}, []string{"Widens clauses[wages].conditions.requireSelectors"}},
		{"a set that asks for more", func(x *terms) {
			x.Clauses[0].Conditions.RequireSelectors[0] = []string{"document_number", "birth_date"}
		}, []string{"Narrows clauses[wages].conditions.requireSelectors"}},
		{"an alternative that another implies", func(x *terms) {
			x.Clauses[0].Conditions.RequireSelectors = append(x.Clauses[0].Conditions.RequireSelectors, []string{"birth_date", "document_number"})
		}, []string{"Changes clauses[wages].conditions.requireSelectors"}},
		{"any role", func(x *terms) { x.Clauses[0].Conditions.SubjectRoles = nil }, []string{"Widens clauses[wages].conditions.subjectRoles"}},
		{"a role less", func(x *terms) { x.Clauses[0].Conditions.SubjectRoles = []string{"victim"} }, []string{"Narrows clauses[wages].conditions.subjectRoles"}},
		{"jurisdictions", func(x *terms) { x.Clauses[0].Conditions.Jurisdictions = []string{"US"} }, []string{"Narrows clauses[wages].conditions.jurisdictions"}},
		{"fewer records a query", func(x *terms) { x.Clauses[0].Limits.RecordsPerQuery = 5 }, []string{"Narrows clauses[wages].limits.recordsPerQuery"}},
		{"no limits is the gateway's", func(x *terms) { x.Clauses[0].Limits = nil }, []string{"Widens clauses[wages].limits.recordsPerQuery"}},
		{"a limit above the gateway's widens", func(x *terms) { x.Clauses[1].Limits = &v1alpha1.Limits{RecordsPerQuery: 20_000} }, []string{"Widens clauses[employed].limits.recordsPerQuery"}},
		{"the gateway's limit written out", func(x *terms) { x.Clauses[1].Limits = &v1alpha1.Limits{RecordsPerQuery: 10_000} }, []string{"Changes clauses[employed].limits.recordsPerQuery"}},
		{"a quota", func(x *terms) { x.Clauses[0].Limits.QueriesPerDay = 5 }, []string{"Narrows clauses[wages].limits.queriesPerDay"}},
		{"a quota of records", func(x *terms) { x.Clauses[0].Limits.RecordsPerDay = 5 }, []string{"Narrows clauses[wages].limits.recordsPerDay"}},
		{"small counts", func(x *terms) { x.Clauses[1].Limits = &v1alpha1.Limits{MinimumCount: 10} }, []string{"Narrows clauses[employed].limits.minimumCount"}},
		{"shorter retention", func(x *terms) { x.Clauses[0].Obligations.RetentionDays = days(30) }, []string{"Narrows clauses[wages].obligations.retentionDays"}},
		{"none to keep is not unbounded", func(x *terms) { x.Clauses[0].Obligations.RetentionDays = days(0) }, []string{"Narrows clauses[wages].obligations.retentionDays"}},
		{"retention unbounded", func(x *terms) { x.Clauses[0].Obligations.RetentionDays = nil }, []string{"Widens clauses[wages].obligations.retentionDays"}},
		{"redisclosure with consent", func(x *terms) { x.Clauses[0].Obligations.Redisclosure = "WithConsentOfSource" }, []string{"Widens clauses[wages].obligations.redisclosure"}},
		{"redisclosure left to the law", func(x *terms) { x.Clauses[0].Obligations.Redisclosure = "" }, []string{"Changes clauses[wages].obligations.redisclosure"}},
		{"longer notice", func(x *terms) { x.Clauses[0].Obligations.VerifyBeforeAction.NoticeDays = 60 }, []string{"Narrows clauses[wages].obligations.verifyBeforeAction"}},
		{"no verification", func(x *terms) { x.Clauses[0].Obligations.VerifyBeforeAction = nil }, []string{"Widens clauses[wages].obligations.verifyBeforeAction"}},
		{"no destruction", func(x *terms) { x.Clauses[0].Obligations.Destruction = "" }, []string{"Widens clauses[wages].obligations.destruction"}},
		{"a slower source", func(x *terms) { x.Clauses[0].Obligations.ResponseTimeSeconds = 900_000 }, []string{"Changes clauses[wages].obligations.responseTimeSeconds"}},
		{"a longer window", func(x *terms) { x.Term.NotAfter = at("2027-01-01") }, []string{"Widens term.notAfter"}},
		{"an earlier beginning", func(x *terms) { x.Term.NotBefore = at("2025-01-01") }, []string{"Widens term.notBefore"}},
		{"an earlier review", func(x *terms) { early := at("2026-03-01"); x.Term.ReviewBy = &early }, []string{"Narrows term.reviewBy"}},
		{"no review", func(x *terms) { x.Term.ReviewBy = nil }, []string{"Widens term.reviewBy"}},
		{"a decision less", func(x *terms) { x.RequiredDecisions = x.RequiredDecisions[:1] }, []string{"Widens requiredDecisions"}},
		{"a profile", func(x *terms) { x.Profiles = []string{"us-cmppa"} }, []string{"Narrows profiles"}},
		{"no clause", func(x *terms) { x.Clauses = x.Clauses[:1] }, []string{"Narrows clauses[employed]"}},
		{"another name", func(x *terms) { x.Clauses[1].Name = "works" }, []string{"Changes clauses[employed].name"}},
		{"another record shape", func(x *terms) { x.Clauses[0].Schema.Version = 2 }, []string{"Changes clauses[wages].schema"}},
		{"oversight", func(x *terms) { x.OversightAccess = "The auditor." }, []string{"Narrows oversightAccess"}},
		{"another trust domain", func(x *terms) { x.Parties[0].TrustDomain = "elsewhere.example" }, []string{"Changes parties[state-police].trustDomain"}},
	}
	turned := map[Kind]Kind{Widens: Narrows, Narrows: Widens, Changes: Changes}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			from, to := read(t, "harbor.v1.yaml"), read(t, "harbor.v1.yaml")
			c.change(&to.Spec.Terms)
			var got, back []string
			for _, k := range compare(t, from, to).Changes {
				got = append(got, fmt.Sprintf("%s %s", k.Kind, k.Term))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			for _, k := range compare(t, to, from).Changes {
				back = append(back, fmt.Sprintf("%s %s", turned[k.Kind], k.Term))
			}
			if c.name != "another name" && !slices.Equal(back, c.want) {
				t.Errorf("the other way round: got %q turned, want %q", back, c.want)
			}
		})
	}
}

// TestDiffMissesNothing changes one random term and expects to be told, and shuffles every list and expects not to be.
func TestDiffMissesNothing(t *testing.T) {
	const rounds = 600
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 0))
		from := read2(t, seed)
		to := from.DeepCopy()
		path := mutate(r, reflect.ValueOf(&to.Spec.Terms).Elem(), "")
		if path == ".Version" {
			continue // the numbers of versions differ as a matter of course
		}
		same := normal(t, from) == normal(t, to)
		if d := compare(t, from, to); d.Same() != same {
			t.Fatalf("seed %d: %s changed: says same %v, is %v\n%s", seed, path, d.Same(), same, d.Text())
		}
		shuffle(r, &from.Spec.Terms)
		if d := compare(t, from, shuffled(r, from)); !d.Same() || len(d.Becomes)+len(d.Ceases) != 0 {
			t.Fatalf("seed %d: another order is told as a difference:\n%s", seed, d.Text())
		}
	}
}

var parsed [2]*v1alpha1.SharingAgreement

func read2(t *testing.T, seed uint64) *v1alpha1.SharingAgreement {
	for i, name := range []string{"harbor.v1.yaml", "harbor.v2.yaml"} {
		if parsed[i] == nil {
			parsed[i] = read(t, name)
		}
	}
	return parsed[seed%2].DeepCopy()
}

// mutate changes one random member somewhere below v, and says which.
func mutate(r *rand.Rand, v reflect.Value, path string) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			if v.Type().Elem().Kind() == reflect.Struct && v.Type() != reflect.TypeFor[*metav1.Time]() {
				return mutate(r, v.Elem(), path)
			}
			return path
		}
		if r.IntN(4) == 0 {
			v.SetZero()
			return path
		}
		return mutate(r, v.Elem(), path)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[metav1.Time]() {
			at := v.Addr().Interface().(*metav1.Time)
			*at = metav1.NewTime(at.Add(time.Duration(1+r.IntN(100)) * time.Hour))
			return path
		}
		i := r.IntN(v.NumField())
		return mutate(r, v.Field(i), path+"."+v.Type().Field(i).Name)
	case reflect.Slice:
		switch n := v.Len(); {
		case n > 0 && r.IntN(3) == 0:
			v.Set(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, n), v.Slice(1, n)))
			return path + "[-]"
		case n > 0 && v.Type().Elem().Kind() == reflect.Struct:
			i := r.IntN(n)
			return mutate(r, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
		item := reflect.New(v.Type().Elem()).Elem()
		path = mutate(r, item, path+"[+]")
		v.Set(reflect.Append(v, item))
		return path
	case reflect.String:
		v.SetString(fmt.Sprintf("x%d", r.IntN(1000)))
	case reflect.Int64:
		v.SetInt(v.Int() + 1 + r.Int64N(100))
	default:
		panic(v.Kind())
	}
	return path
}

// normal is the terms without what makes no difference: the order of lists, and empty members.
func normal(t *testing.T, a *v1alpha1.SharingAgreement) string {
	t.Helper()
	text, err := json.Marshal(a.Spec.Terms)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(normalise(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func normalise(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if v[k] = normalise(v[k]); v[k] == nil {
				delete(v, k)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = normalise(v[i])
		}
		slices.SortFunc(v, func(a, b any) int {
			x, errX := json.Marshal(a)
			y, errY := json.Marshal(b)
			if errX != nil || errY != nil {
				panic(cmp.Or(errX, errY))
			}
			return cmp.Compare(string(x), string(y))
		})
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

func shuffled(r *rand.Rand, a *v1alpha1.SharingAgreement) *v1alpha1.SharingAgreement {
	out := a.DeepCopy()
	shuffle(r, &out.Spec.Terms)
	return out
}

func shuffle(r *rand.Rand, x any) {
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Struct:
			if v.Type() != reflect.TypeFor[metav1.Time]() {
				for i := range v.NumField() {
					walk(v.Field(i))
				}
			}
		case reflect.Slice:
			swap := reflect.Swapper(v.Interface())
			r.Shuffle(v.Len(), swap)
			for i := range v.Len() {
				walk(v.Index(i))
			}
		}
	}
	walk(reflect.ValueOf(x))
}
