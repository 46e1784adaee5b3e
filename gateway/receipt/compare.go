package receipt

import (
	"cmp"
	"errors"
	"iter"

	"github.com/entente-dev/entente/gateway/audit"
)

// Result of holding two logs against each other, for one disclosure.
type Result string

// The results. The first three need nobody's attention, the others do.
const (
	// Matched: both logs say the same.
	Matched Result = "Matched"
	// Unanswered: the recipient asked, and neither log says that anything was disclosed.
	Unanswered Result = "Unanswered"
	// Unconfirmed: the source disclosed, and the recipient did not receive it whole: a connection broke, a user went away, or the source's gateway ended.
	Unconfirmed Result = "Unconfirmed"
	// OnlySource: the recipient's log does not know of it.
	OnlySource Result = "OnlySource"
	// OnlyRecipient: the recipient's log has an answer that the source's does not know of.
	OnlyRecipient Result = "OnlyRecipient"
	// Differs: both know of it, and say different things.
	Differs Result = "Differs"
)

// Results are all of them.
var Results = []Result{Matched, Unanswered, Unconfirmed, OnlySource, OnlyRecipient, Differs}

// Faulty says whether a result needs to be looked into.
func (r Result) Faulty() bool { return r == OnlySource || r == OnlyRecipient || r == Differs }

// Finding is what became of one disclosure.
type Finding struct {
	Disclosure string `json:"disclosure"`
	Agreement  string `json:"agreement"`
	Version    int64  `json:"version,omitempty"`
	Result     Result `json:"result"`
	// What differs, or is missing.
	What string `json:"what,omitempty"`
	// Source and Recipient are the outcomes that each side logged; "-": it has no record.
	Source    string `json:"source"`
	Recipient string `json:"recipient"`
}

// Compare holds two logs' receipts of one window against each other. Both come by id; an error of either ends it.
func Compare(ours, theirs iter.Seq2[Receipt, error]) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		nextOurs, stopOurs := iter.Pull2(ours)
		defer stopOurs()
		nextTheirs, stopTheirs := iter.Pull2(theirs)
		defer stopTheirs()
		a, err, okA := nextOurs()
		b, errB, okB := nextTheirs()
		for okA || okB {
			if err := errors.Join(err, errB); err != nil {
				yield(Finding{}, err)
				return
			}
			var f Finding
			switch {
			case !okB || okA && a.Disclosure < b.Disclosure:
				f = judge(&a, nil)
				a, err, okA = nextOurs()
			case !okA || b.Disclosure < a.Disclosure:
				f = judge(&b, nil)
				b, errB, okB = nextTheirs()
			default:
				f = judge(&a, &b)
				a, err, okA = nextOurs()
				b, errB, okB = nextTheirs()
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

// judge decides about one disclosure; other is nil when one log alone knows of it.
func judge(one, other *Receipt) Finding {
	f := Finding{Disclosure: one.Disclosure, Agreement: one.Agreement, Version: one.Version, Source: "-", Recipient: "-"}
	source, recipient := one, other
	if one.Side == audit.Recipient {
		source, recipient = other, one
	}
	if source != nil {
		f.Source = cmp.Or(source.Outcome, "no outcome")
	}
	if recipient != nil {
		f.Recipient = cmp.Or(recipient.Outcome, "no outcome")
	}
	f.Result, f.What = verdict(source, recipient)
	return f
}

func verdict(source, recipient *Receipt) (Result, string) {
	switch {
	case source != nil && recipient != nil && source.Side == recipient.Side:
		return Differs, "both sides hold that they were the same side of it"
	case source != nil && source.Repeated || recipient != nil && recipient.Repeated:
		return Differs, "the id was used for more than one disclosure"
	case recipient == nil:
		return OnlySource, "the recipient's log does not have it"
	case source == nil && recipient.ResponseDigest != "":
		return OnlyRecipient, "the source's log does not have what the recipient received"
	case source == nil:
		return Unanswered, ""
	case source.Agreement != recipient.Agreement:
		return Differs, "the agreement"
	case source.QueryDigest != recipient.QueryDigest:
		return Differs, "the digest of the query"
	case source.ResponseDigest == "" && recipient.ResponseDigest != "":
		return Differs, "the recipient received what the source's log does not have as disclosed"
	case source.ResponseDigest == "" && source.Outcome == "" && recipient.Outcome != "DENIED":
		return Unanswered, ""
	case source.ResponseDigest == "" && source.Outcome == "PARTIAL":
		return Unconfirmed, ""
	case source.ResponseDigest == "":
		return Matched, ""
	case recipient.ResponseDigest == "":
		return Unconfirmed, ""
	case source.ResponseDigest != recipient.ResponseDigest:
		return Differs, "the digest of the answer"
	}
	return Matched, ""
}
