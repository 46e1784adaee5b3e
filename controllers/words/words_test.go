package words

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/signature"
)

var update = flag.Bool("update", false, "write the golden files in testdata")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (run with -update, then read the whole difference); got:\n%s", path, got)
	}
}

func goldenJSON(t *testing.T, name string, v any) {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, name, string(text)+"\n")
}

// read gives an agreement of testdata, with the digests of schemas filled in.
func read(t *testing.T, name string) *v1alpha1.SharingAgreement {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("{{digest}}", digestOf(t, 1), "{{digest2}}", digestOf(t, 2)).Replace(string(text))
	a := &v1alpha1.SharingAgreement{}
	if err := yaml.UnmarshalStrict([]byte(filled), a); err != nil {
		t.Fatal(err)
	}
	if len(a.Spec.UnknownFields) > 0 {
		t.Fatal(a.Spec.UnknownFields)
	}
	return a
}

// schema is the record shape of the agreements in testdata.
func schema(version int64) *v1alpha1.ExchangeSchema {
	s := &v1alpha1.ExchangeSchema{Spec: v1alpha1.ExchangeSchemaSpec{Name: "person", Version: version, Fields: []v1alpha1.SchemaField{
		{Name: "document_number", Type: v1alpha1.TypeString}, {Name: "family_name", Type: v1alpha1.TypeString}, {Name: "birth_date", Type: v1alpha1.TypeDate},
		{Name: "employer", Type: v1alpha1.TypeString}, {Name: "monthly_wage", Type: v1alpha1.TypeDecimal}, {Name: "bank_account", Type: v1alpha1.TypeString},
	}}}
	s.Name = map[int64]string{1: "person.v1", 2: "person.v2"}[version]
	return s
}

func digestOf(t *testing.T, version int64) string {
	t.Helper()
	digest, err := schema(version).Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// signer signs with a key that is the same in every run.
type signer struct {
	id  string
	key ed25519.PrivateKey
}

var _ keys.AgreementSigner = signer{}

func newSigner(agency string) signer {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, agency)
	return signer{agency + "-1", ed25519.NewKeyFromSeed(seed)}
}

func (s signer) Current(context.Context) (keys.Key, error) {
	return keys.Key{ID: s.id, Algorithm: signature.EdDSA}, nil
}

func (s signer) Public(context.Context) (*v1alpha1.KeySet, error) {
	k, err := signature.JWK(s.id, s.key.Public())
	return &v1alpha1.KeySet{Keys: []v1alpha1.JSONWebKey{k}}, err
}

func (s signer) Sign(_ context.Context, _ keys.Key, input []byte) ([]byte, error) {
	return ed25519.Sign(s.key, input), nil
}

