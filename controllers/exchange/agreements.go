package exchange

import (
	"context"
	"encoding/json"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// Report is what became of a message about agreements.
type Report struct {
	Peer route.Party
	// Message is the name of the method.
	Message string
	// Refusal is why it was refused; nil: it was taken.
	Refusal *Refusal
}

// taken lets one message of a peer's operator be handled, and makes an answer of the outcome.
func (s *Server) taken(ctx context.Context, message string, limit *limits, handle func(from route.Party) error) error {
	if s.Inbox == nil {
		return status.Error(codes.Unimplemented, "this agency takes agreements by file only")
	}
	return s.handled(ctx, message, limit, handle)
}

// handled is taken, for messages that need no inbox.
func (s *Server) handled(ctx context.Context, message string, limit *limits, handle func(from route.Party) error) error {
	who, err := s.caller(ctx)
	if err != nil {
		return err
	}
	switch {
	case who.process != Operator:
		err = refuse(NotOperator, "only an agency's operator may call %s", message)
	case !limit.take(who.Agency, s.Now()):
		err = refuse(RateLimited, "too many messages: send the rest later")
	default:
		err = handle(who.Party)
	}
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		s.Logger.Error("message of a peer not handled", "peer", who.Agency, "message", message, "error", err)
		return status.Error(codes.Unavailable, "it cannot be handled now: try again")
	}
	s.tell(who.Party, message, refusal)
	if refusal != nil {
		return refusal.GRPCStatus().Err()
	}
	return nil
}

// tell reports what became of a message, and logs a refusal.
func (s *Server) tell(from route.Party, message string, refusal *Refusal) {
	if s.Report != nil {
		s.Report(Report{from, message, refusal})
	}
	if refusal != nil {
		s.Logger.Warn("message of a peer refused", "peer", from.Agency, "message", message, "reason", refusal.Reason, "detail", clip(refusal.Message))
	}
}

// Propose implements entente.exchange.v1.
func (s *Server) Propose(ctx context.Context, req *exchangev1.ProposeRequest) (*exchangev1.ProposeResponse, error) {
	return &exchangev1.ProposeResponse{}, s.taken(ctx, "Propose", &s.proposals, func(from route.Party) error {
		return s.Inbox.Propose(ctx, from, req)
	})
}

// RecordDecision implements entente.exchange.v1.
func (s *Server) RecordDecision(ctx context.Context, req *exchangev1.RecordDecisionRequest) (*exchangev1.RecordDecisionResponse, error) {
	return &exchangev1.RecordDecisionResponse{}, s.taken(ctx, "RecordDecision", &s.statements, func(from route.Party) error {
		switch {
		case req.GetFormat() != Format:
			return refuse(UnsupportedFormat, "format %d: this release speaks format %d", req.GetFormat(), Format)
		case len(req.ProtoReflect().GetUnknown()) > 0:
			return refuse(UnknownMember, "the message has members that this release does not know")
		}
		return s.Inbox.RecordDecision(ctx, from, req.GetAgreement(), req.GetStatement())
	})
}

// Get implements entente.exchange.v1.
func (s *Server) Get(ctx context.Context, req *exchangev1.GetRequest) (*exchangev1.GetResponse, error) {
	out := &exchangev1.GetResponse{}
	err := s.taken(ctx, "Get", &s.reads, func(from route.Party) error {
		unknown := refuse(UnknownAgreement, "there is no agreement %q here that %s knows of", clip(req.GetAgreement()), from.Agency)
		if !nameForm.MatchString(req.GetAgreement()) {
			return unknown
		}
		a, err := s.Inbox.Agreements.Get(ctx, req.GetAgreement())
		if err != nil {
			return err
		}
		if a == nil || !knownTo(a, from) {
			return unknown
		}
		if out.Agreement, err = s.shown(a, from); err != nil {
			return err
		}
		out.Terms, err = json.Marshal(&a.Spec.Terms)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Announce implements entente.exchange.v1.
func (s *Server) Announce(ctx context.Context, req *exchangev1.AnnounceRequest) (*exchangev1.AnnounceResponse, error) {
	return &exchangev1.AnnounceResponse{}, s.taken(ctx, "Announce", &s.reads, func(from route.Party) error {
		if len(req.ProtoReflect().GetUnknown()) > 0 {
			return refuse(UnknownMember, "the message has members that this release does not know")
		}
		return s.Inbox.Agreements.Announced(ctx, from.Agency, s.Now())
	})
}

// maxPage bounds the agreements in one answer, about 2 KiB each, and maxPageBytes their size: one with many duties is longer.
const (
	maxPage      = 200
	maxPageBytes = 1 << 20
)

// List implements entente.exchange.v1.
func (s *Server) List(ctx context.Context, req *exchangev1.ListRequest) (*exchangev1.ListResponse, error) {
	out := &exchangev1.ListResponse{Now: timestamppb.New(s.Now())}
	err := s.taken(ctx, "List", &s.reads, func(from route.Party) error {
		size := int(req.GetPageSize())
		if size == 0 || size > maxPage {
			size = maxPage
		}
		all, err := s.Inbox.Agreements.With(ctx, from.Agency, req.GetPageToken())
		if err != nil {
			return err
		}
		if out.Maintenance, err = s.maintenance(ctx); err != nil {
			return err
		}
		bytes := 0
		for i := range all {
			if !knownTo(&all[i], from) {
				continue
			}
			if n := len(out.Agreements); n == size || n > 0 && bytes > maxPageBytes {
				out.NextPageToken = out.Agreements[n-1].GetName()
				return nil
			}
			a, err := s.shown(&all[i], from)
			if err != nil {
				return err
			}
			out.Agreements = append(out.Agreements, a)
			bytes += proto.Size(a)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// knownTo says whether a party knows of the agreement, because we said something of it or because it did. A draft that was only
// applied here is nobody else's business.
func knownTo(a *v1alpha1.SharingAgreement, who route.Party) bool {
	if !isParty(&a.Spec.Terms, who) {
		return false
	}
	if len(a.Status.Signatures)+len(a.Status.Statements) > 0 || a.Labels[v1alpha1.LabelProposedBy] == who.Agency {
		return true
	}
	for _, r := range a.Status.Received {
		if r.Agency == who.Agency && isOver(r.JWS, a.Status.Digest) {
			return true
		}
	}
	return false
}

// shown is the agreement as a party sees it.
func (s *Server) shown(a *v1alpha1.SharingAgreement, who route.Party) (*exchangev1.Agreement, error) {
	digest := a.Status.Digest
	if digest == "" {
		var err error
		if digest, err = a.Spec.Terms.Digest(); err != nil {
			return nil, err
		}
	}
	out := &exchangev1.Agreement{Name: a.Name, Digest: digest}
	for _, said := range Said(a, s.Inbox.Self.Agency) {
		out.Statements = append(out.Statements, said.JWS)
	}
	for _, r := range a.Status.Received {
		if r.Agency == who.Agency {
			out.Received = append(out.Received, r.JWS)
		}
	}
	return out, nil
}
