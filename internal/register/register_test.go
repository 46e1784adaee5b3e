package register

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/internal/accounting"
)

// TestTotalRevealsNothing tries every table of a few months: given the total that is shown, and that a hidden number is from
// 1 to k-1, each hidden month can still be anything of that.
func TestTotalRevealsNothing(t *testing.T) {
	const k = 4
	shown := 0
	for months := 1; months <= 5; months++ {
		cells := make([]int64, months)
		var each func(i int)
		each = func(i int) {
			if i < months {
				for cells[i] = 0; cells[i] <= k; cells[i]++ {
					each(i + 1)
				}
				return
			}
			if !totalShown(cells, k) {
				return
			}
			shown++
			var n, sum int64
			for _, c := range cells {
				if hidden(c, k) {
					n++
					sum += c
				}
			}
			if n == 0 {
				return
			}
			// ways: can the other n-1 hidden cells make up the rest?
			for v := int64(1); v < k; v++ {
				if rest := sum - v; rest < n-1 || rest > (n-1)*(k-1) {
					t.Fatalf("%v: the total gives away that no hidden month is %d", cells, v)
				}
			}
		}
		each(0)
	}
	if shown == 0 {
		t.Error("no total is ever shown")
	}
	// And where it could be shown, it is: a year of small and large months.
	if !totalShown([]int64{5, 20, 5, 0, 30, 5}, 10) || totalShown([]int64{5, 20, 30}, 10) || totalShown([]int64{1, 1, 30}, 10) || totalShown([]int64{9, 9, 9}, 10) {
		t.Error("the rule is another one")
	}
}

// Editions: what was shown of a month in one edition is what the next one shows.
func TestEditionsAgree(t *testing.T) {
	var months []accounting.Month
	for i := range 30 {
		at := time.Date(2025, time.January+time.Month(i), 1, 0, 0, 0, 0, time.UTC)
		n := rand.Int64N(25)
		months = append(months, accounting.Month{Agreement: "anvil", Side: "Source", Month: at, Counts: accounting.Counts{Asked: n, Answered: n, Hits: n / 2, NoHits: n - n/2, Denied: rand.Int64N(12)}})
	}
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	shown := map[string]string{}
	for i := 1; i < 30; i++ {
		until := begin.AddDate(0, i, 0)
		for _, u := range uses("anvil", months[:i], nil, begin, until, 10) {
			rows := map[string]Row{}
			for _, m := range u.Months {
				rows[m.Month] = m.Row
			}
			if u.Total != nil {
				rows[fmt.Sprint(u.Year)] = *u.Total
			}
			for name, r := range rows {
				if before, ok := shown[name]; ok && before != fmt.Sprint(r) {
					t.Fatalf("%s was %s, and is %v", name, before, r)
				}
				shown[name] = fmt.Sprint(r)
			}
			if (len(u.Months) == 12) != (u.Total != nil) {
				t.Fatalf("%d: %d months, total %v", u.Year, len(u.Months), u.Total)
			}
		}
	}
	if len(shown) != 29+2 {
		t.Errorf("%d numbers were shown", len(shown))
	}
}

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func agreement(id string, publication v1alpha1.Publication, state v1alpha1.AgreementState) *v1alpha1.SharingAgreement {
	a := &v1alpha1.SharingAgreement{ObjectMeta: metav1.ObjectMeta{Name: id + ".v1"}}
	a.Spec.Terms = v1alpha1.AgreementTerms{
		ID: id, Version: 1, Title: "Agreement " + id, Type: "MemorandumOfUnderstanding", Publication: publication,
		Parties: []v1alpha1.Party{
			{Agency: "labor-inspectorate", TrustDomain: "labor.example.gov", Roles: []string{"source"}, Contact: "Jane Doe"},
			{Agency: "state-police", TrustDomain: "police.example.gov", Roles: []string{"recipient"}},
		},
		LegalAuthority:   []v1alpha1.LegalAuthority{{Citation: "State Code 12-401", Covers: "Disclosure"}},
		PurposeStatement: "To find victims <script>alert(1)</script> of labour trafficking.", AnticipatedResults: "Forty cases.",
		Term: v1alpha1.Term{NotBefore: metav1.NewTime(now.AddDate(0, -3, 0).Truncate(24 * time.Hour)), NotAfter: metav1.NewTime(now.AddDate(1, 0, 0))},
		Clauses: []v1alpha1.Clause{{
			Name: "wages", Source: "labor-inspectorate", Recipients: []v1alpha1.Recipient{{Agency: "state-police"}},
			Schema: v1alpha1.SchemaRef{Name: "person", Version: 1}, Purposes: []string{"entente:trafficking-investigation"},
			Granularity: v1alpha1.GranularityRecords, Fields: []string{"family_name", "employer"}, RowFilter: `status != "sealed"`,
			Conditions: &v1alpha1.Conditions{CaseReference: &v1alpha1.CaseReference{Pattern: "TF-SECRET-[0-9]+"}},
		}},
		Contacts: []v1alpha1.Contact{{Name: "John Roe"}},
	}
	a.Status.State = state
	return a
}

