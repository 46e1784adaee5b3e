package profile

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// year bounds the term as people would.
const year = `months(prior.term.notAfter, terms.term.notAfter) <= 12`

func TestRenewalCovers(t *testing.T) {
	for _, c := range []struct {
		name string
		spec v1alpha1.Renewals
		edit func(*v1alpha1.AgreementTerms)
		want string // part of why not; empty: covered
	}{
		{"the same for another year", v1alpha1.Renewals{When: year}, nil, ""},
		{"sets in another order", v1alpha1.Renewals{When: year}, func(n *v1alpha1.AgreementTerms) {
			f := n.Clauses[0].Fields
			f[0], f[1] = f[1], f[0]
		}, ""},
		{"two years", v1alpha1.Renewals{When: year}, func(n *v1alpha1.AgreementTerms) {
			n.Term.NotAfter = metav1.NewTime(n.Term.NotAfter.AddDate(1, 0, 0))
		}, "renewals.when is not true of it"},
		{"another field", v1alpha1.Renewals{When: year}, func(n *v1alpha1.AgreementTerms) {
			n.Clauses[0].Fields = append(n.Clauses[0].Fields, "bank_account")
		}, "the renewal changes clauses"},
		{"another field, and an expression that does not look", v1alpha1.Renewals{When: "true"}, func(n *v1alpha1.AgreementTerms) {
			n.Clauses[0].Fields = append(n.Clauses[0].Fields, "bank_account")
		}, "the renewal changes clauses"},
		{"a member appears", v1alpha1.Renewals{When: "true"}, func(n *v1alpha1.AgreementTerms) { n.Justification = "because" }, "the renewal changes justification"},
		{"a member goes", v1alpha1.Renewals{When: "true"}, func(n *v1alpha1.AgreementTerms) { n.LegalAuthority = nil }, "the renewal changes legalAuthority"},
		{"no review any more", v1alpha1.Renewals{When: year}, func(n *v1alpha1.AgreementTerms) { n.Term.ReviewBy = nil }, "the renewal leaves out term.reviewBy"},
		{"no window of renewal any more", v1alpha1.Renewals{When: year}, func(n *v1alpha1.AgreementTerms) { n.Term.RenewFrom = nil }, "the renewal leaves out term.renewFrom"},
		{"fewer decisions", v1alpha1.Renewals{When: "true"}, func(n *v1alpha1.AgreementTerms) { n.RequiredDecisions = nil }, "the renewal changes requiredDecisions"},
		{"another title, which may change", v1alpha1.Renewals{When: "true", MayChange: []string{"title"}}, func(n *v1alpha1.AgreementTerms) { n.Title = "Wages again" }, ""},
		{"clauses that may change, within what the expression says", v1alpha1.Renewals{
			When:      `terms.clauses.all(c, prior.clauses.exists(p, p.name == c.name && c.fields.all(f, f in p.fields)))`,
			MayChange: []string{"clauses"},
		}, func(n *v1alpha1.AgreementTerms) { n.Clauses[0].Fields = n.Clauses[0].Fields[:1] }, ""},
		{"clauses that may change, and not so", v1alpha1.Renewals{
			When:      `terms.clauses.all(c, prior.clauses.exists(p, p.name == c.name && c.fields.all(f, f in p.fields)))`,
			MayChange: []string{"clauses"},
		}, func(n *v1alpha1.AgreementTerms) { n.Clauses[0].Fields = append(n.Clauses[0].Fields, "bank_account") }, "renewals.when is not true of it"},
		{"an error", v1alpha1.Renewals{When: `terms.security == prior.security`}, nil, "renewals.when cannot be evaluated (security is absent: ask with has() first)"},
		{"too costly", v1alpha1.Renewals{When: `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a + b + c + d + e + f > 0))))))`}, nil, "actual cost limit exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			prior := sample(t)
			prior.LegalAuthority = []v1alpha1.LegalAuthority{{Citation: "Code 1"}}
			prior.RequiredDecisions = []v1alpha1.RequiredDecision{{Agency: "labor-inspectorate", Role: "system-owner"}}
			prior.Clauses[0].Fields = []string{"employer", "monthly_wage"}
			prior.Term.ReviewBy, prior.Term.RenewFrom = prior.Term.NotAfter.DeepCopy(), prior.Term.NotBefore.DeepCopy()
			next := prior.DeepCopy()
			next.Version, next.Supersedes = prior.Version+1, prior.Version
			next.Term.NotBefore, next.Term.NotAfter = prior.Term.NotAfter, metav1.NewTime(prior.Term.NotAfter.AddDate(1, 0, 0))
			if c.edit != nil {
				c.edit(next)
			}
			r, err := NewCache().Renewal(&c.spec)
			if err != nil {
				t.Fatal(err)
			}
			ok, why := r.Covers(next, prior)
			if ok != (c.want == "") || !ok && !strings.Contains(why, c.want) {
				t.Errorf("%v, %q; want %q", ok, why, c.want)
			}
		})
	}
}

func TestRenewalFaults(t *testing.T) {
	cache := NewCache()
	for _, c := range []struct {
		spec v1alpha1.Renewals
		want string
	}{
		{v1alpha1.Renewals{}, "renewals.when: 0 characters"},
		{v1alpha1.Renewals{When: strings.Repeat(" ", 1997) + "true"}, "renewals.when: 2001 characters"},
		{v1alpha1.Renewals{When: "terms.version"}, "renewals.when: it is of type int, not bool"},
		{v1alpha1.Renewals{When: "prior.vresion == 1"}, "renewals.when: line 1, column 6: undefined field 'vresion'"},
		{v1alpha1.Renewals{When: "now() > prior.term.notAfter"}, "renewals.when: line 1, column 4: undeclared reference to 'now'"},
		{v1alpha1.Renewals{When: "true", MayChange: []string{"clause"}}, `renewals.mayChange: the terms have no member "clause"`},
		{v1alpha1.Renewals{When: "true", MayChange: []string{"requiredDecisions"}}, "renewals.mayChange: a renewal cannot change requiredDecisions"},
		{v1alpha1.Renewals{When: "true", MayChange: []string{"profiles"}}, "renewals.mayChange: a renewal cannot change profiles"},
	} {
		for range 2 { // the second time as remembered
			if _, err := cache.Renewal(&c.spec); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%+v: %v, want %q", c.spec, err, c.want)
			}
		}
	}
}
