package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Kind says at what point of a disclosure a record is written.
type Kind string

const (
	// Intent is written before the source system is asked (source side) or before the peer is asked (recipient side).
	Intent Kind = "Intent"
	// Release is written before each frame but the last of a long answer, once for frames of several datasets that go together: a
	// stream that a crash cuts off shows how far it can have got. Source side only.
	Release Kind = "Release"
	// Outcome is written when the answer is known, before its last frame is released.
	Outcome Kind = "Outcome"
	// Denial is written in place of both when the request is refused.
	Denial Kind = "Denial"
	// Erasure says that payloads were erased. It is the one record that is kept in the clear and never erased: it has nothing
	// of those that it names but their places.
	Erasure Kind = "Erasure"
)

// Side says which side of the disclosure the writer is.
type Side string

const (
	// Source is the agency that holds the records.
	Source Side = "Source"
	// Recipient is the agency that asks.
	Recipient Side = "Recipient"
)

// Operations.
const (
	// Consultation is a query (EU 2016/680 Art. 25(1)).
	Consultation = "consultation"
	// Correction: a recipient of an earlier disclosure, which the record names, was told that what it got was wrong
	// (5 U.S.C. 552a(c)(4), EU 2016/680 Art. 7(3)).
	Correction = "correction"
	// OperationErasure is an erasure of payloads of the log itself (EU 2016/680 Art. 25(1)).
	OperationErasure = "erasure"
)

// Record is one entry of the log: what 5 U.S.C. 552a(c) and EU 2016/680 Art. 25 ask for together. All of it is kept in the
// payload, sealed; none of it in the chain.
type Record struct {
	// Disclosure is the disclosure id (UUIDv7), the same on both sides. Of an erasure: the disclosure whose records it erased,
	// or an id of its own.
	Disclosure string `json:"disclosure"`
	// Query groups the disclosures of one query; recipient side only.
	Query string `json:"query,omitempty"`
	Kind  Kind   `json:"kind"`
	// Side is empty for an erasure.
	Side Side `json:"side"`
	// Time is set by the log's clock on Append.
	Time time.Time `json:"time"`
	// Operation in the words of Art. 25: Consultation for a query, Correction, or OperationErasure.
	Operation string `json:"operation,omitempty"`

	// Agreement id, its version and the clause that permitted or refused.
	Agreement     string        `json:"agreement,omitempty"`
	Version       int64         `json:"version,omitempty"`
	Clause        string        `json:"clause,omitempty"`
	Purpose       string        `json:"purpose,omitempty"`
	Justification Justification `json:"justification,omitzero"`

	// Source and Recipient are agencies.
	Source    string `json:"source,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	// RecipientAddress is the recipient's postal address (552a(c)(1)(B)).
	RecipientAddress string `json:"recipientAddress,omitempty"`
	// User is a pseudonym that only the recipient agency can resolve.
	User string `json:"user,omitempty"`
	// Claims of the user that the decision read, as a JSON object; at the source, as the recipient asserted them.
	Claims json.RawMessage `json:"claims,omitempty"`
	// LocalUser is whom the pseudonym stands for; recipient side only.
	LocalUser string `json:"localUser,omitempty"`

	Dataset     string   `json:"dataset,omitempty"`
	Granularity string   `json:"granularity,omitempty"`
	Fields      []string `json:"fields,omitempty"`
	// Filter is the query's parameters (NIST AU-12(4)).
	Filter string `json:"filter,omitempty"`

	// SubjectToken is the keyed token of the person asked about.
	SubjectToken string `json:"subjectToken,omitempty"`
	// SubjectTokens are the keyed tokens of the persons whose records are in the frame that this record is written before.
	SubjectTokens []string `json:"subjectTokens,omitempty"`
	// Records that were disclosed; of a Release, those of its frames.
	Records int64 `json:"records"`
	// Hit: something was found, on whichever rung of the disclosure ladder.
	Hit bool `json:"hit,omitempty"`
	// Suppressed: fewer persons matched than the clause's minimum count, or none, and nothing was told.
	Suppressed bool `json:"suppressed,omitempty"`
	// ElapsedMicros is the time from the request to this record, in microseconds; Outcome only.
	ElapsedMicros int64 `json:"elapsedMicros,omitempty"`
	// Outcome: OK, DENIED, UNAVAILABLE, TIMEOUT or PARTIAL.
	Outcome string `json:"outcome,omitempty"`
	// Reason is the check that refused, or what failed.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`

	// ConsentCheck says which consent service was asked before anything was told, and what it said; source side only.
	ConsentCheck ConsentCheck `json:"consentCheck,omitzero"`

	// Obligations of the recipient for what was disclosed.
	Obligations Obligations `json:"obligations,omitzero"`

	RouteDigest    string `json:"routeDigest,omitempty"`
	QueryDigest    string `json:"queryDigest,omitempty"`
	ResponseDigest string `json:"responseDigest,omitempty"`

	// Entries whose payloads were erased, as in 1-4096,5000; erasures only.
	Entries string `json:"entries,omitempty"`

	// RetainUntil is when the payload is due to be erased; zero: no date is set.
	RetainUntil time.Time `json:"retainUntil,omitzero"`
}

