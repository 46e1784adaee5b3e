package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/entente-dev/entente/gateway/federation"
	"github.com/entente-dev/entente/gateway/jsonform"
)

// problem is an error body of RFC 9457. Type is stable and names the reason; Detail says what to do.
type problem struct {
	Type     string                  `json:"type"`
	Title    string                  `json:"title"`
	Status   int                     `json:"status"`
	Detail   string                  `json:"detail,omitempty"`
	Reason   string                  `json:"reason"`
	Term     string                  `json:"term,omitempty"`
	Position *position               `json:"position,omitempty"`
	Sources  []jsonform.SourceStatus `json:"sources,omitempty"`
	Summary  *jsonform.QuerySummary  `json:"summary,omitempty"`
}

type position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

func newProblem(code int, reason, detail string) *problem {
	return &problem{Type: "https://entente.dev/problems/" + reason, Title: http.StatusText(code), Status: code, Reason: reason, Detail: detail}
}

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="entente"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// problemOf gives the problem of an error:
//
//	400 the request is malformed          413 the body is too large        500 a fault of the gateway
//	401 nobody known                      415 the body is not JSON         503 the log cannot be written, or the identity
//	403 no agreement permits it, or       422 too large for all or nothing     provider or a required source is away
//	    every source refused                                               504 the deadline passed
func problemOf(err error) *problem {
	var (
		nobody *unauthenticated
		wrong  *decodeError
		e      *federation.Error
		large  *http.MaxBytesError
	)
	switch {
	case errors.As(err, &nobody):
		return newProblem(http.StatusUnauthorized, "Unauthenticated", nobody.message)
	case errors.Is(err, errIdentityProvider):
		return newProblem(http.StatusServiceUnavailable, "IdentityProvider", err.Error())
	case errors.As(err, &wrong):
		return newProblem(http.StatusBadRequest, "request", wrong.message)
	case errors.As(err, &large):
		return newProblem(http.StatusRequestEntityTooLarge, "request", "the body is larger than 1 MiB")
	case errors.As(err, &e):
		code := map[federation.Kind]int{
			federation.Invalid: http.StatusBadRequest, federation.Denied: http.StatusForbidden,
			federation.Unavailable: http.StatusServiceUnavailable, federation.Incomplete: http.StatusServiceUnavailable,
			federation.TooLarge: http.StatusUnprocessableEntity,
		}[e.Kind]
		p := newProblem(code, e.Reason, e.Message)
		p.Term = e.Term
		if e.Line > 0 {
			p.Position = &position{e.Line, e.Column}
		}
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return newProblem(http.StatusGatewayTimeout, "Deadline", "the query was not answered in time")
	}
	return newProblem(http.StatusInternalServerError, "Internal", "the gateway failed; its operators find out more in its log")
}

// statusOf gives the gRPC status of an error, with the reason, the term and the position as google.rpc.ErrorInfo.
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
		return status.Error(codes.Unauthenticated, nobody.message)
	case errors.Is(err, errIdentityProvider):
		return status.Error(codes.Unavailable, err.Error())
	case errors.As(err, &e):
		code := map[federation.Kind]codes.Code{
			federation.Invalid: codes.InvalidArgument, federation.Denied: codes.PermissionDenied,
			federation.Unavailable: codes.Unavailable, federation.Incomplete: codes.FailedPrecondition,
			federation.TooLarge: codes.ResourceExhausted,
		}[e.Kind]
		info := &errdetails.ErrorInfo{Reason: e.Reason, Domain: "entente.dev", Metadata: map[string]string{}}
		if e.Term != "" {
			info.Metadata["term"] = e.Term
		}
		message := e.Message
		if e.Line > 0 {
			info.Metadata["line"], info.Metadata["column"] = strconv.Itoa(e.Line), strconv.Itoa(e.Column)
			message = "filter, line " + strconv.Itoa(e.Line) + ", column " + strconv.Itoa(e.Column) + ": " + message
		}
		s := status.New(code, message)
		if detailed, err := s.WithDetails(protoadapt.MessageV1Of(info)); err == nil {
			s = detailed
		}
		return s.Err()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return status.FromContextError(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Internal, "the gateway failed; its operators find out more in its log")
}
