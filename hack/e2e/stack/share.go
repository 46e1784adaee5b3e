package stack

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Share brings the agreement of config/samples into force, by the way that people go, and returns when every condition of it is true
// at all three agencies.
func (s *Stack) Share(ctx context.Context) error {
	terms, err := s.SampleTerms()
	if err != nil {
		return err
	}
	for _, do := range []struct {
		what string
		run  func(context.Context) error
	}{
		{"agencies, schema and datasets applied, and seen by the operators", s.describe},
		{"agencies introduced to each other (entente agency export, import)", s.introduce},
		{"agreement " + Agreement + " applied, accepted, signed, signatures exchanged; in force everywhere", func(ctx context.Context) error {
			return s.Agree(ctx, terms)
		}},
	} {
		began := time.Now()
		if err := do.run(ctx); err != nil {
			return err
		}
		s.told(began, "%s", do.what)
	}
	return nil
}

func (s *Stack) describe(ctx context.Context) error {
	return s.each(ctx, func(ctx context.Context, a *Agency) error { return a.Describe(ctx) })
}

// Describe applies what the platform team says of its own agency: itself, the schema, its dataset. It returns when the operator has seen it.
func (a *Agency) Describe(ctx context.Context) error {
	dataset, err := a.stack.dataset(a)
	if err != nil {
		return err
	}
	schema, err := os.ReadFile(a.stack.sample("exchangeschema-person.yaml"))
	if err != nil {
		return err
	}
	own := &v1alpha1.Agency{
		ObjectMeta: metav1.ObjectMeta{Name: a.Name},
		Spec: v1alpha1.AgencySpec{
			DisplayName: a.DisplayName, PostalAddress: a.PostalAddress, TrustDomain: a.TrustDomain, Jurisdictions: []string{"US"},
			Endpoints: v1alpha1.AgencyEndpoints{Gateway: a.Service.Addr(), Exchange: a.Line.Addr()},
		},
	}
	if err := os.WriteFile(a.File("resources/exchangeschema.yaml"), schema, 0o644); err != nil {
		return err
	}
	for name, o := range map[string]client.Object{"agency": own, "dataset": dataset} {
		if err := a.write("resources/"+name+".yaml", o); err != nil {
			return err
		}
	}
	if _, err := a.Apply(ctx, a.File("resources")); err != nil {
		return err
	}
	if err := a.WaitFor(ctx, &v1alpha1.Agency{ObjectMeta: metav1.ObjectMeta{Name: a.Name}}, func(o client.Object) string {
		if o.(*v1alpha1.Agency).Status.SigningKeys == nil {
			return "its keys are not published yet"
		}
		return ""
	}); err != nil {
		return err
	}
	return a.WaitFor(ctx, &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: a.Dataset}}, func(o client.Object) string {
		return NotYet(o.(*v1alpha1.Dataset).Status.Conditions, v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionSourceReachable)
	})
}

// dataset is the agency's Dataset of config/samples, on this stack's server.
func (s *Stack) dataset(a *Agency) (*v1alpha1.Dataset, error) {
	file := "elsewhere/dataset-" + a.Dataset + ".yaml"
	if a.Name == Police {
		file = "dataset-" + a.Dataset + ".yaml"
	}
	d := &v1alpha1.Dataset{}
	if err := read(s.sample(file), d); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(s.Postgres.CAFile())
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(s.Postgres.Addr())
	if err != nil {
		return nil, err
	}
	source := d.Spec.Source.PostgreSQL
	source.Host, source.Port, source.CABundle = host, int32(s.Postgres.Port()), string(ca)
	return d, nil
}

// introduce has every agency import what the others print of themselves.
func (s *Stack) introduce(ctx context.Context) error {
	err := s.each(ctx, func(ctx context.Context, a *Agency) error {
		text, err := s.Command(ctx, "agency", "export", "-n", a.Name, "--as", a.Platform)
		if err != nil {
			return err
		}
		return os.WriteFile(a.File("agency-export.yaml"), []byte(text), 0o644)
	})
	if err != nil {
		return err
	}
	return s.each(ctx, func(ctx context.Context, a *Agency) error {
		for _, peer := range s.Agencies {
			if peer == a {
				continue
			}
			if _, err := s.Command(ctx, "agency", "import", "-f", peer.File("agency-export.yaml"), "-n", a.Name, "--as", a.Platform, "--yes"); err != nil {
				return err
			}
		}
		return nil
	})
}

