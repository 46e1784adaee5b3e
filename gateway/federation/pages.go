package federation

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/page"
)

const (
	// maxPage is the most records of a page.
	maxPage = 10_000
	// maxToken bounds a page token; a request has to have room for it.
	maxToken = 768 << 10
	// maxUnpacked bounds what is in a token; only this agency's gateways make them.
	maxUnpacked = 16 << 20
)

// pages is where an answer in pages stands. Between pages the gateway keeps nothing: what it has to know is in the token, encrypted and
// authenticated for this agency's gateways, and bound to the user and to the query.
type pages struct {
	size  int64
	token token
	first bool
	// each is a source's share of the page.
	each int64
}

// token is what the next page has to know.
type token struct {
	// At is when the page before was given, in seconds since 1970.
	At int64 `json:"at"`
	// Sources that have more, and those that failed.
	Sources []tokenSource `json:"sources"`
}

// tokenSource is one source in a token.
type tokenSource struct {
	Agency    string `json:"agency"`
	Agreement string `json:"agreement,omitempty"`
	Version   int64  `json:"version,omitempty"`
	Digest    string `json:"digest,omitempty"`
	Clause    string `json:"clause,omitempty"`
	// After is where the page begins, an After; empty: with the first record.
	After []byte `json:"after,omitempty"`
	// Outcome of a source that failed on an earlier page; 0: it is asked.
	Outcome gatewayv1.Outcome `json:"outcome,omitempty"`
}

// openPage takes the page token of the request.
func (q *query) openPage(ctx context.Context) *Error {
	if q.req.GetPageSize() == 0 {
		return nil
	}
	if q.core.PageKeys == nil {
		return &Error{Kind: Unavailable, Reason: ReasonPageKey, Message: "this gateway has no keys for page tokens"}
	}
	q.pages = &pages{size: q.req.GetPageSize(), first: q.req.GetPageToken() == ""}
	if q.pages.first {
		return nil
	}
	bad := &Error{Kind: Invalid, Reason: "page-token", Member: "pageToken", Message: "the page token is not one that was given to you for this query: ask from the first page"}
	if len(q.req.GetPageToken()) > maxToken {
		return bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(q.req.GetPageToken())
	if err != nil || len(raw) < 2 {
		return bad
	}
	wrapped := int(raw[0])<<8 | int(raw[1])
	if raw = raw[2:]; len(raw) < wrapped {
		return bad
	}
	key, err := q.core.PageKeys.Open(ctx, raw[:wrapped])
	switch {
	case errors.Is(err, page.ErrForged):
		return bad
	case err != nil:
		q.core.Logger.Warn("a page token cannot be read", "error", err)
		return &Error{Kind: Unavailable, Reason: ReasonPageKey, Message: "the gateway cannot read page tokens now: try again later"}
	}
	packed, err := key.Unseal(raw[wrapped:], q.bound())
	if err != nil {
		return bad
	}
	if err := json.NewDecoder(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxUnpacked)).Decode(&q.pages.token); err != nil {
		return bad
	}
	if age := q.started.Sub(time.Unix(q.pages.token.At, 0)); age > page.Life {
		return &Error{Kind: Invalid, Reason: "page-token", Member: "pageToken", Message: fmt.Sprintf("the page token is older than %s: ask from the first page", page.Life)}
	}
	return nil
}

// bound is what a token is for: one user, and one query whatever the size of its pages.
func (q *query) bound() []byte {
	req := proto.CloneOf(q.req)
	req.PageSize, req.PageToken = 0, ""
	h := sha256.New()
	for _, s := range []string{"entente.dev/v1 page token", q.user.Authority, q.user.Name} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	h.Write(b)
	return h.Sum(nil)
}

// agencies to ask for a page after the first; nil: the query says whom.
func (p *pages) agencies() []string {
	if p == nil || p.first {
		return nil
	}
	out := []string{}
	for _, s := range p.token.Sources {
		if s.Outcome == 0 {
			out = append(out, s.Agency)
		}
	}
	return out
}

