package disclosure

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"path/filepath"

	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/secret"
)

// Subjects turns the identifier of a person into the token by which the log finds what was disclosed about that person,
// and by which nobody without the key can tell who it is.
type Subjects struct{ key []byte }

// OpenSubjects reads the key in the folder, or makes one.
func OpenSubjects(dir string) (*Subjects, error) {
	key, err := secret.LoadOrCreate(filepath.Join(dir, "subject.key"))
	if err != nil {
		return nil, err
	}
	return &Subjects{key: key}, nil
}

// Token gives the token of the person whose field of the schema has the value: 128 bits, base64url.
func (s *Subjects) Token(schema, field, value string) string {
	h := hmac.New(sha256.New, s.key)
	for _, part := range []string{"entente.dev/v1 subject", schema, field} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write([]byte(value))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// asked gives the token of the person that a query asks about; "" when it does not name one by a dataset's subject key.
func (s *Subjects) asked(plan *enforce.Plan) string {
	if plan.Filter == nil {
		return ""
	}
	for i := range plan.Clause.Datasets {
		key := plan.Clause.Datasets[i].SubjectKey
		if key == "" {
			continue
		}
		if value, ok := plan.Filter.Constant(key); ok {
			return s.Token(plan.Clause.Schema.Name, key, value)
		}
	}
	return ""
}
