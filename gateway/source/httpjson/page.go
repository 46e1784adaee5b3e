package httpjson

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
)

// maxPage asks for pages as large as the dataset says.
const maxPage = 1 << 30

// maxCursor bounds what an API may have repeated to it.
const maxCursor = 4096

// pager asks for one page after another.
type pager struct {
	r    *reading
	size int64 // of a page; 0: without paging
	// requests made, and items that came.
	requests, items int64
	// cursor of the next page: a word, or the URL that a Link header had.
	cursor string
	// total number of records, as the API says; -1: it does not.
	total int64
}

func newPager(r *reading, size int64) *pager {
	p := &pager{r: r, total: -1}
	if r.api.Paging != nil {
		p.size = min(size, int64(r.api.Paging.Size))
		if r.api.Paging.SizePlace == nil {
			p.size = int64(r.api.Paging.Size)
		}
	}
	return p
}

// next gives the items of the next page, and whether it is the last.
func (p *pager) next(ctx context.Context) (items []any, done bool, err error) {
	api := p.r.api
	if p.requests >= int64(api.Requests) {
		return nil, false, fmt.Errorf("%w: the API needs more than %d requests for this query: narrow the filter, or raise limits.requests", source.ErrTooMany, api.Requests)
	}
	request, err := p.request()
	if err != nil {
		return nil, false, err
	}
	p.requests++
	answer, err := p.r.pool.Do(ctx, p.r.q.Agreement, p.r.q.Dataset.Name, api.HTTPAccess, request)
	if err != nil {
		return nil, false, fmt.Errorf("its API: %w", err)
	}
	if answer.NotFound {
		p.total = max(p.total, 0)
		return nil, true, nil
	}
	body, err := httpclient.Parse(answer.Body)
	if err != nil {
		return nil, false, fmt.Errorf("its API: %w", err)
	}
	found, err := find(body, route.PointerPath(api.Items))
	items, ok := found.([]any)
	if err != nil || !ok {
		return nil, false, fmt.Errorf("its API: there is no array at %q of its answer", api.Items)
	}
	if api.Count != "" {
		if p.total, err = total(body, api.Count); err != nil {
			return nil, false, err
		}
	}
	p.items += int64(len(items))
	if api.Paging == nil {
		return items, true, nil
	}
	if int64(len(items)) > p.size {
		return nil, false, fmt.Errorf("its API gives %d records on a page of at most %d", len(items), p.size)
	}
	done, err = p.last(body, answer, request.URL, len(items))
	return items, done, err
}

// last says whether there is no page after this one, and finds the way to it otherwise. That a page is not full says nothing: an API
// may give less than it is asked for.
func (p *pager) last(body any, answer *httpclient.Answer, asked string, items int) (bool, error) {
	paging := p.r.api.Paging
	switch paging.Style {
	case "Page", "Offset":
		return items == 0 || p.total >= 0 && p.items >= p.total, nil
	case "Cursor":
		v, err := find(body, route.PointerPath(paging.Next))
		if err != nil {
			return false, fmt.Errorf("its API: %w at %q", err, paging.Next)
		}
		var next string
		switch v := v.(type) {
		case nil:
			return true, nil
		case string:
			next = v
		case json.Number:
			next = v.String()
		default:
			return false, fmt.Errorf("its API: there is no cursor at %q of its answer", paging.Next)
		}
		return p.goOn(next)
	case "Link":
		next, err := nextLink(answer.Header, asked)
		if err != nil {
			return false, fmt.Errorf("its API: %w", err)
		}
		return p.goOn(next)
	}
	return false, errors.New("its paging is of a style that this gateway does not know")
}

// goOn takes the way to the next page; none: there is none.
func (p *pager) goOn(next string) (last bool, err error) {
	switch {
	case next == "":
		return true, nil
	case len(next) > maxCursor:
		return false, fmt.Errorf("its API: the cursor is longer than %d bytes", maxCursor)
	case next == p.cursor:
		return false, errors.New("its API: the next page is the same page again")
	}
	p.cursor = next
	return false, nil
}

func total(body any, pointer string) (int64, error) {
	v, err := find(body, route.PointerPath(pointer))
	if n, ok := v.(json.Number); err == nil && ok {
		if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil && i >= 0 {
			return i, nil
		}
	}
	return 0, fmt.Errorf("its API: there is no count at %q of its answer", pointer)
}

// request for the next page.
func (p *pager) request() (httpclient.Request, error) {
	api := p.r.api
	r := httpclient.Request{Method: api.Method, MaxBytes: api.AnswerBytes, EmptyOnNotFound: api.EmptyOnNotFound}
	b, err := newBuilder(api)
	if err != nil {
		return r, err
	}
	for _, s := range p.r.plan.Sent {
		kind := ""
		for i := range p.r.q.Schema.Fields {
			if p.r.q.Schema.Fields[i].Name == s.Field {
				kind = p.r.q.Schema.Fields[i].Type
			}
		}
		b.put(s.Place, kind, s.Join, s.Comparison == "In", s.Values...)
	}
	if paging := api.Paging; paging != nil {
		if paging.SizePlace != nil {
			b.put(*paging.SizePlace, "int", "", false, strconv.FormatInt(p.size, 10))
		}
		if place := paging.Place; place != nil {
			switch paging.Style {
			case "Page":
				b.put(*place, "int", "", false, strconv.FormatInt(int64(paging.First)+p.requests, 10))
			case "Offset":
				b.put(*place, "int", "", false, strconv.FormatInt(p.items, 10))
			case "Cursor":
				if p.cursor != "" {
					b.put(*place, "string", "", false, p.cursor)
				}
			}
		}
		if paging.Style == "Link" && p.cursor != "" {
			r.URL = p.cursor
			return r, nil
		}
	}
	r.URL, r.Body, err = b.done()
	return r, err
}

// nextLink finds the URL of the relation next (RFC 8288) in the answer's headers; "": there is none. It has to be the operation itself
// with another query: an answer does not send a gateway, and its secret, elsewhere.
func nextLink(header map[string][]string, asked string) (string, error) {
	from, err := url.Parse(asked)
	if err != nil {
		return "", errors.New("the request has no URL")
	}
	found := ""
	for _, line := range header["Link"] {
		for _, l := range links(line) {
			if !l.is("next") {
				continue
			}
			if found != "" {
				return "", errors.New("its answer has two next pages")
			}
			to, err := from.Parse(l.target)
			if err != nil || l.target == "" {
				return "", errors.New("the next page is no URL")
			}
			if to.Scheme != from.Scheme || to.Host != from.Host || to.EscapedPath() != from.EscapedPath() || to.User != nil {
				return "", errors.New("the next page is elsewhere, where this gateway does not follow")
			}
			to.Fragment, to.RawFragment = "", ""
			found = to.String()
		}
	}
	return found, nil
}