// share finds what each source is asked for, and that each is asked under the permission under which the page before was.
func (p *pages) share(m *merge) *Error {
	if p == nil {
		return nil
	}
	n := int64(len(m.lanes))
	if n > p.size {
		return &Error{Kind: Invalid, Reason: "request", Member: "pageSize", Message: fmt.Sprintf("page_size is %d, and %d agencies are asked: make it at least as large", p.size, n)}
	}
	p.each = (p.size + n - 1) / max(n, 1)
	for _, l := range m.lanes {
		t := p.of(l.ch)
		v := l.ch.plan.Version
		if t != nil && (t.Agreement != l.ch.agreement || t.Clause != l.ch.clause || t.Version != v.Version || t.Digest != v.Digest) {
			return &Error{Kind: Invalid, Reason: "page-token", Member: "pageToken", Message: fmt.Sprintf("%s is asked under another agreement than on the page before: ask from the first page", l.ch.agency)}
		}
	}
	return nil
}

func (p *pages) of(ch *choice) *tokenSource {
	if i := slices.IndexFunc(p.token.Sources, func(s tokenSource) bool { return s.Agency == ch.agency }); i >= 0 {
		return &p.token.Sources[i]
	}
	return nil
}

// after is where the source's page begins; nil: the query has no pages.
func (p *pages) after(ch *choice) *gatewayv1.After {
	if p == nil {
		return nil
	}
	a := &gatewayv1.After{}
	if t := p.of(ch); t != nil {
		_ = proto.Unmarshal(t.After, a) // it is authenticated
	}
	a.Size = p.each
	return a
}

// earlier are the statuses of sources that failed on an earlier page.
func (p *pages) earlier() (out []*gatewayv1.SourceStatus) {
	if p == nil {
		return nil
	}
	for _, s := range p.token.Sources {
		if s.Outcome != 0 {
			out = append(out, &gatewayv1.SourceStatus{
				Agency: s.Agency, Agreement: s.Agreement, Clause: s.Clause, Outcome: s.Outcome, Reason: ReasonEarlierPage,
				Message: "it did not answer in full on an earlier page, and is left out since: ask that page again, or from the first one", RefusedLocally: true,
			})
		}
	}
	return out
}

// nextPage makes the token of the next page; "": there is none.
func (q *query) nextPage(ctx context.Context, choices []*choice, statuses []*gatewayv1.SourceStatus) (string, error) {
	t := token{At: q.started.Unix()}
	more := false
	for i, ch := range choices {
		s := tokenSource{Agency: ch.agency, Agreement: ch.agreement, Clause: ch.clause}
		if ch.plan != nil {
			s.Version, s.Digest = ch.plan.Version.Version, ch.plan.Version.Digest
		}
		l := q.merge.laneOf(ch)
		switch o := statuses[i].GetOutcome(); {
		case l != nil && !l.lapsed && (l.more || l.told < l.sent):
			after := q.pages.after(ch)
			if l.toldAt != nil {
				after = l.toldAt.after(ch)
			}
			s.After, _ = proto.Marshal(after)
			more = true
		case o == gatewayv1.Outcome_OUTCOME_OK:
			continue // it has no more
		default:
			s.Outcome = o
		}
		t.Sources = append(t.Sources, s)
	}
	for _, s := range q.pages.token.Sources {
		if s.Outcome != 0 {
			t.Sources = append(t.Sources, s)
		}
	}
	if !more {
		return "", nil
	}
	return q.seal(ctx, &t)
}

func (p *place) after(ch *choice) *gatewayv1.After {
	return &gatewayv1.After{
		DisclosureId: ch.disclosure, Dataset: p.batch.GetProvenance().GetDataset(), Values: p.values, Position: p.position, PositionKey: p.batch.GetPositionKey(),
	}
}

func (q *query) seal(ctx context.Context, t *token) (string, error) {
	key, err := q.core.PageKeys.Current(ctx)
	if err != nil {
		q.core.Logger.Warn("a page token cannot be made", "error", err)
		return "", &Error{Kind: Unavailable, Reason: ReasonPageKey, Message: "the gateway cannot make page tokens now: try again later"}
	}
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestSpeed)
	if err := errors.Join(json.NewEncoder(w).Encode(t), w.Close()); err != nil {
		return "", err
	}
	sealed, err := key.Seal(packed.Bytes(), q.bound())
	if err != nil {
		return "", err
	}
	raw := append([]byte{byte(len(key.Wrapped) >> 8), byte(len(key.Wrapped))}, key.Wrapped...)
	out := base64.RawURLEncoding.EncodeToString(append(raw, sealed...))
	if len(out) > maxToken {
		return "", &Error{Kind: TooLarge, Reason: ReasonTooLarge, Message: fmt.Sprintf("the next page's token would be larger than %d KiB: ask fewer agencies, or for fewer fields", maxToken>>10)}
	}
	return out, nil
}
