package server

import (
	"context"
	"errors"
	"fmt"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/disclosure"
	"github.com/entente-dev/entente/gateway/federation"
)

// explain answers both listeners: as the recipient that this agency is, or in the place of one as its source.
func (s *Server) explain(ctx context.Context, user federation.User, req *gatewayv1.ExplainRequest) (*gatewayv1.ExplainResponse, error) {
	invalid := func(member, message string) error {
		return &federation.Error{Kind: federation.Invalid, Reason: "request", Member: member, Message: message}
	}
	recipient := req.GetAsRecipient()
	switch {
	case len(req.ProtoReflect().GetUnknown()) > 0:
		return nil, invalid("", "the request has members that this gateway does not know")
	case recipient == "" && req.GetClaims() != nil:
		return nil, invalid("claims", "claims are supposed of another agency's user only: say of which in asRecipient")
	case recipient == "":
		return s.Federation.Explain(ctx, user, req.GetQuery())
	case len(recipient) > 63:
		return nil, invalid("asRecipient", "asRecipient is no agency's name")
	}
	if err := s.Federation.Bounds(req.GetQuery()); err != nil {
		return nil, err
	}
	resp, err := s.Disclosure.Explain(user.Groups, recipient, req.GetClaims().AsMap(), req.GetQuery())
	switch {
	case errors.Is(err, disclosure.ErrNotPermitted):
		return nil, &federation.Error{Kind: federation.Denied, Reason: "NotPermitted", Member: "asRecipient", Message: err.Error()}
	case err == nil && len(resp.GetClauses()) == 0:
		return nil, &federation.Error{
			Kind: federation.Denied, Reason: federation.ReasonNoAgreement,
			Message: fmt.Sprintf("no clause in force lets %s ask this agency for schema %q", recipient, req.GetQuery().GetSchema()),
		}
	}
	return resp, err
}
