package main

import (
	"strings"
	"testing"
	"time"
)

func TestMaintenanceOf(t *testing.T) {
	now := time.Date(2026, 12, 5, 20, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		from, until string
		lasts       time.Duration
		reason      string
		want        string // from and until, or a part of the error
	}{
		"for two hours":   {"", "", 2 * time.Hour, "r", "now 2026-12-05T22:00:00Z"},
		"until":           {"", "2026-12-06T00:00:00+01:00", 0, "r", "now 2026-12-05T23:00:00Z"},
		"from, for":       {"2026-12-06T00:00:00Z", "", time.Hour, "r", "2026-12-06T00:00:00Z 2026-12-06T01:00:00Z"},
		"no reason":       {"", "", time.Hour, "", "--reason says why"},
		"no time":         {"tomorrow", "", time.Hour, "r", "--from"},
		"no end":          {"", "later", 0, "r", "--until"},
		"backwards":       {"2026-12-06T00:00:00Z", "2026-12-05T23:00:00Z", 0, "r", "ends before it begins"},
		"nothing":         {"", "", -time.Hour, "r", "ends before it begins"},
		"over":            {"2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z", 0, "r", "over already"},
		"begun, to go on": {"2026-12-05T00:00:00Z", "2026-12-05T21:00:00Z", 0, "r", "2026-12-05T00:00:00Z 2026-12-05T21:00:00Z"},
	} {
		m, err := maintenanceOf(c.from, c.until, c.lasts, c.reason, now)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = "now"
			if m.From != nil {
				got = m.From.UTC().Format(time.RFC3339)
			}
			got += " " + m.Until.UTC().Format(time.RFC3339)
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
