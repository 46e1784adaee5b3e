package accounting

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

func TestReport(t *testing.T) {
	a, b, _ := scene(t)
	b.disclose(func(r *audit.Record) {
		r.Agreement, r.Outcome, r.Reason, r.Purpose, r.ElapsedMicros = "harbor", "UNAVAILABLE", "SourceSystem", "entente:ports", 0
	})
	// What this agency asked of others is in the same logs.
	b.disclose(func(r *audit.Record) {
		r.Side, r.Source, r.Recipient, r.Hit, r.Records, r.LocalUser = audit.Recipient, "border-service", "labor-inspectorate", true, 5, "certificate:alice"
	})
	refused := b.base(audit.Denial)
	refused.Side, refused.Agreement, refused.Clause, refused.Outcome, refused.Reason = audit.Recipient, "", "", "DENIED", "NoAgreement"
	b.add(refused)

	s := Scope{
		Logs: []Log{a.open(), b.open()}, By: "agreement", Now: b.now,
		Directory: Directory{Agreements: []Agreement{
			{Name: "anvil.v1", ID: "anvil", Title: "Anvil", InForce: true, Promised: "Ten cases a year."},
			{Name: "harbor.v1", ID: "harbor", Title: "Harbor", InForce: true},
			{Name: "idle.v2", ID: "idle", Title: "Idle", InForce: true, Promised: "Savings."},
			{Name: "over.v1", ID: "over", Title: "Over"},
		}},
	}
	r, err := NewReport(t.Context(), s)
	must(t, err)
	got := map[string]Usage{}
	for _, u := range r.Usage {
		got[u.Side+" "+u.Key] = u
	}
	// Of 8 at gateway-0: three hits, a no-hit, one taken back and a denial, two interrupted; and gateway-1's hit.
	want := Counts{Asked: 9, Answered: 5, Hits: 4, NoHits: 1, Denied: 2, Interrupted: 2, Records: 3 + 1 + 1 + 2}
	if c := got["Source anvil"].Counts; c != want {
		t.Errorf("anvil: %+v, want %+v", c, want)
	}
	if d := got["Source anvil"].Denials; d["agreement"] != 1 || d["(none)"] != 1 || len(d) != 2 {
		t.Errorf("denials: %v", d)
	}
	if l := got["Source anvil"].Latency; l == nil || l.P50 < 1.9 || l.P50 > 2.1 || l.Max != 2 {
		t.Errorf("latency: %+v", l)
	}
	if c := got["Source harbor"].Counts; c.Failed != 1 || c.Asked != 1 || got["Source harbor"].Latency != nil {
		t.Errorf("harbor: %+v", c)
	}
	if c := got["Recipient anvil"].Counts; c.Records != 5 || c.Hits != 1 {
		t.Errorf("asked by us: %+v", c)
	}
	if c := got["Recipient (none)"].Counts; c.Denied != 1 {
		t.Errorf("refused as a whole: %+v", c)
	}
	if len(r.Dormant) != 1 || r.Dormant[0].Agreement != "idle.v2" || len(r.Promised) != 2 || r.Promised[0].Measured.Hits != 5 {
		t.Errorf("dormant %+v, promised %+v", r.Dormant, r.Promised)
	}

	for by, keys := range map[string][]string{
		"purpose": {"Source entente:benefits", "Source entente:ports", "Source " + lawEnforcement, "Recipient entente:benefits"},
		"agency":  {"Source border-service", "Source state-police", "Recipient border-service"},
	} {
		s.By = by
		r, err := NewReport(t.Context(), s)
		must(t, err)
		var got []string
		var asked int64
		for _, u := range r.Usage {
			got = append(got, u.Side+" "+u.Key)
			asked += u.Asked
		}
		for _, k := range keys {
			if !slices.Contains(got, k) {
				t.Errorf("by %s: no row %q in %v", by, k, got)
			}
		}
		if asked != 12 {
			t.Errorf("by %s: %d asked", by, asked)
		}
	}

	// Nothing about persons, in any form.
	s.By = "agreement"
	r, err = NewReport(t.Context(), s)
	must(t, err)
	for name, render := range map[string]func(*bytes.Buffer) error{
		"text": func(w *bytes.Buffer) error { return r.Text(w) },
		"csv":  func(w *bytes.Buffer) error { return r.CSV(w) },
		"html": func(w *bytes.Buffer) error { return r.HTML(w) },
		"json": func(w *bytes.Buffer) error { return json.NewEncoder(w).Encode(r) },
	} {
		var out bytes.Buffer
		must(t, render(&out))
		for _, trace := range []string{"Castellanos", "TF-2026-001", "alice", "pseudonym", a.token("X1")} {
			if strings.Contains(out.String(), trace) {
				t.Errorf("%s has %q", name, trace)
			}
		}
		if !strings.Contains(out.String(), "harbor") {
			t.Errorf("%s has no harbor:\n%s", name, out.String())
		}
	}
}

