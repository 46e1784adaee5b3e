package exchange

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
)

// TestAnnounced: what a peer announces is bounded before our users see it.
func TestAnnounced(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(d)) }
	for name, c := range map[string]struct {
		m    *exchangev1.Maintenance
		kept bool
	}{
		"none":                  {nil, false},
		"at once":               {&exchangev1.Maintenance{Until: at(time.Hour), Reason: "new storage"}, true},
		"to come":               {&exchangev1.Maintenance{From: at(time.Hour), Until: at(2 * time.Hour), Reason: "déménagement"}, true},
		"no end":                {&exchangev1.Maintenance{Reason: "r"}, false},
		"over":                  {&exchangev1.Maintenance{Until: at(0), Reason: "r"}, false},
		"for ever":              {&exchangev1.Maintenance{Until: at(MaxMaintenance + time.Minute), Reason: "r"}, false},
		"ends before it begins": {&exchangev1.Maintenance{From: at(2 * time.Hour), Until: at(time.Hour), Reason: "r"}, false},
		"no reason":             {&exchangev1.Maintenance{Until: at(time.Hour)}, false},
		"a long reason":         {&exchangev1.Maintenance{Until: at(time.Hour), Reason: strings.Repeat("é", MaxMaintenanceReason+1)}, false},
		"an escape sequence":    {&exchangev1.Maintenance{Until: at(time.Hour), Reason: "\x1b[2J"}, false},
		"an invisible turn":     {&exchangev1.Maintenance{Until: at(time.Hour), Reason: "a\u202eb"}, false},
		"no time":               {&exchangev1.Maintenance{Until: &timestamppb.Timestamp{Nanos: -1}, Reason: "r"}, false},
	} {
		if got := announced(c.m, now); (got != nil) != c.kept {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
