package register

import (
	"cmp"
	"strings"
	"time"

	"github.com/entente-dev/entente/controllers/words"
	"github.com/entente-dev/entente/internal/page"
)

// leaf is a page of the site. Ids of agreements, which are in its addresses, have the form of idForm.
type leaf struct{ page.Writer }

func (w *leaf) begin(title, style string) {
	w.Put(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>%s</title>
<link rel="stylesheet" href="%s">
</head>
<body>
`, title, style)
}

func (w *leaf) end() { w.Put("</main>\n</body>\n</html>\n") }

// lastDay is the day before, on which what ends at t is still in force.
func lastDay(t time.Time) string { return page.Day(t.AddDate(0, 0, -1)) }

const noNumbers = "<p>This edition has no numbers of use.</p>"

// index lists the agreements.
func (r *Register) index() []byte {
	var w leaf
	w.begin("Register of data-sharing agreements: "+r.Name, "style.css")
	w.Put(`<a class="skip" href="#agreements">To the agreements</a>
<header>
<h1>Register of data-sharing agreements</h1>
<p>%s</p>
<p class="soft">Edition of %s. The same as data: <a href="register.json">register.json</a>.</p>
</header>
<main>
<section aria-labelledby="agreements">
<h2 id="agreements">Agreements in force</h2>
`, r.Name, page.Day(r.Made))
	if len(r.Agreements) > 0 {
		r.list(&w)
	} else {
		w.Put("<p>No agreement in force is public.</p>")
	}
	w.Put("\n")
	if r.NotPublic == 1 {
		w.Put("<p class=\"soft\">Besides, 1 agreement is in force whose terms do not say that they are public.</p>")
	} else if r.NotPublic > 0 {
		w.Put("<p class=\"soft\">Besides, %d agreements are in force whose terms do not say that they are public.</p>", r.NotPublic)
	}
	w.Put("\n</section>\n")
	if len(r.Agreements) > 0 {
		w.Put("<section aria-labelledby=\"purposes\">\n<h2 id=\"purposes\">By purpose</h2>\n<dl class=\"groups\">")
		for _, g := range r.Purposes() {
			w.Put("<dt><code>%s</code></dt>", g.Name)
			w.group(g)
		}
		w.Put("</dl>\n</section>\n<section aria-labelledby=\"parties\">\n<h2 id=\"parties\">By party</h2>\n<dl class=\"groups\">")
		for _, g := range r.Parties() {
			w.Put("<dt>%s</dt>", g.Name)
			w.group(g)
		}
		w.Put("</dl>\n</section>")
	}
	w.Put("\n<section aria-labelledby=\"numbers\">\n<h2 id=\"numbers\">The numbers</h2>\n")
	if r.CountedUntil.IsZero() {
		w.Put(noNumbers)
	} else {
		w.Put(`<p>How often each agreement was used is counted from the agency's logs, by calendar month, until %s. The current month is never shown.</p>
<p>A count from 1 to %d is shown as “fewer than %d”, so that a number says nothing about one person. A year's total is shown after its end, and is left out where it would give such a count away. A month from which records have been erased has no numbers any more.</p>`,
			lastDay(r.CountedUntil), r.Smaller(), r.SmallestShown)
	}
	w.Put("\n</section>\n")
	r.logs(&w)
	w.end()
	return w.Bytes()
}

// list of the agreements, as a table.
func (r *Register) list(w *leaf) {
	w.Put(`<div class="scroll" tabindex="0" role="region" aria-label="Agreements in force"><table>
<thead><tr><th scope="col">Agreement</th><th scope="col">Type</th><th scope="col">Parties</th><th scope="col">From</th><th scope="col">Until</th><th scope="col">To be reviewed by</th></tr></thead>
<tbody>
`)
	for i := range r.Agreements {
		e := &r.Agreements[i]
		w.Put(`<tr><th scope="row" class="wrap"><a href="agreements/%s.html">%s</a></th><td>%s</td><td>`, e.ID, e.Name, e.Type)
		w.Joined(len(e.Parties), ", ", func(i int) { w.Put("%s", called(&e.Parties[i])) })
		review := "-"
		if e.Review != "" {
			review = when(e.Review)
		}
		w.Put("</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", when(e.Start), when(e.End), review)
	}
	w.Put("</tbody></table></div>")
}

// called is the public name of a party.
func called(p *words.RegisterParty) string { return cmp.Or(p.Name, p.Agency) }

// group links the agreements of one heading.
func (w *leaf) group(g Group) {
	w.Put("<dd>")
	w.Joined(len(g.Agreements), ", ", func(i int) { w.Put("<a href=\"agreements/%s.html\">%s</a>", g.Agreements[i].ID, g.Agreements[i].Name) })
	w.Put("</dd>")
}

// logs shows their checkpoints.
func (r *Register) logs(w *leaf) {
	if len(r.Checkpoints) == 0 {
		return
	}
	w.Put(`<section aria-labelledby="logs">
<h2 id="logs">The logs</h2>
<p>Every query, every answer and every refusal is in the log of the gateway that handled it. A checkpoint fixes a log as it was: if an entry were changed or taken away afterwards, the log would no longer fit it.</p>
`)
	for _, c := range r.Checkpoints {
		w.Put("<h3>%s</h3>\n", c.Log)
		if c.Note != "" {
			w.Put("<pre tabindex=\"0\">%s</pre><p class=\"soft\">Signed checkpoint. Verifier key: <code>%s</code></p>\n", c.Note, c.Key)
		} else {
			w.Put("<p><code>%s</code></p><p class=\"soft\">Chain hash of the last entry, of %s.</p>\n", c.Head, page.Moment(c.Last))
		}
	}
	w.Put("</section>\n")
}