func input() Input {
	month := func(id, side string, months int, c accounting.Counts) accounting.Month {
		return accounting.Month{Agreement: id, Side: side, Month: time.Date(2026, time.Month(months), 1, 0, 0, 0, 0, time.UTC), Counts: c}
	}
	return Input{
		Agency: "labor-inspectorate",
		Agencies: map[string]*v1alpha1.Agency{
			"labor-inspectorate": {Spec: v1alpha1.AgencySpec{DisplayName: "Labor Inspectorate", TrustDomain: "labor.example.gov"}},
			"state-police":       {Spec: v1alpha1.AgencySpec{DisplayName: "State Police", TrustDomain: "police.example.gov"}},
		},
		Agreements: []*v1alpha1.SharingAgreement{
			agreement("anvil", v1alpha1.PublicationPublic, v1alpha1.StateInForce), agreement("quiet", "", v1alpha1.StateInForce),
			agreement("secret", v1alpha1.PublicationInternal, v1alpha1.StateInForce), agreement("over", v1alpha1.PublicationPublic, v1alpha1.StateTerminated),
			agreement("bridge", v1alpha1.PublicationPublic, v1alpha1.StateInForce),
		},
		Use: []accounting.Month{
			month("anvil", "Source", 9, accounting.Counts{Hits: 4321, NoHits: 17, Denied: 7}), month("anvil", "Source", 10, accounting.Counts{Hits: 1, NoHits: 0, Denied: 23}),
			month("anvil", "Source", 11, accounting.Counts{Hits: 77777, NoHits: 77777, Denied: 77777}),
			month("secret", "Source", 9, accounting.Counts{Hits: 55555}),
		},
		Logs:        []accounting.Covered{{Origin: "labor.example.gov/gateway-0", First: time.Date(2026, 8, 20, 0, 0, 0, 0, time.UTC)}},
		Checkpoints: []Checkpoint{{Log: "labor.example.gov/log/gateway-0/0123", Key: "labor+abc", Note: "labor.example.gov/log\n12\nroot\n"}, {Log: "labor.example.gov/gateway-1", Head: "sha256:head", Last: now}},
		K:           10, Until: LastMonth(now), Now: now,
	}
}

