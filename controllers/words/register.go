package words

import (
	"fmt"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// RegisterEntry is an agreement as a public register shows it: the fields of the register of information sharing agreements
// under the UK Digital Economy Act 2017. It has no case references, row filters or selectors, which say how an authority
// works, and no contacts unless they are asked for.
type RegisterEntry struct {
	ID             string              `json:"id"`
	Version        int64               `json:"version"`
	Name           string              `json:"name"`
	Type           string              `json:"type"`
	Parties        []RegisterParty     `json:"parties"`
	LegalAuthority []RegisterAuthority `json:"legalAuthority,omitempty"`
	Purpose        string              `json:"purpose"`
	Benefits       string              `json:"anticipatedResults,omitempty"`
	Data           []RegisterData      `json:"data"`
	Duties         []RegisterDuty      `json:"duties,omitempty"`
	Start          string              `json:"start"`
	End            string              `json:"end"`
	Review         string              `json:"review,omitempty"`
	Publication    string              `json:"publication,omitempty"`
	Contacts       []string            `json:"contacts,omitempty"`
	// State at the agency that publishes the entry.
	State  string `json:"state,omitempty"`
	Digest string `json:"digest"`
}

// RegisterParty is a party by its public name.
type RegisterParty struct {
	Agency string   `json:"agency"`
	Name   string   `json:"name,omitempty"`
	Roles  []string `json:"roles,omitempty"`
}

// RegisterAuthority is a law that the agreement relies on.
type RegisterAuthority struct {
	Citation string `json:"citation"`
	Covers   string `json:"covers"`
}

// RegisterDuty is what a party owes by a date.
type RegisterDuty struct {
	Agency string `json:"agency"`
	What   string `json:"what"`
	When   string `json:"when"`
}

// RegisterData is what one clause shares.
type RegisterData struct {
	From     string   `json:"from"`
	To       []string `json:"to"`
	Records  string   `json:"records"`
	Shared   string   `json:"shared"`
	Fields   []string `json:"fields,omitempty"`
	Purposes []string `json:"purposes"`
	KeptFor  string   `json:"keptFor,omitempty"`
}

// Register makes the public entry of an agreement. Contacts are left out unless contacts is true, since they may be persons.
func Register(a *v1alpha1.SharingAgreement, agencies map[string]*v1alpha1.Agency, forces TaskForces, contacts bool) (*RegisterEntry, error) {
	d, err := Describe(a, agencies, forces, time.Time{})
	if err != nil {
		return nil, err
	}
	out := &RegisterEntry{
		ID: d.ID, Version: d.Version, Name: d.Title, Type: d.Type, Purpose: d.Purpose, Benefits: d.AnticipatedResults,
		Start: when(d.Term.NotBefore), End: when(d.Term.NotAfter), Publication: plain(a.Spec.Terms.PublicationRef), State: d.State, Digest: d.Digest,
	}
	if d.Term.ReviewBy != nil {
		out.Review = when(*d.Term.ReviewBy)
	}
	for _, p := range d.Parties {
		out.Parties = append(out.Parties, RegisterParty{Agency: p.Agency, Name: p.Name, Roles: p.Roles})
	}
	for _, l := range a.Spec.Terms.LegalAuthority {
		out.LegalAuthority = append(out.LegalAuthority, RegisterAuthority{plain(l.Citation), plain(l.Covers)})
	}
	for i := range a.Spec.Terms.Clauses {
		out.Data = append(out.Data, forces.register(&a.Spec.Terms.Clauses[i]))
	}
	for _, o := range d.Duties {
		if o.Name == compile.DutyReview {
			continue // see Review
		}
		out.Duties = append(out.Duties, RegisterDuty{o.Agency, o.What, o.When})
	}
	if contacts {
		out.Contacts = d.Contacts
		for _, p := range d.Parties {
			if p.Contact != "" {
				out.Contacts = append(out.Contacts, fmt.Sprintf("%s: %s", p.Agency, p.Contact))
			}
		}
	}
	return out, nil
}

func (f TaskForces) register(c *v1alpha1.Clause) RegisterData {
	out := RegisterData{
		From: plain(c.Source), To: f.recipientTexts(c), Records: schemaName(c.Schema), Shared: learnt[c.Granularity],
		Fields: plainAll(disclosed(c)), Purposes: plainAll(c.Purposes),
	}
	if o := c.Obligations; o != nil && o.RetentionDays != nil {
		out.KeptFor = count(*o.RetentionDays, "day")
	}
	return out
}
