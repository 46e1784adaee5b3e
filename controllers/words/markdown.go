package words

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Markdown is the agreement as a document to read and to file: every heading of 5 U.S.C. 552a(o)(1), in the order of the
// statute, and what the terms say under it.
func Markdown(a *v1alpha1.SharingAgreement, agencies map[string]*v1alpha1.Agency, forces TaskForces) (string, error) {
	d, err := Describe(a, agencies, forces, a.Spec.Terms.Term.NotBefore.Time)
	if err != nil {
		return "", err
	}
	m := &document{}
	m.line("# %s", md(d.Title))
	m.line("%s %s, version %d.", md(d.Type), code(d.ID), d.Version)
	if d.Supersedes > 0 {
		m.line("It supersedes version %d from the day on which it comes into force.", d.Supersedes)
	}
	m.line("This document is generated from the terms. What is signed is their canonical form, whose digest is %s.", code(d.Digest))
	m.preamble(d)
	m.taskForces(d.TaskForces)

	m.line("## (A) Purpose and legal authority")
	m.line("%s", md(d.Purpose))
	m.labelled("Authority to disclose", d.Disclosure)
	m.labelled("Authority to use", d.Use)
	if len(d.Disclosure)+len(d.Use) == 0 {
		m.line("No legal authority is stated in the terms.")
	}
	m.labelled("Rules that the terms keep (profiles)", d.Profiles)

	m.line("## (B) Justification and anticipated results")
	m.prose(d.Justification, d.AnticipatedResults)

	m.line("## (C) Records")
	m.line("Projected start: %s. Projected completion: %s.", when(d.Term.NotBefore), when(d.Term.NotAfter))
	if d.Term.ReviewBy != nil {
		m.line("To be reviewed by %s.", when(*d.Term.ReviewBy))
	}
	if d.Term.RenewFrom != nil {
		m.line("A renewal may be decided from %s.", when(*d.Term.RenewFrom))
	}
	for _, c := range d.Clauses {
		m.line("### Clause %s", code(c.Name))
		m.line("%s", md(c.Permits))
		m.list(slices.Concat(c.Conditions, c.Limits))
	}
	m.line("Whatever no clause permits is refused.")

	t := &a.Spec.Terms
	m.line("## (D) Notice")
	m.prose(plain(t.NoticeProcedure))
	m.line("## (E) Verification")
	verified := m.perClause(t, func(o *v1alpha1.Obligations) string {
		if o == nil || o.VerifyBeforeAction == nil {
			return ""
		}
		return verification(o.VerifyBeforeAction.NoticeDays)
	})
	if t.VerificationProcedure != "" || !verified {
		m.prose(plain(t.VerificationProcedure))
	}
	m.line("## (F) Retention and destruction")
	kept := m.perClause(t, func(o *v1alpha1.Obligations) string {
		if o == nil {
			return ""
		}
		var said []string
		if o.RetentionDays != nil {
			said = append(said, retention(*o.RetentionDays))
		}
		if o.Destruction != "" {
			said = append(said, "destruction: "+plain(o.Destruction))
		}
		return strings.Join(said, "; ")
	})
	if !kept {
		m.prose("")
	}
	m.line("## (G) Security")
	m.prose(plain(t.Security))
	m.line("## (H) Redisclosure")
	m.perClause(t, func(o *v1alpha1.Obligations) string { return redisclosure(deref(o).Redisclosure) })
	m.line("## (I) Use of the records")
	m.line("The records are used for the purposes of the clauses under (C) and for no others; they are returned or destroyed as stated under (F).")
	m.line("## (J) Accuracy")
	m.prose(plain(t.AccuracyAssessment))
	m.line("## (K) Oversight")
	m.prose(plain(t.OversightAccess))

	if len(d.Duties) > 0 {
		m.line("## Duties")
		m.line("What each party owes by a date, and attests when it is done:")
		m.WriteString("\n| duty | agency | what | when |\n|---|---|---|---|\n")
		for _, o := range d.Duties {
			fmt.Fprintf(m, "| %s | %s | %s | %s |\n", code(o.Name), code(o.Agency), md(o.What), md(o.When))
		}
	}
	m.closing(d, plain(t.PublicationRef), register(t.Publication))
	return m.String(), nil
}

