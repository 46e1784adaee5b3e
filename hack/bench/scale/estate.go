package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/local"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/hack/e2e/stack"
)

// estate is what the agency shares with whom. Equal seeds make equal estates, keys and dates apart.
type estate struct {
	random  *rand.Rand
	day     time.Time
	source  *stack.Agency
	clauses []v1alpha1.Clause // those of the samples in which the agency is the source
	peers   []*peerAgency
	forces  []*v1alpha1.TaskForce
}

// peerAgency is another agency: all that it has is its keys.
type peerAgency struct {
	name, domain string
	keys         *local.Store
	object       *v1alpha1.Agency
}

// peersFor is how many other agencies there are: a fiftieth of the agreements, and some at least.
func peersFor(agreements int) int { return min(200, max(10, agreements/50)) }

func newEstate(ctx context.Context, s *stack.Stack, dir string, agreements int, seed uint64) (*estate, error) {
	e := &estate{random: rand.New(rand.NewPCG(seed, 0)), day: time.Now().UTC().Truncate(24 * time.Hour), source: s.Agency(stack.Labor)}
	terms, err := s.SampleTerms()
	if err != nil {
		return nil, err
	}
	for _, c := range terms.Clauses {
		if c.Source == e.source.Name {
			e.clauses = append(e.clauses, c)
		}
	}
	for i := range peersFor(agreements) {
		p := &peerAgency{name: fmt.Sprintf("agency-%03d", i), domain: fmt.Sprintf("agency-%03d.example", i)}
		if p.keys, err = local.Open(filepath.Join(dir, p.name), p.domain); err != nil {
			return nil, err
		}
		p.object = &v1alpha1.Agency{
			ObjectMeta: metav1.ObjectMeta{Namespace: e.source.Name, Name: p.name},
			Spec:       v1alpha1.AgencySpec{DisplayName: "Agency " + p.name, PostalAddress: "1 Main Street", TrustDomain: p.domain, Jurisdictions: []string{"US"}},
		}
		if p.object.Spec.TrustBundle, err = p.keys.TrustBundle(ctx); err != nil {
			return nil, err
		}
		if p.object.Spec.SigningKeys, err = p.keys.Public(ctx); err != nil {
			return nil, err
		}
		e.peers = append(e.peers, p)
	}
	for i := range max(1, len(e.peers)/20) {
		e.forces = append(e.forces, e.taskForce(i))
	}
	return e, nil
}

func (e *estate) at(days int) metav1.Time { return metav1.NewTime(e.day.AddDate(0, 0, days)) }

// taskForce is one of three peers and the agency.
func (e *estate) taskForce(i int) *v1alpha1.TaskForce {
	f := &v1alpha1.TaskForce{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.source.Name, Name: fmt.Sprintf("force-%d.v1", i)},
		Spec: v1alpha1.TaskForceSpec{
			Name: fmt.Sprintf("force-%d", i), Version: 1, Objective: "To find persons who are held in forced labor.", Lead: e.source.Name,
			Members: []v1alpha1.TaskForceMember{{Agency: e.source.Name, TrustDomain: e.source.TrustDomain}},
			Window:  v1alpha1.TaskForceWindow{NotBefore: e.at(-1), NotAfter: e.at(300)},
		},
	}
	for _, n := range e.random.Perm(len(e.peers))[:3] {
		f.Spec.Members = append(f.Spec.Members, v1alpha1.TaskForceMember{Agency: e.peers[n].name, TrustDomain: e.peers[n].domain})
	}
	return f
}

// pact is an agreement between the agency and a peer, and what the peer asks under it.
type pact struct {
	object *v1alpha1.SharingAgreement
	digest string
	peer   *peerAgency
}

// agreement makes the i-th: with one peer, of one to three clauses, each for a purpose; one in twenty is for the members of a task force.
func (e *estate) agreement(ctx context.Context, id string) (*pact, error) {
	peer := e.peers[e.random.IntN(len(e.peers))]
	parties := map[string]string{e.source.Name: e.source.TrustDomain, peer.name: peer.domain}
	recipient := v1alpha1.Recipient{Agency: peer.name}
	if e.random.IntN(20) == 0 {
		f := e.forces[e.random.IntN(len(e.forces))]
		digest, err := f.Spec.Digest()
		if err != nil {
			return nil, err
		}
		recipient = v1alpha1.Recipient{TaskForce: &v1alpha1.TaskForceRef{Name: f.Spec.Name, Version: 1, Digest: digest}}
		parties = map[string]string{}
		for _, m := range f.Spec.Members {
			parties[m.Agency] = m.TrustDomain
		}
	}
	review := e.at(150)
	terms := v1alpha1.AgreementTerms{
		ID: id, Version: 1, Title: "Agreement " + id, Type: "MemorandumOfUnderstanding",
		LegalAuthority:   []v1alpha1.LegalAuthority{{Citation: "State Code 12-401", Covers: "Disclosure"}},
		PurposeStatement: "To find persons who are held in forced labor, and to protect them.", Justification: "Each agency sees a part.",
		Term:              v1alpha1.Term{NotBefore: e.at(-1), NotAfter: e.at(180 + e.random.IntN(800)), ReviewBy: &review},
		RequiredDecisions: []v1alpha1.RequiredDecision{{Agency: e.source.Name, Role: "privacy-officer"}},
		NoticeProcedure:   "Persons are told within 30 days after the investigation closes.",
	}
	var signers []*peerAgency
	for _, name := range sortedKeys(parties) {
		terms.Parties = append(terms.Parties, v1alpha1.Party{Agency: name, TrustDomain: parties[name]})
		for _, p := range e.peers {
			if p.name == name {
				signers = append(signers, p)
			}
		}
	}
	if recipient.TaskForce != nil {
		peer = signers[e.random.IntN(len(signers))]
	}
	for n := range 1 + e.random.IntN(3) {
		c := *e.clauses[n%len(e.clauses)].DeepCopy()
		c.Name, c.Recipients = fmt.Sprintf("clause-%d", n), []v1alpha1.Recipient{recipient}
		if n > 0 {
			c.Purposes = []string{fmt.Sprintf("entente:purpose-%d", e.random.IntN(100))}
		}
		terms.Clauses = append(terms.Clauses, c)
	}
	digest, err := terms.Digest()
	if err != nil {
		return nil, err
	}
	a := &v1alpha1.SharingAgreement{ObjectMeta: metav1.ObjectMeta{Namespace: e.source.Name, Name: id + ".v1"}, Spec: v1alpha1.SharingAgreementSpec{Terms: terms}}
	for _, p := range signers {
		jws, err := signature.Sign(ctx, p.keys, signature.Claims{Digest: digest, Decision: v1alpha1.DecisionAccept, Agency: p.name, DecidedAt: e.day.Add(-time.Hour)})
		if err != nil {
			return nil, err
		}
		a.Spec.Signatures = append(a.Spec.Signatures, v1alpha1.AgreementSignature{Agency: p.name, JWS: jws})
	}
	return &pact{object: a, digest: digest, peer: peer}, nil
}

// decision is what the agency's privacy officer files.
func (e *estate) decision(p *pact, d v1alpha1.Decision) *v1alpha1.AgreementDecision {
	return &v1alpha1.AgreementDecision{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.source.Name, GenerateName: p.object.Spec.Terms.ID + "-"},
		Spec: v1alpha1.AgreementDecisionSpec{
			Agreement: p.object.Name, Digest: p.digest, Decision: d, Role: "privacy-officer", DecidedBy: e.source.Officer,
		},
	}
}
