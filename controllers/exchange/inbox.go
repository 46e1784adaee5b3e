package exchange

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	kjson "sigs.k8s.io/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/gateway/route"
)

// Format of the messages about agreements.
const Format = 1

const (
	// MaxTerms bounds proposed terms, in bytes.
	MaxTerms = 256 << 10
	// MaxUndecided is how many proposals of one peer may wait for a decision here.
	MaxUndecided = 100
	// MaxSkew is how far the clocks of two agencies may differ. A statement that permits is not taken when it is dated later
	// than that; one that stops is taken whatever its date.
	MaxSkew = compile.ClockTolerance
)

// ErrChanged says that an agreement is not any more what it was when it was read: read it again.
var ErrChanged = errors.New("the agreement changed meanwhile")

// Agreements is the agency's record of agreements, into which peers' messages go.
type Agreements interface {
	// SigningKeys that a peer's Agency publishes here; nil: none.
	SigningKeys(ctx context.Context, agency string) (*v1alpha1.KeySet, error)
	// Get gives one version as it is now; nil: there is none.
	Get(ctx context.Context, name string) (*v1alpha1.SharingAgreement, error)
	// Versions of an agreement, as they were a moment ago.
	Versions(ctx context.Context, id string) ([]v1alpha1.SharingAgreement, error)
	// Undecided counts the proposals of a peer on which nobody here has decided.
	Undecided(ctx context.Context, agency string) (int, error)
	// Create makes an agreement. ErrChanged: there is one of that name. A Refusal: it cannot be one.
	Create(ctx context.Context, a *v1alpha1.SharingAgreement) error
	// AddTaskForce makes a task force, unless there is one of its name. A Refusal: it cannot be one.
	AddTaskForce(ctx context.Context, f *v1alpha1.TaskForce) error
	// Receive keeps what was received of an agreement. ErrChanged: it is not as it was when a was read.
	Receive(ctx context.Context, a *v1alpha1.SharingAgreement, received []v1alpha1.AgreementStatement) error
	// Maintenance is what this agency announces of itself; nil: nothing.
	Maintenance(ctx context.Context) (*v1alpha1.Maintenance, error)
	// Announced notes that a peer's list says something new.
	Announced(ctx context.Context, agency string, at time.Time) error
	// With lists the agreements to which a peer is a party and whose names come after one, by name.
	With(ctx context.Context, agency, after string) ([]v1alpha1.SharingAgreement, error)
}

// Inbox takes in what peers send. Whatever a peer sends, nothing takes effect by it that this agency did not decide, except that
// the peer may stop what it permitted itself.
type Inbox struct {
	Self       route.Party
	Agreements Agreements
	Now        func() time.Time

	mu    sync.Mutex
	turns map[string]*sync.Mutex // by peer
}

// maxTries bounds how often a message is tried again because an agreement changed under it.
const maxTries = 10