// SampleTerms are the terms of the agreement of config/samples, in a window around now.
func (s *Stack) SampleTerms() (v1alpha1.AgreementTerms, error) {
	var a v1alpha1.SharingAgreement
	if err := read(s.sample("sharingagreement-"+AgreementID+".yaml"), &a); err != nil {
		return v1alpha1.AgreementTerms{}, err
	}
	day := time.Now().UTC().Truncate(24 * time.Hour)
	at := func(days int) metav1.Time { return metav1.NewTime(day.AddDate(0, 0, days)) }
	review := at(150)
	a.Spec.Terms.Term = v1alpha1.Term{NotBefore: at(-1), NotAfter: at(180), ReviewBy: &review}
	return a.Spec.Terms, nil
}

// Between are the terms of an agreement of police and labor alone, under a purpose that no other agreement has: the named clauses of
// the sample.
func (s *Stack) Between(id, purpose string, clauses ...string) (v1alpha1.AgreementTerms, error) {
	terms, err := s.SampleTerms()
	if err != nil {
		return terms, err
	}
	others := func(agency string) bool { return agency != Police && agency != Labor }
	terms.ID, terms.Title = id, "Of two agencies, for "+purpose
	terms.Parties = slices.DeleteFunc(terms.Parties, func(p v1alpha1.Party) bool { return others(p.Agency) })
	terms.RequiredDecisions = slices.DeleteFunc(terms.RequiredDecisions, func(d v1alpha1.RequiredDecision) bool { return others(d.Agency) })
	terms.Clauses = slices.DeleteFunc(terms.Clauses, func(c v1alpha1.Clause) bool { return !slices.Contains(clauses, c.Name) })
	for i := range terms.Clauses {
		c := &terms.Clauses[i]
		c.Purposes = []string{purpose}
		c.Recipients = slices.DeleteFunc(c.Recipients, func(r v1alpha1.Recipient) bool { return others(r.Agency) })
	}
	return terms, nil
}

// Parties are the agencies that sign the terms.
func (s *Stack) Parties(terms v1alpha1.AgreementTerms) []*Agency {
	var out []*Agency
	for _, p := range terms.Parties {
		out = append(out, s.Agency(p.Agency))
	}
	return out
}

