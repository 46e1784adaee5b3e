package gateway_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/server"
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

func TestUserAttributes(t *testing.T) {
	const sworn = `"trafficking-unit" in claims.organizationalUnits`
	needs := func(text string) func(*route.Clause) { return func(c *route.Clause) { c.UserAttributes = text } }
	user := func(a *agency, units ...string) *http.Client {
		return a.clientWith(a.users.issue(t, "", pkix.Name{CommonName: "alice", OrganizationalUnit: units}, time.Now().Add(time.Hour)))
	}
	t.Run("by certificate", func(t *testing.T) {
		src, rec := agreeOn(t, needs(sworn), needs(sworn))
		code, a := rec.query(t, user(rec, "payroll"), q(`person_number == "P000042"`))
		if code != 403 || a.Reason != "user-attributes" || !a.Sources[0].RefusedLocally || strings.Contains(a.Sources[0].Message, "payroll") {
			t.Errorf("without the unit: %d %+v", code, a)
		}
		if n := len(src.records()); n != 0 {
			t.Errorf("the source was asked %d times", n)
		}
		code, a = rec.query(t, user(rec, "payroll", "trafficking-unit"), q(`person_number == "P000042"`))
		if code != 200 || len(a.Records) != 1 {
			t.Fatalf("with the unit: %d %+v", code, a)
		}
		for _, who := range []*agency{src, rec} {
			log := who.records()
			// The common name, which the condition does not read, stays at home.
			if last := log[len(log)-1]; string(last.Claims) != `{"organizationalUnits":["payroll","trafficking-unit"]}` {
				t.Errorf("log of %s: %s", who.party.Agency, last.Claims)
			}
		}
	})
	t.Run("the source evaluates again", func(t *testing.T) {
		src, rec := agreeOn(t, needs(`"narcotics-unit" in claims.organizationalUnits`), needs(sworn))
		code, a := rec.query(t, user(rec, "trafficking-unit"), q(`person_number == "P000042"`))
		if code != 403 || a.Reason != "user-attributes" || a.Sources[0].RefusedLocally || len(a.Records) > 0 {
			t.Errorf("%d %+v", code, a)
		}
		if log := src.records(); len(log) != 1 || log[0].Reason != "user-attributes" {
			t.Errorf("log %+v", log)
		}
	})
	t.Run("claims that the source did not ask for", func(t *testing.T) {
		_, rec := agreeOn(t, needs(""), needs(sworn))
		if code, a := rec.query(t, user(rec, "trafficking-unit"), q(`person_number == "P000042"`)); code != 403 || a.Sources[0].RefusedLocally {
			t.Errorf("%d %+v", code, a)
		}
	})
}

// TestTokenClaims: of a token's claims only those that the configuration lists are used.
func TestTokenClaims(t *testing.T) {
	p := newProvider(t)
	cas := x509.NewCertPool()
	cas.AddCert(p.Certificate())
	_, rec := pair(t, options{oidc: &server.OIDC{IssuerURL: p.URL, ClientID: "entente", Claims: []string{"SwornLawEnforcementOfficerIndicator"}, CAs: cas}})
	src, c := rec, rec.client("")
	for _, tt := range []struct {
		name, needs string
		claims      map[string]any
		code        int
	}{
		{"sworn", `claims.SwornLawEnforcementOfficerIndicator == true`, map[string]any{"SwornLawEnforcementOfficerIndicator": true}, 200},
		{"not sworn", `claims.SwornLawEnforcementOfficerIndicator == true`, map[string]any{"SwornLawEnforcementOfficerIndicator": false}, 403},
		{"says nothing", `claims.SwornLawEnforcementOfficerIndicator == true`, nil, 403},
		{"not listed", `claims.clearance == "high"`, map[string]any{"clearance": "high"}, 403},
		{"service account", `claims.serviceAccountNamespace == "analytics"`, map[string]any{"kubernetes.io": map[string]any{"namespace": "analytics", "serviceaccount": map[string]any{"name": "batch"}}}, 200},
		{"another service account", `claims.serviceAccountNamespace == "analytics"`, map[string]any{"kubernetes.io": map[string]any{"namespace": "default"}}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := clause("persons", src, rec)
			e.Source = route.Peer{Party: route.Party{Agency: "border-service", TrustDomain: "border-service.example"}}
			e.UserAttributes = tt.needs
			rec.apply("agr", nil, e)
			_, _, body := rec.post(c, "/v1/query:explain", q(`person_number == "P000042"`), "Authorization", "Bearer "+p.token(t, p.key, tt.claims))
			if got := strings.Contains(body, `"allowed":true`); got != (tt.code == 200) {
				t.Errorf("%s", body)
			}
		})
	}
}