// ConsentCheck is what a consent service said in a disclosure up to this record.
type ConsentCheck struct {
	// Service is the dataset that is bound to it.
	Service string `json:"service,omitempty"`
	// Asked and Given: persons whom records are about, and those of them who consented; with each batch anew.
	Asked int64 `json:"asked,omitempty"`
	Given int64 `json:"given,omitempty"`
	// Ref by which the service finds its latest answer again.
	Ref string `json:"ref,omitempty"`
	// Digest over the bodies of its answers, as in docs/consent.md; empty: earlier answers were used again.
	Digest string `json:"digest,omitempty"`
}

// Justification says why a query was made.
type Justification struct {
	CaseReference string `json:"caseReference,omitempty"`
	SubjectRole   string `json:"subjectRole,omitempty"`
	Aim           string `json:"aim,omitempty"`
	Jurisdiction  string `json:"jurisdiction,omitempty"`
}

// Obligations of a recipient for what one disclosure told it. Days are YYYY-MM-DD, UTC.
type Obligations struct {
	// Redisclosure: Prohibited or WithConsentOfSource.
	Redisclosure string `json:"redisclosure,omitempty"`
	// DestroyBy is the last day on which it may be kept.
	DestroyBy string `json:"destroyBy,omitempty"`
	// NoActionBefore is the first day of adverse action (5 U.S.C. 552a(p)).
	NoActionBefore string `json:"noActionBefore,omitempty"`
}

// MaxRecord is the most bytes that a record has in its JSON form.
const MaxRecord = 64 << 10

// ErrInvalid is the error of Append for a record that cannot be logged as it is.
var ErrInvalid = errors.New("audit: invalid record")

// validate checks what a record must have to be found again. It repeats nothing of the record in its error.
func (r *Record) validate() error {
	switch {
	case r.Kind != Intent && r.Kind != Release && r.Kind != Outcome && r.Kind != Denial && r.Kind != Erasure:
		return fmt.Errorf("%w: unknown kind", ErrInvalid)
	case r.Side != Source && r.Side != Recipient && (r.Kind != Erasure || r.Side != ""):
		return fmt.Errorf("%w: unknown side", ErrInvalid)
	case r.Disclosure == "":
		return fmt.Errorf("%w: no disclosure id", ErrInvalid)
	case len(r.Claims) > 0 && !json.Valid(r.Claims):
		return fmt.Errorf("%w: claims are no JSON", ErrInvalid)
	case r.size() > MaxRecord:
		return fmt.Errorf("%w: more than %d bytes", ErrInvalid, MaxRecord)
	}
	return nil
}

// size is the length of what a caller may make long: a record of 100 MB is refused before it is copied.
func (r *Record) size() int {
	n := len(r.Disclosure) + len(r.Query) + len(r.Filter) + len(r.Message) + len(r.User) + len(r.LocalUser) + len(r.Claims) + len(r.RecipientAddress) + len(r.Entries) +
		len(r.Justification.CaseReference) + len(r.Justification.SubjectRole) + len(r.Justification.Aim) +
		len(r.Justification.Jurisdiction)
	for _, f := range r.Fields {
		n += len(f)
	}
	for _, t := range r.SubjectTokens {
		n += len(t) + 3
	}
	return n
}
