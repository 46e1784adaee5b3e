package obligations

import (
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/route"
)

func TestOf(t *testing.T) {
	days := func(n int64) *int64 { return &n }
	// Half past ten in the evening in New York is the next day in UTC.
	at := time.Date(2026, 12, 31, 22, 30, 0, 0, time.FixedZone("EST", -5*3600))
	for _, tc := range []struct {
		name string
		of   route.Obligations
		want audit.Obligations
	}{
		{"none", route.Obligations{}, audit.Obligations{Redisclosure: "Prohibited"}},
		{"all", route.Obligations{RetentionDays: days(90), Redisclosure: "WithConsentOfSource", VerifyBeforeActionDays: days(30)},
			audit.Obligations{Redisclosure: "WithConsentOfSource", DestroyBy: "2027-04-01", NoActionBefore: "2027-01-31"}},
		{"at once", route.Obligations{RetentionDays: days(0), VerifyBeforeActionDays: days(0)},
			audit.Obligations{Redisclosure: "Prohibited", DestroyBy: "2027-01-01", NoActionBefore: "2027-01-01"}},
		{"a century", route.Obligations{RetentionDays: days(36525)}, audit.Obligations{Redisclosure: "Prohibited", DestroyBy: "2127-01-02"}},
	} {
		if got := Logged(Of(tc.of, at)); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
