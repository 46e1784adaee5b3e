package standalone

import (
	"strings"
	"testing"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// A renewal that was accepted in advance is recorded and signed in one step; what widens is not.
func TestRenewalInAdvance(t *testing.T) {
	_, labor := inForce(t)
	labor.at = labor.at.Add(1e9)
	_, err := labor.folder.Decide(v1alpha1.AgreementDecisionSpec{
		Agreement: "wages.v1", Decision: v1alpha1.DecisionAccept, DecidedBy: "director",
		Renewals: &v1alpha1.Renewals{When: "months(prior.term.notAfter, terms.term.notAfter) <= 12"},
	}, labor.at)
	if err != nil {
		t.Fatal(err)
	}
	labor.step()
	first, err := labor.folder.Status("wages.v1")
	if err != nil {
		t.Fatal(err)
	}
	next := func(version, fields string) string {
		text := agreementYAML(t, first.Spec.Terms.Term.NotAfter.AddDate(1, 0, 0).Format("2006-01-02T15:04:05Z"))
		return strings.NewReplacer("wages.v1", "wages.v"+version, "    version: 1\n", "    version: "+version+"\n    supersedes: 1\n",
			"fields: [employer]", "fields: "+fields).Replace(text)
	}
	labor.write("widened.yaml", next("2", "[employer, document_number]"))
	labor.step()
	if got, err := labor.folder.Status("wages.v2"); err != nil || len(got.Status.Signatures)+len(got.Status.Decisions) > 0 {
		t.Errorf("%v, %+v", err, got.Status)
	}
	labor.remove("widened.yaml")
	labor.write("renewed.yaml", next("3", "[employer]"))
	labor.step()
	got, err := labor.folder.Status("wages.v3")
	if err != nil {
		t.Fatal(err)
	}
	if d := got.Status.Decisions; len(got.Status.Signatures) != 1 || len(d) != 1 || d[0].RenewalOf != "wages.v1" || d[0].DecidedBy != "director" {
		t.Errorf("%+v", got.Status)
	}
	labor.want(v1alpha1.StateInForce, true)
}
