package accounting

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// Report is how agreements were used.
type Report struct {
	Made time.Time `json:"made"`
	// Since and Until bound what is counted; zero: the logs' own ends.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// By says what a row of Usage is about: agreement, purpose or agency.
	By    string  `json:"by"`
	Usage []Usage `json:"usage"`
	// Days counts per day (UTC), both sides apart.
	Days []Day `json:"days"`
	// Dormant agreements are in force and were not used; nil when agreements are not known.
	Dormant []Dormant `json:"dormant,omitempty"`
	// Promised results beside what was measured, for agreements in force.
	Promised []Promise `json:"promised,omitempty"`
	Logs     []Covered `json:"logs"`
}

// Counts of disclosures. Asked is the sum of Answered, Denied, Failed and Interrupted.
type Counts struct {
	Asked int64 `json:"asked"`
	// Answered in full or in part. Hits found something, on whichever rung of the disclosure ladder.
	Answered int64 `json:"answered"`
	Hits     int64 `json:"hits"`
	NoHits   int64 `json:"noHits"`
	Denied   int64 `json:"denied"`
	// Failed: unavailable or too late.
	Failed int64 `json:"failed"`
	// Interrupted: begun and never ended, because the gateway stopped, or still running.
	Interrupted int64 `json:"interrupted"`
	// Records disclosed (side Source) or received (side Recipient).
	Records int64 `json:"records"`
}

