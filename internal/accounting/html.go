package accounting

import (
	"embed"
	"html/template"
	"io"
	"strings"

	"github.com/entente-dev/entente/internal/page"
)

//go:embed pages
var files embed.FS

// pages stand by themselves: style and charts are inside them, and there is no script.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"day": page.Day, "moment": page.Moment, "number": page.Number, "lastUsed": lastUsed, "rests": Rests,
	"style": func() template.CSS { return template.CSS(page.Style) },
}).ParseFS(files, "pages/*.html"))

// section of a report: one side.
type section struct {
	Side, Title string
	Total       Counts
	Charts      []*chart
}

// HTML is the report as one page that stands by itself.
func (r *Report) HTML(w io.Writer) error {
	var sections []section
	for _, s := range sides {
		rows := r.of(s.side)
		if len(rows) == 0 {
			continue
		}
		out := section{Side: strings.ToLower(s.side), Title: s.asked}
		var days []Day
		for _, d := range r.Days {
			if d.Side == s.side {
				days = append(days, d)
			}
		}
		for _, u := range rows {
			out.Total.plus(u.Counts)
		}
		for _, c := range []*chart{
			overTime(out.Side+"-time", "Over time", days),
			perRow(out.Side+"-rows", "By "+r.By, strings.ToUpper(r.By[:1])+r.By[1:], rows),
			perReason(out.Side+"-denials", "Denials by the check that refused", r.denials(s.side)),
		} {
			if c != nil {
				out.Charts = append(out.Charts, c)
			}
		}
		sections = append(sections, out)
	}
	return pages.ExecuteTemplate(w, "report.html", struct {
		*Report
		Sections []section
	}{r, sections})
}

// HTML is the account as a letter's enclosure, to be printed.
func (a *Account) HTML(w io.Writer) error { return pages.ExecuteTemplate(w, "account.html", a) }