// agreement is the page of one.
func (r *Register) agreement(e *Entry) []byte {
	var w leaf
	w.begin(e.Name+": register of "+r.Name, "../style.css")
	w.Put(`<nav aria-label="Register"><a href="../index.html">Register of data-sharing agreements, %s</a></nav>
<header>
<h1>%s</h1>
<p class="soft">%s, version %d. Edition of %s.</p>
</header>
<main>
<section aria-labelledby="what">
<h2 id="what">What it is for</h2>
<p>%s</p>
`, r.Name, e.Name, e.Type, e.Version, page.Day(r.Made), e.Purpose)
	if e.Benefits != "" {
		w.Put("<p>Expected: %s</p>", e.Benefits)
	}
	w.Put("\n<dl class=\"facts\">\n<dt>In force</dt><dd>from %s until %s</dd>\n", when(e.Start), when(e.End))
	if e.Review != "" {
		w.Put("<dt>Review</dt><dd>by %s</dd>", when(e.Review))
	}
	w.Put("\n<dt>Parties</dt><dd>")
	w.Joined(len(e.Parties), "<br>", func(i int) {
		p := &e.Parties[i]
		w.Put("%s", called(p))
		if len(p.Roles) > 0 {
			w.Put(" (%s)", strings.Join(p.Roles, ", "))
		}
	})
	w.Put("</dd>\n")
	if len(e.LegalAuthority) > 0 {
		w.Put("<dt>Law</dt><dd>")
		w.Joined(len(e.LegalAuthority), "<br>", func(i int) {
			covers := "disclosure"
			if e.LegalAuthority[i].Covers == "Use" {
				covers = "use"
			}
			w.Put("%s (%s)", e.LegalAuthority[i].Citation, covers)
		})
		w.Put("</dd>")
	}
	w.Put("\n")
	if e.Publication != "" {
		w.Put("<dt>Published</dt><dd>%s</dd>", e.Publication)
	}
	w.Put("\n<dt>Digest</dt><dd><code>%s</code></dd>\n</dl>\n</section>\n", e.Digest)
	w.data(e)
	r.used(&w, e)
	w.end()
	return w.Bytes()
}

// data is a table of the clauses.
func (w *leaf) data(e *Entry) {
	w.Put(`<section aria-labelledby="data">
<h2 id="data">What is shared</h2>
<div class="scroll" tabindex="0" role="region" aria-label="What is shared"><table>
<thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">What is told</th><th scope="col">For</th><th scope="col">Kept for</th></tr></thead>
<tbody>`)
	for i := range e.Data {
		d := &e.Data[i]
		w.Put("<tr><td>%s</td><td>", e.Called(d.From))
		w.Joined(len(d.To), ", ", func(i int) { w.Put("%s", e.Called(d.To[i])) })
		w.Put("</td><td>%s (%s)", d.Shared, d.Records)
		if len(d.Fields) > 0 {
			w.Put(": %s", strings.Join(d.Fields, ", "))
		}
		w.Put("</td><td>")
		w.Joined(len(d.Purposes), "<br>", func(i int) { w.Put("<code>%s</code>", d.Purposes[i]) })
		w.Put("</td><td>%s</td></tr>\n", cmp.Or(d.KeptFor, "-"))
	}
	w.Put("</tbody></table></div>\n</section>\n")
}

// used is how often it was, by month.
func (r *Register) used(w *leaf, e *Entry) {
	w.Put("<section aria-labelledby=\"use\">\n<h2 id=\"use\">How it was used</h2>\n")
	switch {
	case r.CountedUntil.IsZero():
		w.Put(noNumbers)
	case len(e.Use) == 0:
		w.Put("\n<p>It was not used in the months that are shown.</p>")
	default:
		w.Put("\n")
	}
	for i := range e.Use {
		u := &e.Use[i]
		w.Put(`<h3 id="use-%d">%s, %d</h3>
<div class="scroll" tabindex="0" role="region" aria-labelledby="use-%d"><table>
<thead><tr><th scope="col">Month</th><th scope="col" class="n">Something found</th><th scope="col" class="n">Nothing found</th><th scope="col" class="n">Refused</th></tr></thead>
<tbody>`, i, u.Side, u.Year, i)
		for _, m := range u.Months {
			w.row(monthName(m.Month), m.Row)
			w.Put("\n")
		}
		w.Put("</tbody>\n")
		if u.Total != nil {
			w.Put("<tfoot>")
			w.row("Whole year", *u.Total)
			w.Put("</tfoot>")
		}
		w.Put("\n</table></div>\n")
	}
	if !r.CountedUntil.IsZero() {
		w.Put("\n<p class=\"soft\">Until %s. How the numbers are made: <a href=\"../index.html#numbers\">the numbers</a>.</p>", lastDay(r.CountedUntil))
	}
	w.Put("\n</section>\n")
}

func (w *leaf) row(name string, r Row) {
	w.Put("<tr><th scope=\"row\">%s</th><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>", name, r.Found, r.NothingFound, r.Refused)
}
