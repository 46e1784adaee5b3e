package words

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Agreement is one version of an agreement as people read it. Everything in it is plain text.
type Agreement struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Version    int64  `json:"version"`
	Supersedes int64  `json:"supersedes,omitempty"`
	Title      string `json:"title"`
	Type       string `json:"type"`
	Digest     string `json:"digest"`

	// State in one word, empty when nothing is known of it, and Next, what is to be done next. Notes are what does not fit:
	// a status that is older than the clock, for example.
	State string   `json:"state,omitempty"`
	Next  string   `json:"next,omitempty"`
	Notes []string `json:"notes,omitempty"`

	Parties            []Party     `json:"parties"`
	Disclosure         []string    `json:"authorityToDisclose,omitempty"`
	Use                []string    `json:"authorityToUse,omitempty"`
	Profiles           []string    `json:"profiles,omitempty"`
	Purpose            string      `json:"purpose"`
	Justification      string      `json:"justification,omitempty"`
	AnticipatedResults string      `json:"anticipatedResults,omitempty"`
	Term               Window      `json:"term"`
	RequiredDecisions  []string    `json:"requiredDecisions,omitempty"`
	TaskForces         []TaskForce `json:"taskForces,omitempty"`
	Clauses            []Clause    `json:"clauses"`
	Duties             []Duty      `json:"duties,omitempty"`
	Procedures         []Paragraph `json:"procedures,omitempty"`
	Contacts           []string    `json:"contacts,omitempty"`

	Conditions []Condition `json:"conditions,omitempty"`
	Signatures []Signature `json:"signatures"`
	Decisions  []Decided   `json:"decisions,omitempty"`
}

// Party of an agreement.
type Party struct {
	Agency string `json:"agency"`
	// Name is how the agency calls itself, where its Agency is known.
	Name        string   `json:"displayName,omitempty"`
	TrustDomain string   `json:"trustDomain"`
	Roles       []string `json:"roles,omitempty"`
	Contact     string   `json:"contact,omitempty"`
}

// Window of an agreement.
type Window struct {
	NotBefore time.Time  `json:"notBefore"`
	NotAfter  time.Time  `json:"notAfter"`
	ReviewBy  *time.Time `json:"reviewBy,omitempty"`
	RenewFrom *time.Time `json:"renewFrom,omitempty"`
}

// Paragraph of the terms that is prose.
type Paragraph struct {
	Heading string `json:"heading"`
	Text    string `json:"text"`
}

// Condition of the agreement at this agency.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Decided is a decision of this agency that counts.
type Decided struct {
	Decision  string     `json:"decision"`
	Duty      string     `json:"duty,omitempty"`
	Role      string     `json:"role,omitempty"`
	DecidedBy string     `json:"decidedBy"`
	DecidedAt *time.Time `json:"decidedAt,omitempty"`
	// RenewalOf is the version that was decided on, when that accepted this one in advance.
	RenewalOf string `json:"renewalOf,omitempty"`
}

// Describe puts an agreement in words. Signatures are verified against the agencies that are given, by name; what the
// status says is taken as it stands, and doubted when the clock at now says otherwise.
func Describe(a *v1alpha1.SharingAgreement, agencies map[string]*v1alpha1.Agency, forces TaskForces, now time.Time) (*Agreement, error) {
	t := &a.Spec.Terms
	digest, err := t.Digest()
	if err != nil {
		return nil, err
	}
	signatures, err := Signatures(a, agencies)
	if err != nil {
		return nil, err
	}
	duties, err := Duties(a)
	if err != nil {
		return nil, err
	}
	out := &Agreement{
		Name: plain(a.Name), ID: plain(t.ID), Version: t.Version, Supersedes: t.Supersedes, Title: plain(t.Title), Type: typeName(t.Type), Digest: digest,
		State: plain(string(a.Status.State)), Next: next(&a.Status), Notes: doubts(a, digest, now),
		Profiles: plainAll(t.Profiles), Purpose: plain(t.PurposeStatement), Justification: plain(t.Justification), AnticipatedResults: plain(t.AnticipatedResults),
		Term:       Window{NotBefore: t.Term.NotBefore.UTC(), NotAfter: t.Term.NotAfter.UTC()},
		Duties:     duties,
		TaskForces: forces.describe(t),
		Procedures: procedures(t), Contacts: plainAll(contactTexts(t.Contacts)), Signatures: signatures,
	}
	if !t.Term.ReviewBy.IsZero() {
		at := t.Term.ReviewBy.UTC()
		out.Term.ReviewBy = &at
	}
	if !t.Term.RenewFrom.IsZero() {
		at := t.Term.RenewFrom.UTC()
		out.Term.RenewFrom = &at
	}
	for _, p := range t.Parties {
		party := Party{Agency: plain(p.Agency), TrustDomain: plain(p.TrustDomain), Roles: plainAll(p.Roles), Contact: plain(p.Contact)}
		if agency := agencies[p.Agency]; agency != nil && agency.Spec.TrustDomain == p.TrustDomain {
			party.Name = plain(agency.Spec.DisplayName)
		}
		out.Parties = append(out.Parties, party)
	}
	for _, l := range t.LegalAuthority {
		if l.Covers == "Use" {
			out.Use = append(out.Use, plain(l.Citation))
		} else {
			out.Disclosure = append(out.Disclosure, plain(l.Citation))
		}
	}
	for _, d := range t.RequiredDecisions {
		out.RequiredDecisions = append(out.RequiredDecisions, plain(d.Role)+" of "+plain(d.Agency))
	}
	for i := range t.Clauses {
		out.Clauses = append(out.Clauses, forces.clause(&t.Clauses[i]))
	}
	for _, c := range a.Status.Conditions {
		out.Conditions = append(out.Conditions, Condition{plain(c.Type), plain(string(c.Status)), plain(c.Reason), plain(c.Message)})
	}
	for _, d := range a.Status.Decisions {
		decided := Decided{Decision: plain(string(d.Decision)), Duty: plain(d.Duty), Role: plain(d.Role), DecidedBy: plain(d.DecidedBy), RenewalOf: plain(d.RenewalOf)}
		if !d.DecidedAt.IsZero() {
			at := d.DecidedAt.UTC()
			decided.DecidedAt = &at
		}
		out.Decisions = append(out.Decisions, decided)
	}
	return out, nil
}

