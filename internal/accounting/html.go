package accounting

import (
	"cmp"
	"io"
	"strings"

	"github.com/entente-dev/entente/internal/page"
)

// sheet is a page that stands by itself: style and charts are inside it, and there is no script.
type sheet struct{ page.Writer }

func (w *sheet) begin(title string) {
	w.Put(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
`, title)
	w.Styled()
	w.Put(`</head>
<body>
<header>
<h1>%s</h1>
`, title)
}

// end says what the page rests on.
func (w *sheet) end(logs []Covered) {
	w.Put(`<section aria-labelledby="logs">
<h2 id="logs">The logs that this rests on</h2>
<ul>`)
	for _, l := range Rests(logs) {
		w.Put("<li>%s</li>", l)
	}
	w.Put(`</ul>
</section>
</main>
</body>
</html>
`)
}

// HTML is the report as one page that stands by itself.
func (r *Report) HTML(out io.Writer) error {
	var w sheet
	w.begin("Use of sharing agreements")
	w.Put(`<p>%s.</p>
<p class="soft">Made on %s. Times are UTC. Every disclosure and every refusal is counted, from the gateways' logs.</p>
</header>
<main>
`, r.Window(), page.Moment(r.Made))
	asked := false
	for _, s := range sides {
		if rows := r.of(s.side); len(rows) > 0 {
			r.section(&w, s.side, s.asked, rows)
			asked = true
		}
	}
	if !asked {
		w.Put("<p>Nothing was asked.</p>\n")
	}
	if len(r.Dormant) > 0 {
		w.Put(`<section aria-labelledby="dormant">
<h2 id="dormant">In force and not used</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Agreements in force and not used"><table>
<thead><tr><th scope="col">Agreement</th><th scope="col">Title</th><th scope="col">Ends</th><th scope="col">Last used</th></tr></thead>
<tbody>`)
		for _, d := range r.Dormant {
			w.Put("<tr><th scope=\"row\">%s</th><td>%s</td><td>%s</td><td>%s</td></tr>\n", d.Agreement, d.Title, page.Day(d.NotAfter), lastUsed(d.LastUsed))
		}
		w.Put("</tbody></table></div>\n</section>\n")
	}
	if len(r.Promised) > 0 {
		w.Put(`<section aria-labelledby="promised">
<h2 id="promised">Promised and measured</h2>
<p class="soft">What the signed terms say that sharing would bring, beside what was counted. Whether the promise was kept is for people to judge.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Promised and measured results"><table>
<thead><tr><th scope="col">Agreement</th><th scope="col">Promised</th><th scope="col">Measured</th></tr></thead>
<tbody>`)
		for _, p := range r.Promised {
			w.Put("<tr><th scope=\"row\">%s</th><td>%s</td><td>%s</td></tr>\n", p.Agreement, p.Promised, p.Measured.Sentence())
		}
		w.Put("</tbody></table></div>\n</section>\n")
	}
	w.end(r.Logs)
	_, err := out.Write(w.Bytes())
	return err
}

// section of a report is one side's.
func (r *Report) section(w *sheet, side, title string, rows []Usage) {
	id := strings.ToLower(side)
	var days []Day
	for _, d := range r.Days {
		if d.Side == side {
			days = append(days, d)
		}
	}
	var total Counts
	for _, u := range rows {
		total.plus(u.Counts)
	}
	w.Put("<section aria-labelledby=\"%s\">\n<h2 id=\"%s\">%s</h2>\n<dl class=\"figures\">\n", id, id, title)
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"Asked", total.Asked}, {"Found", total.Hits}, {"Nothing found", total.NoHits}, {"Denied", total.Denied}, {"Failed", total.Failed},
		{"Interrupted", total.Interrupted}, {"Records", total.Records},
	} {
		w.Put("<div><dt>%s</dt><dd>%s</dd></div>\n", f.name, page.Number(f.n))
	}
	w.Put("</dl>\n")
	for _, c := range []*chart{
		overTime(id+"-time", "Over time", days),
		perRow(id+"-rows", "By "+r.By, strings.ToUpper(r.By[:1])+r.By[1:], rows),
		perReason(id+"-denials", "Denials by the check that refused", r.denials(side)),
	} {
		if c != nil {
			c.write(w)
		}
	}
	w.Put("</section>\n")
}

// write draws the chart, with its numbers as a table below it.
func (c *chart) write(w *sheet) {
	w.Put(`<section aria-labelledby="%s">
<h3 id="%s">%s</h3>
<figure>
<svg viewBox="0 0 %d %d" role="img" aria-labelledby="%s-t %s-d">
<title id="%s-t">%s</title><desc id="%s-d">%s</desc>
`, c.ID, c.ID, c.Title, c.Width, c.Height, c.ID, c.ID, c.ID, c.Title, c.ID, c.Description)
	for _, l := range c.Lines {
		w.Put("<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", l.X1, l.Y1, l.X2, l.Y2)
	}
	for _, b := range c.Bars {
		w.Put("<rect class=\"%s\" x=\"%v\" y=\"%v\" width=\"%v\" height=\"%v\"><title>%s</title></rect>\n", b.Class, b.X, b.Y, b.Width, b.Height, b.Title)
	}
	for _, l := range c.Labels {
		w.Put("<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", l.X, l.Y, l.Anchor, l.Text)
	}
	w.Put("</svg>\n")
	if len(c.Legend) > 0 {
		w.Put("<ul class=\"legend\">")
		for _, p := range c.Legend {
			w.Put("<li><span class=\"%s\"></span>%s</li>", p.Class, p.Name)
		}
		w.Put("</ul>")
	}
	w.Put("\n")
	if c.Long() {
		w.Put("<details><summary>The numbers (%d rows)</summary>", len(c.Rows))
	}
	w.Put("\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s: the numbers\"><table>\n<thead><tr>", c.Title)
	for i, h := range c.Head {
		if i == 0 {
			w.Put("<th scope=\"col\">%s</th>", h)
		} else {
			w.Put("<th scope=\"col\" class=\"n\">%s</th>", h)
		}
	}
	w.Put("</tr></thead>\n<tbody>")
	for _, row := range c.Rows {
		w.Put("<tr>")
		for i, cell := range row {
			if i == 0 {
				w.Put("<th scope=\"row\">%s</th>", cell)
			} else {
				w.Put("<td class=\"n\">%s</td>", cell)
			}
		}
		w.Put("</tr>\n")
	}
	w.Put("</tbody></table></div>")
	if c.Long() {
		w.Put("</details>")
	}
	w.Put("\n</figure>\n</section>\n")
}

// HTML is the account as a letter's enclosure, to be printed.
func (a *Account) HTML(out io.Writer) error {
	var w sheet
	w.begin("Accounting of disclosures")
	w.Put("<p class=\"soft\">5 U.S.C. 552a(c). Made on %s. Times are UTC.</p>\n", page.Day(a.Made))
	if a.Copy == CopyAgency {
		w.Put("<p class=\"mark\">The agency's own copy. It is not for the person concerned.</p>")
	}
	w.Put(`
</header>
<main>
<section aria-labelledby="disclosures">
<h2 id="disclosures">Disclosures</h2>
`)
	if len(a.Disclosures) == 0 {
		w.Put("<p>No disclosures.</p>")
	} else {
		w.Put("<ol class=\"disclosures\">\n")
		for i := range a.Disclosures {
			a.Disclosures[i].write(&w)
		}
		w.Put("</ol>")
	}
	w.Put("\n</section>\n")
	w.end(a.Logs)
	_, err := out.Write(w.Bytes())
	return err
}

func (d *Disclosure) write(w *sheet) {
	what := d.Nature()
	if d.Internal != nil && d.NoHit {
		what = "nothing: nothing was found"
	}
	w.Put(`<li><dl class="facts">
<dt>Date</dt><dd>%s</dd>
<dt>Disclosed</dt><dd>%s</dd>
<dt>To</dt><dd>%s</dd>
<dt>By</dt><dd>%s</dd>
<dt>Purpose</dt><dd>%s</dd>
<dt>Agreement</dt><dd>%s</dd>
<dt>Reference</dt><dd>%s</dd>
`, page.Moment(d.Date), what, d.Recipient.Called(), d.Source, d.Purpose, d.Agreement, d.ID)
	if in := d.Internal; in != nil {
		if in.Withheld != "" {
			w.Put("<dt class=\"mark\">Withheld</dt><dd class=\"mark\">%s</dd>", in.Withheld)
		}
		w.Put("\n<dt>Internal</dt><dd>clause %s, case %s, user %s, %s, log %s</dd>", in.Clause, cmp.Or(in.CaseReference, "-"), cmp.Or(in.User, "-"), in.Outcome, in.Log)
	}
	w.Put("\n</dl></li>\n")
}
