package disclosure

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/secret"
	"github.com/entente-dev/entente/gateway/source"
)

// Subjects turns the identifier of a person into the token by which the log finds what was disclosed about that person,
// and by which nobody without the key can tell who it is.
type Subjects struct {
	key []byte
	// macs are keyed already.
	macs sync.Pool
}

func newSubjects(key []byte) *Subjects {
	return &Subjects{key: key, macs: sync.Pool{New: func() any { return &mac{h: hmac.New(sha256.New, key)} }}}
}

type mac struct {
	h   hash.Hash
	buf []byte
}

// OpenSubjects reads the key in the folder, or makes one.
func OpenSubjects(dir string) (*Subjects, error) {
	key, err := secret.LoadOrCreate(filepath.Join(dir, "subject.key"))
	if err != nil {
		return nil, err
	}
	return newSubjects(key), nil
}

// Token gives the token of the person whose field of the schema has the value: 128 bits, base64url.
func (s *Subjects) Token(schema, field, value string) string {
	m := s.macs.Get().(*mac)
	defer s.macs.Put(m)
	m.h.Reset()
	m.buf = m.buf[:0]
	for _, part := range [...]string{"entente.dev/v1 subject", schema, field} {
		m.buf = append(append(m.buf, part...), 0)
	}
	m.buf = append(m.buf, value...)
	m.h.Write(m.buf)
	m.buf = m.h.Sum(m.buf[:0])
	return base64.RawURLEncoding.EncodeToString(m.buf[:16])
}

// tokens makes tokens of many persons by one field, without starting anew for each.
type tokens struct {
	h      hash.Hash
	prefix []byte
	buf    []byte
}

func (s *Subjects) tokens(schema, field string) *tokens {
	t := &tokens{h: hmac.New(sha256.New, s.key)}
	for _, part := range []string{"entente.dev/v1 subject", schema, field} {
		t.prefix = append(append(t.prefix, part...), 0)
	}
	return t
}

// of gives the tokens of some rows' persons; of rows that name none, nothing.
func (t *tokens) of(c *columns.Column, from, to int) []string {
	out := make([]string, 0, to-from)
	var sum [sha256.Size]byte
	for row := from; row < to; row++ {
		if c.Null(row) {
			continue
		}
		t.buf = appendSubject(append(t.buf[:0], t.prefix...), c, row)
		t.h.Reset()
		t.h.Write(t.buf)
		out = append(out, base64.RawURLEncoding.EncodeToString(t.h.Sum(sum[:0])[:16]))
	}
	return out
}

// appendSubject writes a value as subjectValue does.
func appendSubject(to []byte, c *columns.Column, row int) []byte {
	switch c.Kind() {
	case columns.Integer:
		return strconv.AppendInt(to, c.Integer(row), 10)
	case columns.Boolean:
		return strconv.AppendBool(to, c.Boolean(row))
	case columns.Date:
		return c.AppendDate(to, row)
	case columns.Timestamp:
		return c.AppendTimestamp(to, row)
	}
	return append(to, c.Text(row)...)
}

// ReadSubjects reads the key in a file; it makes none.
func ReadSubjects(path string) (*Subjects, error) {
	key, err := secret.Load(path)
	if err != nil {
		return nil, err
	}
	return newSubjects(key), nil
}

// asked gives the token of the person that a query asks about, and the field that names it; "" when it does not name one by a dataset's subject key.
func (s *Subjects) asked(plan *enforce.Plan) (token, key string) {
	if plan.Filter == nil {
		return "", ""
	}
	for i := range plan.Clause.Datasets {
		key := plan.Clause.Datasets[i].SubjectKey
		if key == "" {
			continue
		}
		if value, ok := plan.Filter.Constant(key); ok {
			return s.Token(plan.Clause.Schema.Name, key, value), key
		}
	}
	return "", ""
}

// subjectOf makes the query read the dataset's subject key as well, and gives the function that takes it off a record again
// and makes it the token of the person ("" when the record names none).
func (d *disclosure) subjectOf(q *source.Query) func(*gatewayv1.Record) string {
	key := q.Dataset.SubjectKey
	if key == "" {
		return func(*gatewayv1.Record) string { return "" }
	}
	at, extra := slices.Index(d.shape.Fields, key), false
	if at < 0 {
		at, extra = len(d.shape.Fields), true
		q.Fields, q.HiddenKey = append(slices.Clone(q.Fields), key), true
	}
	return func(r *gatewayv1.Record) string {
		if at >= len(r.Values) {
			return "" // the source is at fault; the check of the answer's shape says so
		}
		value, ok := subjectValue(r.Values[at])
		if extra {
			r.Values = r.Values[:at]
		}
		if !ok {
			return ""
		}
		if fixed, ok := d.askedBy(key); ok && fixed == value {
			return d.subject
		}
		return d.core.Subjects.Token(q.Schema.Name, key, value)
	}
}

// askedBy gives the value of which subject is the token, when it is one of the key.
func (d *disclosure) askedBy(key string) (string, bool) {
	if d.subject == "" || d.subjectKey != key {
		return "", false
	}
	return d.plan.Filter.Constant(key)
}

// subjectValue writes a value as filters' constants are written, so that both have one token. Not ok: null.
func subjectValue(v *gatewayv1.Value) (string, bool) {
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_Text:
		return k.Text, true
	case *gatewayv1.Value_Integer:
		return strconv.FormatInt(k.Integer, 10), true
	case *gatewayv1.Value_Boolean:
		return strconv.FormatBool(k.Boolean), true
	}
	return "", false
}
