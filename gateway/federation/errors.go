package federation

import gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"

// Kind of an Error: what the caller can do about it.
type Kind int

// Kinds.
const (
	// Invalid: the request is malformed and can never succeed.
	Invalid Kind = iota
	// Denied: no agreement permits it.
	Denied
	// Unavailable: the gateway cannot answer now.
	Unavailable
	// Incomplete: not every source answered in full, and the query asked for all or nothing.
	Incomplete
	// TooLarge: the answer is larger than the gateway holds back for an all-or-nothing query.
	TooLarge
)

// Error is why a query as a whole failed. It repeats nothing of the data and nothing of the filter's values.
type Error struct {
	Kind Kind
	// Reason is a short stable word: the check that refused, or what failed.
	Reason string
	// Term of an agreement that says so; may be empty.
	Term string
	// Member of the request that it is about, as REST names it: filter, agencies[2], justification.caseReference; empty: none.
	Member string
	// Message says what to do.
	Message string
	// Failed are the sources that did not answer in full; of Incomplete.
	Failed []*gatewayv1.SourceStatus
	// Line and Column in the filter, from 1; 0: none.
	Line, Column int
}

func (e *Error) Error() string { return e.Reason + ": " + e.Message }
