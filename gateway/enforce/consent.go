package enforce

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// checkConsent makes the condition that a recorded consent must meet, for each dataset that answers. Only the source has
// datasets; there the condition becomes part of the query, so that rows without consent never leave the source system. A consent
// service is asked for the persons that are found, and nothing of the others is told.
func checkConsent(s *state) *Refusal {
	c := s.plan.Clause
	if c.Consent == "" {
		return nil
	}
	for i := range c.Datasets {
		ds := &c.Datasets[i]
		refuse := func(why string) *Refusal {
			return &Refusal{Term: s.term("conditions.consent"), Message: fmt.Sprintf("dataset %s cannot be held against the consents in %s (%s): nothing is disclosed without consent", ds.Name, c.Consent, why), Change: "the source binds dataset " + ds.Name + " to its consents, see docs/consent.md"}
		}
		if ds.Consent == nil || ds.SubjectKey == "" {
			return refuse("it is not bound to them")
		}
		var condition *filter.Filter
		if ds.Consent.Service == nil { // which is asked for the persons whose records are found
			var err error
			if condition, err = ConsentCondition(ds.Consent, s.Asked.Purpose, s.Asked.Recipient.Agency, s.Now); err != nil {
				return refuse("their rule cannot be carried out")
			}
		}
		if s.plan.Consents == nil {
			s.plan.Consents = make(map[string]*filter.Filter, len(c.Datasets))
		}
		s.plan.Consents[ds.Name] = condition
	}
	return nil
}

// ConsentCondition is what a row of the consents must meet to be a consent to this query, over the consents' own schema: the
// rule of the dataset, the purpose, the recipient, and the time. It is nil when every row is a consent.
func ConsentCondition(c *route.Consent, purpose, recipient string, at time.Time) (*filter.Filter, error) {
	var parts []string
	if c.Rule != "" {
		parts = append(parts, "("+c.Rule+"\n)") // a comment at its end would swallow the parenthesis
	}
	if c.Purpose != "" {
		parts = append(parts, c.Purpose+" == "+strconv.Quote(purpose))
	}
	if c.Recipient != "" {
		parts = append(parts, c.Recipient+" == "+strconv.Quote(recipient))
	}
	for _, bound := range []struct{ field, day, instant string }{{c.NotBefore, "<=", "<="}, {c.NotAfter, ">=", ">"}} {
		if bound.field == "" {
			continue
		}
		op, now := bound.instant, `timestamp("`+at.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)+`")`
		if isDate(&c.Schema, bound.field) {
			op, now = bound.day, `date("`+at.UTC().Format(time.DateOnly)+`")`
		}
		parts = append(parts, fmt.Sprintf("(%s == null || %s %s %s)", bound.field, bound.field, op, now))
	}
	if len(parts) == 0 {
		return nil, nil
	}
	f, err := filter.Compile(&c.Schema, strings.Join(parts, " && "))
	if err != nil {
		return nil, err
	}
	if len(f.Needs()) > 0 {
		return nil, errors.New("a rule of consent has no similarity")
	}
	return f.At(at)
}

func isDate(s *route.Schema, field string) bool {
	for _, f := range s.Fields {
		if f.Name == field {
			return f.Type == "date"
		}
	}
	return false
}
