package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/internal/jsontext"
	"github.com/entente-dev/entente/gateway/jsonform"
)

// Bounds of a request body, before anything of it is decided.
const (
	maxBody     = 1 << 20
	maxElements = 256
)

// decodeError says what is wrong with a body. It names members and repeats no values: a value may be personal data, and
// what is refused may end up in somebody's error log.
type decodeError struct{ message, member string }

func (e *decodeError) Error() string { return e.message }

// wrongf is about the body as a whole.
func wrongf(format string, args ...any) error {
	return &decodeError{message: fmt.Sprintf(format, args...)}
}

// wrongAt is about one member; the message says which.
func wrongAt(member, format string, args ...any) error {
	return &decodeError{fmt.Sprintf(format, args...), member}
}

// decodeQuery decodes a query strictly: a member that is unknown or stands twice is refused by name, because a restriction
// that is silently dropped is a permission that nobody gave. Members are written in lowerCamelCase or snake_case.
func decodeQuery(body []byte) (*gatewayv1.QueryRequest, error) {
	if err := characters(body); err != nil {
		return nil, err
	}
	q := &gatewayv1.QueryRequest{}
	d := newDecoder(body)
	return q, d.whole(d.query(q))
}

// decodeExplain decodes the request for an explanation: the members of a query, and in whose place to explain it.
func decodeExplain(body []byte) (*gatewayv1.ExplainRequest, error) {
	if err := characters(body); err != nil {
		return nil, err
	}
	e := &gatewayv1.ExplainRequest{Query: &gatewayv1.QueryRequest{}}
	d := newDecoder(body)
	return e, d.whole(d.explanation(e))
}

// explanation gives the members of a request for one.
func (d *decoder) explanation(e *gatewayv1.ExplainRequest) map[string]func(path string) error {
	members := d.query(e.Query)
	members["asRecipient"] = d.text(&e.AsRecipient)
	members["claims"] = func(path string) error {
		e.Claims = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		return d.claims(path, e.Claims.Fields)
	}
	return members
}

// characters refuses a body that is no text.
func characters(body []byte) error {
	switch {
	case !utf8.Valid(body):
		return wrongf("the body is not valid UTF-8")
	case jsontext.HalfSurrogate(body):
		// Package json would make another character of it: the query would ask for something else than was written.
		return wrongf("the body has half a surrogate pair (\\ud800 to \\udfff), which is no character")
	}
	return nil
}

func newDecoder(body []byte) *decoder {
	d := &decoder{json.NewDecoder(bytes.NewReader(body))}
	d.UseNumber()
	return d
}

// query gives the members of a query.
func (d *decoder) query(q *gatewayv1.QueryRequest) map[string]func(path string) error {
	return map[string]func(path string) error{
		"schema":      d.text(&q.Schema),
		"filter":      d.text(&q.Filter),
		"fields":      d.texts(&q.Fields),
		"granularity": d.granularity(&q.Granularity),
		"purpose":     d.text(&q.Purpose),
		"justification": func(path string) error {
			q.Justification = &gatewayv1.Justification{}
			return d.object(path, d.justification(q.Justification))
		},
		"agencies":   d.texts(&q.Agencies),
		"limit":      d.integer(&q.Limit),
		"requireAll": d.boolean(&q.RequireAll),
		"order": func(path string) error {
			return d.list(path, func(at string) error {
				o := &gatewayv1.OrderBy{}
				q.Order = append(q.Order, o)
				return d.object(at, d.orderBy(o))
			})
		},
		"pageSize":    d.integer(&q.PageSize),
		"pageToken":   d.text(&q.PageToken),
		"deduplicate": d.texts(&q.Deduplicate),
	}
}

func (d *decoder) justification(j *gatewayv1.Justification) map[string]func(path string) error {
	return map[string]func(string) error{
		"caseReference": d.text(&j.CaseReference),
		"subjectRole":   d.text(&j.SubjectRole),
		"aim":           d.text(&j.Aim),
		"jurisdiction":  d.text(&j.Jurisdiction),
	}
}

