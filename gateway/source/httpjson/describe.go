package httpjson

import (
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
)

var _ source.Describer = (*Source)(nil)

// Describe implements source.Describer: the first request of the method, with its path as the document has it and a question mark for every
// value, those that the dataset itself gives included.
func (s *Source) Describe(q source.Query, m source.Method) (source.Statement, error) {
	var fields []string
	if m == source.MethodRecords {
		fields = q.Fields
	}
	r, err := s.start(q, fields)
	if err != nil {
		return source.Statement{}, err
	}
	if r.plan.Nothing {
		return source.Statement{System: "http", Text: "nothing is asked: the filters exclude each other"}, nil
	}
	request, err := newPager(r, 1).request()
	if err != nil {
		return source.Statement{}, r.fault(err)
	}
	text, err := requestShape(r.api.Method, r.api.URL, request)
	if err != nil {
		return source.Statement{}, r.fault(err)
	}
	if m == source.MethodRecords && len(q.Order) > 0 {
		text += " (all records that match, sorted by the gateway)"
	}
	return source.Statement{System: "http", Text: text}, nil
}

// requestShape writes a request without its values; template is its URL with the parameters of the path by their names.
func requestShape(method, template string, request httpclient.Request) (string, error) {
	sent, err := url.Parse(request.URL)
	if err != nil {
		return "", errors.New("the request has no URL") // the error would quote it
	}
	_, path, _ := strings.Cut(template, "://")
	_, path, _ = strings.Cut(path, "/")
	text := method + " /" + path
	for i, name := range slices.Sorted(maps.Keys(sent.Query())) {
		text += string("?&"[min(i, 1)]) + name + "=?"
	}
	if len(request.Body) == 0 {
		return text, nil
	}
	body, err := httpclient.Parse(request.Body)
	if err != nil {
		return "", err
	}
	shape, err := json.Marshal(withoutValues(body))
	return text + " " + string(shape), err
}

// withoutValues is JSON with a question mark for each value, and one for all of an array's.
func withoutValues(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = withoutValues(v[name])
		}
		return v
	case []any:
		if len(v) > 0 {
			return []any{withoutValues(v[0])}
		}
		return v
	}
	return "?"
}