// again runs do until nothing changed under it.
func again(do func() error) error {
	var err error
	for range maxTries {
		if err = do(); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return refuse(Busy, "%v: try again", err)
}

// turn lets one proposal of a peer through at a time, so that the number of its proposals is bounded exactly.
func (i *Inbox) turn(peer string) *sync.Mutex {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.turns == nil {
		i.turns = map[string]*sync.Mutex{}
	}
	if i.turns[peer] == nil {
		i.turns[peer] = &sync.Mutex{}
	}
	return i.turns[peer]
}

// proposal is one that was read and verified.
type proposal struct {
	name, digest string
	terms        *v1alpha1.AgreementTerms
	accept       v1alpha1.AgreementStatement
	taskForces   []*v1alpha1.TaskForce
}

// Propose takes in a proposal. What is refused is a *Refusal; any other error is ours.
func (i *Inbox) Propose(ctx context.Context, from route.Party, req *exchangev1.ProposeRequest) error {
	p, err := i.read(ctx, from, req)
	if err != nil {
		return err
	}
	turn := i.turn(from.Agency)
	turn.Lock()
	defer turn.Unlock()
	return again(func() error { return i.keep(ctx, from, p) })
}

// read decodes a proposal and checks what can be checked without knowing other agreements.
func (i *Inbox) read(ctx context.Context, from route.Party, req *exchangev1.ProposeRequest) (*proposal, error) {
	switch n := len(req.GetTerms()); {
	case req.GetFormat() != Format:
		return nil, refuse(UnsupportedFormat, "format %d: this release speaks format %d", req.GetFormat(), Format)
	case len(req.ProtoReflect().GetUnknown()) > 0:
		return nil, refuse(UnknownMember, "the message has members that this release does not know")
	case n > MaxTerms:
		return nil, refuse(TooLarge, "the terms have %d bytes; at most %d are taken", n, MaxTerms)
	}
	terms := &v1alpha1.AgreementTerms{}
	unknown, err := kjson.UnmarshalStrict(req.GetTerms(), terms)
	if err != nil {
		return nil, refuse(Malformed, "the terms do not decode: %v", err)
	}
	if len(unknown) > 0 {
		return nil, refuse(UnknownMember, "the terms have members that this release does not know, or that stand twice: %v", errors.Join(unknown[:min(len(unknown), 8)]...))
	}
	digest, err := terms.Digest()
	if err != nil {
		return nil, refuse(Malformed, "the terms have no digest: %v", err)
	}
	if digest != req.GetDigest() {
		return nil, refuse(DigestMismatch, "the terms have the digest %s; the message says %q", digest, req.GetDigest())
	}
	p := &proposal{name: fmt.Sprintf("%s.v%d", terms.ID, terms.Version), digest: digest, terms: terms}
	if !isParty(terms, from) || !isParty(terms, i.Self) {
		return nil, refuse(NotAParty, "the parties must include %s of %s and %s of %s", from.Agency, from.TrustDomain, i.Self.Agency, i.Self.TrustDomain)
	}
	if p.accept, err = i.statement(ctx, from, req.GetSignature(), digest); err != nil {
		return nil, err
	}
	if p.accept.Decision != v1alpha1.DecisionAccept {
		return nil, refuse(Malformed, "the signature says %s; that of a proposal says Accept", p.accept.Decision)
	}
	if err := compile.CheckTerms(p.name, terms); err != nil {
		return nil, refuse(Malformed, "the terms are not acceptable: %v", err)
	}
	if p.taskForces, err = readTaskForces(terms, from, req.GetTaskForces()); err != nil {
		return nil, err
	}
	if !i.Now().Before(terms.Term.NotAfter.Time) {
		return nil, refuse(Over, "the terms end at %s, which is past", terms.Term.NotAfter.UTC().Format(time.RFC3339))
	}
	return p, nil
}

// keep makes the agreement of a proposal, or adds the signature to the one that is there.
func (i *Inbox) keep(ctx context.Context, from route.Party, p *proposal) error {
	a, err := i.Agreements.Get(ctx, p.name)
	if err != nil {
		return err
	}
	if a == nil {
		if a, err = i.create(ctx, from, p); err != nil {
			return err
		}
	}
	if !a.DeletionTimestamp.IsZero() {
		return refuse(Busy, "agreement %s is being deleted here: try again", p.name)
	}
	if digest, err := a.Spec.Terms.Digest(); err != nil || digest != p.digest {
		return i.contested(ctx, from, a, p, digest)
	}
	for _, f := range p.taskForces {
		if err := i.Agreements.AddTaskForce(ctx, f); err != nil {
			return err
		}
	}
	return i.receive(ctx, a, p.digest, p.accept)
}

// create makes the agreement. It awaits decisions as one that was applied here does.
func (i *Inbox) create(ctx context.Context, from route.Party, p *proposal) (*v1alpha1.SharingAgreement, error) {
	versions, err := i.Agreements.Versions(ctx, p.terms.ID)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if v.Spec.Terms.Version > p.terms.Version && signedByAll(&v) {
			return nil, refuse(Downgrade, "version %d of agreement %s was signed by all parties: version %d comes too late", v.Spec.Terms.Version, p.terms.ID, p.terms.Version)
		}
	}
	undecided, err := i.Agreements.Undecided(ctx, from.Agency)
	if err != nil {
		return nil, err
	}
	if undecided >= MaxUndecided {
		return nil, refuse(TooManyProposals, "%d proposals of %s wait for a decision of %s, as many as may: ask it to decide", undecided, from.Agency, i.Self.Agency)
	}
	a := &v1alpha1.SharingAgreement{ObjectMeta: metav1.ObjectMeta{Name: p.name, Labels: map[string]string{v1alpha1.LabelProposedBy: from.Agency}}}
	a.Spec.Terms = *p.terms
	return a, i.Agreements.Create(ctx, a)
}

