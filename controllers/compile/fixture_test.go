package compile

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile/profile"
	"github.com/entente-dev/entente/controllers/keys"
	"github.com/entente-dev/entente/controllers/openapi"
	"github.com/entente-dev/entente/controllers/signature"
)

// fixture is a *.in.yaml: a header, and the resources that an agency has over time. An object exists from its
// creationTimestamp, is being deleted from its deletionTimestamp, and is gone from its annotation test.entente.dev/gone.
//
// What nobody wants to write by hand is written as ${bundle AGENCY}, ${keys AGENCY}, ${digest OBJECT}, and
// ${sign AGENCY AGREEMENT [with AGENCY] [over AGREEMENT]}, ${said AGENCY DECISION AGREEMENT TIME [with AGENCY] [of DUTY]}. What was said
// arrives at its time.
type fixture struct {
	// Self is the local agency.
	Self string `json:"self"`
	// Now are the instants at which everything is compiled, each with what came before as prior.
	Now []metav1.Time `json:"now"`
	// Include names a file with more resources; those of this file replace them.
	Include string `json:"include,omitempty"`
	// Remove lists resources of the included file that do not exist here, as Kind/name.
	Remove []string `json:"remove,omitempty"`

	agencies   map[string]*v1alpha1.Agency
	schemas    map[string]*v1alpha1.ExchangeSchema
	datasets   map[string]*v1alpha1.Dataset
	agreements map[string]*v1alpha1.SharingAgreement
	decisions  map[string]*v1alpha1.AgreementDecision
	profiles   map[string]*v1alpha1.AgreementProfile
	taskForces map[string]*v1alpha1.TaskForce
}

const goneAnnotation = "test.entente.dev/gone"

