package accounting

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// Disclosure is one disclosure of a person's records to another agency: the date, nature and purpose, and the name and
// address of the recipient (5 U.S.C. 552a(c)(1)).
type Disclosure struct {
	ID   string    `json:"disclosure"`
	Date time.Time `json:"date"`
	// Recipient with the address that it had then.
	Recipient Agency `json:"recipient"`
	Source    string `json:"source"`
	// Granularity, fields and the number of this person's own records are its nature. Records is 0 when only the existence
	// or the number of records was told.
	Granularity string   `json:"granularity"`
	Fields      []string `json:"fields,omitempty"`
	Records     int      `json:"records,omitempty"`
	Purpose     string   `json:"purpose"`
	Agreement   string   `json:"agreement"`

	// What follows is for the agency, and never in the person's copy.
	*Internal `json:"internal,omitempty"`
}

// Internal is what the agency's own copy of an accounting has besides.
type Internal struct {
	// Withheld is the ground on which the person is not told; empty: the person is told.
	Withheld      string `json:"withheld,omitempty"`
	Clause        string `json:"clause,omitempty"`
	CaseReference string `json:"caseReference,omitempty"`
	// User is a pseudonym that the recipient can resolve.
	User    string `json:"user,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	// NoHit: the person was asked about and nothing was found, so that nothing was disclosed.
	NoHit bool   `json:"noHit,omitempty"`
	Log   string `json:"log"`
}

// Account is the accounting of disclosures about one person.
type Account struct {
	Made time.Time `json:"made"`
	// Copy: Person or Agency.
	Copy        string       `json:"copy"`
	Disclosures []Disclosure `json:"disclosures"`
	// Given and Withheld count by purpose what the person is told and not told; in the agency's copy only.
	Given    map[string]int `json:"given,omitempty"`
	Withheld map[string]int `json:"withheld,omitempty"`
	Logs     []Covered      `json:"logs"`
}

// Copies of an account.
const (
	CopyPerson = "Person"
	CopyAgency = "Agency"
)

// Question is whose disclosures are asked for.
type Question struct {
	Logs        []Log
	Identifiers []Identifier
	// SubjectKeyFile replaces the key beside each log; empty: the keys beside the logs.
	SubjectKeyFile string
	Directory      Directory
	// Since leaves out what is older; zero: nothing is.
	Since time.Time
	// Withhold maps purpose codes to the ground on which the person is not told of disclosures for that purpose.
	Withhold map[string]string
	Now      time.Time
}

// Disclosures makes the accounting, oldest first, as the agency keeps it. ForPerson makes the person's copy of it.
func Disclosures(ctx context.Context, q Question) (*Account, error) {
	found, covered, err := q.collect(ctx)
	if err != nil {
		return nil, err
	}
	a := &Account{Made: q.Now.UTC(), Copy: CopyAgency, Logs: covered, Given: map[string]int{}, Withheld: map[string]int{}, Disclosures: []Disclosure{}}
	for _, f := range found {
		d := f.disclosure(&q.Directory)
		if !f.disclosed() {
			if f.last.Kind != audit.Outcome {
				continue // the gateway stopped before anything was released
			}
			d.NoHit = true
		}
		d.Withheld = q.Withhold[f.last.Purpose]
		switch {
		case d.NoHit:
		case d.Withheld != "":
			a.Withheld[d.Purpose]++
		default:
			a.Given[d.Purpose]++
		}
		a.Disclosures = append(a.Disclosures, d)
	}
	return a, nil
}

// ForPerson is the copy that is handed out: without what is withheld, and without a trace of it.
func (a *Account) ForPerson() *Account {
	out := &Account{Made: a.Made, Copy: CopyPerson, Disclosures: []Disclosure{}}
	for _, d := range a.Disclosures {
		if d.NoHit || d.Withheld != "" {
			continue
		}
		d.Internal = nil
		out.Disclosures = append(out.Disclosures, d)
	}
	for _, c := range a.Logs {
		// How busy the agency was is not the person's.
		out.Logs = append(out.Logs, Covered{Origin: c.Origin, Erased: min(c.Erased, 1), First: c.First, Last: c.Last})
	}
	return out
}

// about is what the logs have of one disclosure that concerns the person.
type about struct {
	log  *Log
	last audit.Record // the latest record
	// asked: the query named the person.
	asked bool
	// released: records of the person in frames that left before the last one; final: in the last one.
	released, final int
}

// disclosed says whether something about the person left the agency. A frame leaves only after its Release, the last one
// only after the Outcome: an intent alone disclosed nothing.
func (a *about) disclosed() bool {
	r := &a.last
	answered := r.Kind == audit.Outcome && (r.Outcome == "OK" || r.Outcome == "PARTIAL")
	return a.released > 0 || answered && (a.final > 0 || a.asked && r.Hit)
}

func (a *about) disclosure(d *Directory) Disclosure {
	r := &a.last
	out := Disclosure{
		ID: r.Disclosure, Date: r.Time.UTC(), Recipient: d.agency(r.Recipient, r.RecipientAddress), Source: r.Source,
		Granularity: r.Granularity, Purpose: r.Purpose, Agreement: versioned(r.Agreement, r.Version), Records: a.released + a.final,
		Internal: &Internal{Clause: r.Clause, CaseReference: r.Justification.CaseReference, User: r.User, Outcome: r.Outcome, Log: a.log.Origin},
	}
	if r.Granularity == "Records" {
		out.Fields = r.Fields
	}
	return out
}

// collect finds the person's disclosures in the logs, by time. What it keeps grows with them and not with the logs.
func (q *Question) collect(ctx context.Context) ([]*about, []Covered, error) {
	if err := q.Directory.Check(q.Identifiers); err != nil {
		return nil, nil, err
	}
	// Logs of corrections have no key: they hold no disclosures.
	logs := slices.DeleteFunc(slices.Clone(q.Logs), func(l Log) bool { return isCorrections(l) })
	wanted, err := tokens(logs, q.Identifiers, q.SubjectKeyFile)
	if err != nil {
		return nil, nil, err
	}
	found := map[string]*about{}
	covered, err := each(ctx, logs, func(l *Log, e *audit.Entry) error {
		r := &e.Record
		if r.Side != audit.Source || r.Operation != audit.Consultation || r.Kind == audit.Denial || r.Time.Before(q.Since) {
			return nil
		}
		set, mine := wanted[l.ID], 0
		for _, t := range r.SubjectTokens {
			if set[t] {
				mine++
			}
		}
		asked := set[r.SubjectToken]
		a := found[r.Disclosure]
		if a == nil {
			if mine == 0 && !asked {
				return nil
			}
			a = &about{log: l}
			found[r.Disclosure] = a
		}
		a.asked = a.asked || asked
		a.last = *r
		a.last.SubjectTokens, a.last.Filter, a.last.Message = nil, "", "" // long, and not needed
		if r.Kind == audit.Release {
			a.released += mine
		} else {
			a.final = mine // a second outcome takes the first one back
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	out := make([]*about, 0, len(found))
	for _, a := range found {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *about) int {
		return cmp.Or(a.last.Time.Compare(b.last.Time), cmp.Compare(a.last.Disclosure, b.last.Disclosure))
	})
	return out, covered, nil
}
