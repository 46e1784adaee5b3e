package compile

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

var update = flag.Bool("update", false, "write testdata/*.out.yaml")

// TestGolden compiles each testdata/*.in.yaml at each of its instants and compares with *.out.yaml. Between two instants the
// outcome is written back as an operator would: status, signature, route.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) < 20 {
		t.Fatalf("%d inputs, %v", len(inputs), err)
	}
	for _, in := range inputs {
		name := strings.TrimSuffix(filepath.Base(in), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			got := play(t, readFixture(t, in))
			out := strings.TrimSuffix(in, ".in.yaml") + ".out.yaml"
			if *update {
				if err := os.WriteFile(out, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if line, was, is := firstDifference(readFile(t, out), got); line > 0 {
				t.Errorf("%s:%d: got %q, want %q (run with -update, then read the whole difference)", out, line, is, was)
			}
		})
	}
}

func firstDifference(want, got []byte) (line int, was, is string) {
	w, g := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range max(len(w), len(g)) {
		was, is = "", ""
		if i < len(w) {
			was = w[i]
		}
		if i < len(g) {
			is = g[i]
		}
		if was != is {
			return i + 1, was, is
		}
	}
	return 0, "", ""
}

// step is what a golden file shows of one instant.
type step struct {
	At          metav1.Time       `json:"at"`
	Versions    []versionShown    `json:"versions,omitempty"`
	Route       *routeShown       `json:"route,omitempty"`
	Credentials []credentialShown `json:"credentials,omitempty"`
	Next        *metav1.Time      `json:"next,omitempty"`
}

// versionShown is a VersionResult in fewer lines. Coverage stands only where it differs from the step before.
type versionShown struct {
	Name       string                  `json:"name"`
	State      v1alpha1.AgreementState `json:"state"`
	Sign       bool                    `json:"sign,omitempty"`
	Digest     string                  `json:"digest,omitempty"`
	Verified   []string                `json:"verified,omitempty"`
	Decisions  []string                `json:"decisions,omitempty"`
	Coverage   []string                `json:"coverage,omitempty"`
	Routes     []string                `json:"routes,omitempty"`
	Duties     []string                `json:"duties,omitempty"`
	Say        []string                `json:"say,omitempty"`
	Conditions []string                `json:"conditions"`
}

// routeShown is the route, or only its sequence when it is the one of the step before.
type routeShown struct {
	Unchanged int64 `json:"unchanged,omitempty"`
	*route.Route
}

// credentialShown is a Credential in fewer lines.
type credentialShown struct {
	Role     string      `json:"role"`
	NotAfter metav1.Time `json:"notAfter"`
	SPIFFEID string      `json:"spiffeID,omitempty"`
	Select   string      `json:"select,omitempty"`
}

// play compiles the fixture at each instant and gives the golden file.
func play(t testing.TB, f *fixture) []byte {
	var out bytes.Buffer
	prior := map[string]Prior{}
	shown := map[string]v1alpha1.SharingAgreementStatus{}
	for _, now := range f.Now {
		results := Compile(f.index(now.Time), prior, now.Time)
		if len(results) != 1 {
			t.Fatalf("%d agreements; a case has one", len(results))
		}
		for id, r := range results {
			out.WriteString("---\n" + show(t, now, r, prior[id], shown, f))
			prior[id] = f.writeBack(t, r, now.Time)
		}
	}
	return out.Bytes()
}

func show(t testing.TB, now metav1.Time, r Result, prior Prior, shown map[string]v1alpha1.SharingAgreementStatus, f *fixture) string {
	s := step{At: now}
	for _, v := range r.Versions {
		s.Versions = append(s.Versions, showVersion(v, shown[v.Name]))
		shown[v.Name] = v.Status
	}
	switch {
	case r.Route == nil:
	case r.Route == prior.Route:
		s.Route = &routeShown{Unchanged: r.Route.Sequence}
	default:
		s.Route = &routeShown{Route: r.Route}
	}
	for _, c := range r.Credentials {
		shown := credentialShown{Role: c.Role, NotAfter: metav1.NewTime(c.NotAfter), SPIFFEID: c.SPIFFEID}
		if c.Source != nil {
			shown.Select = fmt.Sprintf("%s on %s by connection %s", strings.Join(c.Source.Columns, ", "), c.Source.Relation, c.Source.Connection)
			for _, g := range c.Source.Consents {
				shown.Select += fmt.Sprintf("; %s on %s", strings.Join(g.Columns, ", "), g.Relation)
			}
		}
		s.Credentials = append(s.Credentials, shown)
	}
	if !r.Next.IsZero() {
		s.Next = &metav1.Time{Time: r.Next}
	}
	text, err := yaml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	out := string(text)
	for name := range f.agencies {
		out = strings.ReplaceAll(out, indentPEM(bundleOf(name)), "${bundle "+name+"}")
	}
	for name := range f.schemas {
		out = strings.ReplaceAll(out, f.digest(name), "${digest "+name+"}")
	}
	for name := range f.taskForces {
		out = strings.ReplaceAll(out, f.digest(name), "${digest "+name+"}")
	}
	for name := range f.agreements {
		out = strings.ReplaceAll(out, f.digest(name), "${digest "+name+"}")
	}
	return out
}