// contested refuses terms under a name that other terms have here. When the peer's have the lower digest they stand, by the rule
// that both sides follow: what it signed is kept then, so that people are told.
func (i *Inbox) contested(ctx context.Context, from route.Party, a *v1alpha1.SharingAgreement, p *proposal, digest string) error {
	refusal := refuse(OtherTerms, "there are other terms under %s here", p.name)
	if knownTo(a, from) {
		refusal.Message += ", with the digest " + digest // of a draft it learns no more
	}
	if p.digest > digest || signedByAll(a) {
		refusal.Message += ", and they stand: accept those, or propose yours as another version"
		return refusal
	}
	refusal.Message += fmt.Sprintf("; yours stand, and are taken once %s has deleted its own", i.Self.Agency)
	for _, s := range a.Status.Received {
		if s.Agency == p.accept.Agency && about(&s) == aboutVote {
			return refusal // it has voted on these already, or its terms are known
		}
	}
	if err := i.Agreements.Receive(ctx, a, append(a.Status.Received, p.accept)); err != nil {
		return err
	}
	return refusal
}

// nameForm is <id>.v<version>, as an agreement's object is named.
var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\.v[1-9][0-9]{0,5}$`)

// RecordDecision takes in a statement, from a message or from a list.
func (i *Inbox) RecordDecision(ctx context.Context, from route.Party, agreement, jws string) error {
	if !nameForm.MatchString(agreement) {
		return refuse(Malformed, "%q does not name an agreement and its version", clip(agreement))
	}
	return again(func() error {
		a, err := i.Agreements.Get(ctx, agreement)
		if err != nil {
			return err
		}
		// A party that was never told of it is told the same as a stranger.
		if a == nil || !knownTo(a, from) {
			return refuse(UnknownAgreement, "there is no agreement %s here that %s knows of", agreement, from.Agency)
		}
		digest, err := a.Spec.Terms.Digest()
		if err != nil {
			return refuse(OtherTerms, "the terms of %s have no digest here", agreement)
		}
		s, err := i.statement(ctx, from, jws, digest)
		if err != nil {
			return err
		}
		if s.Decision == v1alpha1.DecisionAttest {
			if found, owed := compile.DutyOf(&a.Spec.Terms, from.Agency, s.Duty); found == nil {
				return refuse(UnknownDuty, "under %s agency %s owes no duty %q (%s)", agreement, from.Agency, s.Duty, strings.Join(owed, ", "))
			}
		}
		return i.receive(ctx, a, digest, s)
	})
}

// statement verifies that the JWS is the sender's, over that digest.
func (i *Inbox) statement(ctx context.Context, from route.Party, jws, digest string) (v1alpha1.AgreementStatement, error) {
	var none v1alpha1.AgreementStatement
	claims, err := signature.Read(jws)
	if err != nil {
		return none, refuse(Malformed, "the statement cannot be read: %v", err)
	}
	if claims.Agency != from.Agency {
		return none, refuse(WrongAgency, "the statement is that of %s; %s speaks for itself only", claims.Agency, from.Agency)
	}
	set, err := i.Agreements.SigningKeys(ctx, from.Agency)
	if err != nil {
		return none, err
	}
	if claims, err = signature.VerifyStatement(jws, from.Agency, set); err != nil {
		return none, refuse(BadSignature, "the statement does not verify with the keys of %s that are known here (%v): give %s what `entente agency export` prints", from.Agency, err, i.Self.Agency)
	}
	if claims.Digest != digest {
		return none, refuse(DigestMismatch, "the statement is over %s; the terms have the digest %s", claims.Digest, digest)
	}
	if ahead := claims.DecidedAt.Sub(i.Now()); ahead > MaxSkew && !stops(claims.Decision) {
		return none, refuse(ClockSkew, "the statement is dated %s ahead of the clock of %s; clocks may differ by %s: compare them", ahead.Round(time.Second), i.Self.Agency, MaxSkew)
	}
	return v1alpha1.AgreementStatement{Agency: from.Agency, Decision: claims.Decision, Duty: claims.Duty, DecidedAt: metav1.NewTime(claims.DecidedAt), JWS: jws}, nil
}

// receive keeps a statement, unless it is known.
func (i *Inbox) receive(ctx context.Context, a *v1alpha1.SharingAgreement, digest string, s v1alpha1.AgreementStatement) error {
	received, refusal := merge(a.Status.Received, s, digest)
	if refusal != nil {
		return refusal
	}
	if received == nil {
		return nil
	}
	return i.Agreements.Receive(ctx, a, received)
}

func isParty(t *v1alpha1.AgreementTerms, p route.Party) bool {
	for _, q := range t.Parties {
		if q.Agency == p.Agency {
			return q.TrustDomain == p.TrustDomain
		}
	}
	return false
}

func signedByAll(a *v1alpha1.SharingAgreement) bool {
	return len(a.Status.Verified) == len(a.Spec.Terms.Parties)
}