// procedures are the terms that are prose, in the order of the statute.
func procedures(t *v1alpha1.AgreementTerms) []Paragraph {
	all := []Paragraph{
		{"Notice", plain(t.NoticeProcedure)},
		{"Verification", plain(t.VerificationProcedure)},
		{"Security", plain(t.Security)},
		{"Accuracy", plain(t.AccuracyAssessment)},
		{"Oversight", plain(t.OversightAccess)},
		{"Published", plain(t.PublicationRef)},
		{"Register", register(t.Publication)},
	}
	return slices.DeleteFunc(all, func(p Paragraph) bool { return p.Text == "" })
}

// register says what the terms say of a public register; nothing when they say nothing.
func register(p v1alpha1.Publication) string {
	switch p {
	case v1alpha1.PublicationPublic:
		return "may be in a public register"
	case v1alpha1.PublicationInternal:
		return "must not be in a public register"
	}
	return ""
}

// next is what the first condition that is not met says, in the order in which things are done.
func next(s *v1alpha1.SharingAgreementStatus) string {
	for _, kind := range []string{
		v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionSigned, v1alpha1.ConditionInForce,
		v1alpha1.ConditionCredentialsReady, v1alpha1.ConditionProgrammed,
	} {
		for _, c := range s.Conditions {
			if c.Type == kind && c.Status != metav1.ConditionTrue {
				return plain(c.Message)
			}
		}
	}
	for _, c := range s.Conditions { // these exist only while there is something to do
		switch c.Type {
		case v1alpha1.ConditionReviewDue, v1alpha1.ConditionDutyDue, v1alpha1.ConditionRenewalDue, v1alpha1.ConditionExpiring:
			return plain(c.Message)
		}
	}
	return ""
}

// doubts are reasons not to believe the status.
func doubts(a *v1alpha1.SharingAgreement, digest string, now time.Time) []string {
	var out []string
	for _, f := range a.Spec.UnknownFields {
		out = append(out, fmt.Sprintf("this release does not know spec.%s: what it says is missing here", plain(f)))
	}
	s := &a.Status
	if s.State == "" {
		return append(out, "nothing has read this agreement yet, or it comes from a file: its state is not known")
	}
	if s.Digest != "" && s.Digest != digest {
		out = append(out, fmt.Sprintf("the status is about other terms (%s)", plain(s.Digest)))
	}
	running := s.State == v1alpha1.StateInForce || s.State == v1alpha1.StatePending || s.State == v1alpha1.StateSuspended
	if end := a.Spec.Terms.Term.NotAfter; running && !now.Before(end.Time) {
		out = append(out, fmt.Sprintf("the window ended on %s and the status still says %s: gateways refuse by their own clock; see that the operator runs", when(end.Time), s.State))
	}
	for _, c := range s.Conditions {
		begin := a.Spec.Terms.Term.NotBefore
		if c.Type == v1alpha1.ConditionInForce && c.Reason == v1alpha1.ReasonNotYet && !now.Before(begin.Time) {
			out = append(out, fmt.Sprintf("the window opened on %s and the status still says NotYet: see that the operator runs", when(begin.Time)))
		}
		if c.Type == v1alpha1.ConditionAccepted && a.Generation > c.ObservedGeneration && c.ObservedGeneration > 0 {
			out = append(out, "the status is about an earlier state of the object: see that the operator runs")
		}
	}
	return out
}

