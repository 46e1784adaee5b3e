package accounting

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/entente-dev/entente/internal/page"
)

// clean keeps a peer's words from steering a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Nature says what was told, in words.
func (d *Disclosure) Nature() string { return nature(d.Granularity, d.Records, d.Fields) }

// Nature says what was told, in words.
func (d *Received) Nature() string { return nature(d.Granularity, d.Records, d.Fields) }

func nature(granularity string, records int, fields []string) string {
	switch granularity {
	case "Existence":
		return "that there is a record"
	case "Count":
		return "how many records there are"
	}
	return fmt.Sprintf("%s: %s", count(records, "record"), strings.Join(fields, ", "))
}

// Called is the agency with its name and address, as far as they are known.
func (a *Agency) Called() string {
	out := cmp.Or(a.Name, a.ID)
	if a.Address != "" {
		out += ", " + a.Address
	}
	return out
}

// Rests says in a sentence which logs an answer rests on, and what it cannot know.
func Rests(logs []Covered) []string {
	var out []string
	for _, l := range logs {
		switch {
		case l.First.IsZero():
			out = append(out, fmt.Sprintf("%s: no entries", l.Origin))
		case l.Erased > 0:
			out = append(out, fmt.Sprintf("%s: from %s to %s; some records of that time have been erased, as the law asks, and cannot be searched", l.Origin, page.Day(l.First), page.Day(l.Last)))
		default:
			out = append(out, fmt.Sprintf("%s: from %s to %s", l.Origin, page.Day(l.First), page.Day(l.Last)))
		}
	}
	return out
}

// lines writes labelled lines; the first error ends it.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) print(format string, args ...any) {
	if l.err == nil {
		for i, a := range args {
			if s, ok := a.(string); ok {
				args[i] = clean(s)
			}
		}
		_, l.err = fmt.Fprintf(l.w, format+"\n", args...)
	}
}

// Text is the account as a letter's enclosure.
func (a *Account) Text(w io.Writer) error {
	l := lines{w: w}
	l.print("Accounting of disclosures (5 U.S.C. 552a(c))")
	l.print("Made on %s", page.Day(a.Made))
	if a.Copy == CopyAgency {
		l.print("The agency's own copy. It is not for the person concerned: --for-person makes that one.")
	}
	l.print("")
	if len(a.Disclosures) == 0 {
		l.print("No disclosures.")
	}
	for i := range a.Disclosures {
		d := &a.Disclosures[i]
		l.print("%3d. %s", i+1, page.Moment(d.Date))
		if d.Internal != nil && d.NoHit {
			l.print("     Nothing     was found, so nothing was disclosed")
		} else {
			l.print("     Disclosed   %s", d.Nature())
		}
		l.print("     To          %s", d.Recipient.Called())
		l.print("     By          %s", d.Source)
		l.print("     Purpose     %s", d.Purpose)
		l.print("     Agreement   %s", d.Agreement)
		l.print("     Reference   %s", d.ID)
		if d.Internal != nil {
			if d.Withheld != "" {
				l.print("     WITHHELD    from the person: %s", d.Withheld)
			}
			l.print("     Internal    clause %s, case %s, user %s, %s, log %s", d.Clause, cmp.Or(d.CaseReference, "-"), cmp.Or(d.User, "-"), d.Outcome, d.Log)
		}
		l.print("")
	}
	l.print("It rests on these logs:")
	for _, s := range Rests(a.Logs) {
		l.print("  %s", s)
	}
	return l.err
}

// Text lists whom to tell.
func (c *Corrections) Text(w io.Writer) error {
	l := lines{w: w}
	l.print("Past recipients, to be told of a correction (5 U.S.C. 552a(c)(4); EU 2016/680 Art. 7(3))")
	l.print("Made on %s", page.Day(c.Made))
	l.print("")
	if len(c.Recipients) == 0 {
		l.print("Nobody received anything.")
	}
	for _, r := range c.Recipients {
		l.print("%s", r.Called())
		for _, contact := range r.Contacts {
			l.print("  contact: %s", contact)
		}
		for _, d := range r.Disclosures {
			told := "not told"
			if !d.Told.IsZero() {
				told = "told on " + page.Day(d.Told)
			}
			l.print("  %s  %s  %s  %s  (%s)", d.Date.UTC().Format("2006-01-02 15:04"), d.ID, d.Agreement, d.Nature(), told)
		}
		l.print("")
	}
	l.print("It rests on these logs:")
	for _, s := range Rests(c.Logs) {
		l.print("  %s", s)
	}
	return l.err
}

