package trino

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
)

// retryAfter is how long to wait for a coordinator that answers with 502, 503 or 504, as the protocol asks.
const retryAfter = 75 * time.Millisecond

// run runs a statement and gives its rows, of columns that have these types, to row, until that is an error, which is given back
// as it is.
func (s *Source) run(ctx context.Context, q source.Query, sql string, args []any, types []string, row func([]any) error) error {
	text, err := executable(sql, args)
	if err != nil {
		return fault(q, err)
	}
	t := q.Dataset.Trino
	base := &url.URL{Scheme: "https", Host: net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))), Path: "/v1/statement"}
	request := httpclient.Request{URL: base.String(), Method: http.MethodPost, Body: []byte(text), Text: true, Header: s.header(q), MaxBytes: s.opts.PageBytes}
	running := "" // where the statement is cancelled; empty: it has ended
	defer func() {
		if running != "" {
			s.cancel(q, running)
		}
	}()
	typed := false
	for {
		p, err := s.page(ctx, q, request)
		if err != nil {
			return err
		}
		if running = ""; p.next != "" {
			if running, err = s.next(base, p.next); err != nil {
				return fault(q, err)
			}
		}
		if p.failure != nil {
			running = ""
			return explain(q, p.failure)
		}
		if p.columns != nil && !typed {
			if err := checkColumns(p.columns, types); err != nil {
				return fault(q, err)
			}
			typed = true
		}
		for _, r := range p.rows {
			if !typed || len(r) != len(types) {
				return fault(q, errShape)
			}
			if err := row(r); err != nil {
				return err
			}
		}
		if running == "" {
			if !typed {
				return fault(q, errShape)
			}
			return nil
		}
		request = httpclient.Request{URL: running, Method: http.MethodGet, Header: s.header(q), MaxBytes: s.opts.PageBytes}
	}
}

// page asks for one page, again while the coordinator is busy.
func (s *Source) page(ctx context.Context, q source.Query, r httpclient.Request) (*page, error) {
	for {
		a, err := s.opts.Pool.Do(ctx, q.Agreement, q.Dataset.Name, q.Dataset.Trino.HTTPAccess, r)
		if errors.Is(err, httpclient.ErrBusy) {
			select {
			case <-time.After(retryAfter):
				continue
			case <-ctx.Done():
			}
		}
		if e := ctx.Err(); e != nil {
			if errors.Is(e, context.DeadlineExceeded) {
				return nil, fmt.Errorf("%w: dataset %s: Trino did not answer in time: %w", source.ErrUnavailable, q.Dataset.Name, e)
			}
			return nil, e
		}
		if err != nil {
			return nil, fault(q, err)
		}
		p, err := readPage(a.Body)
		if err != nil {
			return nil, fault(q, err)
		}
		return p, nil
	}
}

// next is where the next page is: at the same coordinator, since the secret goes with the request.
func (s *Source) next(base *url.URL, next string) (string, error) {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != base.Scheme || u.Host != base.Host && u.Host+":443" != base.Host || u.User != nil || !strings.HasPrefix(u.Path, base.Path+"/") {
		return "", errors.New("it names another place for its next page, which is not followed: let the coordinator know its own address (http-server.process-forwarded)")
	}
	values := u.Query()
	values.Set("targetResultSize", strconv.FormatInt(s.opts.PageBytes/4, 10)+"B")
	u.RawQuery = values.Encode()
	u.Fragment = ""
	return u.String(), nil
}

// page is what counts of one answer.
type page struct {
	next    string
	columns []string // their types
	rows    [][]any
	failure *failure
}

// failure is Trino's error without its words, which quote values.
type failure struct{ name, kind string }

var (
	errAnswer = errors.New("its answer is not one of Trino's protocol")
	errShape  = errors.New("it gives other columns than were asked for")
)

// readPage reads an answer. Members that it does not know are of no concern: the protocol grows.
func readPage(body []byte) (*page, error) {
	parsed, err := httpclient.Parse(body)
	if err != nil {
		return nil, err
	}
	top, ok := parsed.(map[string]any)
	if !ok {
		return nil, errAnswer
	}
	if id, _ := top["id"].(string); id == "" {
		return nil, errAnswer
	}
	p := &page{}
	if next := top["nextUri"]; next != nil {
		if p.next, ok = next.(string); !ok || p.next == "" {
			return nil, errAnswer
		}
	}
	if e := top["error"]; e != nil {
		members, ok := e.(map[string]any)
		if !ok {
			return nil, errAnswer
		}
		p.failure = &failure{}
		p.failure.name, _ = members["errorName"].(string)
		p.failure.kind, _ = members["errorType"].(string)
	}
	if c := top["columns"]; c != nil {
		list, ok := c.([]any)
		if !ok {
			return nil, errAnswer
		}
		p.columns = make([]string, len(list))
		for i, c := range list {
			column, _ := c.(map[string]any)
			if p.columns[i], _ = column["type"].(string); p.columns[i] == "" {
				return nil, errAnswer
			}
		}
	}
	if d := top["data"]; d != nil {
		list, ok := d.([]any)
		if !ok {
			return nil, errAnswer // the spooling protocol, which was not asked for
		}
		p.rows = make([][]any, len(list))
		for i, r := range list {
			if p.rows[i], ok = r.([]any); !ok {
				return nil, errAnswer
			}
		}
	}
	return p, nil
}

func checkColumns(have, want []string) error {
	if len(have) != len(want) {
		return errShape
	}
	for i := range want {
		if have[i] != want[i] {
			return errShape
		}
	}
	return nil
}

// executable writes a statement with its arguments: EXECUTE IMMEDIATE, since Trino 418, in the body, where nothing bounds its length.
// The protocol has no other way of binding than literals, so they are written here, each by its type.
func executable(sql string, args []any) (string, error) {
	if len(args) == 0 {
		return sql, nil
	}
	var b strings.Builder
	b.WriteString("EXECUTE IMMEDIATE " + text(sql) + " USING ")
	for i, a := range args {
		if i > 0 {
			b.WriteString(", ")
		}
		switch a := a.(type) {
		case int64:
			b.WriteString("BIGINT '" + strconv.FormatInt(a, 10) + "'")
		case string:
			b.WriteString(text(a))
		case bool:
			b.WriteString(strings.ToUpper(strconv.FormatBool(a)))
		case filter.TrinoLiteral:
			if strings.Trim(a.Text, "0123456789-.: UTC") != "" {
				return "", errors.New("a literal is not of its type")
			}
			b.WriteString(a.Type + " '" + a.Text + "'")
		default:
			return "", errors.New("a value is of a type that Trino is not sent")
		}
	}
	return b.String(), nil
}

// text is a string literal: in Trino's, nothing but the quote has a meaning.
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// whole reads a JSON number without a fraction.
func whole(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(n.String(), 10, 64)
	return i, err == nil
}
