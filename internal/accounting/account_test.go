package accounting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

const lawEnforcement = "entente:trafficking-investigation"

// scene is two replicas, with keys of their own, that disclosed records of X1 in every way there is.
func scene(t testing.TB) (a, b *replica, want []string) {
	t.Helper()
	a, b = newReplica(t, "gateway-0"), newReplica(t, "gateway-1")
	b.now = start.Add(30 * time.Second)
	want = append(want, a.disclose(func(r *audit.Record) { // in the answer, and not named in the query
		r.Hit, r.Records, r.SubjectTokens = true, 3, a.tokens("X0", "X1", "X1")
	}))
	want = append(want, b.disclose(func(r *audit.Record) { // named, and only the existence told
		r.Hit, r.SubjectToken, r.Granularity, r.Fields, r.RecipientAddress = true, b.token("X1"), "Existence", nil, ""
		r.Recipient = "border-service"
	}))
	a.disclose(func(r *audit.Record) { r.Hit, r.Records, r.SubjectTokens = true, 1, a.tokens("X2") }) // another person
	a.disclose(func(r *audit.Record) { r.SubjectToken = a.token("X1") })                              // no hit
	want = append(want, a.disclose(func(r *audit.Record) {                                            // for law enforcement
		r.Hit, r.Records, r.SubjectTokens, r.Purpose = true, 1, a.tokens("X1"), lawEnforcement
	}))
	// Cut off by a crash after the first frame, of two.
	a.n++
	a.now = a.now.Add(time.Minute)
	a.add(a.base(audit.Intent))
	release := a.base(audit.Release)
	release.Records, release.Hit, release.SubjectTokens = 2, true, a.tokens("X1", "X3")
	a.add(release)
	want = append(want, release.Disclosure)
	// Cut off before anything left.
	a.n++
	intent := a.base(audit.Intent)
	intent.SubjectToken = a.token("X1")
	a.add(intent)
	// Taken back at the last moment, because the agreement ended: a second outcome.
	a.disclose(func(r *audit.Record) { r.Hit, r.Records, r.SubjectTokens = true, 1, a.tokens("X1") })
	again := a.base(audit.Outcome)
	again.Outcome, again.Reason = "DENIED", "agreement"
	a.add(again)
	// The same person's key is another token at the recipient's side, and denials name nobody.
	denial := a.base(audit.Denial)
	denial.Outcome, denial.SubjectToken = "DENIED", a.token("X1")
	a.add(denial)
	return a, b, want
}

func ids(a *Account) []string {
	var out []string
	for _, d := range a.Disclosures {
		out = append(out, d.ID)
	}
	return out
}

func TestDisclosures(t *testing.T) {
	a, b, want := scene(t)
	q := Question{
		Logs: []Log{a.open(), b.open()}, Identifiers: person("X1"), Now: a.now,
		Withhold:  map[string]string{lawEnforcement: "5 U.S.C. 552a(c)(3), (b)(7)"},
		Directory: Directory{Agencies: map[string]Agency{"border-service": {Name: "Border Service", Address: "Northgate Bridge"}, "state-police": {Name: "State Police", Address: "moved since"}}},
	}
	account, err := Disclosures(t.Context(), q)
	must(t, err)
	given := account.ForPerson()
	wantGiven := []string{want[0], want[1], want[3]}
	if fmt.Sprint(ids(given)) != fmt.Sprint(wantGiven) {
		t.Fatalf("the person is told of %v, want %v", ids(given), wantGiven)
	}
	if d := given.Disclosures[0]; d.Records != 2 || d.Recipient.Called() != "State Police, 1 Capitol Road" || d.Purpose != "entente:benefits" || d.Agreement != "anvil.v1" {
		t.Errorf("%+v", d)
	}
	if d := given.Disclosures[1]; d.Nature() != "that there is a record" || d.Recipient.Called() != "Border Service, Northgate Bridge" {
		t.Errorf("%+v", d)
	}
	if d := given.Disclosures[2]; d.Records != 1 {
		t.Errorf("cut off: %+v", d)
	}
	if len(account.Disclosures) != 6 { // and the no-hit, and what was taken back
		t.Errorf("the agency's copy has %v", ids(account))
	}
	if account.Given["entente:benefits"] != 3 || account.Withheld[lawEnforcement] != 1 {
		t.Errorf("given %v, withheld %v", account.Given, account.Withheld)
	}

	// What is withheld leaves no trace in any form of the person's copy; nor does what is internal.
	for name, render := range map[string]func(*Account, *bytes.Buffer) error{
		"text": func(a *Account, w *bytes.Buffer) error { return a.Text(w) },
		"csv":  func(a *Account, w *bytes.Buffer) error { return a.CSV(w) },
		"html": func(a *Account, w *bytes.Buffer) error { return a.HTML(w) },
		"json": func(a *Account, w *bytes.Buffer) error { return json.NewEncoder(w).Encode(a) },
	} {
		var person, agency bytes.Buffer
		must(t, render(given, &person))
		must(t, render(account, &agency))
		for _, trace := range []string{lawEnforcement, "552a(b)(7)", "(c)(3)", want[2], "withheld", "WITHHELD", "Withheld", "TF-2026-001", "pseudonym", "Castellanos", "internal", "X1"} {
			if strings.Contains(person.String(), trace) {
				t.Errorf("%s: the person's copy has %q:\n%s", name, trace, person.String())
			}
		}
		for _, w := range []string{lawEnforcement, "(b)(7)", "TF-2026-001", want[2]} {
			if !strings.Contains(agency.String(), w) {
				t.Errorf("%s: the agency's copy does not have %q:\n%s", name, w, agency.String())
			}
		}
		for _, w := range wantGiven {
			if !strings.Contains(person.String(), w) {
				t.Errorf("%s: the person's copy does not have %s", name, w)
			}
		}
	}
}