// Agree brings terms into force: Propose, then the exchange of all signatures, then WaitInForce.
func (s *Stack) Agree(ctx context.Context, terms v1alpha1.AgreementTerms) error {
	if err := s.Propose(ctx, terms); err != nil {
		return err
	}
	name := ObjectName(terms)
	for _, from := range s.Parties(terms) {
		if err := from.ExportSignature(ctx, name); err != nil {
			return err
		}
	}
	err := s.eachParty(ctx, terms, func(ctx context.Context, a *Agency) error {
		for _, from := range s.Parties(terms) {
			if from == a {
				continue
			}
			if err := a.ImportSignature(ctx, name, from); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.WaitInForce(ctx, terms)
}

// Propose applies the terms at every party, has each officer accept, and returns when each operator has signed.
func (s *Stack) Propose(ctx context.Context, terms v1alpha1.AgreementTerms) error {
	if err := s.Apply(ctx, terms); err != nil {
		return err
	}
	return s.eachParty(ctx, terms, func(ctx context.Context, a *Agency) error { return a.Accept(ctx, ObjectName(terms)) })
}

// Apply applies the terms at every party, and returns when every operator understands them.
func (s *Stack) Apply(ctx context.Context, terms v1alpha1.AgreementTerms) error {
	return s.eachParty(ctx, terms, func(ctx context.Context, a *Agency) error { return a.ApplyTerms(ctx, terms) })
}

// ApplyTerms applies the terms at this agency alone, and returns when its operator understands them.
func (a *Agency) ApplyTerms(ctx context.Context, terms v1alpha1.AgreementTerms) error {
	name := ObjectName(terms)
	o := &v1alpha1.SharingAgreement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.SharingAgreementSpec{Terms: terms}}
	if err := a.write(name+".yaml", o); err != nil {
		return err
	}
	if _, err := a.Apply(ctx, a.File(name+".yaml")); err != nil {
		return err
	}
	return a.WaitConditions(ctx, name, v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs)
}

// Accept has the agency's officer accept an agreement, and returns when its operator has signed.
func (a *Agency) Accept(ctx context.Context, name string) error {
	if err := a.Decide(ctx, name, v1alpha1.DecisionAccept); err != nil {
		return err
	}
	return a.WaitFor(ctx, agreement(name), func(o client.Object) string {
		if len(o.(*v1alpha1.SharingAgreement).Status.Signatures) == 0 {
			return "not signed yet: " + NotYet(o.(*v1alpha1.SharingAgreement).Status.Conditions, v1alpha1.ConditionSigned)
		}
		return ""
	})
}

// WaitInForce returns when every condition of the agreement is true at every party.
func (s *Stack) WaitInForce(ctx context.Context, terms v1alpha1.AgreementTerms) error {
	return s.eachParty(ctx, terms, func(ctx context.Context, a *Agency) error {
		return a.WaitConditions(ctx, ObjectName(terms), InForce...)
	})
}

func (s *Stack) eachParty(ctx context.Context, terms v1alpha1.AgreementTerms, do func(context.Context, *Agency) error) error {
	return s.each(ctx, func(ctx context.Context, a *Agency) error {
		for _, p := range s.Parties(terms) {
			if p == a {
				return do(ctx, a)
			}
		}
		return nil
	})
}

// ObjectName of an agreement.
func ObjectName(terms v1alpha1.AgreementTerms) string {
	return terms.ID + ".v" + strconv.FormatInt(terms.Version, 10)
}

// Apply applies a file or a folder as the agency's platform team.
func (a *Agency) Apply(ctx context.Context, path string, flags ...string) (string, error) {
	return a.stack.Kubectl(ctx, append([]string{"apply", "-n", a.Name, "--as", a.Platform, "-f", path}, flags...)...)
}

// Decide has the agency's privacy officer decide, by the command.
func (a *Agency) Decide(ctx context.Context, name string, decision v1alpha1.Decision) error {
	flag := map[v1alpha1.Decision]string{
		v1alpha1.DecisionAccept: "--accept", v1alpha1.DecisionReject: "--reject", v1alpha1.DecisionSuspend: "--suspend",
		v1alpha1.DecisionResume: "--resume", v1alpha1.DecisionTerminate: "--terminate",
	}[decision]
	if decision == v1alpha1.DecisionResume {
		nextSecond()
	}
	_, err := a.stack.Command(ctx, "agreement", "decide", name, flag, "--role", "privacy-officer", "-n", a.Name, "--as", a.Officer)
	return err
}

// nextSecond waits until a Resume counts: it must be later than the Suspend, to the second.
func nextSecond() {
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + 20*time.Millisecond)))
}

// ExportSignature writes the agency's signature on an agreement to a file.
func (a *Agency) ExportSignature(ctx context.Context, name string) error {
	text, err := a.stack.Command(ctx, "agreement", "signature", "export", name, "-n", a.Name, "--as", a.Platform)
	if err != nil {
		return err
	}
	return os.WriteFile(a.signature(name), []byte(text), 0o644)
}

// ImportSignature files the signature that another agency exported.
func (a *Agency) ImportSignature(ctx context.Context, name string, from *Agency) error {
	_, err := a.stack.Command(ctx, "agreement", "signature", "import", name, "-f", from.signature(name), "-n", a.Name, "--as", a.Platform)
	return err
}

func (a *Agency) signature(name string) string { return a.File(name + ".signature.yaml") }

// write writes an object as a file that kubectl applies.
func (a *Agency) write(file string, o client.Object) error {
	kinds, _, err := a.stack.Client.Scheme().ObjectKinds(o)
	if err != nil {
		return err
	}
	o.GetObjectKind().SetGroupVersionKind(kinds[0])
	text, err := yaml.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(a.File(file), text, 0o644)
}

func read(path string, into client.Object) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