// sign adds an agency's signature to the agreement's file.
func sign(t *testing.T, a *v1alpha1.SharingAgreement, agency string, at time.Time) {
	t.Helper()
	digest, err := a.Spec.Terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signature.Sign(t.Context(), newSigner(agency), signature.Claims{Digest: digest, Decision: v1alpha1.DecisionAccept, Agency: agency, DecidedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	a.Spec.Signatures = append(a.Spec.Signatures, v1alpha1.AgreementSignature{Agency: agency, JWS: jws})
}

// agencies are the parties of the agreements in testdata, with keys.
func agencies(t *testing.T) map[string]*v1alpha1.Agency {
	t.Helper()
	out := map[string]*v1alpha1.Agency{}
	for name, domain := range map[string]string{
		"state-police": "police.state.example", "labor-inspectorate": "labor.state.example", "border-service": "border.nation.example", "tax-office": "tax.state.example",
	} {
		set, err := newSigner(name).Public(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a := &v1alpha1.Agency{Spec: v1alpha1.AgencySpec{DisplayName: "The " + name, TrustDomain: domain, SigningKeys: set}}
		a.Name = name
		out[name] = a
	}
	return out
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// proposed is version 1 as the labor inspectorate's operator sees it: accepted by one of two roles, signed by the police.
func proposed(t *testing.T) *v1alpha1.SharingAgreement {
	a := read(t, "harbor.v1.yaml")
	sign(t, a, "state-police", day("2025-12-20"))
	digest, err := a.Spec.Terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	a.Status = v1alpha1.SharingAgreementStatus{
		Digest: digest, State: v1alpha1.StateProposed,
		Decisions: []v1alpha1.DecisionRecord{{Name: "d1", Decision: v1alpha1.DecisionAccept, Role: "system-owner", DecidedBy: "kim@labor.state.example", DecidedAt: metav1.NewTime(day("2025-12-21"))}},
		Conditions: []metav1.Condition{
			{Type: "Accepted", Status: "True", Reason: "Accepted", Message: "every term is understood and can be kept"},
			{Type: "ResolvedRefs", Status: "True", Reason: "Resolved", Message: "every agency, schema, dataset, column and purpose is known and fits"},
			{Type: "Signed", Status: "False", Reason: "AwaitingDecision", Message: "agency labor-inspectorate waits for an Accept in role privacy-officer: create an AgreementDecision on it"},
			{Type: "InForce", Status: "False", Reason: "NotSigned", Message: "not every party signed: see condition Signed"},
		},
	}
	return a
}

func TestShow(t *testing.T) {
	known := agencies(t)
	delete(known, "border-service")
	d, err := Describe(proposed(t), known, nil, day("2025-12-22"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "show.txt", d.Text())
	goldenJSON(t, "show.json", d)

	file, err := Describe(read(t, "harbor.v2.yaml"), nil, nil, day("2026-03-01"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "show-file.txt", file.Text())
}

// TestDoubts: a status that is older than the clock is not passed on as if it were true.
func TestDoubts(t *testing.T) {
	a := read(t, "harbor.v1.yaml")
	a.Status.State = v1alpha1.StateInForce
	for at, doubted := range map[string]bool{"2026-06-30": false, "2026-07-01": true} {
		d, err := Describe(a, nil, nil, day(at))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(d.Notes, "\n"), "the window ended"); got != doubted {
			t.Errorf("at %s: notes %q", at, d.Notes)
		}
	}
	a.Status.Digest = "sha256:other"
	if d, err := Describe(a, nil, nil, day("2026-02-01")); err != nil || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "other terms") {
		t.Errorf("%v, notes %q", err, d.Notes)
	}
}

func TestMarkdown(t *testing.T) {
	text, err := Markdown(proposed(t), agencies(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "harbor.v1.md", text)
	// (A) to (K), in the order of the statute, whether or not the terms say anything.
	at := 0
	for letter := 'A'; letter <= 'K'; letter++ {
		next := strings.Index(text, "## ("+string(letter)+") ")
		if next <= at {
			t.Errorf("heading (%c) is not in its place", letter)
		}
		at = next
	}
	if strings.ContainsRune(text, '\x1b') || strings.Contains(text, "<b>") && !strings.Contains(text, `\<b\>`) {
		t.Error("terms bring markup or control characters along")
	}
}

func TestRegister(t *testing.T) {
	a := proposed(t)
	public, err := Register(a, agencies(t), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	goldenJSON(t, "register.json", public)
	text, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{"desk@", "office@", "HTF-", "monthly_wage \\u003e", "kim@"} {
		if strings.Contains(string(text), private) {
			t.Errorf("the public entry shows %q", private)
		}
	}
	full, err := Register(a, nil, nil, true)
	if err != nil || len(full.Contacts) != 2 {
		t.Errorf("contacts %v, %v", full.Contacts, err)
	}
}

func TestCoverage(t *testing.T) {
	promises, err := Coverage(read(t, "harbor.v1.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "coverage.txt", CoverageText(promises))
	// What the operator found out of the source's database counts, as long as it is about these terms.
	a := proposed(t)
	a.Status.Coverage = []v1alpha1.TermCoverage{{Term: "clauses[wages].fields", Controls: []v1alpha1.Control{v1alpha1.ControlSourceDatabase, v1alpha1.ControlGateway}}}
	for _, digest := range []string{a.Status.Digest, "sha256:other"} {
		a.Status.Digest = digest
		promises, err := Coverage(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range promises {
			if p.Term == "clauses[wages].fields" && (p.Controls[0] == v1alpha1.ControlSourceDatabase) != (digest != "sha256:other") {
				t.Errorf("status about %s: %v", digest, p)
			}
		}
	}
}

func TestSignatures(t *testing.T) {
	a := read(t, "harbor.v1.yaml")
	sign(t, a, "state-police", day("2025-12-20"))
	sign(t, a, "labor-inspectorate", day("2025-12-21"))
	sign(t, a, "border-service", day("2025-12-22"))
	check := func(name string, a *v1alpha1.SharingAgreement, known map[string]*v1alpha1.Agency, agency, problem string) {
		t.Helper()
		list, err := Signatures(a, known)
		if err != nil || len(list) != 3 {
			t.Fatalf("%s: %d, %v", name, len(list), err)
		}
		for _, s := range list {
			if s.Valid != (s.Agency != agency) || (s.Agency == agency && !strings.Contains(s.Problem, problem)) {
				t.Errorf("%s: %+v", name, s)
			}
			if s.Valid && (s.KeyID != s.Agency+"-1" || s.DecidedAt == nil) {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	check("all signed", a, agencies(t), "", "")

	known := agencies(t)
	delete(known, "border-service")
	check("no such agency", a, known, "border-service", "there is no Agency of that name")

	known = agencies(t)
	known["state-police"].Spec.TrustDomain = "elsewhere.example"
	check("another identity", a, known, "state-police", "it is not the party that they name")

	known = agencies(t)
	known["state-police"].Spec.SigningKeys = known["border-service"].Spec.SigningKeys
	check("unknown key", a, known, "state-police", "unknown key")

	// Keys in the status of a peer are nobody's word: only an operator's own agency publishes there.
	known = agencies(t)
	known["state-police"].Status.SigningKeys, known["state-police"].Spec.SigningKeys = known["state-police"].Spec.SigningKeys, nil
	check("keys of a peer's status", a, known, "state-police", "unknown key")
	known["state-police"].Status.Local = true
	check("own keys", a, known, "", "")

	missing := a.DeepCopy()
	missing.Spec.Signatures = missing.Spec.Signatures[:2]
	check("not signed", missing, agencies(t), "border-service", "there is no signature of it")

	other := a.DeepCopy()
	other.Spec.Signatures = other.Spec.Signatures[:2]
	changed := read(t, "harbor.v1.yaml")
	changed.Spec.Terms.Title = "Something else"
	sign(t, changed, "border-service", day("2025-12-22"))
	other.Spec.Signatures = append(other.Spec.Signatures, changed.Spec.Signatures...)
	check("other terms", other, agencies(t), "border-service", "it is over other terms")

	broken := a.DeepCopy()
	broken.Spec.Signatures[2].JWS = "e30.e30.e30"
	check("malformed", broken, agencies(t), "border-service", "not a signature on an agreement")

	// One good signature is enough, wherever it stands: an old one beside it does no harm.
	broken.Status.Signatures = a.Spec.Signatures[2:]
	check("one of two is good", broken, agencies(t), "", "")
}
