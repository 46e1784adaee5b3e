package httpclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/entente-dev/entente/gateway/internal/jsontext"
)

// maxDepth of JSON that is read.
const maxDepth = 32

// Errors of Parse. They quote nothing.
var (
	errJSON      = errors.New("its answer is no JSON")
	errDepth     = errors.New("its answer is nested deeper than 32 levels")
	errDuplicate = errors.New("its answer has a member twice in one object, so that nobody knows which counts")
	errText      = errors.New("its answer has text that is no valid UTF-8, or half a surrogate pair")
)

// Parse reads one JSON value strictly: objects become map[string]any, arrays []any, numbers json.Number. A member that stands twice,
// broken text, what follows the value, and deep nesting are errors: other readers would make something else of them.
func Parse(text []byte) (any, error) {
	if !utf8.Valid(text) || jsontext.HalfSurrogate(text) {
		return nil, errText
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errJSON
	}
	return v, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, errJSON
	}
	if depth >= maxDepth {
		return nil, errDepth
	}
	switch t {
	case json.Delim('{'):
		out := map[string]any{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, errJSON
			}
			if _, twice := out[name.(string)]; twice {
				return nil, errDuplicate
			}
			if out[name.(string)], err = value(d, depth+1); err != nil {
				return nil, err
			}
		}
		if _, err := d.Token(); err != nil {
			return nil, errJSON
		}
		return out, nil
	case json.Delim('['):
		out := []any{}
		for d.More() {
			v, err := value(d, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		if _, err := d.Token(); err != nil {
			return nil, errJSON
		}
		return out, nil
	}
	if _, delim := t.(json.Delim); delim {
		return nil, errJSON
	}
	return t, nil
}