// document is Markdown in the making: paragraphs with a blank line between them.
type document struct{ strings.Builder }

func (m *document) line(format string, args ...any) {
	if m.Len() > 0 {
		m.WriteString("\n")
	}
	fmt.Fprintf(m, format+"\n", args...)
}

func (m *document) list(items []string) {
	if len(items) == 0 {
		return
	}
	m.WriteString("\n")
	for _, item := range items {
		m.WriteString("- " + md(item) + "\n")
	}
}

func (m *document) labelled(label string, items []string) {
	if len(items) > 0 {
		m.line("%s:", label)
		m.list(items)
	}
}

// prose writes paragraphs, or that there are none: a heading of the statute that the terms are silent on shows.
func (m *document) prose(paragraphs ...string) {
	said := false
	for _, p := range paragraphs {
		if p != "" {
			m.line("%s", md(p))
			said = true
		}
	}
	if !said {
		m.line("*Not stated in the terms.*")
	}
}

// perClause lists what each clause says, if any does.
func (m *document) perClause(t *v1alpha1.AgreementTerms, say func(*v1alpha1.Obligations) string) bool {
	var items []string
	for i := range t.Clauses {
		if text := say(t.Clauses[i].Obligations); text != "" {
			items = append(items, fmt.Sprintf("- Clause %s: %s.", code(t.Clauses[i].Name), strings.TrimSuffix(md(text), ".")))
		}
	}
	if len(items) > 0 {
		m.line("%s", strings.Join(items, "\n"))
	}
	return len(items) > 0
}

func (m *document) taskForces(list []TaskForce) {
	if len(list) == 0 {
		return
	}
	m.line("## Task forces")
	for _, d := range list {
		m.line("%s, pinned by the digest %s.", md(strings.TrimSuffix(d.line(), ".")), code(d.Digest))
	}
}

func (m *document) preamble(d *Agreement) {
	m.line("## Parties")
	m.WriteString("\n| agency | name | identity | roles |\n|---|---|---|---|\n")
	for _, p := range d.Parties {
		fmt.Fprintf(m, "| %s | %s | %s | %s |\n", code(p.Agency), md(p.Name), code(p.TrustDomain), md(strings.Join(p.Roles, ", ")))
	}
}

func (m *document) closing(d *Agreement, publication, register string) {
	m.line("## Decisions, publication and contacts")
	if len(d.RequiredDecisions) > 0 {
		m.line("Before it signs, each party's own decision is needed: %s.", md(and(d.RequiredDecisions)))
	}
	m.line("Publication: %s.", md(cmp.Or(publication, "not stated in the terms")))
	if register != "" {
		m.line("The agreement %s.", register)
	}
	for _, p := range d.Parties {
		if p.Contact != "" {
			m.line("Contact of %s: %s.", code(p.Agency), md(p.Contact))
		}
	}
	m.labelled("Contacts", d.Contacts)
	m.line("## Signatures")
	m.WriteString("\n| agency | decided | key | verified |\n|---|---|---|---|\n")
	for _, s := range d.Signatures {
		at, verified := "", "no: "+s.Problem
		if s.DecidedAt != nil {
			at = when(*s.DecidedAt)
		}
		if s.Valid {
			verified = "yes"
		}
		key := ""
		if s.KeyID != "" {
			key = code(s.KeyID)
		}
		fmt.Fprintf(m, "| %s | %s | %s | %s |\n", code(s.Agency), at, key, md(verified))
	}
}

// markup is what could mean something in Markdown inside a line, and at its beginning.
var (
	markup  = regexp.MustCompile("[\\\\`*_\\[\\]<>|~&]")
	opening = regexp.MustCompile(`^([#+=-]|[0-9]+[.)])`)
)

// md gives text that Markdown shows as it stands: terms may come from a peer.
func md(s string) string {
	s = markup.ReplaceAllString(plain(s), `\$0`)
	return opening.ReplaceAllStringFunc(s, func(m string) string {
		return m[:len(m)-1] + `\` + m[len(m)-1:]
	})
}

// code gives a code span, which cannot be left from inside, nor a cell of a table with it.
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "¦").Replace(plain(s)) + "`"
}
