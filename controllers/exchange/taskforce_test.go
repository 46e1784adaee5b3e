package exchange_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/hack/testenv"
)

// TestTaskForce: two of three agencies form a task force; the third joins by a new version of it and of the agreement, which all three
// decide; one member leaves at once by itself. Only the source applies task forces: the others get them with the proposals.
func TestTaskForce(t *testing.T) {
	p := newPair(t)
	labor, police := p.source, p.recipient
	kube := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{"../../config/crd"}})
	border := newAgency(t, kube, "border-service", "border.example")
	for _, a := range []*agency{labor, police} {
		a.apply(t, border.publish(t, a.name))
		border.apply(t, a.publish(t, border.name))
	}
	border.apply(t, border.publish(t, border.name), schema())
	for _, a := range []*agency{labor, police, border} {
		a.start(t)
	}

	first := harbor(t, 1, labor, police)
	labor.apply(t, first)
	labor.apply(t, p.terms(t, "wages", through(t, first)))
	labor.decide(t, "wages.v1", v1alpha1.DecisionAccept)
	police.reaches(t, "wages.v1", v1alpha1.StateProposed, "")
	police.decide(t, "wages.v1", v1alpha1.DecisionAccept)
	for _, a := range []*agency{labor, police} {
		a.reaches(t, "wages.v1", v1alpha1.StateInForce, "task force harbor.v1 ends at")
		hasTaskForce(t, a, "harbor.v1", "labor-inspectorate,state-police")
	}
	mayAsk(t, labor, "state-police through harbor.v1")

	second := harbor(t, 2, labor, police, border)
	labor.apply(t, second)
	labor.apply(t, p.terms(t, "wages", through(t, second), func(terms *v1alpha1.AgreementTerms) {
		terms.Version, terms.Supersedes = 2, 1
		terms.Parties = append(terms.Parties, v1alpha1.Party{Agency: border.name, TrustDomain: border.domain})
	}))
	labor.decide(t, "wages.v2", v1alpha1.DecisionAccept)
	for _, a := range []*agency{police, border} {
		a.reaches(t, "wages.v2", v1alpha1.StateProposed, "")
		hasTaskForce(t, a, "harbor.v2", "border-service,labor-inspectorate,state-police")
	}
	border.decide(t, "wages.v2", v1alpha1.DecisionAccept)
	border.reaches(t, "wages.v2", v1alpha1.StateSigned, "")
	mayAsk(t, labor, "state-police through harbor.v1") // not all have decided
	police.decide(t, "wages.v2", v1alpha1.DecisionAccept)
	for _, a := range []*agency{labor, police, border} {
		a.reaches(t, "wages.v2", v1alpha1.StateInForce, "")
	}
	mayAsk(t, labor, "border-service through harbor.v2", "state-police through harbor.v2")
	if o, err := border.get(t, "wages.v1"); err == nil {
		t.Errorf("%s was told of version 1, to which it is no party: %s", border.name, o.Status.State)
	}

	police.decide(t, "wages.v2", v1alpha1.DecisionTerminate)
	mayAsk(t, labor, "border-service through harbor.v2")
	labor.reaches(t, "wages.v2", v1alpha1.StateInForce, "")
	border.reaches(t, "wages.v2", v1alpha1.StateInForce, "")
}

// harbor is a version of a task force of those agencies, of which the second leads.
func harbor(t *testing.T, version int64, members ...*agency) *v1alpha1.TaskForce {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	f := &v1alpha1.TaskForce{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("harbor.v%d", version)}, Spec: v1alpha1.TaskForceSpec{
		Name: "harbor", Version: version, Objective: "To end trafficking in persons in the harbor.", Lead: members[1].name,
		Window: v1alpha1.TaskForceWindow{NotBefore: metav1.NewTime(now.Add(-time.Hour)), NotAfter: metav1.NewTime(now.Add(100 * 24 * time.Hour))},
	}}
	for _, m := range members {
		f.Spec.Members = append(f.Spec.Members, v1alpha1.TaskForceMember{Agency: m.name, TrustDomain: m.domain})
	}
	return f
}

// through makes the task force the recipient.
func through(t *testing.T, f *v1alpha1.TaskForce) func(*v1alpha1.AgreementTerms) {
	t.Helper()
	digest, err := f.Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return func(terms *v1alpha1.AgreementTerms) {
		terms.Clauses[0].Recipients = []v1alpha1.Recipient{{TaskForce: &v1alpha1.TaskForceRef{Name: f.Spec.Name, Version: f.Spec.Version, Digest: digest}}}
	}
}

func hasTaskForce(t *testing.T, a *agency, name, members string) {
	t.Helper()
	eventually(t, a.name+" has task force "+name, func() error {
		f := &v1alpha1.TaskForce{}
		if err := a.client.Get(t.Context(), client.ObjectKey{Namespace: a.name, Name: name}, f); err != nil {
			return err
		}
		if f.Status.State != v1alpha1.TaskForceActive || f.Status.Members != members || f.Status.Digest == "" {
			return fmt.Errorf("%+v", f.Status)
		}
		return nil
	})
}

// mayAsk waits until the source's route lets exactly these ask.
func mayAsk(t *testing.T, source *agency, want ...string) {
	t.Helper()
	eventually(t, strings.Join(want, " and ")+" may ask", func() error {
		g := &v1alpha1.GatewayRoute{}
		if err := source.client.Get(t.Context(), client.ObjectKey{Namespace: source.name, Name: "wages"}, g); err != nil {
			return err
		}
		r, err := route.Decode(g.Spec.Payload)
		if err != nil {
			return err
		}
		v := r.Current(time.Now())
		if v == nil || len(v.Clauses) != 1 {
			return errors.New("nothing is in force")
		}
		var got []string
		for _, who := range v.Clauses[0].Recipients {
			got = append(got, who.Agency+" through "+who.TaskForce)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
}
