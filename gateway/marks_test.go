package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/route"
)

// TestMarksTravel: what a recipient must keep to stands with every record, with a hit, and in both logs.
func TestMarksTravel(t *testing.T) {
	inOneDay()
	duties := func(c *route.Clause) {
		c.Obligations = route.Obligations{RetentionDays: ptr(int64(90)), Redisclosure: "WithConsentOfSource", VerifyBeforeActionDays: ptr(int64(30))}
	}
	// The source claims to ask for less; what this side's agreement says goes to the user.
	src, rec := agreeOn(t, func(c *route.Clause) { c.Obligations = route.Obligations{Redisclosure: "WithConsentOfSource"} }, duties)
	c := rec.client("alice")
	today := time.Now().UTC()
	day := func(n int) string { return today.AddDate(0, 0, n).Format(time.DateOnly) }
	marks := `"obligations":{"retentionDays":90,"redisclosure":"WithConsentOfSource","verifyBeforeActionDays":30,"noActionBefore":"` + day(30) + `","destroyBy":"` + day(90) + `"}`
	for name, tt := range map[string]struct {
		body  string
		lines bool
		times int
	}{
		"records":          {q(`family_name == "f3"`), false, 10 + 1},
		"records in lines": {q(`family_name == "f3"`), true, 10 + 1},
		"a hit":            {q(`family_name == "f3"`, `"granularity":"Existence"`), false, 1},
		"a count":          {q(`family_name == "f3"`, `"granularity":"Count"`), false, 1},
		"a refusal":        {q(`age > 3`), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			if tt.lines {
				header = []string{"Accept", "application/x-ndjson"}
			}
			_, _, body := rec.post(c, "/v1/query", tt.body, header...)
			if got := strings.Count(body, marks); got != tt.times {
				t.Errorf("%d times %s, want %d, in %s", got, marks, tt.times, body)
			}
			log := rec.records()
			last := log[len(log)-1]
			want := audit.Obligations{Redisclosure: "WithConsentOfSource", DestroyBy: day(90), NoActionBefore: day(30)}
			if tt.times == 0 {
				want = audit.Obligations{}
			}
			if last.Obligations != want {
				t.Errorf("logged %+v, want %+v", last.Obligations, want)
			}
		})
	}
	log := src.records()
	if last := log[len(log)-1]; last.Obligations != (audit.Obligations{Redisclosure: "WithConsentOfSource"}) {
		t.Errorf("the source logged %+v", last.Obligations)
	}
}
