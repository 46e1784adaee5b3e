package httpjson

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source/httpclient"
)

// builder puts the values of a request where they belong.
type builder struct {
	url   string
	query url.Values
	body  map[string]any // nil: none
	err   error
}

func newBuilder(api *route.HTTP) (*builder, error) {
	b := &builder{url: api.URL, query: url.Values{}}
	for _, c := range api.Constants {
		b.query.Add(c.Name, c.Value)
	}
	if api.Method == "POST" {
		b.body = map[string]any{}
		if len(api.Body) > 0 {
			v, err := httpclient.Parse(api.Body)
			o, ok := v.(map[string]any)
			if err != nil || !ok {
				return nil, errors.New("the body that it starts from is no JSON object")
			}
			b.body = o
		}
	}
	return b, nil
}

// put puts values of a field of the type at the place: one, or a list.
func (b *builder) put(place route.HTTPPlace, kind, join string, list bool, values ...string) {
	switch place.In {
	case "path":
		b.url = strings.ReplaceAll(b.url, "{"+place.Name+"}", url.PathEscape(values[0]))
	case "query":
		if list && join == "comma" {
			values = []string{strings.Join(values, ",")}
		}
		for _, v := range values {
			b.query.Add(place.Name, v)
		}
	case "body":
		var v any
		if list {
			all := make([]any, len(values))
			for i := range values {
				all[i] = inBody(place, kind, values[i])
			}
			v = all
		} else {
			v = inBody(place, kind, values[0])
		}
		b.member(route.PointerPath(place.Name), v)
	default:
		b.err = errors.New("a parameter is neither in the path nor the query nor the body")
	}
}

// inBody writes a value as JSON has it.
func inBody(place route.HTTPPlace, kind, value string) any {
	switch {
	case place.Text:
		return value
	case kind == "int" || kind == "decimal":
		return json.Number(value)
	case kind == "bool":
		return value == "true"
	}
	return value
}

// member sets a member of the body, and makes the objects that it is in.
func (b *builder) member(path []string, v any) {
	if b.body == nil || len(path) == 0 {
		b.err = errors.New("there is no body for a parameter")
		return
	}
	o := b.body
	for _, name := range path[:len(path)-1] {
		switch next := o[name].(type) {
		case nil:
			made := map[string]any{}
			o[name], o = made, made
		case map[string]any:
			o = next
		default:
			b.err = errors.New("the body that it starts from has no object where a parameter belongs")
			return
		}
	}
	o[path[len(path)-1]] = v
}

// done gives the request's URL and body.
func (b *builder) done() (string, []byte, error) {
	if b.err != nil {
		return "", nil, b.err
	}
	if strings.ContainsAny(b.url, "{}") {
		return "", nil, errors.New("a parameter of the path has no value")
	}
	to := b.url
	if len(b.query) > 0 {
		to += "?" + b.query.Encode()
	}
	if b.body == nil {
		return to, nil, nil
	}
	body, err := json.Marshal(b.body)
	return to, body, err
}
