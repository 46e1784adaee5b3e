package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/federation"
	"github.com/entente-dev/entente/gateway/jsonform"
)

// problem is an error body of RFC 9457. Type is stable and names the reason; Detail says what is wrong and what to do.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Reason string `json:"reason"`
	// Errors are what to mend, each with its place in the request.
	Errors   []mistake               `json:"errors,omitempty"`
	Term     string                  `json:"term,omitempty"`
	Position *position               `json:"position,omitempty"`
	Sources  []jsonform.SourceStatus `json:"sources,omitempty"`
	Summary  *jsonform.QuerySummary  `json:"summary,omitempty"`

	// retryAfter is when to ask again, if that alone may help; 0: it does not.
	retryAfter time.Duration
}

// mistake is one thing to mend.
type mistake struct {
	// Pointer to the member of the request body (RFC 6901, as a URI fragment).
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
	// Agency that refuses, and the check by which; of a refusal by one agency of several.
	Agency string `json:"agency,omitempty"`
	Reason string `json:"reason,omitempty"`
}

type position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// typeOf is the URI of a kind of problem; docs/reference/errors.md lists them.
func typeOf(reason string) string { return "https://entente.dev/problems/" + reason }

func newProblem(code int, reason, detail string) *problem {
	return &problem{Type: typeOf(reason), Title: http.StatusText(code), Status: code, Reason: reason, Detail: detail}
}

// at adds where to mend it.
func (p *problem) at(member string) *problem {
	if member != "" {
		p.Errors = append(p.Errors, mistake{Pointer: pointer(member), Detail: p.Detail})
	}
	return p
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer makes a JSON pointer of a path: #/fields/2 of fields[2]. Characters that a fragment has not are percent-encoded.
func pointer(member string) string {
	path := strings.NewReplacer("[", ".", "]", "").Replace(member)
	segments := strings.Split(path, ".")
	for i := range segments {
		segments[i] = url.PathEscape(pointerEscapes.Replace(segments[i]))
	}
	return "#/" + strings.Join(segments, "/")
}

// Times after which it may help to ask again.
const (
	retryUnavailable = time.Second
	retryIdentity    = oidcRetry
)

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="entente"`)
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((p.retryAfter+time.Second-1)/time.Second), 10))
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
//	    every source refused              429 the day's quotas are used up 504 the deadline passed
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
		p := newProblem(http.StatusServiceUnavailable, "IdentityProvider", err.Error())
		p.retryAfter = retryIdentity
		return p
	case errors.As(err, &wrong):
		return newProblem(http.StatusBadRequest, "request", wrong.message).at(wrong.member)
	case errors.As(err, &large):
		return newProblem(http.StatusRequestEntityTooLarge, "request", "the body is larger than 1 MiB")
	case errors.As(err, &e):
		code := map[federation.Kind]int{
			federation.Invalid: http.StatusBadRequest, federation.Denied: http.StatusForbidden,
			federation.Unavailable: http.StatusServiceUnavailable, federation.Incomplete: http.StatusServiceUnavailable,
			federation.TooLarge: http.StatusUnprocessableEntity,
		}[e.Kind]
		p := newProblem(code, e.Reason, e.Message).at(e.Member)
		p.Term = e.Term
		if e.Line > 0 {
			p.Position = &position{e.Line, e.Column}
		}
		if code == http.StatusServiceUnavailable {
			p.retryAfter = retryUnavailable
		}
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return newProblem(http.StatusGatewayTimeout, "Deadline", "the query was not answered in time")
	}
	return newProblem(http.StatusInternalServerError, "Internal", "the gateway failed; its operators find out more in its log")
}

// refusedBy makes a problem of sources that refused: 403, or 429 when nothing but the day's quotas is in the way. Errors says where in
// the request each refusal can be mended, if anywhere.
func (p *problem) refusedBy(sources []jsonform.SourceStatus, now time.Time) {
	p.Status = http.StatusForbidden
	if !slices.ContainsFunc(sources, func(s jsonform.SourceStatus) bool { return denied(s) && s.Reason != quotaCheck }) {
		p.Status, p.retryAfter = http.StatusTooManyRequests, untilTomorrow(now)
	}
	p.Title = http.StatusText(p.Status)
	for _, s := range sources {
		if member := enforce.MemberOf(s.Reason); denied(s) && member != "" {
			p.Errors = append(p.Errors, mistake{Pointer: pointer(member), Detail: s.Message, Agency: s.Agency, Reason: s.Reason})
		}
	}
}

// quotaCheck is the check that counts by the day.
const quotaCheck = "quota"

// untilTomorrow is the time until daily quotas begin anew.
func untilTomorrow(now time.Time) time.Duration {
	day := now.UTC().Truncate(24 * time.Hour)
	return day.Add(24 * time.Hour).Sub(now)
}