func (d *decoder) orderBy(o *gatewayv1.OrderBy) map[string]func(path string) error {
	return map[string]func(string) error{"field": d.text(&o.Field), "descending": d.boolean(&o.Descending)}
}

// whole decodes the body, which is one object and nothing after it.
func (d *decoder) whole(members map[string]func(path string) error) error {
	if err := d.object("", members); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return wrongf("the body goes on after the query")
	}
	return nil
}

// decodeList decodes the parameters of GET /v1/datasets, as strictly.
func decodeList(query string) (*gatewayv1.ListDatasetsRequest, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, wrongf("the parameters do not parse")
	}
	req := &gatewayv1.ListDatasetsRequest{}
	for written, v := range values {
		name := camel(written)
		if len(v) != 1 {
			return nil, wrongf("parameter %q stands twice", shorten(written))
		}
		switch name {
		case "schema":
			req.Schema = v[0]
		case "agencies":
			if req.Agencies = strings.Split(v[0], ","); len(req.Agencies) > maxElements {
				return nil, wrongf("agencies has more than %d elements", maxElements)
			}
		case "pageSize":
			n, err := strconv.ParseInt(v[0], 10, 32)
			if err != nil {
				return nil, wrongf("pageSize must be a whole number")
			}
			req.PageSize = int32(n)
		case "pageToken":
			req.PageToken = v[0]
		default:
			return nil, wrongf("unknown parameter %s", strconv.Quote(shorten(written)))
		}
	}
	return req, nil
}

type decoder struct{ *json.Decoder }

// token gives the next token. Errors of package json repeat the input's characters, so only the place is kept.
func (d *decoder) token() (json.Token, error) {
	t, err := d.Token()
	if err == nil {
		return t, nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return nil, wrongf("the body is not JSON: see byte %d", syntax.Offset)
	}
	return nil, wrongf("the body is not JSON: it ends early")
}

// object decodes an object; path is "" for the body itself.
func (d *decoder) object(path string, members map[string]func(path string) error) error {
	t, err := d.token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		if path == "" {
			return wrongf("the body must be a JSON object")
		}
		return wrongAt(path, "%s must be an object", path)
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.token()
		if err != nil {
			return err
		}
		written, _ := t.(string)
		name := camel(written)
		at := name
		if path != "" {
			at = path + "." + name
		}
		decode, ok := members[name]
		if !ok {
			if path != "" {
				written = path + "." + written
			}
			return wrongAt(shorten(written), "unknown member %s", strconv.Quote(shorten(written)))
		}
		if seen[name] {
			return wrongAt(at, "member %q stands twice", at)
		}
		seen[name] = true
		if err := decode(at); err != nil {
			return err
		}
	}
	_, err = d.token()
	return err
}

// camel turns snake_case into lowerCamelCase.
func camel(s string) string {
	parts := strings.Split(s, "_")
	for i := 1; i < len(parts); i++ {
		if parts[i] == "" || parts[i][0] < 'a' || parts[i][0] > 'z' {
			return s // no name of ours; it stays as written, and is refused as written
		}
		parts[i] = string(parts[i][0]-'a'+'A') + parts[i][1:]
	}
	return strings.Join(parts, "")
}

