package words

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// history is what the labor inspectorate knows on 2026-06-15 of an agreement that was signed on 2025-12-22, suspended on
// 2026-02-10 and resumed on 2026-02-12 at noon, and amended from 2026-04-01 on.
func history(t *testing.T) *compile.Index {
	t.Helper()
	return historyOf(t, func(*v1alpha1.AgreementTerms) {})
}

// historyOf is that of terms that were changed before anybody signed.
func historyOf(t *testing.T, change func(*v1alpha1.AgreementTerms)) *compile.Index {
	t.Helper()
	index := &compile.Index{
		Self: "labor-inspectorate", Agencies: agencies(t),
		Schemas:    map[string]*v1alpha1.ExchangeSchema{"person.v1": schema(1)},
		Datasets:   map[string]*v1alpha1.Dataset{},
		Agreements: map[string][]*v1alpha1.SharingAgreement{},
		Decisions:  map[string][]*v1alpha1.AgreementDecision{},
	}
	bundle := authority(t)
	for name, a := range index.Agencies {
		a.Spec.TrustBundle = bundle
		a.Spec.Endpoints = v1alpha1.AgencyEndpoints{Gateway: name + ":9443", Exchange: name + ":9444"}
	}
	d := &v1alpha1.Dataset{Spec: v1alpha1.DatasetSpec{
		Schema: v1alpha1.SchemaVersion{Name: "person", Version: 1}, Relation: "wages",
		Source: v1alpha1.DatasetSource{SQLite: &v1alpha1.SQLiteSource{Path: "labor.db"}},
	}}
	for _, f := range schema(1).Spec.Fields {
		d.Spec.Fields = append(d.Spec.Fields, v1alpha1.FieldMapping{Field: f.Name, Column: f.Name})
	}
	d.Name = "wage-records"
	index.Datasets[d.Name] = d

	one := read(t, "harbor.v1.yaml")
	two := read(t, "harbor.v1.yaml")
	two.Name, two.Spec.Terms.Version, two.Spec.Terms.Supersedes = "harbor.v2", 2, 1
	two.Spec.Terms.Term.NotBefore = metav1.NewTime(day("2026-04-01"))
	two.Spec.Terms.Clauses = two.Spec.Terms.Clauses[:1]
	change(&one.Spec.Terms)
	change(&two.Spec.Terms)
	for _, agency := range []string{"state-police", "labor-inspectorate", "border-service"} {
		sign(t, one, agency, day("2025-12-22"))
		sign(t, two, agency, day("2026-03-20"))
	}
	one.Status.State = v1alpha1.StateSuperseded
	index.Agreements["harbor"] = []*v1alpha1.SharingAgreement{one, two}
	digest, err := one.Spec.Terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for name, decision := range map[string]struct {
		what v1alpha1.Decision
		at   time.Time
	}{"s": {v1alpha1.DecisionSuspend, day("2026-02-10")}, "r": {v1alpha1.DecisionResume, day("2026-02-12").Add(12 * time.Hour)}} {
		d := &v1alpha1.AgreementDecision{Spec: v1alpha1.AgreementDecisionSpec{Agreement: one.Name, Digest: digest, Decision: decision.what, DecidedBy: "kim"}}
		d.Name, d.CreationTimestamp = name, metav1.NewTime(decision.at)
		index.Decisions[one.Name] = append(index.Decisions[one.Name], d)
	}
	return index
}

func authority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, NotAfter: day("2036-01-01")}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestWhoCanSee(t *testing.T) {
	index, now := history(t), day("2026-06-15")
	for _, c := range []struct {
		name, field string
		period      Period
		want        string // agency/clause@version, in order
	}{
		{"before anybody signed", "", Moment(day("2025-12-21")), ""},
		{"signed, before the window", "", Moment(day("2025-12-25")), ""},
		{"the first day", "", Day(day("2026-01-01")), "border-service/employed@1 state-police/employed@1 state-police/wages@1"},
		{"a field that is shown", "monthly_wage", Moment(day("2026-01-15")), "state-police/wages@1"},
		{"a field that queries may filter on", "document_number", Moment(day("2026-01-15")), "border-service/employed@1 state-police/employed@1 state-police/wages@1"},
		{"a field of no clause", "bank_account", Moment(day("2026-01-15")), ""},
		{"an instant of the suspension", "", Moment(day("2026-02-10").Add(time.Hour)), ""},
		{"a day in the suspension", "", Day(day("2026-02-11")), ""},
		{"the day on which it was resumed", "monthly_wage", Day(day("2026-02-12")), "state-police/wages@1"},
		{"the last day before the amendment", "employer", Day(day("2026-03-31")), "state-police/wages@1"},
		{"the amendment", "", Day(day("2026-04-01")), "state-police/wages@2"},
		{"now", "", Moment(now), "state-police/wages@2"},
		{"a day to come", "", Day(day("2026-06-30")), "state-police/wages@2"},
		{"after the end", "", Day(day("2026-07-01")), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, err := WhoCanSee(index, "wage-records", c.field, c.period, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rows {
				got = append(got, r.Agency+"/"+r.Clause+"@"+strings.TrimPrefix(r.Agreement, "harbor.v"))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if _, err := WhoCanSee(index, "wages", "", Moment(now), now); err == nil || !strings.Contains(err.Error(), "wage-records") {
		t.Errorf("an unknown dataset: %v", err)
	}
	if _, err := WhoCanSee(index, "wage-records", "salary", Moment(now), now); err == nil || !strings.Contains(err.Error(), "monthly_wage") {
		t.Errorf("an unknown field: %v", err)
	}
	period := Moment(day("2026-01-15"))
	rows, err := WhoCanSee(index, "wage-records", "", period, now)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "who-can-see.txt", AccessText(rows, "wage-records", "", period)+"\n"+AccessText(rows, "wage-records", "document_number", Day(period.From)))
}