func readFixture(t testing.TB, path string) *fixture {
	t.Helper()
	f, err := parseFixture(path, readFile(t, path))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parseFixture(path string, data []byte) (*fixture, error) {
	header, rest, _ := bytes.Cut(data, []byte("\n---\n"))
	f := &fixture{
		agencies:   map[string]*v1alpha1.Agency{},
		schemas:    map[string]*v1alpha1.ExchangeSchema{},
		datasets:   map[string]*v1alpha1.Dataset{},
		agreements: map[string]*v1alpha1.SharingAgreement{},
		decisions:  map[string]*v1alpha1.AgreementDecision{},
		profiles:   map[string]*v1alpha1.AgreementProfile{},
		taskForces: map[string]*v1alpha1.TaskForce{},
	}
	if err := yaml.UnmarshalStrict(header, f); err != nil {
		return nil, err
	}
	var documents []string
	if f.Include != "" {
		if filepath.Base(f.Include) != f.Include {
			return nil, fmt.Errorf("include: %q is in another folder", f.Include)
		}
		base, err := os.ReadFile(filepath.Join(filepath.Dir(path), f.Include))
		if err != nil {
			return nil, err
		}
		documents = strings.Split(string(base), "\n---\n")
	}
	documents = append(documents, strings.Split(string(rest), "\n---\n")...)
	for range 3 { // digests of schemas go into terms, digests of terms into decisions and signatures
		for _, d := range documents {
			if err := f.load(f.expand(d)); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range f.Remove {
		kind, name, _ := strings.Cut(r, "/")
		switch kind {
		case "Agency":
			delete(f.agencies, name)
		case "ExchangeSchema":
			delete(f.schemas, name)
		case "Dataset":
			delete(f.datasets, name)
		case "TaskForce":
			delete(f.taskForces, name)
		}
	}
	return f, nil
}

func (f *fixture) load(document string) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		return err
	}
	switch kind.Kind {
	case "":
		return nil
	case "Agency":
		return into(f.agencies, document, func(o *v1alpha1.Agency) string { return o.Name })
	case "ExchangeSchema":
		return into(f.schemas, document, func(o *v1alpha1.ExchangeSchema) string { return o.Name })
	case "Dataset":
		return into(f.datasets, document, func(o *v1alpha1.Dataset) string { return o.Name })
	case "SharingAgreement":
		return into(f.agreements, document, func(o *v1alpha1.SharingAgreement) string { return o.Name })
	case "AgreementDecision":
		return into(f.decisions, document, func(o *v1alpha1.AgreementDecision) string { return o.Name })
	case "AgreementProfile":
		return into(f.profiles, document, func(o *v1alpha1.AgreementProfile) string { return o.Name })
	case "TaskForce":
		return into(f.taskForces, document, func(o *v1alpha1.TaskForce) string { return o.Name })
	}
	return fmt.Errorf("unknown kind %q", kind.Kind)
}

func into[T any](all map[string]*T, document string, name func(*T) string) error {
	o := new(T)
	if err := yaml.Unmarshal([]byte(document), o); err != nil {
		return fmt.Errorf("%w in\n%s", err, document)
	}
	all[name(o)] = o
	return nil
}

var macro = regexp.MustCompile(`\$\{([a-z]+) ([^}]*)\}`)

func (f *fixture) expand(document string) string {
	return macro.ReplaceAllStringFunc(document, func(m string) string {
		parts := macro.FindStringSubmatch(m)
		args := strings.Fields(parts[2])
		if len(args) == 0 || parts[1] == "sign" && len(args) < 2 {
			return m
		}
		switch parts[1] {
		case "bundle":
			return mustJSON(bundleOf(args[0]))
		case "keys":
			return mustJSON(keySetOf(args[0]))
		case "digest":
			return f.digest(args[0])
		case "sign":
			key, over := args[0], args[1]
			for i := 2; i+1 < len(args); i += 2 {
				switch args[i] {
				case "with":
					key = args[i+1]
				case "over":
					over = args[i+1]
				}
			}
			if !isName(args[0], 40) {
				return m
			}
			return sign(args[0], key, f.digest(over), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		case "said":
			return f.said(args)
		}
		return m
	})
}

// said makes a statement: AGENCY DECISION AGREEMENT TIME [with AGENCY] [of DUTY].
func (f *fixture) said(args []string) string {
	if len(args) < 4 {
		return "{}"
	}
	at, err := time.Parse(time.RFC3339, args[3])
	if err != nil {
		panic(err)
	}
	key, decision, duty := args[0], v1alpha1.Decision(args[1]), ""
	for i := 4; i+1 < len(args); i += 2 {
		switch args[i] {
		case "with":
			key = args[i+1]
		case "of":
			duty = args[i+1]
		}
	}
	jws, err := signature.SignStatement(context.Background(), testSigner{args[0] + "-1", key}, signature.Claims{
		Digest: f.digest(args[2]), Decision: decision, Duty: duty, Agency: args[0], DecidedAt: at,
	})
	if err != nil {
		panic(err)
	}
	return mustJSON(v1alpha1.AgreementStatement{Agency: args[0], Decision: decision, Duty: duty, DecidedAt: metav1.NewTime(at), JWS: jws})
}

// digest of a schema or an agreement, or of nothing while that is not loaded.
func (f *fixture) digest(name string) string {
	var digest string
	if s := f.schemas[name]; s != nil {
		digest, _ = s.Spec.Digest()
	} else if tf := f.taskForces[name]; tf != nil {
		digest, _ = tf.Spec.Digest()
	} else if a := f.agreements[name]; a != nil {
		digest, _ = a.Spec.Terms.Digest()
	}
	if digest == "" {
		return v1alpha1.DigestPrefix + strings.Repeat("A", 43)
	}
	return digest
}

// index is what the agency knows at now.
func (f *fixture) index(now time.Time) *Index {
	ix := &Index{
		Self: f.Self, Agencies: f.agencies, Schemas: f.schemas, Datasets: f.datasets,
		Agreements: map[string][]*v1alpha1.SharingAgreement{}, Decisions: map[string][]*v1alpha1.AgreementDecision{},
		Profiles: f.profiles, ProfileCache: profiles, TaskForces: f.taskForces, APIs: apis.Operation,
	}
	for _, a := range f.agreements {
		if existsAt(a, now) {
			a = a.DeepCopy()
			deletingAt(a, now)
			a.Status.Received = slices.DeleteFunc(a.Status.Received, func(s v1alpha1.AgreementStatement) bool { return s.DecidedAt.After(now) })
			ix.Agreements[a.Spec.Terms.ID] = append(ix.Agreements[a.Spec.Terms.ID], a)
		}
	}
	for _, d := range f.decisions {
		if existsAt(d, now) {
			ix.Decisions[d.Spec.Agreement] = append(ix.Decisions[d.Spec.Agreement], d)
		}
	}
	return ix
}

func existsAt(o metav1.Object, now time.Time) bool {
	if created := o.GetCreationTimestamp(); created.After(now) {
		return false
	}
	gone, err := time.Parse(time.RFC3339, o.GetAnnotations()[goneAnnotation])
	return err != nil || now.Before(gone)
}

func deletingAt(o metav1.Object, now time.Time) {
	if deleted := o.GetDeletionTimestamp(); deleted != nil && deleted.After(now) {
		o.SetDeletionTimestamp(nil)
	}
}

func mustJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// testKey is an agency's key: always the same. border-service has ECDSA, the others Ed25519.
func testKey(agency string) crypto.Signer {
	seed := sha256.Sum256([]byte("test key of " + agency))
	if agency == "border-service" {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
		if err != nil {
			panic(err)
		}
		return key
	}
	return ed25519.NewKeyFromSeed(seed[:])
}

func keySetOf(agency string) *v1alpha1.KeySet {
	jwk, err := signature.JWK(agency+"-1", testKey(agency).Public())
	if err != nil {
		panic(err)
	}
	return &v1alpha1.KeySet{Keys: []v1alpha1.JSONWebKey{jwk}}
}

// testSigner signs with one agency's key under the key id of another.
type testSigner struct{ keyID, agency string }

func (s testSigner) Current(context.Context) (keys.Key, error) {
	if _, ok := testKey(s.agency).(*ecdsa.PrivateKey); ok {
		return keys.Key{ID: s.keyID, Algorithm: signature.ES256}, nil
	}
	return keys.Key{ID: s.keyID, Algorithm: signature.EdDSA}, nil
}

func (s testSigner) Sign(_ context.Context, _ keys.Key, input []byte) ([]byte, error) {
	switch k := testKey(s.agency).(type) {
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256(input)
		r, v, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...), nil
	case ed25519.PrivateKey:
		return ed25519.Sign(k, input), nil
	}
	return nil, fmt.Errorf("no key")
}

func (s testSigner) Public(context.Context) (*v1alpha1.KeySet, error) {
	return keySetOf(s.agency), nil
}

// sign as an agency with the key of another.
func sign(agency, key, digest string, now time.Time) string {
	jws, err := signature.Sign(context.Background(), testSigner{agency + "-1", key}, signature.Claims{
		Digest: digest, Decision: v1alpha1.DecisionAccept, Agency: agency, DecidedAt: now,
	})
	if err != nil {
		panic(err)
	}
	return jws
}

// profiles are compiled once for all tests.
var profiles = profile.NewCache()

// apis are read once for all tests.
var apis = openapi.NewCache()

var bundles sync.Map

// bundleOf is an agency's trust bundle: always the same.
func bundleOf(agency string) string {
	if b, ok := bundles.Load(agency); ok {
		return b.(string)
	}
	seed := sha256.Sum256([]byte("test authority of " + agency))
	key := ed25519.NewKeyFromSeed(seed[:])
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: agency},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	bundle := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	bundles.Store(agency, bundle)
	return bundle
}
