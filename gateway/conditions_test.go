package gateway_test

import (
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/route"
)

// agreeOn makes two agencies and an agreement in which each side has its own view of the clause.
func agreeOn(t testing.TB, atSource, atRecipient func(*route.Clause)) (src, rec *agency) {
	t.Helper()
	src, rec = startAgency(t, "border-service", options{people: 100}), startAgency(t, "state-police", options{people: 1})
	theirs, ours := clause("persons", src, rec), clause("persons", src, rec)
	atSource(&theirs)
	atRecipient(&ours)
	src.apply("agr", nil, theirs)
	rec.apply("agr", nil, ours)
	return src, rec
}

func TestJurisdictions(t *testing.T) {
	in := func(codes ...string) func(*route.Clause) {
		return func(c *route.Clause) {
			c.Jurisdictions, c.RecipientJurisdictions = []string{"US"}, map[string][]string{"state-police": codes}
		}
	}
	t.Run("the query says under whose law", func(t *testing.T) {
		src, rec := agreeOn(t, in("US-NV", "CA"), in("US-NV", "CA"))
		where := func(code string) string {
			return strings.Replace(q(`person_number == "P000042"`), `"SP-2026-1"`, `"SP-2026-1","jurisdiction":"`+code+`"`, 1)
		}
		code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`))
		if code != 403 || a.Reason != "jurisdiction" || !strings.Contains(a.Sources[0].Message, "clauses[persons].conditions.jurisdictions") {
			t.Errorf("without: %d %+v", code, a)
		}
		if code, a = rec.query(t, rec.client("alice"), where("CA")); code != 403 || a.Reason != "jurisdiction" {
			t.Errorf("under another law: %d %+v", code, a)
		}
		if code, a = rec.query(t, rec.client("alice"), where("US-NV")); code != 200 || len(a.Records) != 1 {
			t.Fatalf("permitted: %d %+v", code, a)
		}
		for _, who := range []*agency{src, rec} {
			log := who.records()
			if last := log[len(log)-1]; last.Kind != audit.Outcome || last.Justification.Jurisdiction != "US-NV" {
				t.Errorf("log of %s: %+v", who.party.Agency, last)
			}
		}
		if a, b := src.records(), rec.records(); a[len(a)-1].QueryDigest != b[len(b)-1].QueryDigest {
			t.Error("the two sides' query digests differ")
		}
	})
	t.Run("the source's own view decides", func(t *testing.T) {
		src, rec := agreeOn(t, in("DE"), in("US"))
		code, a := rec.query(t, rec.client("alice"), q(`person_number == "P000042"`))
		if code != 403 || a.Reason != "jurisdiction" || a.Sources[0].RefusedLocally || len(a.Records) > 0 {
			t.Errorf("%d %+v", code, a)
		}
		if log := src.records(); len(log) != 1 || log[0].Kind != audit.Denial || log[0].Reason != "jurisdiction" {
			t.Errorf("log %+v", log)
		}
	})
}
