package httpclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
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
	if !utf8.Valid(text) || halfSurrogate(text) {
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

// halfSurrogate says whether an escape stands for half a character, which the decoder would replace without a word.
func halfSurrogate(text []byte) bool {
	high := false // the last escape was the first half of a pair, and nothing stood since
	for i := 0; i < len(text); {
		if text[i] != '\\' || i+1 >= len(text) {
			if high {
				return true
			}
			i++
			continue
		}
		if text[i+1] != 'u' || i+6 > len(text) {
			if high {
				return true
			}
			i += 2
			continue
		}
		n := hex4(text[i+2 : i+6])
		switch {
		case n >= 0xdc00 && n <= 0xdfff:
			if !high {
				return true
			}
			high = false
		case high:
			return true
		case n >= 0xd800 && n <= 0xdbff:
			high = true
		}
		i += 6
	}
	return high
}

// hex4 reads four hexadecimal digits; -1: they are none, which the decoder will say.
func hex4(b []byte) int {
	n := 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | int(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | int(c-'A'+10)
		default:
			return -1
		}
	}
	return n
}
