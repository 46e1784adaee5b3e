package words

import (
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// terms compares everything, in the order in which terms are written.
func (c *comparison) terms(x, y *v1alpha1.AgreementTerms) {
	c.identity(x, y)
	c.text("title", "the title", x.Title, y.Title)
	c.text("type", "the type", x.Type, y.Type)
	c.members("profiles", x.Profiles, y.Profiles, Narrows, "the rules of %s are to be kept", "the rules of %s need no longer be kept")
	c.parties(x.Parties, y.Parties)
	c.authorities(x.LegalAuthority, y.LegalAuthority)
	c.text("purposeStatement", "the statement of purpose", x.PurposeStatement, y.PurposeStatement)
	c.text("justification", "the justification", x.Justification, y.Justification)
	c.text("anticipatedResults", "the statement of anticipated results", x.AnticipatedResults, y.AnticipatedResults)
	c.window(x, y)
	c.decisions(x.RequiredDecisions, y.RequiredDecisions)
	c.clauses(x.Clauses, y.Clauses)
	c.duties(x.Duties, y.Duties)
	for _, p := range []struct{ term, noun, before, after string }{
		{"noticeProcedure", "a notice procedure", x.NoticeProcedure, y.NoticeProcedure},
		{"verificationProcedure", "a verification procedure", x.VerificationProcedure, y.VerificationProcedure},
		{"accuracyAssessment", "an assessment of accuracy", x.AccuracyAssessment, y.AccuracyAssessment},
		{"security", "a level of security", x.Security, y.Security},
		{"oversightAccess", "access of oversight", x.OversightAccess, y.OversightAccess},
	} {
		c.promise(p.term, p.noun, p.before, p.after)
	}
	c.text("publicationRef", "the reference to the publication", x.PublicationRef, y.PublicationRef)
	c.publication(x.Publication, y.Publication)
	c.members("contacts", contactTexts(x.Contacts), contactTexts(y.Contacts), Changes, "new contact: %s", "no longer a contact: %s")
}

// publication: where nothing is said, nothing is public.
func (c *comparison) publication(x, y v1alpha1.Publication) {
	const public = v1alpha1.PublicationPublic
	what := "that the agreement stays out of public registers is now written down"
	switch {
	case x == y:
		return
	case y == public:
		what = "the agreement may be in a public register"
	case x == public:
		what = "the agreement may no longer be in a public register"
	case y == "":
		what = "that the agreement stays out of public registers is no longer written down"
	}
	c.add(Changes, "publication", string(x), string(y), "%s", what)
}

// identity: two versions of one agreement differ in their numbers as a matter of course.
func (c *comparison) identity(x, y *v1alpha1.AgreementTerms) {
	if x.ID != y.ID {
		c.add(Changes, "id", plain(x.ID), plain(y.ID), "these are two agreements, not two versions of one")
	}
	if c.amends {
		return
	}
	for _, n := range []struct {
		term          string
		before, after int64
	}{{"version", x.Version, y.Version}, {"supersedes", x.Supersedes, y.Supersedes}} {
		if n.before != n.after {
			before, after := strconv.FormatInt(n.before, 10), strconv.FormatInt(n.after, 10)
			c.add(Changes, n.term, before, after, "%s instead of %s", after, before)
		}
	}
}

func (c *comparison) parties(before, after []v1alpha1.Party) {
	old, now := map[string]v1alpha1.Party{}, map[string]v1alpha1.Party{}
	var names []string
	for _, p := range before {
		old[p.Agency] = p
		names = append(names, p.Agency)
	}
	for _, p := range after {
		now[p.Agency] = p
		names = append(names, p.Agency)
	}
	for _, name := range sorted(names) {
		term, who := "parties["+plain(name)+"]", plain(name)
		o, was := old[name]
		n, is := now[name]
		switch {
		case !was:
			c.add(Changes, term, "", plain(n.TrustDomain), "%s becomes a party (it sees only what a clause lets it see)", who)
			continue
		case !is:
			c.add(Changes, term, plain(o.TrustDomain), "", "%s is no longer a party, and need not sign", who)
			continue
		}
		if o.TrustDomain != n.TrustDomain {
			c.add(Changes, term+".trustDomain", plain(o.TrustDomain), plain(n.TrustDomain), "%s is identified by trust domain %s instead of %s: another installation", who, plain(n.TrustDomain), plain(o.TrustDomain))
		}
		c.members(term+".roles", o.Roles, n.Roles, Changes, who+" takes the role of %s", who+" no longer has the role of %s")
		c.text(term+".contact", "the contact of "+who, o.Contact, n.Contact)
	}
}

func (c *comparison) authorities(before, after []v1alpha1.LegalAuthority) {
	cited := func(list []v1alpha1.LegalAuthority) (out []string) {
		for _, a := range list {
			out = append(out, plain(a.Citation)+" (for "+lower(a.Covers)+")")
		}
		return out
	}
	c.members("legalAuthority", cited(before), cited(after), Changes, "relies on %s", "no longer relies on %s")
}

// window: a version begins when it replaces the other, which widens nothing.
func (c *comparison) window(x, y *v1alpha1.AgreementTerms) {
	before, after := x.Term, y.Term
	if c.amends && y.Supersedes == x.Version {
		if !before.NotBefore.Equal(&after.NotBefore) {
			c.add(Changes, "term.notBefore", stamp(before.NotBefore), stamp(after.NotBefore), "replaces version %d on %s", x.Version, when(after.NotBefore.Time))
		}
	} else {
		c.clock("term.notBefore", "begins", before.NotBefore, after.NotBefore, Narrows)
	}
	c.clock("term.notAfter", "ends", before.NotAfter, after.NotAfter, Widens)
	switch {
	case before.RenewFrom.IsZero() && after.RenewFrom.IsZero():
	case before.RenewFrom.IsZero():
		c.add(Changes, "term.renewFrom", "", stamp(*after.RenewFrom), "a renewal may be decided from %s; nothing was said before", when(after.RenewFrom.Time))
	case after.RenewFrom.IsZero():
		c.add(Changes, "term.renewFrom", stamp(*before.RenewFrom), "", "nothing is said of when a renewal may be decided; it was from %s", when(before.RenewFrom.Time))
	default:
		c.clock("term.renewFrom", "a renewal may be decided", *before.RenewFrom, *after.RenewFrom, Narrows)
	}
	switch {
	case before.ReviewBy.IsZero() && after.ReviewBy.IsZero():
	case before.ReviewBy.IsZero():
		c.add(Narrows, "term.reviewBy", "", stamp(*after.ReviewBy), "is to be reviewed by %s; no review was due before", when(after.ReviewBy.Time))
	case after.ReviewBy.IsZero():
		c.add(Widens, "term.reviewBy", stamp(*before.ReviewBy), "", "need not be reviewed; it was to be by %s", when(before.ReviewBy.Time))
	default:
		c.clock("term.reviewBy", "the review is due", *before.ReviewBy, *after.ReviewBy, Widens)
	}
}

// clock compares two instants. later is the kind of a move to a later one.
func (c *comparison) clock(term, what string, before, after metav1.Time, later Kind) {
	if before.Equal(&after) {
		return
	}
	kind, direction := later, "later"
	if after.Before(&before) {
		direction = "earlier"
		if kind = Narrows; later == Narrows {
			kind = Widens
		}
	}
	c.add(kind, term, stamp(before), stamp(after), "%s %s: on %s instead of %s", what, direction, when(after.Time), when(before.Time))
}

func stamp(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }

func (c *comparison) decisions(before, after []v1alpha1.RequiredDecision) {
	said := func(list []v1alpha1.RequiredDecision) (out []string) {
		for _, d := range list {
			out = append(out, d.Role+" of "+d.Agency)
		}
		return out
	}
	c.members("requiredDecisions", said(before), said(after), Narrows, "must be accepted by the %s", "need no longer be accepted by the %s")
}

func contactTexts(contacts []v1alpha1.Contact) []string {
	var out []string
	for _, k := range contacts {
		text := k.Name
		if k.Address != "" {
			text += " (" + k.Address + ")"
		}
		out = append(out, text)
	}
	return out
}

// clauses matches clauses by name. One that is of another source or another record shape is another clause; one that only
// has another name is the same.
func (c *comparison) clauses(before, after []v1alpha1.Clause) {
	var gone, come []v1alpha1.Clause
	pairs := map[string][2]v1alpha1.Clause{}
	for _, b := range before {
		at := slices.IndexFunc(after, func(a v1alpha1.Clause) bool { return sameSubject(&a, &b) })
		if at < 0 {
			gone = append(gone, b)
			continue
		}
		pairs[b.Name] = [2]v1alpha1.Clause{b, after[at]}
	}
	for _, a := range after {
		if !slices.ContainsFunc(before, func(b v1alpha1.Clause) bool { return sameSubject(&a, &b) }) {
			come = append(come, a)
		}
	}
	gone, come = c.renamed(gone, come)
	byName := func(list []v1alpha1.Clause, name string) *v1alpha1.Clause {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
		return nil
	}
	var names []string
	for _, k := range slices.Concat(before, after) {
		names = append(names, k.Name)
	}
	for _, name := range sorted(names) {
		term := "clauses[" + plain(name) + "]"
		if pair, ok := pairs[name]; ok {
			c.clause(term, &pair[0], &pair[1])
		}
		if k := byName(gone, name); k != nil {
			c.add(Narrows, term, "", "", "the clause is dropped: %s", c.forces.permits(k))
		}
		if k := byName(come, name); k != nil {
			c.add(Widens, term, "", "", "a clause is added: %s", c.forces.permits(k))
		}
	}
}

func sameSubject(a, b *v1alpha1.Clause) bool {
	return a.Name == b.Name && a.Source == b.Source && a.Schema.Name == b.Schema.Name
}

// renamed takes out the clauses that have only another name now.
func (c *comparison) renamed(gone, come []v1alpha1.Clause) (g, n []v1alpha1.Clause) {
	for _, old := range gone {
		at := slices.IndexFunc(come, func(k v1alpha1.Clause) bool {
			if k.Source != old.Source || k.Schema.Name != old.Schema.Name {
				return false
			}
			inner := &comparison{forces: c.forces}
			inner.clause("", &old, &k)
			return len(inner.changes) == 0
		})
		if at < 0 {
			g = append(g, old)
			continue
		}
		c.add(Changes, "clauses["+plain(old.Name)+"].name", plain(old.Name), plain(come[at].Name), "the clause is named %s now and is otherwise the same", plain(come[at].Name))
		come = slices.Delete(slices.Clone(come), at, at+1)
	}
	return g, come
}
