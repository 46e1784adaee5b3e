package signature

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	kjson "sigs.k8s.io/json"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// termsFile has terms, their digest, and statements over it that this project once signed with the keys of vectors.json. Whatever a
// later release changes, these stay valid: never edit a vector, add others
// (-run TestTermsVectors -add-vectors gives a digest to those that have none, and signs what each says nothing of yet).
const termsFile = "testdata/terms.json"

type termsVector struct {
	Name string `json:"name"`
	// Terms as somebody spelled them.
	Terms      json.RawMessage `json:"terms"`
	Digest     string          `json:"digest"`
	Statements []string        `json:"statements"`
}

func readTerms(t testing.TB) []termsVector {
	t.Helper()
	text, err := os.ReadFile(termsFile)
	if err != nil {
		t.Fatal(err)
	}
	var out []termsVector
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// decode as the exchange does.
func decodeTerms(text []byte) (*v1alpha1.AgreementTerms, error) {
	terms := &v1alpha1.AgreementTerms{}
	unknown, err := kjson.UnmarshalStrict(text, terms)
	if err == nil && len(unknown) > 0 {
		err = unknown[0]
	}
	return terms, err
}

func TestTermsVectors(t *testing.T) {
	vectors := readTerms(t)
	if *add {
		signTerms(t, vectors)
	}
	published := readVectors(t)
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			terms, err := decodeTerms(v.Terms)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := terms.Digest(); err != nil || got != v.Digest {
				t.Errorf("digest %s, %v, want %s: a change of the format makes every signature invalid", got, err, v.Digest)
			}
			if got, err := independentDigest(v.Terms); err != nil || got != v.Digest {
				t.Errorf("by the other implementation %s, %v, want %s", got, err, v.Digest)
			}
			said := map[v1alpha1.Decision]bool{}
			for _, jws := range v.Statements {
				c, err := VerifyStatement(jws, published.Agency, published.Keys)
				if err != nil || c.Digest != v.Digest || c.DecidedAt != at {
					t.Errorf("%+v, %v: %s", c, err, jws)
				}
				said[c.Decision] = true
			}
			if len(said) != len(decisions) {
				t.Errorf("statements of %v only", said)
			}
		})
	}
	// Equal terms have one digest.
	byName := map[string]string{}
	for _, v := range vectors {
		byName[v.Name] = v.Digest
	}
	if complete := byName["complete"]; complete == "" || byName["complete, spelled otherwise"] != complete || byName["minimal"] == complete {
		t.Errorf("%v", byName)
	}
}

func signTerms(t *testing.T, vectors []termsVector) {
	for i := range vectors {
		v := &vectors[i]
		if v.Digest == "" {
			terms, err := decodeTerms(v.Terms)
			if err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			if v.Digest, err = terms.Digest(); err != nil {
				t.Fatal(err)
			}
		}
		said := map[v1alpha1.Decision]bool{}
		for _, jws := range v.Statements {
			c, err := Read(jws)
			if err != nil {
				t.Fatal(err)
			}
			said[c.Decision] = true
		}
		for n, decision := range decisions {
			if said[decision] {
				continue
			}
			c := Claims{Digest: v.Digest, Decision: decision, Agency: agency, DecidedAt: at}
			if decision == v1alpha1.DecisionAttest {
				c.Duty = "destruction"
			}
			jws, err := SignStatement(t.Context(), both[n%2], c)
			if err != nil {
				t.Fatal(err)
			}
			v.Statements = append(v.Statements, jws)
		}
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(vectors); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(termsFile, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// FuzzDigest: whatever decodes as terms has the same digest when it was written and read again, and by the other implementation.
func FuzzDigest(f *testing.F) {
	for _, v := range readTerms(f) {
		f.Add([]byte(v.Terms))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		terms, err := decodeTerms(text)
		if err != nil || beyond(text) {
			return
		}
		digest, err := terms.Digest()
		if err != nil {
			return // no canonical form: nobody can sign it
		}
		written, err := json.Marshal(terms)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeTerms(written); err != nil {
			t.Errorf("does not decode again: %v", err)
		} else if got, err := again.Digest(); err != nil || got != digest {
			t.Errorf("read again: %s, %v, not %s", got, err, digest)
		}
		if got, err := independentDigest(written); err != nil || got != digest {
			t.Errorf("by the other implementation: %s, %v, not %s\n%s", got, err, digest, written)
		}
	})
}

// beyond: numbers that JSON does not keep exactly (above 2^53) are refused in terms before anybody signs.
func beyond(text []byte) bool {
	digits := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			digits = 0
		} else if digits++; digits > 15 {
			return true
		}
	}
	return false
}