// inAdvance says of which version a record was an acceptance in advance.
func inAdvance(d v1alpha1.DecisionRecord) string {
	if d.RenewalOf == "" {
		return ""
	}
	return " in advance with " + d.RenewalOf
}

func showVersion(v VersionResult, last v1alpha1.SharingAgreementStatus) versionShown {
	out := versionShown{Name: v.Name, State: v.Status.State, Sign: v.Sign, Digest: v.Status.Digest, Verified: v.Status.Verified, Routes: v.Status.Routes}
	for _, d := range v.Status.Decisions {
		out.Decisions = append(out.Decisions, strings.TrimSpace(fmt.Sprintf("%s %s by %s %s", d.Name, d.Decision, d.DecidedBy, d.Role))+inAdvance(d))
	}
	for _, d := range v.Status.Duties {
		text := fmt.Sprintf("%s of %s %s, by %s", d.Name, d.Agency, d.State, stamp(d.Due))
		if d.DoneAt != nil {
			text += strings.TrimSuffix(fmt.Sprintf(", attested %s by %s", stamp(*d.DoneAt), d.DoneBy), " by ")
		}
		out.Duties = append(out.Duties, text)
	}
	for _, s := range v.Say {
		if s.Decision != v1alpha1.DecisionAccept { // which the signature shows
			out.Say = append(out.Say, fmt.Sprintf("%s at %s", strings.TrimSpace(string(s.Decision)+" "+s.Duty), stamp(s.DecidedAt)))
		}
	}
	for _, c := range v.Status.Coverage {
		if !reflect.DeepEqual(last.Coverage, v.Status.Coverage) {
			out.Coverage = append(out.Coverage, fmt.Sprintf("%s %v", c.Term, c.Controls))
		}
	}
	for _, c := range v.Status.Conditions {
		out.Conditions = append(out.Conditions, fmt.Sprintf("%s=%s %s (since %s, generation %d): %s",
			c.Type, c.Status, c.Reason, stamp(c.LastTransitionTime), c.ObservedGeneration, c.Message))
	}
	return out
}

// indentPEM is how a bundle stands in a route of a golden file.
func indentPEM(bundle string) string {
	return "|\n          " + strings.ReplaceAll(strings.TrimSuffix(bundle, "\n"), "\n", "\n          ")
}

// writeBack does what the reconcilers do with a result.
func (f *fixture) writeBack(t testing.TB, r Result, now time.Time) Prior {
	p := Prior{Conditions: map[string][]metav1.Condition{}}
	for _, v := range r.Versions {
		status := v.Status
		object := f.agreements[v.Name].DeepCopy()
		status.Signatures, status.Received = object.Status.Signatures, object.Status.Received
		if v.Sign {
			status.Signatures = []v1alpha1.AgreementSignature{{Agency: f.Self, JWS: sign(f.Self, f.Self, v.Status.Digest, now)}}
		}
		object.Status = status
		f.agreements[v.Name] = object
		p.Conditions[v.Name] = status.Conditions
	}
	if r.Route != nil {
		payload, err := route.Encode(r.Route)
		if err != nil {
			t.Fatal(err)
		}
		if p.Route, err = route.Decode(payload); err != nil {
			t.Fatal(err)
		}
		again, err := route.Encode(p.Route)
		if err != nil || !bytes.Equal(again, payload) {
			t.Errorf("a route changes by being read again:\n%s\n%s", payload, again)
		}
	}
	return p
}
