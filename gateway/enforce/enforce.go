// Package enforce decides whether one clause of one agreement permits a query, and what exactly it permits. It is pure: the
// clock and the filter compiler come in through Input, and nothing is read or written.
//
// The decision is the list Checks, in the order in which they are enforced. Decide stops at the first refusal; Explain runs
// them all. Both sides run the same list: the recipient's gateway before it asks, the source's before it answers.
package enforce

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// Asked is what a recipient asks of one clause.
type Asked struct {
	// Recipient is the agency that asks.
	Recipient route.Party
	// Agreement id, and the version the recipient holds to be in force; 0: whichever is.
	Agreement string
	Version   int64
	// Clause of the agreement.
	Clause string
	// Schema is a name, or name.vN.
	Schema string
	// Filter is CEL over the schema's fields; empty: no filter.
	Filter string
	// Fields wanted; empty: all that are permitted.
	Fields []string
	// Granularity: Existence, Count, Records; empty: the most that the clause permits.
	Granularity string
	// Purpose code.
	Purpose string
	// Justification.
	CaseReference, SubjectRole, Aim, Jurisdiction string
	// Claims of the user: all that were verified at the recipient's own gateway, those that it asserts at the source's.
	Claims map[string]any
	// Limit is the most records wanted; 0: the clause's limit. The clause's limit holds in any case.
	Limit int64
	// Order of the records, and Deduplicate, the fields by which the recipient's gateway finds records that are the same.
	Order       []Order
	Deduplicate []string
}

// Order is one field to order by.
type Order struct {
	Field      string
	Descending bool
}

// Credential is the agreement credential that a peer showed.
type Credential struct {
	// Agreement id and recipient agency in the credential's SPIFFE ID.
	Agreement, Recipient string
}

// Input is all that a decision depends on.
type Input struct {
	Asked Asked
	// Credential at the source's side; nil at the recipient's own gateway, which shows none to itself.
	Credential *Credential
	// Route of the agreement; nil: there is none.
	Route *route.Route
	Now   time.Time
	// Left of the clause's daily quotas, where it is known; nil: it is not.
	Left *Left
	// Compile compiles a filter, usually (*filter.Cache).Compile.
	Compile func(*route.Schema, string) (*filter.Filter, error)
}

// Plan is what the clause permits of the query: all that is left is to do it.
type Plan struct {
	Version *route.Version
	Clause  *route.Clause
	// Until is when the recipient may no longer be answered: the end of the version, or of the task force as a member of which it asks.
	Until time.Time
	// Filter of the query and RowFilter of the clause; nil: none.
	Filter, RowFilter *filter.Filter
	// Consents are the conditions of consent by dataset, over the schema of its consents; nil: every row is a consent.
	Consents map[string]*filter.Filter
	// Claims of the user that the decision read.
	Claims map[string]any
	// Granularity of the answer.
	Granularity string
	// Fields to disclose, for granularity Records.
	Fields []string
	// Limit is the most records to disclose.
	Limit int64
	// Order of the records; empty: the source's own.
	Order []Order
}

// Refusal says which check refused, by which term, and what to do. It tells nothing about the data.
type Refusal struct {
	// Check is the name of the check that refused.
	Check string
	// Term is the path of the term in the agreement, for example clauses[wages].purposes; empty: no term, the request.
	Term string
	// Message says what is wrong.
	Message string
	// Change says what would have to change, in the query or in the agreement: a short step.
	Change string
	// Member of the query that the refusal is about, as REST names it: purpose, fields[2], justification.caseReference; empty: none.
	Member string
	// Invalid: the request is malformed and no clause could permit it.
	Invalid bool
}

// Error makes a Refusal an error.
func (r *Refusal) Error() string { return r.Check + ": " + r.Message }

// Result is the outcome of one check, for Explain.
type Result struct {
	Name string
	// Passed, or Skipped because an earlier check that it builds on did not pass.
	Passed, Skipped bool
	// Term, Message and Change of the refusal.
	Term, Message, Change string
}

