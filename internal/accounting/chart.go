package accounting

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/entente-dev/entente/internal/page"
)

// chart is a bar chart as SVG, laid out; a table of the same numbers stands below it.
type chart struct {
	ID, Title, Description string
	Width, Height          int
	Lines                  []line
	Bars                   []bar
	Labels                 []label
	Legend                 []part
	Head                   []string
	Rows                   [][]string
}

// Long tables are folded.
func (c *chart) Long() bool { return len(c.Rows) > 15 }

type line struct{ X1, Y1, X2, Y2 int }

type bar struct {
	X, Y, Width, Height float64
	Class, Title        string
}

type label struct {
	X, Y   int
	Anchor string
	Text   string
}

// part of a bar: a class of the style sheet, and what it means.
type part struct {
	Class, Name string
	of          func(Counts) int64
}

var parts = []part{
	{"hit", "answered, found", func(c Counts) int64 { return c.Hits }},
	{"nohit", "answered, nothing found", func(c Counts) int64 { return c.NoHits }},
	{"denied", "denied", func(c Counts) int64 { return c.Denied }},
	{"failed", "failed or interrupted", func(c Counts) int64 { return c.Failed + c.Interrupted }},
}

const (
	chartWidth = 760
	plotTop    = 12
	plotHeight = 180
	plotLeft   = 56
)

// period is a bar of the chart over time.
type period struct {
	name string
	Counts
}

// perDay is the most days that a chart shows one by one; beyond it, it shows months.
const perDay = 62

// periods gives every day or month from the first to the last, empty ones too.
func periods(days []Day) []period {
	if len(days) == 0 {
		return nil
	}
	first, last := days[0].Day, days[len(days)-1].Day
	form, next := "2 Jan 2006", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }
	if last.Sub(first) > perDay*24*time.Hour {
		form, next = "Jan 2006", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }
		first = time.Date(first.Year(), first.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	var out []period
	at := map[string]int{}
	for t := first; !t.After(last) && len(out) < 1200; t = next(t) {
		at[t.Format(form)] = len(out)
		out = append(out, period{name: t.Format(form)})
	}
	for _, d := range days {
		if i, ok := at[d.Day.Format(form)]; ok {
			out[i].plus(d.Counts)
		}
	}
	return out
}

func (n *Counts) plus(o Counts) {
	n.Asked += o.Asked
	n.Answered += o.Answered
	n.Hits += o.Hits
	n.NoHits += o.NoHits
	n.Denied += o.Denied
	n.Failed += o.Failed
	n.Interrupted += o.Interrupted
	n.Records += o.Records
}

// overTime is a column for each day or month.
func overTime(id, title string, days []Day) *chart {
	all := periods(days)
	if len(all) == 0 {
		return nil
	}
	c := &chart{ID: id, Title: title, Width: chartWidth, Height: plotTop + plotHeight + 30, Legend: parts, Head: heads("When")}
	var most int64
	for _, p := range all {
		most = max(most, p.Asked)
	}
	top := niceTop(most)
	for i := range 5 { // grid
		y := plotTop + plotHeight - plotHeight*i/4
		c.Lines = append(c.Lines, line{plotLeft, y, chartWidth, y})
		c.Labels = append(c.Labels, label{plotLeft - 6, y + 4, "end", page.Number(top * int64(i) / 4)})
	}
	step := float64(chartWidth-plotLeft) / float64(len(all))
	width := min(step*0.8, 40)
	for i, p := range all {
		x := plotLeft + step*(float64(i)+0.5) - width/2
		y := float64(plotTop + plotHeight)
		for _, part := range parts {
			n := part.of(p.Counts)
			if n == 0 {
				continue
			}
			h := float64(plotHeight) * float64(n) / float64(top)
			y -= h
			c.Bars = append(c.Bars, bar{round(x), round(y), round(width), round(h), part.Class, fmt.Sprintf("%s: %s %s", p.name, page.Number(n), part.Name)})
		}
		if every := (len(all) + 7) / 8; i%every == 0 {
			c.Labels = append(c.Labels, label{int(x + width/2), plotTop + plotHeight + 18, "middle", p.name})
		}
		if p.Asked > 0 {
			c.Rows = append(c.Rows, cells(p.name, p.Counts))
		}
	}
	c.Description = fmt.Sprintf("%d periods from %s to %s; at most %s disclosures in one. The table below has the numbers.", len(all), all[0].name, all[len(all)-1].name, page.Number(most))
	return c
}

