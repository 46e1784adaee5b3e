package standalone

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/local"
	"github.com/entente-dev/entente/gateway/route"
)

// agency is an installation under test, without listeners.
type agency struct {
	t      *testing.T
	name   string
	folder Folder
	engine *engine
	table  *route.Table
	at     time.Time
}

const schemaYAML = `# What a person is, between agencies.
apiVersion: entente.dev/v1alpha1
kind: ExchangeSchema
metadata: {name: person.v1}
spec:
  name: person
  version: 1
  fields:
    - {name: document_number, type: string}
    - {name: employer, type: string}
`

func agencyYAML(name string) string {
	return `apiVersion: entente.dev/v1alpha1
kind: Agency
metadata: {name: ` + name + `}
spec:
  displayName: ` + name + `
  trustDomain: ` + name + `.test
  endpoints: {gateway: "127.0.0.1:1", exchange: "127.0.0.1:2"}
`
}

const datasetYAML = `apiVersion: entente.dev/v1alpha1
kind: Dataset
metadata: {name: wages}
spec:
  schema: {name: person, version: 1}
  source: {sqlite: {path: labor.db}}
  relation: wages
  fields:
    - {field: document_number, column: doc}
    - {field: employer, column: employer}
  selectors: [[document_number]]
  subjectKey: document_number
`

func agreementYAML(t *testing.T, notAfter string) string {
	t.Helper()
	docs, err := parse([]byte(schemaYAML))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := docs[0].object.(*v1alpha1.ExchangeSchema).Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return `# The agreement between the police and the labor inspectorate.
apiVersion: entente.dev/v1alpha1
kind: SharingAgreement
metadata: {name: wages.v1}
spec:
  terms:
    id: wages
    version: 1
    title: Wages
    type: DataUseAgreement
    parties: [{agency: police, trustDomain: police.test}, {agency: labor, trustDomain: labor.test}]
    purposeStatement: to find who is not paid
    term: {notBefore: "2026-01-01T00:00:00Z", notAfter: "` + notAfter + `"}
    clauses:
      - name: wages # the one permission
        source: labor
        recipients: [{agency: police}]
        schema: {name: person, version: 1, digest: "` + digest + `"}
        purposes: ["entente:trafficking-investigation"]
        granularity: Records
        fields: [employer]
        conditions: {requireSelectors: [[document_number]]}
        obligations: {retentionDays: 30}
`
}

func (a *agency) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.folder.ConfigDir, name), []byte(text), 0o644); err != nil {
		a.t.Fatal(err)
	}
}

func (a *agency) remove(name string) {
	a.t.Helper()
	if err := os.Remove(filepath.Join(a.folder.ConfigDir, name)); err != nil {
		a.t.Fatal(err)
	}
}

