package exchange

import (
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// Reason says in a word why a message was refused. It travels as the reason of a google.rpc.ErrorInfo.
type Reason string

// The reasons for which messages about agreements are refused.
const (
	// NotOperator: only a peer's operator may call it.
	NotOperator Reason = "NOT_OPERATOR"
	// RateLimited: too many messages of this peer. Later it is taken.
	RateLimited Reason = "RATE_LIMITED"
	// UnsupportedFormat: a format that this release does not know.
	UnsupportedFormat Reason = "UNSUPPORTED_FORMAT"
	// UnknownMember: a member of the message or of the terms that this release does not know.
	UnknownMember Reason = "UNKNOWN_MEMBER"
	// TooLarge: more bytes than a message may have.
	TooLarge Reason = "TOO_LARGE"
	// Malformed: not what it should be, or terms that cannot be kept.
	Malformed Reason = "MALFORMED"
	// DigestMismatch: the terms, or those that are known here, have another digest.
	DigestMismatch Reason = "DIGEST_MISMATCH"
	// NotAParty: the sender or the receiver is not among the parties, with its own trust domain.
	NotAParty Reason = "NOT_A_PARTY"
	// WrongAgency: the sender speaks for another agency.
	WrongAgency Reason = "WRONG_AGENCY"
	// BadSignature: the statement does not verify with the keys that the sender's Agency publishes here.
	BadSignature Reason = "BAD_SIGNATURE"
	// Downgrade: a version before one that is in force or was.
	Downgrade Reason = "DOWNGRADE"
	// OtherTerms: there are other terms under this name here.
	OtherTerms Reason = "OTHER_TERMS"
	// Over: the terms' window is over.
	Over Reason = "OVER"
	// TooManyProposals: the sender's proposals wait for decisions here, as many as may.
	TooManyProposals Reason = "TOO_MANY_PROPOSALS"
	// UnknownAgreement: there is no such agreement here to which the sender is a party.
	UnknownAgreement Reason = "UNKNOWN_AGREEMENT"
	// Stale: a later statement of the sender is known.
	Stale Reason = "STALE"
	// Final: the sender has terminated the agreement.
	Final Reason = "FINAL"
	// ClockSkew: the statement is dated in the future, by more than clocks may differ.
	ClockSkew Reason = "CLOCK_SKEW"
	// UnknownDuty: an attestation of what the sender does not owe.
	UnknownDuty Reason = "UNKNOWN_DUTY"
	// Busy: it cannot be kept now. Later it is taken.
	Busy Reason = "BUSY"
)

var statusCodes = map[Reason]codes.Code{
	NotOperator: codes.PermissionDenied, RateLimited: codes.ResourceExhausted, UnsupportedFormat: codes.InvalidArgument,
	UnknownMember: codes.InvalidArgument, TooLarge: codes.InvalidArgument, Malformed: codes.InvalidArgument,
	DigestMismatch: codes.InvalidArgument, NotAParty: codes.PermissionDenied, WrongAgency: codes.PermissionDenied,
	BadSignature: codes.PermissionDenied, Downgrade: codes.FailedPrecondition, OtherTerms: codes.FailedPrecondition,
	Over: codes.FailedPrecondition, TooManyProposals: codes.ResourceExhausted, UnknownAgreement: codes.NotFound,
	Stale: codes.FailedPrecondition, Final: codes.FailedPrecondition, ClockSkew: codes.FailedPrecondition, UnknownDuty: codes.InvalidArgument,
	Busy: codes.Unavailable,
}

// Refusal is why a message was not taken. Its message is for the people of both agencies.
type Refusal struct {
	Reason  Reason
	Message string
}

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{reason, fmt.Sprintf(format, args...)}
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Reason, r.Message) }

// GRPCStatus is the refusal as it travels.
func (r *Refusal) GRPCStatus() *status.Status {
	s := status.New(statusCodes[r.Reason], clip(r.Message))
	detailed, err := s.WithDetails(protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: string(r.Reason), Domain: domain}))
	if err != nil {
		return s
	}
	return detailed
}

const domain = "entente.dev"

// maxRefusal bounds what a refusal says: some of it is the peer's own text.
const maxRefusal = 1000

func clip(s string) string {
	if len(s) <= maxRefusal {
		return s
	}
	return s[:maxRefusal] + "…"
}

// ReasonOf is the reason that a peer gave; empty when it gave none.
func ReasonOf(err error) Reason {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == domain {
			return Reason(info.GetReason())
		}
	}
	return ""
}