// Usage is one row.
type Usage struct {
	// Side: Source, what this agency was asked; Recipient, what it asked.
	Side string `json:"side"`
	Key  string `json:"key"`
	Counts
	// Denials by the check that refused.
	Denials map[string]int64 `json:"denials,omitempty"`
	// Milliseconds from the request to the answer, of what was answered; nil: not measured.
	Latency *Latency  `json:"latencyMillis,omitempty"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	took    histogram
}

// Latency in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Day is one day's counts at one side.
type Day struct {
	Side string    `json:"side"`
	Day  time.Time `json:"day"`
	Counts
}

// Dormant is an agreement in force that nobody used.
type Dormant struct {
	Agreement string    `json:"agreement"`
	Title     string    `json:"title"`
	NotAfter  time.Time `json:"notAfter"`
	// LastUsed in any version, before the report's window; zero: never, as far as the logs go.
	LastUsed time.Time `json:"lastUsed,omitzero"`
}

// Promise is what an agreement was to bring, and what it did.
type Promise struct {
	Agreement string `json:"agreement"`
	Title     string `json:"title"`
	Promised  string `json:"promised"`
	Measured  Counts `json:"measured"`
}

// Scope is what a report is about.
type Scope struct {
	Logs         []Log
	Directory    Directory
	Since, Until time.Time
	// By is one of the package's By; agency is the other side's.
	By  string
	Now time.Time
}

// By are what a row may be about.
var By = []string{"agreement", "purpose", "agency"}

// none and others are keys of rows: without one, and beyond maxKeys. Keys come in part from peers.
const (
	none    = "(none)"
	others  = "(others)"
	maxKeys = 5000
)

// NewReport counts.
func NewReport(ctx context.Context, s Scope) (*Report, error) {
	c := newCounter(s)
	covered, err := each(ctx, s.Logs, func(l *Log, e *audit.Entry) error { c.entry(&e.Record); return nil })
	if err != nil {
		return nil, err
	}
	c.interrupted()
	r := &Report{Made: s.Now.UTC(), Since: s.Since, Until: s.Until, By: s.By, Usage: []Usage{}, Days: []Day{}, Logs: covered}
	for _, k := range slices.SortedFunc(maps.Keys(c.rows), row.compare) {
		u := c.rows[k]
		u.Latency = u.took.latency()
		r.Usage = append(r.Usage, *u)
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.days), row.compare) {
		r.Days = append(r.Days, *c.days[k])
	}
	c.compare(r)
	return r, nil
}

func (h *histogram) latency() *Latency {
	if h.n == 0 {
		return nil
	}
	return &Latency{h.quantile(.5), h.quantile(.95), h.quantile(.99), float64(h.max) / 1000}
}

// row names a row: the side, and the agreement, purpose, agency or day.
type row struct {
	side audit.Side
	key  string
}

func (r row) compare(o row) int {
	// What the agency gave comes before what it got.
	return cmp.Or(-cmp.Compare(r.side, o.side), cmp.Compare(r.key, o.key))
}

// open is a disclosure whose outcome has not come by yet, or the contribution of one that has just ended.
type open struct {
	last    audit.Record // without its long members
	records int64        // released before the last frame
	ended   bool
}

// counter counts entries as they come by.
type counter struct {
	s    Scope
	only map[string]bool // agreements that are counted; nil: all
	// tally, when it is not nil, counts instead of what is below.
	tally func(*audit.Record, int64)
	rows  map[row]*Usage
	days  map[row]*Day
	// agreements counts by id, whatever the rows are.
	agreements map[string]*Counts
	used       map[string]time.Time
	// open disclosures by side and id, as many as run at once, and those that were interrupted. ended holds the latest
	// that ended: a second outcome, which takes the first one back, follows within moments.
	open  map[row]*open
	ended []row
}

// recent is how many ended disclosures are remembered.
const recent = 4096

func newCounter(s Scope) *counter {
	return &counter{s: s, rows: map[row]*Usage{}, days: map[row]*Day{}, agreements: map[string]*Counts{}, used: map[string]time.Time{}, open: map[row]*open{}}
}

func (c *counter) entry(r *audit.Record) {
	if r.Operation != "" && r.Operation != audit.Consultation {
		return
	}
	id := row{r.Side, r.Disclosure}
	o := c.open[id]
	switch r.Kind {
	case audit.Intent:
		if o == nil {
			c.open[id] = &open{last: short(r)}
		}
	case audit.Release:
		if o != nil {
			o.records += r.Records
		}
	case audit.Denial:
		c.count(r, 1)
	case audit.Outcome:
		if o != nil && o.ended {
			c.count(&o.last, -1)
		}
		c.count(r, 1)
		c.end(id, r)
	}
}

// end remembers a disclosure that ended, and forgets the one that ended longest ago.
func (c *counter) end(id row, r *audit.Record) {
	o := c.open[id]
	if o == nil || !o.ended {
		if c.ended = append(c.ended, id); len(c.ended) > recent {
			delete(c.open, c.ended[0])
			c.ended = c.ended[1:]
		}
	}
	c.open[id] = &open{last: short(r), ended: true}
}

// short is a record without what is long and not counted.
func short(r *audit.Record) audit.Record {
	return audit.Record{
		Kind: r.Kind, Side: r.Side, Time: r.Time, Agreement: r.Agreement, Purpose: r.Purpose, Source: r.Source, Recipient: r.Recipient,
		Records: r.Records, Hit: r.Hit, Outcome: r.Outcome, Reason: r.Reason, ElapsedMicros: r.ElapsedMicros,
	}
}

// interrupted counts what began and never ended.
func (c *counter) interrupted() {
	for _, o := range c.open {
		if !o.ended {
			o.last.Records, o.last.Outcome = o.records, ""
			c.count(&o.last, 1)
		}
	}
}

// count adds a record that ends a disclosure, or takes it back.
func (c *counter) count(r *audit.Record, sign int64) {
	if !c.s.Until.IsZero() && !r.Time.Before(c.s.Until) || c.only != nil && !c.only[r.Agreement] {
		return
	}
	if r.Agreement != "" && r.Time.After(c.used[r.Agreement]) && (len(c.used) < maxKeys || !c.used[r.Agreement].IsZero()) {
		c.used[r.Agreement] = r.Time
	}
	if r.Time.Before(c.s.Since) {
		return
	}
	if c.tally != nil {
		c.tally(r, sign)
		return
	}
	u := c.row(r)
	u.add(r, sign)
	if refused(r) {
		if u.Denials == nil {
			u.Denials = map[string]int64{}
		}
		reason := cmp.Or(r.Reason, none)
		if _, known := u.Denials[reason]; !known && len(u.Denials) >= 100 {
			reason = others
		}
		if u.Denials[reason] += sign; u.Denials[reason] == 0 {
			delete(u.Denials, reason)
		}
	}
	if answered(r) && sign > 0 {
		u.took.add(r.ElapsedMicros)
	} else if answered(r) {
		u.took.remove(r.ElapsedMicros)
	}
	if u.First.IsZero() || r.Time.Before(u.First) {
		u.First = r.Time
	}
	if r.Time.After(u.Last) {
		u.Last = r.Time
	}
	date := r.Time.UTC().Truncate(24 * time.Hour)
	k := row{r.Side, date.Format(time.DateOnly)}
	if c.days[k] == nil {
		c.days[k] = &Day{Side: string(r.Side), Day: date}
	}
	c.days[k].add(r, sign)
	if a := c.agreements[r.Agreement]; a != nil {
		a.add(r, sign)
	} else if len(c.agreements) < maxKeys {
		c.agreements[r.Agreement] = &Counts{}
		c.agreements[r.Agreement].add(r, sign)
	}
}

func (c *counter) row(r *audit.Record) *Usage {
	key := r.Agreement
	switch {
	case c.s.By == "purpose":
		key = r.Purpose
	case c.s.By == "agency" && r.Side == audit.Source:
		key = r.Recipient
	case c.s.By == "agency":
		key = r.Source
	}
	k := row{r.Side, cmp.Or(key, none)}
	if c.rows[k] == nil && len(c.rows) >= maxKeys {
		k.key = others
	}
	if c.rows[k] == nil {
		c.rows[k] = &Usage{Side: string(k.side), Key: k.key}
	}
	return c.rows[k]
}

func answered(r *audit.Record) bool {
	return r.Kind == audit.Outcome && (r.Outcome == "OK" || r.Outcome == "PARTIAL")
}

func refused(r *audit.Record) bool {
	return r.Kind == audit.Denial || r.Kind == audit.Outcome && r.Outcome == "DENIED"
}

func (n *Counts) add(r *audit.Record, sign int64) {
	n.Asked += sign
	n.Records += sign * r.Records
	switch {
	case answered(r):
		n.Answered += sign
		if r.Hit {
			n.Hits += sign
		} else {
			n.NoHits += sign
		}
	case refused(r):
		n.Denied += sign
	case r.Kind == audit.Outcome:
		n.Failed += sign
	default:
		n.Interrupted += sign
	}
}

// compare sets the agreements beside what was counted.
func (c *counter) compare(r *Report) {
	for _, a := range c.s.Directory.Agreements {
		if !a.InForce {
			continue
		}
		n := c.agreements[a.ID]
		if n == nil {
			n = &Counts{}
		}
		if n.Asked == 0 {
			r.Dormant = append(r.Dormant, Dormant{Agreement: a.Name, Title: a.Title, NotAfter: a.NotAfter, LastUsed: c.used[a.ID]})
		}
		if a.Promised != "" {
			r.Promised = append(r.Promised, Promise{Agreement: a.Name, Title: a.Title, Promised: a.Promised, Measured: *n})
		}
	}
	slices.SortFunc(r.Dormant, func(a, b Dormant) int { return cmp.Compare(a.Agreement, b.Agreement) })
	slices.SortFunc(r.Promised, func(a, b Promise) int { return cmp.Compare(a.Agreement, b.Agreement) })
}