func newAgency(t *testing.T, name string) *agency {
	t.Helper()
	a := &agency{t: t, name: name, folder: Folder{ConfigDir: t.TempDir()}, at: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	a.write("schema.yaml", schemaYAML)
	a.write("agency.yaml", agencyYAML(name))
	if name == "labor" {
		a.write("dataset.yaml", datasetYAML)
	}
	return a
}

// start starts the engine, as after a restart.
func (a *agency) start() {
	a.t.Helper()
	dir, err := a.folder.prepareState()
	if err != nil {
		a.t.Fatal(err)
	}
	s, err := openState(dir)
	if err != nil {
		a.t.Fatal(err)
	}
	keys, err := local.Open(filepath.Join(dir, "keys"), a.name+".test")
	if err != nil {
		a.t.Fatal(err)
	}
	a.table = route.NewTable(route.Party{Agency: a.name, TrustDomain: a.name + ".test"})
	a.engine = newEngine(a.folder.ConfigDir, s, a.name, keys, slog.New(slog.DiscardHandler))
	a.engine.serve = a.table.Put
	a.engine.gathered = func(*compile.Index) {}
	a.engine.now = func() time.Time { return a.at }
}

func (a *agency) step() time.Time {
	a.t.Helper()
	a.at = a.at.Add(time.Minute)
	next, err := a.engine.step(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	return next
}

func (a *agency) decide(d v1alpha1.Decision) string {
	a.t.Helper()
	path, err := a.folder.Decide(v1alpha1.AgreementDecisionSpec{Agreement: "wages.v1", Decision: d, DecidedBy: "director"}, a.at)
	if err != nil {
		a.t.Fatal(err)
	}
	return filepath.Base(path)
}

func (a *agency) want(state v1alpha1.AgreementState, active bool) {
	a.t.Helper()
	status, err := a.folder.Status("wages.v1")
	if err != nil {
		a.t.Fatal(err)
	}
	if status.Status.State != state {
		a.t.Errorf("%s: state %s, want %s: %+v", a.name, status.Status.State, state, status.Status.Conditions)
	}
	r := a.table.Get("wages")
	if got := r != nil && r.Tombstone == nil; got != active {
		a.t.Errorf("%s: route %+v, want active: %v", a.name, r, active)
	}
}

// inForce brings an agreement into force between two installations, by the way that people go.
func inForce(t *testing.T) (police, labor *agency) {
	t.Helper()
	return inForceUntil(t, "2027-01-01T00:00:00Z")
}

func inForceUntil(t *testing.T, notAfter string) (police, labor *agency) {
	t.Helper()
	police, labor = newAgency(t, "police"), newAgency(t, "labor")
	for _, pair := range [][2]*agency{{police, labor}, {labor, police}} {
		exported, err := pair[0].folder.ExportAgency(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, err := Print(exported)
		if err != nil {
			t.Fatal(err)
		}
		pair[1].write("peer-"+pair[0].name+".yaml", string(text))
	}
	for _, a := range []*agency{police, labor} {
		a.write("agreement.yaml", agreementYAML(t, notAfter))
		a.start()
		a.step()
		a.want(v1alpha1.StateProposed, false)
		a.decide(v1alpha1.DecisionAccept)
		a.step()
		a.want(v1alpha1.StateSigned, false)
	}
	for _, pair := range [][2]*agency{{police, labor}, {labor, police}} {
		s, err := pair[0].folder.ExportSignature("wages.v1")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // importing again changes nothing
			if err := pair[1].folder.ImportSignature("wages.v1", *s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, a := range []*agency{police, labor} {
		next := a.step()
		a.want(v1alpha1.StateInForce, true)
		if next.IsZero() {
			t.Errorf("%s: nothing changes by itself, though the agreement ends", a.name)
		}
	}
	return police, labor
}

func TestIntoForce(t *testing.T) {
	_, labor := inForce(t)
	text, err := os.ReadFile(filepath.Join(labor.folder.ConfigDir, "agreement.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, comment := range []string{"# The agreement between", "# the one permission"} {
		if !strings.Contains(string(text), comment) {
			t.Errorf("importing a signature lost the comment %q:\n%s", comment, text)
		}
	}
	if strings.Count(string(text), "jws:") != 1 {
		t.Errorf("the signature is there more or less than once:\n%s", text)
	}
	r := labor.table.Get("wages")
	if path := r.Versions[0].Clauses[0].Datasets[0].SQLite.Path; path != "labor.db" {
		t.Errorf("the path of the source is %q", path)
	}
	sequence := r.Sequence
	labor.step()
	labor.start()
	labor.step()
	labor.want(v1alpha1.StateInForce, true)
	if got := labor.table.Get("wages").Sequence; got != sequence {
		t.Errorf("sequence went from %d to %d though nothing changed", sequence, got)
	}
}

func TestSuspend(t *testing.T) {
	_, labor := inForce(t)
	file := labor.decide(v1alpha1.DecisionSuspend)
	labor.step()
	labor.want(v1alpha1.StateSuspended, false)
	labor.remove(file)
	labor.step()
	labor.want(v1alpha1.StateSuspended, false) // a decision is not undone by removing its file
	labor.start()
	labor.step()
	labor.want(v1alpha1.StateSuspended, false)
	labor.decide(v1alpha1.DecisionResume)
	labor.step()
	labor.want(v1alpha1.StateInForce, true)
	labor.decide(v1alpha1.DecisionTerminate)
	labor.step()
	labor.want(v1alpha1.StateTerminated, false)
}

// TestAttest: what is left of an agreement that is over is attested by a file, as anything is decided.
func TestAttest(t *testing.T) {
	police, _ := inForce(t)
	where := func() v1alpha1.DutyStatus {
		t.Helper()
		a, err := police.folder.Status("wages.v1")
		if err != nil || len(a.Status.Duties) != 1 {
			t.Fatalf("%v, %+v", err, a.Status.Duties)
		}
		return a.Status.Duties[0]
	}
	attest := func() {
		t.Helper()
		if _, err := police.folder.Decide(v1alpha1.AgreementDecisionSpec{
			Agreement: "wages.v1", Decision: v1alpha1.DecisionAttest, Duty: "destruction", DecidedBy: "archivist",
		}, police.at); err != nil {
			t.Fatal(err)
		}
		police.step()
	}
	attest()
	if d := where(); d.State != v1alpha1.DutyPending || d.DoneAt != nil || d.Due.UTC().Format(time.DateOnly) != "2027-01-31" {
		t.Errorf("attested before the end: %+v", d)
	}
	police.want(v1alpha1.StateInForce, true)
	police.at = time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	police.step()
	if d := where(); d.State != v1alpha1.DutyOverdue {
		t.Errorf("after the retention: %+v", d)
	}
	attest()
	if d := where(); d.State != v1alpha1.DutyDone || d.DoneBy != "archivist" {
		t.Errorf("attested: %+v", d)
	}
	police.want(v1alpha1.StateExpired, false)
	police.start()
	police.step()
	if d := where(); d.State != v1alpha1.DutyDone {
		t.Errorf("after a restart: %+v", d)
	}
}

func TestMistakesOnlyDeny(t *testing.T) {
	for name, mistake := range map[string]func(a *agency) (mend func()){
		"misspelt decision": func(a *agency) func() {
			a.write("stop.yaml", "apiVersion: entente.dev/v1alpha1\nkind: AgreementDecision\nmetadata: {name: stop}\nspec: {agreement: wages.v1, decison: Suspend}\n")
			return func() { a.remove("stop.yaml") }
		},
		"broken file that mentions it": func(a *agency) func() {
			a.write("stop.yaml", "{{{ suspend wages.v1 !!")
			return func() { a.remove("stop.yaml") }
		},
		"broken agreement": func(a *agency) func() {
			good, err := os.ReadFile(filepath.Join(a.folder.ConfigDir, "agreement.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			a.write("agreement.yaml", "{{{")
			return func() { a.write("agreement.yaml", string(good)) }
		},
		"agreement removed": func(a *agency) func() {
			good, err := os.ReadFile(filepath.Join(a.folder.ConfigDir, "agreement.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			a.remove("agreement.yaml")
			return func() { a.write("agreement.yaml", string(good)) }
		},
		"peer unreadable": func(a *agency) func() {
			good, err := os.ReadFile(filepath.Join(a.folder.ConfigDir, "peer-police.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			a.write("peer-police.yaml", "kind: Agency\n")
			return func() { a.write("peer-police.yaml", string(good)) }
		},
		"own agency removed": func(a *agency) func() {
			a.remove("agency.yaml")
			return func() { a.write("agency.yaml", agencyYAML("labor")) }
		},
		"dataset twice": func(a *agency) func() {
			a.remove("dataset.yaml")
			a.write("dataset.yaml", datasetYAML+"---\n"+datasetYAML)
			return func() { a.write("dataset.yaml", datasetYAML) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, labor := inForce(t)
			mend := mistake(labor)
			labor.step()
			if r := labor.table.Get("wages"); r == nil || r.Tombstone == nil {
				t.Errorf("still served: %+v", r)
			}
			mend()
			labor.step()
			labor.want(v1alpha1.StateInForce, true)
		})
	}
	t.Run("a broken file about something else", func(t *testing.T) {
		_, labor := inForce(t)
		labor.write("other.yaml", "{{{ other.v1")
		labor.step()
		labor.want(v1alpha1.StateInForce, true)
	})
}

func TestDecisionCannotChange(t *testing.T) {
	_, labor := inForce(t)
	file := labor.decide(v1alpha1.DecisionSuspend)
	labor.step()
	path := filepath.Join(labor.folder.ConfigDir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	labor.write(file, strings.ReplaceAll(string(text), "decision: Suspend", "decision: Resume"))
	labor.step()
	if r := labor.table.Get("wages"); r.Tombstone == nil {
		t.Error("a decision changed under its name")
	}
}

func TestTimePasses(t *testing.T) {
	police, _ := inForce(t)
	police.at = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	police.step()
	police.want(v1alpha1.StateExpired, false)
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, names string }{
		"kind":             {"apiVersion: entente.dev/v1alpha1\nkind: Secret\nmetadata: {name: a}", `"Secret"`},
		"gateway route":    {"apiVersion: entente.dev/v1alpha1\nkind: GatewayRoute\nmetadata: {name: a}", `"GatewayRoute"`},
		"version":          {"apiVersion: v1\nkind: Agency\nmetadata: {name: a}", `"v1"`},
		"member":           {agencyYAML("a") + "  trustDomian: x\n", "trustDomian"},
		"member at top":    {agencyYAML("a") + "specs: {}\n", "specs"},
		"member of schema": {strings.Replace(schemaYAML, "type: string}", "typ: string}", 1), "typ"},
		"member in case":   {strings.Replace(schemaYAML, "version: 1", "Version: 1", 1), "Version"},
		"twice":            {agencyYAML("a") + "  trustDomain: b.test\n", "trustDomain"},
		"no name":          {"apiVersion: entente.dev/v1alpha1\nkind: Agency\n", "metadata.name"},
		"path as name":     {"apiVersion: entente.dev/v1alpha1\nkind: Agency\nmetadata: {name: ../a}", "../a"},
		"second document":  {agencyYAML("a") + "---\nkind: X\n", "document 2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("error %v does not name %s", err, c.names)
			}
		})
	}
}
