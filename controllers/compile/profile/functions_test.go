package profile

import (
	"testing"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMonths(t *testing.T) {
	for _, c := range []struct {
		from, to string
		months   int64
		days     int64
	}{
		{"2026-01-01T00:00:00Z", "2027-07-01T00:00:00Z", 18, 546},
		{"2026-01-01T00:00:00Z", "2027-07-01T00:00:01Z", 19, 547},
		{"2026-01-01T00:00:00Z", "2027-06-30T23:59:59Z", 18, 546},
		{"2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 0, 0},
		{"2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", 1, 1},
		{"2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", 1, 28},
		{"2026-01-31T00:00:00Z", "2026-03-01T00:00:00Z", 2, 29},
		{"2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z", 2, 59},
		{"2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z", 1, 29},
		{"2028-02-29T00:00:00Z", "2029-02-28T00:00:00Z", 12, 365},
		{"2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z", 1, 30},
		{"2026-07-01T00:00:00+02:00", "2026-07-31T22:00:00Z", 2, 31}, // 30 June 22:00 in UTC
		{"2026-07-01T00:00:00+02:00", "2026-07-30T22:00:00Z", 1, 30},
		{"2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z", -1, -31},
		{"2026-02-01T00:00:00Z", "2026-01-01T00:00:01Z", 0, -30},
		{"2026-02-01T00:00:00Z", "2025-12-31T00:00:00Z", -1, -32},
		{"0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 119988, 3652059},
	} {
		from, to := at(t, c.from), at(t, c.to)
		if got := months(from, to); got != c.months {
			t.Errorf("months(%s, %s) = %d, want %d", c.from, c.to, got, c.months)
		}
		if got := days(from, to); got != c.days {
			t.Errorf("days(%s, %s) = %d, want %d", c.from, c.to, got, c.days)
		}
	}
}

// TestMonthsIsTheLeast: what the documentation says of months, for many pairs.
func TestMonthsIsTheLeast(t *testing.T) {
	from := at(t, "2023-12-29T12:00:00Z")
	for start := range 40 {
		from := from.AddDate(0, 0, start)
		for hours := -24 * 100; hours < 24*800; hours += 7 {
			to := from.Add(time.Duration(hours) * time.Hour)
			n := months(from, to)
			if to.After(addMonths(from, n)) || !to.After(addMonths(from, n-1)) {
				t.Fatalf("months(%s, %s) = %d", from, to, n)
			}
			if d := days(from, to); to.After(from.Add(time.Duration(d)*24*time.Hour)) || !to.After(from.Add(time.Duration(d-1)*24*time.Hour)) {
				t.Fatalf("days(%s, %s) = %d", from, to, d)
			}
		}
	}
}