func heads(first string) []string {
	return []string{first, "Asked", "Found", "Nothing found", "Denied", "Failed or interrupted", "Records"}
}

func cells(first string, n Counts) []string {
	return []string{first, page.Number(n.Asked), page.Number(n.Hits), page.Number(n.NoHits), page.Number(n.Denied), page.Number(n.Failed + n.Interrupted), page.Number(n.Records)}
}

// most rows of a chart; its table has them all.
const chartRows = 20

// perRow is a bar for each agreement, purpose or agency.
func perRow(id, title, by string, rows []Usage) *chart {
	if len(rows) == 0 {
		return nil
	}
	var names []string
	var counts []Counts
	c := &chart{ID: id, Title: title, Legend: parts, Head: append(heads(by), "P50 ms", "P95 ms")}
	for _, u := range rows {
		names, counts = append(names, u.Key), append(counts, u.Counts)
		p50, p95 := "", ""
		if u.Latency != nil {
			p50, p95 = millis(u.Latency.P50), millis(u.Latency.P95)
		}
		c.Rows = append(c.Rows, append(cells(u.Key, u.Counts), p50, p95))
	}
	c.bars(names, counts, parts)
	return c
}

// perReason is a bar for each reason of denials.
func perReason(id, title string, denials map[string]int64) *chart {
	if len(denials) == 0 {
		return nil
	}
	denied := []part{{"denied", "denied", func(c Counts) int64 { return c.Denied }}}
	c := &chart{ID: id, Title: title, Head: []string{"Check that refused", "Denied"}}
	var names []string
	var counts []Counts
	for _, reason := range byCount(denials) {
		names, counts = append(names, reason), append(counts, Counts{Asked: denials[reason], Denied: denials[reason]})
		c.Rows = append(c.Rows, []string{reason, page.Number(denials[reason])})
	}
	c.bars(names, counts, denied)
	return c
}

const (
	nameWidth = 230
	rowHeight = 26
)

// bars lays out horizontal bars.
func (c *chart) bars(names []string, counts []Counts, parts []part) {
	shown := min(len(names), chartRows)
	c.Width, c.Height = chartWidth, shown*rowHeight+6
	most := slices.MaxFunc(counts, func(a, b Counts) int { return cmp.Compare(a.Asked, b.Asked) }).Asked
	c.Description = fmt.Sprintf("%d of %d rows; the longest stands for %s. The table below has the numbers.", shown, len(names), page.Number(most))
	room := float64(chartWidth - nameWidth - 70)
	for i := range shown {
		y := i * rowHeight
		c.Labels = append(c.Labels, label{nameWidth - 8, y + 18, "end", shorten(names[i], 32)})
		x := float64(nameWidth)
		for _, p := range parts {
			n := p.of(counts[i])
			if n == 0 {
				continue
			}
			w := room * float64(n) / float64(max(most, 1))
			c.Bars = append(c.Bars, bar{round(x), float64(y + 4), round(w), rowHeight - 8, p.Class, fmt.Sprintf("%s: %s %s", names[i], page.Number(n), p.Name)})
			x += w
		}
		c.Labels = append(c.Labels, label{int(x) + 6, y + 18, "start", page.Number(counts[i].Asked)})
	}
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func round(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }

// niceTop is a round number that four grid lines divide.
func niceTop(most int64) int64 {
	for scale := int64(1); ; scale *= 10 {
		for _, n := range []int64{4, 8, 12, 20, 40} {
			if n*scale >= most {
				return n * scale
			}
		}
	}
}