func TestRegister(t *testing.T) {
	r, err := Make(input())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Agreements) != 2 || r.Agreements[0].ID != "anvil" || r.Agreements[1].ID != "bridge" || r.NotPublic != 2 {
		t.Fatalf("%d agreements, %d not public", len(r.Agreements), r.NotPublic)
	}
	u := r.Agreements[0].Use
	if len(u) != 1 || len(u[0].Months) != 3 || u[0].Total != nil {
		t.Fatalf("%+v", u)
	}
	for month, want := range map[int]Row{0: {"fewer than 10", "0", "23"}, 1: {"4\u202f321", "17", "fewer than 10"}, 2: {"0", "0", "0"}} {
		if got := u[0].Months[month]; got.Row != want {
			t.Errorf("%s: %+v, want %+v", got.Month, got.Row, want)
		}
	}

	out := filepath.Join(t.TempDir(), "public", "register")
	if err := r.Write(out); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	var names []string
	err = filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		name, _ := filepath.Rel(out, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"agreements/anvil.html", "agreements/bridge.html", "index.html", "register.json", "style.css"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	text := all.String()
	for _, trace := range []string{"TF-SECRET", "sealed", "Jane Doe", "John Roe", "77777", "77\u202f777", "55555", "quiet", "Agreement secret", "<script", "over.html"} {
		if strings.Contains(text, trace) {
			t.Errorf("the register has %q", trace)
		}
	}
	for _, want := range []string{"Forty cases.", "State Code 12-401", "until 31 October 2026", "25 August 2026", "25 November 2027, 12:00 UTC", "fewer than 10", "sha256:head", "labor+abc", "State Police", "2 agreements are in force"} {
		if !strings.Contains(text, want) {
			t.Errorf("the register does not have %q", want)
		}
	}
	b, err := os.ReadFile(filepath.Join(out, "register.json"))
	var back Register
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || len(back.Agreements) != 2 {
		t.Errorf("register.json: %v", err)
	}

	// The next edition takes its place; what is gone is gone.
	in := input()
	in.Agreements[0].Status.State = v1alpha1.StateSuspended
	if r, err = Make(in); err == nil {
		err = r.Write(out)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, "agreements", "anvil.html")); !os.IsNotExist(err) {
		t.Errorf("an agreement that is suspended is still there: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRegisterRefuses(t *testing.T) {
	in := input()
	in.K = 2
	if _, err := Make(in); err == nil {
		t.Error("counts of 2 are shown")
	}
	in = input()
	in.Agreements[0].Spec.Terms.ID = "../../etc"
	if _, err := Make(in); err == nil {
		t.Error("a page outside of the site")
	}
	in = input()
	in.Agreements = append(in.Agreements, agreement("anvil", v1alpha1.PublicationPublic, v1alpha1.StateInForce))
	if _, err := Make(in); err == nil {
		t.Error("two versions in force at once")
	}
	r, err := Make(input())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(dir); err == nil {
		t.Error("a folder of something else was replaced")
	}

	// An edition beside which somebody put something else.
	site := filepath.Join(t.TempDir(), "site")
	if err := r.Write(site); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(site, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(site); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("what is no register's was thrown away: %v", err)
	}
	if _, err := os.Stat(filepath.Join(site, "precious")); err != nil {
		t.Error(err)
	}
}

// TestErased: of a month from which something was erased nothing is shown, whether or not anything is left of it.
func TestErased(t *testing.T) {
	in := input()
	in.Logs[0].ErasedIn = map[string]bool{"2026-09": true}
	r, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Agreements[0].Use[0].Months[1].Row, (Row{notShown, notShown, notShown}); got != want {
		t.Errorf("anvil: %+v", got)
	}
	if u := r.Agreements[1].Use; len(u) == 0 || u[0].Months[1].Found != notShown {
		t.Errorf("bridge was not used, it is said: %+v", u)
	}
	year := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	u := uses("anvil", []accounting.Month{{Agreement: "anvil", Side: "Source", Month: year, Counts: accounting.Counts{Hits: 50}}}, map[string]bool{"2025-05": true}, year, year.AddDate(1, 0, 0), 10)
	if got, want := *u[0].Total, (Row{notShown, notShown, notShown}); got != want {
		t.Errorf("the total of a year that is not whole: %+v", got)
	}
}

// Without logs there are no numbers, and the pages say so.
func TestRegisterWithoutLogs(t *testing.T) {
	in := input()
	in.Logs, in.Use = nil, nil
	r, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	content, err := r.render()
	if err != nil || !strings.Contains(string(content["agreements/anvil.html"]), "no numbers of use") {
		t.Errorf("%v", err)
	}
}
