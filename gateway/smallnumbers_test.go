package gateway_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// groups lets the recipient count persons by region, none below five.
func groups(c *route.Clause) {
	c.Granularity, c.Fields, c.FilterFields = "Count", nil, []string{"region", "age", "wanted"}
	c.RequireSelectors, c.MinimumCount, c.CaseReference = [][]string{{"region"}}, 5, ""
}

// people replaces the source's records: each is number, region.
func (a *agency) people(t testing.TB, rows ...[2]string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+a.db)
	must(t, err)
	defer db.Close()
	// One person may have several records.
	for _, s := range []string{`drop table people`, `create table people (nr text, family text, given text, born text, age integer, wanted integer, secret text, region text)`} {
		_, err = db.Exec(s)
		must(t, err)
	}
	for _, r := range rows {
		_, err = db.Exec(`insert into people (nr, region, age, wanted) values (?, ?, 30, 1)`, r[0], r[1])
		must(t, err)
	}
}

// some makes n persons in a region.
func some(n int, region string) (out [][2]string) {
	for i := range n {
		out = append(out, [2]string{fmt.Sprintf("%s-%d", region, i), region})
	}
	return out
}

// told is what the source tells of a filter.
func (a *agency) told(t testing.TB, c *http.Client, filter string, extra ...string) string {
	t.Helper()
	_, _, body := a.post(c, "/v1/query", q(filter, extra...))
	switch {
	case strings.Contains(body, `"suppressed":true`):
		if strings.Contains(body, `"count":`) || strings.Contains(body, `"exists":`) {
			t.Errorf("suppressed, and told: %s", body)
		}
		return "suppressed"
	case strings.Contains(body, `"exists":true`):
		return "hit"
	}
	for i := range 100 {
		if strings.Contains(body, fmt.Sprintf(`"count":%d,"countStep":5`, i)) {
			return fmt.Sprint(i)
		}
	}
	return body
}

func TestSmallCounts(t *testing.T) {
	src, rec := agreeOn(t, groups, groups)
	c := rec.client("alice")
	many := append(some(12, "north"), some(4, "south")...)
	// One person with many records is one person.
	for range 20 {
		many = append(many, [2]string{"x", "west"})
	}
	src.people(t, many...)
	for _, tt := range []struct{ filter, granularity, want string }{
		{`region == "north"`, "Count", "10"},
		{`region == "south"`, "Count", "suppressed"},
		{`region == "west"`, "Count", "suppressed"},
		{`region == "nowhere"`, "Count", "suppressed"}, // none is not told from few
		{`region == "north"`, "Existence", "hit"},
		{`region == "south"`, "Existence", "suppressed"},
		{`region == "nowhere"`, "Existence", "suppressed"},
	} {
		if got := rec.told(t, c, tt.filter, `"granularity":"`+tt.granularity+`"`); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.granularity, tt.filter, got, tt.want)
		}
		a, b := src.records(), rec.records()
		for _, last := range []struct{ suppressed, hit bool }{{a[len(a)-1].Suppressed, a[len(a)-1].Hit}, {b[len(b)-1].Suppressed, tt.want != "suppressed"}} {
			if last.suppressed != (tt.want == "suppressed") || last.hit == last.suppressed {
				t.Errorf("%s %s: logged %+v", tt.granularity, tt.filter, last)
			}
		}
	}
}

// TestDifferencing: whoever knows everybody else in the records cannot tell by any two questions whether one more person is
// there, unless that person's own group is at the edge of a step; and no question isolates a person.
func TestDifferencing(t *testing.T) {
	src, rec := agreeOn(t, groups, groups)
	c := rec.client("alice")
	questions := []string{
		`region == "north"`, `region == "south"`,
		`region != "south"`, `region == "north" || region == "south"`, `region in ["north", "south"]`, `!(region == "south")`,
		`region == "north" && age == 30`, `region == "north" && !wanted`, `region == "north" && age > 29`, `age == 30`, `region >= "n"`, ``,
	}
	answers := func(people [][2]string) (out []string) {
		src.people(t, people...)
		for _, filter := range questions {
			got := rec.told(t, c, filter)
			if strings.Contains(got, `"status":4`) || strings.Contains(got, `"reason":"minimum-count"`) || strings.Contains(got, `"reason":"selectors"`) {
				got = "refused"
			}
			out = append(out, got)
		}
		return out
	}
	revealed := 0
	for n := 5; n < 10; n++ {
		others := append(some(n, "north"), some(8, "south")...)
		without, with := answers(others), answers(append(others, [2]string{"target", "north"}))
		for i := range questions {
			if i > 1 && (without[i] != "refused" || with[i] != "refused") {
				t.Errorf("%s is answered: %s, %s", questions[i], without[i], with[i])
			}
		}
		if fmt.Sprint(without) != fmt.Sprint(with) {
			revealed++
		}
	}
	if revealed != 1 { // from nine to ten
		t.Errorf("of five sizes, %d let the answers depend on one person; want 1", revealed)
	}
}

// TestSourceThatTellsSmallCounts: what the clause suppresses is not passed on, whoever tells it.
func TestSourceThatTellsSmallCounts(t *testing.T) {
	exact := func(c *route.Clause) { groups(c); c.MinimumCount = 0 }
	src, rec := agreeOn(t, exact, groups)
	src.people(t, some(3, "north")...)
	_, _, body := rec.post(rec.client("alice"), "/v1/query", q(`region == "north"`))
	if !strings.Contains(body, "UnexpectedAnswer") || strings.Contains(body, `"count"`) {
		t.Errorf("%s", body)
	}
}

// TestCountThatFails: a source that breaks tells nothing.
func TestCountThatFails(t *testing.T) {
	src, rec := agreeOn(t, groups, groups)
	src.sources.Source = failingCount{src.sources.Source}
	_, _, body := rec.post(rec.client("alice"), "/v1/query", q(`region == "north"`))
	if !strings.Contains(body, "UNAVAILABLE") || strings.Contains(body, "suppressed") {
		t.Errorf("%s", body)
	}
}

type failingCount struct{ source.Source }

func (failingCount) Count(context.Context, source.Query) (int64, error) {
	return 3, source.ErrUnavailable
}