// Sides in words.
var sides = []struct{ side, asked, records string }{
	{"Source", "Asked of this agency", "disclosed"},
	{"Recipient", "Asked by this agency", "received"},
}

// Text is the report for a terminal.
func (r *Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(t, clean2(cells)) }
	fmt.Fprintf(t, "%s\n", r.Window())
	for _, s := range sides {
		rows := r.of(s.side)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(t, "\n%s\n", s.asked)
		row(strings.ToUpper(r.By), "ASKED", "ANSWERED", "HITS", "DENIED", "FAILED", "INTERRUPTED", "RECORDS", "P50 MS", "P95 MS", "LAST")
		for _, u := range rows {
			p50, p95 := "-", "-"
			if u.Latency != nil {
				p50, p95 = millis(u.Latency.P50), millis(u.Latency.P95)
			}
			n := func(v int64) string { return strconv.FormatInt(v, 10) }
			row(u.Key, n(u.Asked), n(u.Answered), n(u.Hits), n(u.Denied), n(u.Failed), n(u.Interrupted), n(u.Records), p50, p95, u.Last.UTC().Format(time.DateOnly))
		}
		if d := r.denials(s.side); len(d) > 0 {
			fmt.Fprintf(t, "\n  denied by: %s\n", clean(reasons(d, " ")))
		}
	}
	if len(r.Usage) == 0 {
		fmt.Fprintln(t, "\nNothing was asked.")
	}
	if len(r.Dormant) > 0 {
		fmt.Fprintln(t, "\nIn force and not used")
		row("AGREEMENT", "TITLE", "ENDS", "LAST USED")
		for _, d := range r.Dormant {
			row(d.Agreement, d.Title, d.NotAfter.UTC().Format(time.DateOnly), lastUsed(d.LastUsed))
		}
	}
	if len(r.Promised) > 0 {
		fmt.Fprintln(t, "\nPromised and measured")
		for _, p := range r.Promised {
			fmt.Fprintf(t, "%s\n  promised: %s\n  measured: %s\n", clean(p.Agreement), clean(p.Promised), p.Measured.Sentence())
		}
	}
	return t.Flush()
}

func clean2(cells []string) string {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	return strings.Join(cells, "\t")
}

func lastUsed(t time.Time) string {
	if t.IsZero() {
		return "never, as far as the logs go"
	}
	return t.UTC().Format(time.DateOnly)
}

// Window says in words what time the report is about.
func (r *Report) Window() string {
	var first, last time.Time
	for _, l := range r.Logs {
		if first.IsZero() || !l.First.IsZero() && l.First.Before(first) {
			first = l.First
		}
		if l.Last.After(last) {
			last = l.Last
		}
	}
	if !r.Since.IsZero() {
		first = r.Since
	}
	if !r.Until.IsZero() {
		last = r.Until
	}
	if first.IsZero() {
		return "The logs are empty"
	}
	return fmt.Sprintf("From %s to %s, by %s, from %s", page.Moment(first), page.Moment(last), r.By, count(len(r.Logs), "log"))
}

// Sentence is the counts in words.
func (n *Counts) Sentence() string {
	if n.Asked == 0 {
		return "nothing was asked"
	}
	rate := "no answers"
	if n.Answered > 0 {
		rate = fmt.Sprintf("%d answered, %d of them with a hit (%.0f %%)", n.Answered, n.Hits, 100*float64(n.Hits)/float64(n.Answered))
	}
	return fmt.Sprintf("%d asked, %s, %d denied, %d records", n.Asked, rate, n.Denied, n.Records)
}

// of gives the rows of one side, the most used first.
func (r *Report) of(side string) []Usage {
	out := slices.DeleteFunc(slices.Clone(r.Usage), func(u Usage) bool { return u.Side != side })
	slices.SortStableFunc(out, func(a, b Usage) int { return cmp.Compare(b.Asked, a.Asked) })
	return out
}

// denials of one side by reason.
func (r *Report) denials(side string) map[string]int64 {
	out := map[string]int64{}
	for _, u := range r.of(side) {
		for reason, n := range u.Denials {
			out[reason] += n
		}
	}
	return out
}