// state is what the checks build up.
type state struct {
	Input
	plan Plan
}

// Check is one step of the decision.
type Check struct {
	// Name, in refusals, logs and metrics.
	Name string
	// Doc is one sentence for the documentation, which is generated from Checks.
	Doc string
	// needs is what must have been found for the check to make sense.
	needs need
	run   func(*state) *Refusal
}

type need int

const (
	needsNothing need = iota
	needsVersion
	needsClause
	needsFilter
)

func (s *state) has(n need) bool {
	switch n {
	case needsNothing:
		return true
	case needsVersion:
		return s.plan.Version != nil
	case needsClause:
		return s.plan.Clause != nil
	case needsFilter:
		return s.plan.Clause != nil && (s.plan.Filter != nil || s.Asked.Filter == "")
	}
	return false
}

// Decide runs the checks in order and stops at the first refusal.
func Decide(in Input) (*Plan, *Refusal) {
	plan, refusal, _ := decide(in)
	return plan, refusal
}

// Try is Decide that also says how many checks the query passed. Of several clauses that refuse a query, the one with most of them is the
// one to explain.
func Try(in Input) (*Plan, *Refusal, int) { return decide(in) }

// states are used again: most of one is the input, which nobody needs after the decision.
var states = sync.Pool{New: func() any { return new(state) }}

func decide(in Input) (*Plan, *Refusal, int) {
	s := states.Get().(*state)
	defer func() {
		*s = state{}
		states.Put(s)
	}()
	s.Input = in
	for i := range Checks {
		c := &Checks[i]
		if r := c.run(s); r != nil {
			r.Check = c.Name
			return nil, r, i
		}
	}
	plan := s.plan
	return &plan, nil, len(Checks)
}

// Explain runs every check that can be run. The plan is what would be done if those passed that do not; nil when one
// of them failed on which it depends what that is.
func Explain(in Input) ([]Result, *Plan) {
	s := state{Input: in}
	out := make([]Result, 0, len(Checks))
	for i := range Checks {
		c := &Checks[i]
		if !s.has(c.needs) {
			out = append(out, Result{Name: c.Name, Skipped: true, Message: "not run: an earlier check that it builds on did not pass", Change: "what the earlier check says"})
			continue
		}
		if r := c.run(&s); r != nil {
			out = append(out, Result{Name: c.Name, Term: r.Term, Message: r.Message, Change: r.Change})
			continue
		}
		out = append(out, Result{Name: c.Name, Passed: true})
	}
	if slices.ContainsFunc(out, func(r Result) bool { return !r.Passed && shapes(r.Name) }) {
		return out, nil
	}
	return out, &s.plan
}

// shapes says whether what is asked of a source depends on what the check finds.
func shapes(check string) bool {
	switch check {
	case "agreement", "clause", "schema", "granularity", "fields", "filter", "consent", "row-filter", "source", "limit":
		return true
	}
	return false
}

// MemberOf is the member of a query that a check is about, as REST names it: what to look at when another gateway says that the check
// refused. Empty: none, or no check of ours.
func MemberOf(check string) string {
	switch check {
	case "schema", "purpose", "granularity", "fields", "filter", "order":
		return check
	case "filter-fields", "selectors", "minimum-count", "source":
		return "filter"
	case "case-reference":
		return "justification.caseReference"
	case "subject-role":
		return "justification.subjectRole"
	case "jurisdiction":
		return "justification.jurisdiction"
	case "position":
		return "pageToken"
	}
	return ""
}

// amend is the step when only the parties can help: they amend a member of the clause at hand.
func (s *state) amend(member string) string {
	return "ask for an amendment of " + s.term(member)
}

// term is the path of a member of the clause at hand.
func (s *state) term(member string) string {
	return fmt.Sprintf("clauses[%s].%s", s.plan.Clause.Name, member)
}
