package server

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/federation"
)

// domain of google.rpc.ErrorInfo.
const domain = "entente.dev"

// statusOf gives the gRPC status of an error with google.rpc details, which say what problemOf says: ErrorInfo the reason, the term and
// the position in the filter; BadRequest the member of the request; RetryInfo when asking again may help; PreconditionFailure each source
// that did not answer in full, and QuotaFailure each quota that is used up.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	var (
		nobody *unauthenticated
		e      *federation.Error
	)
	switch {
	case errors.As(err, &nobody):
		return detailed(codes.Unauthenticated, nobody.message, reason("Unauthenticated"))
	case errors.Is(err, errIdentityProvider):
		return detailed(codes.Unavailable, err.Error(), reason("IdentityProvider"), retry(retryIdentity))
	case errors.As(err, &e):
		return statusOfQuery(e, time.Now())
	case errors.Is(err, context.DeadlineExceeded):
		return detailed(codes.DeadlineExceeded, "the query was not answered in time", reason("Deadline"))
	case errors.Is(err, context.Canceled):
		return status.FromContextError(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return detailed(codes.Internal, "the gateway failed; its operators find out more in its log", reason("Internal"))
}

func statusOfQuery(e *federation.Error, now time.Time) error {
	code := map[federation.Kind]codes.Code{
		federation.Invalid: codes.InvalidArgument, federation.Denied: codes.PermissionDenied,
		federation.Unavailable: codes.Unavailable, federation.Incomplete: codes.FailedPrecondition,
		federation.TooLarge: codes.ResourceExhausted,
	}[e.Kind]
	info := reason(e.Reason)
	if e.Term != "" {
		info.Metadata["term"] = e.Term
	}
	message := e.Message
	if e.Line > 0 {
		info.Metadata["line"], info.Metadata["column"] = strconv.Itoa(e.Line), strconv.Itoa(e.Column)
		message = "filter, line " + strconv.Itoa(e.Line) + ", column " + strconv.Itoa(e.Column) + ": " + message
	}
	details := []protoadapt.MessageV1{info}
	if e.Member != "" && e.Kind == federation.Invalid {
		details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: protoName(e.Member), Description: e.Message, Reason: e.Reason},
		}})
	}
	if e.Kind == federation.Unavailable {
		details = append(details, retry(retryUnavailable))
	}
	return detailed(code, message, append(details, failures(e.Failed, now)...)...)
}

// failures says of each source that did not answer in full why not, and when to ask again if nothing else is in the way.
func failures(failed []*gatewayv1.SourceStatus, now time.Time) []protoadapt.MessageV1 {
	if len(failed) == 0 {
		return nil
	}
	preconditions, quotas := &errdetails.PreconditionFailure{}, &errdetails.QuotaFailure{}
	wait, helps := retryUnavailable, true
	for _, s := range failed {
		preconditions.Violations = append(preconditions.Violations, &errdetails.PreconditionFailure_Violation{
			Type: s.GetReason(), Subject: s.GetAgency(), Description: s.GetMessage(),
		})
		switch {
		case s.GetReason() == quotaCheck:
			wait = untilTomorrow(now)
			quotas.Violations = append(quotas.Violations, &errdetails.QuotaFailure_Violation{Subject: s.GetAgency(), Description: s.GetMessage()})
		case s.GetOutcome() == gatewayv1.Outcome_OUTCOME_DENIED, s.GetOutcome() == gatewayv1.Outcome_OUTCOME_PARTIAL:
			helps = false
		}
	}
	out := []protoadapt.MessageV1{preconditions}
	if len(quotas.Violations) > 0 {
		out = append(out, quotas)
	}
	if helps {
		out = append(out, retry(wait))
	}
	return out
}

func reason(word string) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Reason: word, Domain: domain, Metadata: map[string]string{}}
}

func retry(after time.Duration) *errdetails.RetryInfo {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(after)}
}

func detailed(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	s := status.New(code, message)
	if with, err := s.WithDetails(details...); err == nil {
		s = with
	}
	return s.Err()
}

// protoName is a member's name in protobuf: justification.case_reference of justification.caseReference.
func protoName(member string) string {
	out := make([]byte, 0, len(member)+4)
	for i := range len(member) {
		c := member[i]
		if c >= 'A' && c <= 'Z' {
			out = append(out, '_')
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return string(out)
}