func TestDisclosuresOfNobody(t *testing.T) {
	a, b, _ := scene(t)
	q := Question{Logs: []Log{a.open(), b.open()}, Identifiers: person("X9"), Now: a.now}
	account, err := Disclosures(t.Context(), q)
	must(t, err)
	if len(account.Disclosures) != 0 {
		t.Errorf("%v", ids(account))
	}
	var text bytes.Buffer
	must(t, account.ForPerson().Text(&text))
	if !strings.Contains(text.String(), "No disclosures.") || !strings.Contains(text.String(), "from 1 October 2026") {
		t.Errorf("%s", text.String())
	}

	// A field that no dataset goes by would find nothing, always.
	q.Directory.SubjectKeys = map[string][]string{"person": {"national_id"}}
	if _, err := Disclosures(t.Context(), q); err == nil || !strings.Contains(err.Error(), "person.national_id") {
		t.Errorf("%v", err)
	}
	// Without its key a log cannot be searched, and that is no empty answer either.
	q.Directory.SubjectKeys, q.SubjectKeyFile = nil, filepath.Join(t.TempDir(), "none")
	if _, err := Disclosures(t.Context(), q); err == nil || !strings.Contains(err.Error(), "subject.key") {
		t.Errorf("%v", err)
	}
}

func TestCorrections(t *testing.T) {
	a, b, want := scene(t)
	logs := []Log{a.open(), b.open()}
	q := Question{
		Logs: logs, Identifiers: person("X1"), Now: a.now,
		Directory: Directory{Agreements: []Agreement{{Name: "anvil.v1", ID: "anvil", Contacts: map[string]string{"state-police": "records@police.example.gov"}}}},
	}
	all, err := PastRecipients(t.Context(), q, nil)
	must(t, err)
	if len(all.Recipients) != 2 || all.Recipients[0].ID != "border-service" || all.Untold() != 4 {
		t.Fatalf("%+v", all.Recipients)
	}
	police := all.Recipients[1]
	if len(police.Disclosures) != 3 || police.Contacts[0] != "records@police.example.gov" || police.Address != "1 Capitol Road" {
		t.Errorf("%+v", police)
	}
	// Only who received the field, or an answer about the whole record.
	some, err := PastRecipients(t.Context(), q, []string{"employer"})
	must(t, err)
	if len(some.Recipients) != 1 || some.Recipients[0].ID != "border-service" {
		t.Errorf("%+v", some.Recipients)
	}

	// What is recorded is shown from then on, and is nobody's disclosure.
	origin, err := CorrectionsOrigin(logs)
	must(t, err)
	dir := filepath.Join(t.TempDir(), "corrections")
	log, err := audit.Open(dir, audit.Options{Origin: origin})
	must(t, err)
	n, err := some.Record(t.Context(), log)
	must(t, err)
	must(t, log.Close())
	if n != 1 {
		t.Errorf("%d recorded", n)
	}
	q.Logs, err = OpenLogs([]string{a.logDir(), b.logDir(), dir})
	must(t, err)
	after, err := PastRecipients(t.Context(), q, nil)
	must(t, err)
	if after.Untold() != 3 || after.Recipients[0].Disclosures[0].ID != want[1] || after.Recipients[0].Disclosures[0].Told.IsZero() {
		t.Errorf("%+v", after.Recipients[0])
	}
	account, err := Disclosures(t.Context(), q)
	must(t, err)
	if len(account.Disclosures) != 6 {
		t.Errorf("a correction is shown as a disclosure: %v", ids(account))
	}
	var text bytes.Buffer
	must(t, after.Text(&text))
	if !strings.Contains(text.String(), "told on") || !strings.Contains(text.String(), "not told") {
		t.Errorf("%s", text.String())
	}
	if _, err := CorrectionsOrigin([]Log{{Identity: audit.Identity{Origin: "a.example/gateway"}}, {Identity: audit.Identity{Origin: "b.example/gateway"}}}); err == nil {
		t.Error("one log of corrections for two agencies")
	}
}