// Text is the agreement as people read it in a terminal.
func (a *Agreement) Text() string {
	var b strings.Builder
	line := func(label, text string) {
		if text != "" {
			b.WriteString(wrap(text, fmt.Sprintf("%-14s", label), strings.Repeat(" ", 14)))
		}
	}
	items := func(label string, list []string) {
		for i, item := range list {
			if i > 0 {
				label = ""
			}
			line(label, item)
		}
	}
	b.WriteString(wrap(a.Title, "", ""))
	kind := fmt.Sprintf("%s · %s", a.Type, a.Name)
	if a.Supersedes > 0 {
		kind += fmt.Sprintf(" · supersedes version %d", a.Supersedes)
	}
	b.WriteString(kind + "\n\n")

	line("State", cmp.Or(a.State, "not known"))
	line(a.nextLabel(), a.Next)
	items("Note", a.Notes)
	line("Window", fmt.Sprintf("from %s until %s%s", when(a.Term.NotBefore), when(a.Term.NotAfter), a.review()))
	items("Parties", a.partyLines())
	for _, f := range a.TaskForces {
		line("Task force", f.line())
	}
	items("To disclose", a.Disclosure)
	items("To use", a.Use)
	items("Profiles", a.Profiles)
	line("Purpose", a.Purpose)
	line("Justification", a.Justification)
	line("Results", a.AnticipatedResults)
	line("Decided by", and(a.RequiredDecisions))
	line("Digest", a.Digest)

	b.WriteString("\nClauses\n")
	for _, c := range a.Clauses {
		b.WriteString("\n  " + c.Name + "\n")
		b.WriteString(wrap(c.Permits, "    ", "    "))
		for _, item := range slices.Concat(c.Conditions, c.Limits, c.Obligations) {
			b.WriteString(wrap(item, "    • ", "      "))
		}
	}
	b.WriteString("\nWhatever no clause permits is refused.\n")
	if len(a.Duties) > 0 {
		b.WriteString("\nDuties\n")
	}
	for _, d := range a.Duties {
		b.WriteString(wrap(d.line(), "  ", "    "))
	}
	if len(a.Procedures)+len(a.Contacts) > 0 {
		b.WriteString("\n")
	}
	for _, p := range a.Procedures {
		line(p.Heading, p.Text)
	}
	items("Contacts", a.Contacts)

	b.WriteString("\nSignatures\n")
	for _, s := range a.Signatures {
		b.WriteString(wrap(s.line(), "  ", "    "))
	}
	if len(a.Decisions) > 0 {
		b.WriteString("\nDecisions of this agency\n")
	}
	for _, d := range a.Decisions {
		b.WriteString(wrap(d.line(), "  ", "    "))
	}
	if len(a.Conditions) > 0 {
		b.WriteString("\nConditions\n")
	}
	for _, c := range a.Conditions {
		message := c.Message
		if message == a.Next {
			message = "see " + a.nextLabel() + ", above"
		}
		b.WriteString(wrap(message, fmt.Sprintf("  %-17s %-6s %-18s ", c.Type, c.Status, c.Reason), strings.Repeat(" ", 46)))
	}
	return b.String()
}

// nextLabel: nothing comes after an end.
func (a *Agreement) nextLabel() string {
	switch v1alpha1.AgreementState(a.State) {
	case v1alpha1.StateTerminated, v1alpha1.StateSuperseded, v1alpha1.StateExpired:
		return "Why"
	}
	return "Next"
}

func (a *Agreement) review() string {
	said := ""
	if a.Term.ReviewBy != nil {
		said = ", to be reviewed by " + when(*a.Term.ReviewBy)
	}
	if a.Term.RenewFrom != nil {
		said += ", renewable from " + when(*a.Term.RenewFrom)
	}
	return said
}

func (a *Agreement) partyLines() []string {
	out := make([]string, len(a.Parties))
	for i, p := range a.Parties {
		out[i] = fmt.Sprintf("%s (%s)", p.Agency, p.TrustDomain)
		if p.Name != "" {
			out[i] = fmt.Sprintf("%s: %s", out[i], p.Name)
		}
		if len(p.Roles) > 0 {
			out[i] += ", " + and(p.Roles)
		}
		if p.Contact != "" {
			out[i] += "; contact " + p.Contact
		}
	}
	return out
}

func (s *Signature) line() string {
	switch {
	case s.Valid:
		return fmt.Sprintf("✓ %s signed%s with key %s", s.Agency, s.at(), s.KeyID)
	case s.KeyID != "":
		return fmt.Sprintf("✗ %s, signature%s with key %s: %s", s.Agency, s.at(), s.KeyID, s.Problem)
	}
	return fmt.Sprintf("✗ %s: %s", s.Agency, s.Problem)
}

func (s *Signature) at() string {
	if s.DecidedAt == nil {
		return ""
	}
	return " on " + when(*s.DecidedAt)
}

func (d *Decided) line() string {
	who, what := d.DecidedBy, d.Decision
	if d.Duty != "" {
		what += " of " + d.Duty
	}
	if d.Role != "" {
		who += " (" + d.Role + ")"
	}
	line := fmt.Sprintf("%s by %s", what, who)
	if d.DecidedAt != nil {
		line += " on " + when(*d.DecidedAt)
	}
	if d.RenewalOf != "" {
		line += ", in advance, with " + d.RenewalOf
	}
	return line
}
