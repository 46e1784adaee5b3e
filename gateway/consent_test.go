package gateway_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/route"
)

// consents binds the clause to the source's consents.
func consents(c *route.Clause) {
	c.Consent = "consents"
	for i := range c.Datasets {
		c.Datasets[i].Consent = &route.Consent{
			Relation: "consents", Subject: "person", Rule: `status == "given"`, Purpose: "purpose", Recipient: "agency", NotBefore: "since", NotAfter: "until",
			Columns: map[string]string{"person": "person", "status": "status", "purpose": "purpose", "agency": "agency", "since": "since", "until": "until"},
			Schema: route.Schema{Name: "consent", Version: 1, Digest: "sha256:consent", Fields: []route.Field{
				{Name: "person", Type: "string"}, {Name: "status", Type: "string"}, {Name: "purpose", Type: "string"}, {Name: "agency", Type: "string"},
				{Name: "since", Type: "date"}, {Name: "until", Type: "timestamp"},
			}},
		}
	}
}

func TestConsent(t *testing.T) {
	inOneDay()
	src, rec := agreeOn(t, consents, consents)
	c := rec.client("alice")
	db, err := sql.Open("sqlite", "file:"+src.db)
	must(t, err)
	defer db.Close()
	exec := func(text string, args ...any) {
		t.Helper()
		_, err := db.Exec(text, args...)
		must(t, err)
	}
	exec(`create table consents (person text, status text, purpose text, agency text, since text, until text)`)
	now := time.Now().UTC()
	today, tomorrow, yesterday := now.Format(time.DateOnly), now.AddDate(0, 0, 1).Format(time.DateOnly), now.AddDate(0, 0, -1).Format(time.DateOnly)
	soon, past := now.Add(time.Hour).Format(time.RFC3339), now.Add(-time.Second).Format(time.RFC3339)
	give := func(n int, status, purpose, agency string, since, until any) {
		t.Helper()
		exec(`insert into consents values (?,?,?,?,?,?)`, fmt.Sprintf("P%06d", n), status, purpose, agency, since, until)
	}
	// All of them are called f3.
	give(3, "given", purpose, "state-police", nil, nil)
	give(13, "given", purpose, "state-police", today, soon)
	give(23, "withdrawn", purpose, "state-police", nil, nil)
	give(33, "given", "entente:research", "state-police", nil, nil)
	give(43, "given", purpose, "border-service", nil, nil)
	give(53, "given", purpose, "state-police", tomorrow, nil)
	give(63, "given", purpose, "state-police", yesterday, past)
	give(73, "given", purpose, "state-police", yesterday, soon)
	give(73, "given", purpose, "state-police", nil, nil) // twice; one row all the same
	give(4, "given", purpose, "state-police", nil, nil)
	exec(`insert into consents values (null, 'given', ?, 'state-police', null, null)`, purpose)

	names := func(filter string) []string {
		_, a := rec.query(t, c, q(filter))
		var out []string
		for _, r := range a.Records {
			out = append(out, fmt.Sprint(r.Record["person_number"]))
		}
		return out
	}
	if got, want := names(`family_name == "f3"`), []string{"P000003", "P000013", "P000073"}; !slices.Equal(got, want) {
		t.Errorf("disclosed %q, want %q", got, want)
	}
	told := func(filter, granularity string) string {
		_, _, body := rec.post(c, "/v1/query", q(filter, `"granularity":"`+granularity+`"`))
		return body
	}
	if body := told(`family_name == "f3"`, "Count"); !strings.Contains(body, `"count":3`) {
		t.Errorf("%s", body)
	}
	for person, want := range map[string]string{"P000003": `"exists":true`, "P000023": `"exists":false`, "P000033": `"exists":false`, "P000093": `"exists":false`} {
		if body := told(`person_number == "`+person+`"`, "Existence"); !strings.Contains(body, want) {
			t.Errorf("%s: %s", person, body)
		}
	}
	// Withdrawn is withdrawn, with the next query.
	exec(`update consents set status = 'withdrawn' where person = 'P000003'`)
	if got := names(`person_number == "P000003"`); len(got) != 0 {
		t.Errorf("disclosed %q after the consent was withdrawn", got)
	}
	// Without the table nothing is disclosed.
	exec(`drop table consents`)
	_, a := rec.query(t, c, q(`family_name == "f3"`))
	if a.Sources[0].Outcome != "UNAVAILABLE" || len(a.Records) > 0 {
		t.Errorf("%+v", a.Sources)
	}
}

// TestConsentNotBound: a route that says that consent is needed, and not where it is, is not answered.
func TestConsentNotBound(t *testing.T) {
	src, rec := agreeOn(t, func(c *route.Clause) { c.Consent = "consents" }, func(c *route.Clause) { c.Consent = "consents" })
	_, a := rec.query(t, rec.client("alice"), q(`family_name == "f3"`))
	if a.Sources[0].Reason != "consent" || a.Sources[0].RefusedLocally || len(a.Records) > 0 {
		t.Errorf("%+v", a.Sources)
	}
	if log := src.records(); len(log) != 1 || log[0].Reason != "consent" {
		t.Errorf("log %+v", log)
	}
}