func shorten(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

func (d *decoder) text(to *string) func(string) error {
	return func(path string) error {
		t, err := d.token()
		if err != nil {
			return err
		}
		s, ok := t.(string)
		if !ok {
			return wrongAt(path, "%s must be a string", path)
		}
		*to = s
		return nil
	}
}

func (d *decoder) texts(to *[]string) func(string) error {
	return func(path string) error {
		t, err := d.token()
		if err != nil {
			return err
		}
		if t != json.Delim('[') {
			return wrongAt(path, "%s must be a list of strings", path)
		}
		for d.More() {
			if len(*to) == maxElements {
				return wrongAt(path, "%s has more than %d elements", path, maxElements)
			}
			var s string
			if err := d.text(&s)(fmt.Sprintf("%s[%d]", path, len(*to))); err != nil {
				return err
			}
			*to = append(*to, s)
		}
		_, err = d.token()
		return err
	}
}

// list decodes a list of objects.
func (d *decoder) list(path string, element func(path string) error) error {
	t, err := d.token()
	if err != nil {
		return err
	}
	if t != json.Delim('[') {
		return wrongAt(path, "%s must be a list of objects", path)
	}
	for n := 0; d.More(); n++ {
		if n == maxElements {
			return wrongAt(path, "%s has more than %d elements", path, maxElements)
		}
		if err := element(fmt.Sprintf("%s[%d]", path, n)); err != nil {
			return err
		}
	}
	_, err = d.token()
	return err
}

// integer takes a number, or as protobuf's JSON mapping writes 64-bit integers, a string.
func (d *decoder) integer(to *int64) func(string) error {
	return func(path string) error {
		t, err := d.token()
		if err != nil {
			return err
		}
		s, ok := t.(string)
		if n, isNumber := t.(json.Number); isNumber {
			s, ok = n.String(), true
		}
		v, err := strconv.ParseInt(s, 10, 64)
		if !ok || err != nil {
			return wrongAt(path, "%s must be a whole number of at most %d", path, int64(math.MaxInt64))
		}
		*to = v
		return nil
	}
}

func (d *decoder) boolean(to *bool) func(string) error {
	return func(path string) error {
		t, err := d.token()
		if err != nil {
			return err
		}
		b, ok := t.(bool)
		if !ok {
			return wrongAt(path, "%s must be true or false", path)
		}
		*to = b
		return nil
	}
}

func (d *decoder) granularity(to *gatewayv1.Granularity) func(string) error {
	return func(path string) error {
		var s string
		if err := d.text(&s)(path); err != nil {
			return err
		}
		g, ok := jsonform.ParseGranularity(s)
		if !ok {
			return wrongAt(path, "%s must be Existence, Count or Records", path)
		}
		*to = g
		return nil
	}
}

// claims decodes an object of a user's claims: true or false, numbers, texts, and lists of such.
func (d *decoder) claims(path string, into map[string]*structpb.Value) error {
	t, err := d.token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return wrongAt(path, "%s must be an object", path)
	}
	for d.More() {
		if t, err = d.token(); err != nil {
			return err
		}
		name, _ := t.(string)
		if _, twice := into[name]; twice {
			return wrongAt(path, "a member of %s stands twice", path)
		}
		if len(into) == maxElements {
			return wrongAt(path, "%s has more than %d members", path, maxElements)
		}
		if into[name], err = d.claim(path, true); err != nil {
			return err
		}
	}
	_, err = d.token()
	return err
}

func (d *decoder) claim(path string, list bool) (*structpb.Value, error) {
	t, err := d.token()
	if err != nil {
		return nil, err
	}
	switch v := t.(type) {
	case string:
		return structpb.NewStringValue(v), nil
	case bool:
		return structpb.NewBoolValue(v), nil
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return structpb.NewNumberValue(f), nil
		}
	case json.Delim:
		if v != '[' || !list {
			break
		}
		values := &structpb.ListValue{}
		for d.More() {
			if len(values.Values) == maxElements {
				return nil, wrongAt(path, "a list in %s has more than %d elements", path, maxElements)
			}
			one, err := d.claim(path, false)
			if err != nil {
				return nil, err
			}
			values.Values = append(values.Values, one)
		}
		_, err := d.token()
		return structpb.NewListValue(values), err
	}
	return nil, wrongAt(path, "%s: claims are true or false, numbers, texts, and lists of such", path)
}
