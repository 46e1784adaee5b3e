package register

import (
	"fmt"
	"slices"
	"time"

	"github.com/entente-dev/entente/internal/accounting"
	"github.com/entente-dev/entente/internal/page"
)

// Years of use are shown for an agreement, the running one included.
const years = 2

// Use is what an agency was asked under an agreement, or asked, in the months of a year.
type Use struct {
	// Side in words: whom the queries were asked of.
	Side   string  `json:"side"`
	Year   int     `json:"year"`
	Months []Month `json:"months"`
	// Total of a year that has ended.
	Total *Row `json:"total,omitempty"`
}

// Month is one month's numbers.
type Month struct {
	// Month as 2006-01.
	Month string `json:"month"`
	Row
}

// Row is three counts that do not overlap, as they are published: a number, or "fewer than K", or "not shown".
type Row struct {
	Found        string `json:"found"`
	NothingFound string `json:"nothingFound"`
	Refused      string `json:"refused"`
}

const notShown = "not shown"

func show(n, k int64) string {
	if hidden(n, k) {
		return fmt.Sprintf("fewer than %d", k)
	}
	return page.Number(n)
}

// asked says in words which side's queries a table is about.
var asked = []struct{ side, words string }{
	{"Source", "Queries of others that this agency answered or refused"},
	{"Recipient", "Queries of this agency"},
}

// FirstMonth is the first month that a register made at now may show.
func FirstMonth(now time.Time) time.Time {
	return time.Date(now.UTC().Year()-years+1, 1, 1, 0, 0, 0, 0, time.UTC)
}

// LastMonth is the end of the last month that is over at now.
func LastMonth(now time.Time) time.Time {
	now = now.UTC()
	return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// uses makes the tables of one agreement, from the month in which the logs begin (whole: the first whole month) until just
// before until. Of a month with erased records nothing is shown: the numbers would be too small, and beside those of an earlier
// edition would tell how many were erased.
func uses(id string, months []accounting.Month, erased map[string]bool, begin, until time.Time, k int64) []Use {
	var out []Use
	for _, side := range asked {
		counts := map[string]accounting.Counts{}
		for _, m := range months {
			if m.Agreement == id && m.Side == side.side {
				counts[m.Month.Format("2006-01")] = m.Counts
			}
		}
		if len(counts) == 0 && len(erased) == 0 {
			continue
		}
		for year := until.AddDate(0, 0, -1).Year(); year >= begin.Year(); year-- {
			if u := useIn(year, counts, erased, begin, until, k); len(u.Months) > 0 {
				u.Side = side.words
				out = append(out, u)
			}
		}
	}
	return out
}

func useIn(year int, counts map[string]accounting.Counts, erased map[string]bool, begin, until time.Time, k int64) Use {
	u := Use{Year: year}
	whole := true
	var found, nothing, refused []int64
	for month := time.January; month <= time.December; month++ {
		at := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
		if at.Before(begin) || !at.Before(until) {
			continue
		}
		name := at.Format("2006-01")
		if erased[name] {
			u.Months = append(u.Months, Month{Month: name, Row: Row{notShown, notShown, notShown}})
			whole = false
			continue
		}
		n := counts[name]
		u.Months = append(u.Months, Month{Month: name, Row: Row{show(n.Hits, k), show(n.NoHits, k), show(n.Denied, k)}})
		found, nothing, refused = append(found, n.Hits), append(nothing, n.NoHits), append(refused, n.Denied)
	}
	if len(u.Months) == 12 {
		u.Total = &Row{notShown, notShown, notShown}
		if whole {
			*u.Total = Row{total(found, k), total(nothing, k), total(refused, k)}
		}
	}
	slices.Reverse(u.Months) // the latest first
	return u
}

func total(months []int64, k int64) string {
	if !totalShown(months, k) {
		return notShown
	}
	var sum int64
	for _, m := range months {
		sum += m
	}
	return show(sum, k)
}