func TestReportWindow(t *testing.T) {
	r := newReplica(t, "gateway-0")
	for range 10 {
		r.now = r.now.Add(24*time.Hour - time.Minute)
		r.disclose(func(*audit.Record) {})
	}
	s := Scope{
		Logs: []Log{r.open()}, By: "agreement", Now: r.now, Since: start.Add(49 * time.Hour), Until: start.Add(5 * 24 * time.Hour),
		Directory: Directory{Agreements: []Agreement{{Name: "anvil.v1", ID: "anvil", InForce: true}}},
	}
	rep, err := NewReport(t.Context(), s)
	must(t, err)
	if rep.Usage[0].Asked != 2 || len(rep.Days) != 2 || rep.Days[0].Day.Day() != 4 {
		t.Errorf("%+v %+v", rep.Usage[0].Counts, rep.Days)
	}
	s.Since, s.Until = start.Add(11*24*time.Hour), time.Time{}
	rep, err = NewReport(t.Context(), s)
	must(t, err)
	if len(rep.Usage) != 0 || len(rep.Dormant) != 1 || !rep.Dormant[0].LastUsed.Equal(r.now) {
		t.Errorf("%+v %+v", rep.Usage, rep.Dormant)
	}
}

// The buckets give quantiles to a twentieth.
func TestHistogram(t *testing.T) {
	var h histogram
	var all []float64
	for range 10_000 {
		v := int64(100 * (1 + rand.ExpFloat64()*50))
		h.add(v)
		all = append(all, float64(v)/1000)
	}
	slices.Sort(all)
	for _, q := range []float64{.5, .95, .99} {
		want := all[int(q*float64(len(all)))]
		if got := h.quantile(q); got < want*.93 || got > want*1.07 {
			t.Errorf("p%v: %v, want %v", q*100, got, want)
		}
	}
	if h.latency().Max != all[len(all)-1] {
		t.Error("max")
	}
	h.add(0)
	h.add(1 << 62)
}

func TestChartsHoldTogether(t *testing.T) {
	days := []Day{}
	for i := range 700 { // two years: months
		n := int64(i % 7)
		days = append(days, Day{Side: "Source", Day: start.AddDate(0, 0, i), Counts: Counts{Asked: n + 1, Answered: n, Hits: n, Denied: 1}})
	}
	c := overTime("x", "X", days)
	if len(c.Rows) != 23 && len(c.Rows) != 24 {
		t.Errorf("%d months", len(c.Rows))
	}
	for _, b := range c.Bars {
		if b.X < plotLeft || b.X+b.Width > chartWidth+0.1 || b.Y < plotTop-0.1 || b.Y+b.Height > plotTop+plotHeight+0.1 {
			t.Fatalf("a bar outside of the plot: %+v", b)
		}
	}
}

func TestExport(t *testing.T) {
	a, b, _ := scene(t)
	logs := []Log{a.open(), b.open()}
	var lines []string
	collect := func(l Line) error {
		text, err := json.Marshal(l)
		lines = append(lines, string(text))
		return err
	}
	must(t, Export(t.Context(), ExportOptions{Logs: logs}, collect))
	all := strings.Join(lines, "\n")
	// With the quote before it, as it stands in the filter: three letters alone turn up in a hash now and then.
	for _, trace := range []string{`\"Castellanos`, "TF-2026-001", "eve@police", "sha256:query", "sha256:answer", a.token("X1"), a.token("X0")} {
		if strings.Contains(all, trace) {
			t.Errorf("%q was not left out", trace)
		}
	}
	if !strings.Contains(all, `"user":"pseudonym"`) || !strings.Contains(lines[0], `"origin":"labor.example.gov/gateway-0","seq":1,`) || !strings.Contains(lines[0], `"redacted":true`) {
		t.Errorf("%s", lines[0])
	}
	n := len(lines)
	lines = nil
	must(t, Export(t.Context(), ExportOptions{Logs: logs, WithParameters: true, Since: b.now}, collect))
	all = strings.Join(lines, "\n")
	if !strings.Contains(all, "TF-2026-001") || !strings.Contains(all, `\"Castellanos`) || len(lines) >= n {
		t.Errorf("%d of %d lines:\n%s", len(lines), n, all)
	}

	// Followed, each entry comes once, those that are written meanwhile too.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := map[string]int{}
	err := Export(ctx, ExportOptions{Logs: logs, Poll: 5 * time.Millisecond}, func(l Line) error {
		seen[fmt.Sprint(l.Origin, l.Seq)]++
		if len(seen) < n+20 && l.Seq%2 == 0 {
			b.disclose(func(*audit.Record) {})
		}
		if len(seen) >= n+20 {
			cancel()
		}
		return nil
	})
	must(t, err)
	for k, times := range seen {
		if times != 1 {
			t.Errorf("%s came %d times", k, times)
		}
	}
}

// TestErasedIn: an answer says of which months something is gone.
func TestErasedIn(t *testing.T) {
	r := newReplica(t, "gateway-0")
	first := r.disclose(func(rec *audit.Record) { rec.Hit = true })
	r.now = r.now.AddDate(0, 2, 0)
	r.disclose(func(rec *audit.Record) { rec.Hit = true })
	_, err := r.log.Erase(t.Context(), audit.Selection{Disclosure: first}, audit.Order{Text: "in error"})
	must(t, err)
	must(t, r.log.Close())
	months, covered, err := Monthly(t.Context(), Scope{Logs: []Log{r.open()}}, []string{"anvil"})
	must(t, err)
	if len(months) != 1 || len(covered[0].ErasedIn) != 1 || !covered[0].ErasedIn["2026-10"] {
		t.Errorf("%+v, erased in %v", months, covered[0].ErasedIn)
	}
}
