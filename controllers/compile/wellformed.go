package compile

import (
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// The API server checks most of this already; files that `entente standalone` reads never met it, and what decides must not
// depend on who checked before.
var (
	nameForm        = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	trustDomainForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`)
	digestForm      = regexp.MustCompile(`^sha256:[A-Za-z0-9_-]{43}$`)
	fieldForm       = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	pathForm        = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62})?$`)
)

var agreementTypes = []string{
	"ComputerMatchingAgreement", "InformationExchangeAgreement", "MemorandumOfUnderstanding", "DataUseAgreement", "ServiceLevelAgreement",
}

const (
	maxParties  = 32
	maxClauses  = 32
	maxFields   = 256
	maxPaper    = 4000
	maxProfiles = 8
	maxDuties   = 32

	maxEveryDays = 3660

	// maxTaskForces bounds how many task forces the terms name: proposals carry them.
	maxTaskForces = 8
	maxVersion    = 100_000
	maxPattern    = 256
	maxLimit      = 1_000_000_000
)

// checkTerms lists what is wrong with the terms by themselves.
func checkTerms(name string, t *v1alpha1.AgreementTerms) faults {
	var f faults
	checkIdentity(&f, name, t)
	checkParties(&f, t)
	checkWindow(&f, t.Term)
	checkPaper(&f, t)
	if n := len(t.Clauses); n < 1 || n > maxClauses {
		f.add("clauses", "%d clauses; 1 to %d are possible", n, maxClauses)
		return f
	}
	for i, path := range clausePaths(&f, t) {
		checkClause(&f, path, t, &t.Clauses[i])
	}
	checkPartitions(&f, t)
	checkDuties(&f, t)
	if n := len(PinnedTaskForces(t)); n > maxTaskForces {
		f.add("clauses", "%d task forces are pinned; at most %d are possible", n, maxTaskForces)
	}
	return f
}

func checkIdentity(f *faults, name string, t *v1alpha1.AgreementTerms) {
	if !isName(t.ID, 40) {
		f.add("id", "%q is not 1 to 40 lower-case letters, digits and hyphens", t.ID)
	}
	if t.Version < 1 || t.Version > maxVersion {
		f.add("version", "%d is not between 1 and %d", t.Version, maxVersion)
	}
	if want := fmt.Sprintf("%s.v%d", t.ID, t.Version); name != want {
		f.add("metadata.name", "%q is not %q, which id and version give", name, want)
	}
	if t.Supersedes < 0 || t.Supersedes > 0 && t.Supersedes >= t.Version {
		f.add("supersedes", "version %d cannot supersede version %d: only an earlier one", t.Version, t.Supersedes)
	}
}

// checkIdentities checks n agencies of a list, each by its name and its trust domain, which stand once: peers are told apart by their
// SPIFFE IDs, and those by their trust domains.
func checkIdentities(f *faults, list string, n int, at func(i int) (agency, trustDomain string)) (names map[string]bool) {
	if n < 2 || n > maxParties {
		f.add(list, "%d %s; 2 to %d are possible", n, list, maxParties)
	}
	names, domains := map[string]bool{}, map[string]bool{}
	for i := range n {
		agency, domain := at(i)
		path := fmt.Sprintf("%s[%d]", list, i)
		if !isName(agency, 40) {
			f.add(path+".agency", "%q is not the name of an agency", agency)
		}
		if len(domain) > 255 || !trustDomainForm.MatchString(domain) {
			f.add(path+".trustDomain", "%q is not a trust domain", domain)
		}
		if names[agency] {
			f.add(path+".agency", "%q stands twice", agency)
		}
		if domains[domain] {
			f.add(path+".trustDomain", "%q stands twice", domain)
		}
		names[agency], domains[domain] = true, true
	}
	return names
}

func checkParties(f *faults, t *v1alpha1.AgreementTerms) {
	seen := checkIdentities(f, "parties", len(t.Parties), func(i int) (agency, trustDomain string) {
		return t.Parties[i].Agency, t.Parties[i].TrustDomain
	})
	required := map[v1alpha1.RequiredDecision]bool{}
	for i, d := range t.RequiredDecisions {
		path := fmt.Sprintf("requiredDecisions[%d]", i)
		if !seen[d.Agency] {
			f.add(path+".agency", "%q is not a party", d.Agency)
		}
		if !isName(d.Role, 63) {
			f.add(path+".role", "%q is not a role: lower-case letters, digits and hyphens", d.Role)
		}
		if required[d] {
			f.add(path, "role %q of %q stands twice", d.Role, d.Agency)
		}
		required[d] = true
	}
}

