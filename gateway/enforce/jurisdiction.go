package enforce

import (
	"fmt"
	"slices"
	"strings"
)

// checkJurisdiction compares the places whose law binds the recipient, as this side's Agency of it says, with those that the
// clause names. An agency that is bound in several places says for which it asks, unless the clause names them all.
func checkJurisdiction(s *state) *Refusal {
	permitted := s.plan.Clause.Jurisdictions
	if len(permitted) == 0 {
		return nil
	}
	refuse := func(format string, args ...any) *Refusal {
		return &Refusal{
			Term: s.term("conditions.jurisdictions"), Member: "justification.jurisdiction", Message: fmt.Sprintf(format, args...),
			Change: "name in justification.jurisdiction one that the clause permits and that binds you, or " + s.amend("conditions.jurisdictions"),
		}
	}
	agency, asked := s.Asked.Recipient.Agency, s.Asked.Jurisdiction
	binding := s.plan.Clause.RecipientJurisdictions[agency]
	switch {
	case len(binding) == 0:
		return refuse("queries are permitted under the law of %s; Agency %q lists no jurisdictions here: its platform team, and ours, must", strings.Join(permitted, ", "), agency)
	case asked != "" && !slices.Contains(binding, asked):
		return refuse("justification.jurisdiction is none that binds agency %q: %s", agency, strings.Join(binding, ", "))
	case asked != "" && !within(asked, permitted):
		return refuse("justification.jurisdiction is not permitted; the clause permits %s", strings.Join(permitted, ", "))
	case asked != "" || !slices.ContainsFunc(binding, func(b string) bool { return !within(b, permitted) }):
		return nil
	case slices.ContainsFunc(binding, func(b string) bool { return within(b, permitted) }):
		return refuse("agency %q is bound by the law of %s, the clause permits %s: say in justification.jurisdiction under which you ask", agency, strings.Join(binding, ", "), strings.Join(permitted, ", "))
	}
	return refuse("agency %q is bound by the law of %s; the clause permits %s", agency, strings.Join(binding, ", "), strings.Join(permitted, ", "))
}

// within says whether a place is one of those, or a part of one: US-CA is within US, and US is not within US-CA.
func within(place string, places []string) bool {
	country, _, _ := strings.Cut(place, "-")
	return slices.Contains(places, place) || slices.Contains(places, country)
}
