package enforce

import (
	"fmt"

	"github.com/entente-dev/entente/gateway/claims"
)

// checkUserAttributes evaluates the clause's condition on the user's claims. At the source they are what the recipient's
// agency asserts; claims that the clause does not read have no business there.
func checkUserAttributes(s *state) *Refusal {
	c := s.plan.Clause
	atSource := s.Credential != nil
	if c.UserAttributes == "" {
		if atSource && len(s.Asked.Claims) > 0 {
			return &Refusal{Invalid: true, Message: "the request carries claims of the user, of which the clause reads none: do not send them", Change: "send no claims"}
		}
		return nil
	}
	refuse := func(format string, args ...any) *Refusal {
		return &Refusal{
			Term: s.term("conditions.userAttributes"), Message: fmt.Sprintf(format, args...),
			Change: "a user whose identity provider says so asks, or " + s.amend("conditions.userAttributes"),
		}
	}
	x, err := c.UserAttributesExpression()
	if err != nil {
		return refuse("the clause's own condition on the user's claims: %v", err)
	}
	if foreign := x.Foreign(s.Asked.Claims); atSource && foreign != "" {
		return &Refusal{Invalid: true, Message: "the request carries claims of the user that the clause does not read: do not send them", Change: "send only the claims that the clause reads"}
	}
	selected, err := x.Select(s.Asked.Claims)
	if err != nil {
		return refuse("%v", err)
	}
	ok, err := x.Satisfied(selected)
	switch {
	case err != nil:
		return refuse("%v; the clause asks for %s", err, x.Text())
	case !ok:
		return refuse("the user's verified claims do not satisfy %s", x.Text())
	}
	s.plan.Claims = selected
	return nil
}

// ClaimsJSON gives the claims that the decision read as the log keeps them; nil for none.
func (p *Plan) ClaimsJSON() []byte {
	b, err := claims.JSON(p.Claims)
	if err != nil {
		return nil // Select has made them already
	}
	return b
}