// checkWindow also asks for whole seconds: the digest is over whole seconds, and what is signed is all that counts.
func checkWindow(f *faults, t v1alpha1.Term) {
	whole := func(path string, at *metav1.Time) {
		if at != nil && at.Nanosecond() != 0 {
			f.add(path, "fractions of a second cannot be signed")
		}
	}
	whole("term.notBefore", &t.NotBefore)
	whole("term.notAfter", &t.NotAfter)
	whole("term.reviewBy", t.ReviewBy)
	whole("term.renewFrom", t.RenewFrom)
	if from := t.RenewFrom; from != nil && (from.Before(&t.NotBefore) || !from.Before(&t.NotAfter)) {
		f.add("term.renewFrom", "not between notBefore and notAfter")
	}
	switch {
	case t.NotBefore.IsZero():
		f.add("term.notBefore", "missing")
	case t.NotAfter.IsZero():
		f.add("term.notAfter", "missing")
	case !t.NotBefore.Before(&t.NotAfter):
		f.add("term", "notBefore is not before notAfter")
	}
}

func checkPaper(f *faults, t *v1alpha1.AgreementTerms) {
	checkTexts(f, t)
	checkProfiles(f, t.Profiles)
	if !slices.Contains(agreementTypes, t.Type) {
		f.add("type", "%q is not one of %s", t.Type, list(agreementTypes, ", "))
	}
	for i, a := range t.LegalAuthority {
		checkText(f, fmt.Sprintf("legalAuthority[%d].citation", i), a.Citation, 1, 500)
		if a.Covers != "Disclosure" && a.Covers != "Use" {
			f.add(fmt.Sprintf("legalAuthority[%d].covers", i), "%q is not Disclosure or Use", a.Covers)
		}
	}
}

// checkTexts bounds what people wrote. Lengths count characters, as the API server does.
func checkTexts(f *faults, t *v1alpha1.AgreementTerms) {
	checkText(f, "title", t.Title, 1, 200)
	checkText(f, "purposeStatement", t.PurposeStatement, 1, maxPaper)
	for _, paper := range []struct{ path, text string }{
		{"justification", t.Justification},
		{"anticipatedResults", t.AnticipatedResults},
		{"noticeProcedure", t.NoticeProcedure},
		{"verificationProcedure", t.VerificationProcedure},
		{"accuracyAssessment", t.AccuracyAssessment},
		{"security", t.Security},
		{"oversightAccess", t.OversightAccess},
	} {
		checkText(f, paper.path, paper.text, 0, maxPaper)
	}
	checkText(f, "publicationRef", t.PublicationRef, 0, 500)
	if p := t.Publication; p != "" && p != v1alpha1.PublicationPublic && p != v1alpha1.PublicationInternal {
		f.add("publication", "%q is not Public or Internal", p)
	}
	for i, c := range t.Contacts {
		checkText(f, fmt.Sprintf("contacts[%d].name", i), c.Name, 1, 200)
		checkText(f, fmt.Sprintf("contacts[%d].address", i), c.Address, 0, 500)
	}
}

func checkText(f *faults, path, text string, least, most int) {
	switch n := utf8.RuneCountInString(text); {
	case n == 0 && least > 0:
		f.add(path, "missing")
	case n > most:
		f.add(path, "%d characters; at most %d are possible", n, most)
	}
}

func checkProfiles(f *faults, names []string) {
	if n := len(names); n > maxProfiles {
		f.add("profiles", "%d profiles; at most %d are possible", n, maxProfiles)
	}
	for _, name := range names {
		if !isName(name, 63) {
			f.add("profiles", "%q is not the name of a profile: lower-case letters, digits and hyphens", name)
		}
	}
	checkUnique(f, "profiles", names)
}

// clausePaths names each clause for messages: by its name when it has a good one.
func clausePaths(f *faults, t *v1alpha1.AgreementTerms) []string {
	paths := make([]string, len(t.Clauses))
	seen := map[string]bool{}
	for i := range t.Clauses {
		name := t.Clauses[i].Name
		paths[i] = "clauses[" + name + "]"
		switch {
		case !isName(name, 63):
			paths[i] = fmt.Sprintf("clauses[%d]", i)
			f.add(paths[i]+".name", "%q is not lower-case letters, digits and hyphens", name)
		case seen[name]:
			paths[i] = fmt.Sprintf("clauses[%d]", i)
			f.add(paths[i]+".name", "%q stands twice", name)
		}
		seen[name] = true
	}
	return paths
}

func isName(s string, limit int) bool {
	return len(s) <= limit && nameForm.MatchString(s)
}
