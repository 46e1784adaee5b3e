package accounting

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table writes CSV for spreadsheets.
type table struct{ w *csv.Writer }

func newTable(w io.Writer, columns ...string) table {
	t := table{csv.NewWriter(w)}
	_ = t.w.Write(columns) // the error stays with the writer
	return t
}

func (t table) row(cells ...string) {
	for i, c := range cells {
		// A spreadsheet would run it as a formula, and some of these words come from peers.
		if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
			cells[i] = "'" + c
		}
	}
	_ = t.w.Write(cells)
}

func (t table) end() error {
	t.w.Flush()
	return t.w.Error()
}

func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// CSV writes one line for each disclosure.
func (a *Account) CSV(w io.Writer) error {
	columns := []string{"date", "recipient", "recipient_name", "recipient_address", "source", "nature", "records", "fields", "purpose", "agreement", "disclosure"}
	if a.Copy == CopyAgency {
		columns = append(columns, "withheld", "no_hit", "clause", "case_reference", "user", "log")
	}
	t := newTable(w, columns...)
	for _, d := range a.Disclosures {
		cells := []string{
			timestamp(d.Date), d.Recipient.ID, d.Recipient.Name, d.Recipient.Address, d.Source, d.Granularity, strconv.Itoa(d.Records), strings.Join(d.Fields, " "),
			d.Purpose, d.Agreement, d.ID,
		}
		if a.Copy == CopyAgency {
			cells = append(cells, d.Withheld, strconv.FormatBool(d.NoHit), d.Clause, d.CaseReference, d.User, d.Log)
		}
		t.row(cells...)
	}
	return t.end()
}

// CSV writes one line for each disclosure.
func (c *Corrections) CSV(w io.Writer) error {
	t := newTable(w, "recipient", "recipient_name", "recipient_address", "contacts", "date", "nature", "records", "fields", "purpose", "agreement", "disclosure", "told")
	for _, r := range c.Recipients {
		for _, d := range r.Disclosures {
			t.row(r.ID, r.Name, r.Address, strings.Join(r.Contacts, "; "), timestamp(d.Date), d.Granularity, strconv.Itoa(d.Records), strings.Join(d.Fields, " "),
				d.Purpose, d.Agreement, d.ID, timestamp(d.Told))
		}
	}
	return t.end()
}

// CSV writes one line for each row of usage.
func (r *Report) CSV(w io.Writer) error {
	t := newTable(w, "side", r.By, "asked", "answered", "hits", "no_hits", "denied", "failed", "interrupted", "records",
		"p50_ms", "p95_ms", "p99_ms", "max_ms", "first", "last", "denials")
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	for _, u := range r.Usage {
		var l Latency
		if u.Latency != nil {
			l = *u.Latency
		}
		t.row(u.Side, u.Key, n(u.Asked), n(u.Answered), n(u.Hits), n(u.NoHits), n(u.Denied), n(u.Failed), n(u.Interrupted), n(u.Records),
			millis(l.P50), millis(l.P95), millis(l.P99), millis(l.Max), timestamp(u.First), timestamp(u.Last), reasons(u.Denials, "="))
	}
	return t.end()
}

func millis(v float64) string {
	switch {
	case v == 0:
		return ""
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// reasons lists denials by reason, the most frequent first.
func reasons(denials map[string]int64, between string) string {
	var out []string
	for _, k := range byCount(denials) {
		out = append(out, fmt.Sprintf("%s%s%d", k, between, denials[k]))
	}
	return strings.Join(out, "; ")
}

func byCount(m map[string]int64) []string {
	keys := slices.Sorted(maps.Keys(m))
	slices.SortStableFunc(keys, func(a, b string) int { return int(min(1, max(-1, m[b]-m[a]))) })
	return keys
}
