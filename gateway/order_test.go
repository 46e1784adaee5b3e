package gateway_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/route"
)

// pageJSON is an answer with what orders, pages and duplicates add.
type pageJSON struct {
	Records []struct {
		Source struct{ Agency string }
		Record map[string]any
		Also   []struct {
			Source  struct{ Agency, DisclosureID string }
			Records int64
			Differs []string
		}
	}
	Sources []struct {
		Agency, Outcome, Reason, Message string
		Records                          int64
	}
	Summary struct {
		Sources, Records, Duplicates int64
		Complete                     bool
		NextPageToken                string
	}
	Reason, Detail string
}

func (a *agency) page(t testing.TB, user, body string) (int, pageJSON) {
	t.Helper()
	code, _, text := a.post(a.client(user), "/v1/query", body)
	var out pageJSON
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%d %s: %v", code, text, err)
	}
	return code, out
}

// three are three sources and a recipient, each with an agreement.
func three(t testing.TB, people ...int) (sources []*agency, rec *agency) {
	t.Helper()
	rec = startAgency(t, "state-police", options{people: 1})
	for i, name := range []string{"border-service", "labor-inspectorate", "port-authority"} {
		src := startAgency(t, name, options{people: people[i]})
		agree("agr-"+name, persons(src, rec), src, rec)
		sources = append(sources, src)
	}
	return sources, rec
}

// rows are the records as text, with their agency.
func (p *pageJSON) rows(fields ...string) (out []string) {
	for _, r := range p.Records {
		row := r.Source.Agency
		for _, f := range fields {
			row += fmt.Sprint(" ", r.Record[f])
		}
		out = append(out, row)
	}
	return out
}

func TestOrderAcrossSources(t *testing.T) {
	_, rec := three(t, 3000, 500, 1200)
	for _, tt := range []struct {
		order  string
		fields []string
	}{
		{`[{"field":"birth_date"}]`, []string{"birth_date", "person_number"}},
		{`[{"field":"wanted","descending":true},{"field":"age"}]`, []string{"wanted", "age", "person_number"}},
		{`[{"field":"age","descending":true}]`, []string{"age", "wanted"}}, // many records are the same
	} {
		fields, _ := json.Marshal(tt.fields)
		extra := []string{`"order":` + tt.order, `"fields":` + string(fields)}
		code, whole := rec.page(t, "alice", q(`family_name == "f3"`, extra...))
		if code != 200 || len(whole.Records) != 470 || !whole.Summary.Complete || whole.Summary.NextPageToken != "" {
			t.Fatalf("%s: %d, %d records, %+v %s", tt.order, code, len(whole.Records), whole.Sources, whole.Detail)
		}
		key := func(i int) string {
			r := whole.Records[i].Record
			return fmt.Sprint(r["birth_date"])
		}
		if tt.fields[0] == "birth_date" {
			for i := 1; i < len(whole.Records); i++ {
				if key(i) < key(i-1) {
					t.Fatalf("%s before %s", key(i-1), key(i))
				}
			}
		}
		want := whole.rows(tt.fields...)
		for _, size := range []int{3, 50, 469, 470, 5000} {
			var got []string
			pages := 0
			for token := ""; ; pages++ {
				code, p := rec.page(t, "alice", q(`family_name == "f3"`, append(extra, fmt.Sprintf(`"page_size":%d,"page_token":%q`, size, token))...))
				if code != 200 || len(p.Records) > size || len(p.Records) == 0 || !p.Summary.Complete {
					t.Fatalf("%s, page %d of %d: %d, %d records, %+v, %s", tt.order, pages, size, code, len(p.Records), p.Sources, p.Detail)
				}
				got = append(got, p.rows(tt.fields...)...)
				if token = p.Summary.NextPageToken; token == "" {
					break
				}
				if size == 3 && pages == 30 { // enough
					got = append(got, want[len(got):]...)
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s in pages of %d: %d records, want %d", tt.order, size, len(got), len(want))
			}
		}
	}
}

// TestPagesAreDisclosures: each has its own id in both logs, which agree about it; the limit holds for all pages together.
func TestPagesAreDisclosures(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 1000}), startAgency(t, "state-police", options{people: 1})
	c := clause("persons", src, rec)
	c.RecordsPerQuery = 25
	agree("agr", []route.Clause{c}, src, rec)
	body := func(token string) string {
		return q(`family_name == "f3"`, `"order":[{"field":"birth_date"}],"page_size":10`, fmt.Sprintf(`"page_token":%q`, token))
	}
	token, records := "", 0
	var last pageJSON
	for range 3 {
		code, p := rec.page(t, "alice", body(token))
		if code != 200 {
			t.Fatalf("%d %s", code, p.Detail)
		}
		token, last = p.Summary.NextPageToken, p
		records += len(p.Records)
	}
	if records != 25 || token != "" || last.Sources[0].Outcome != "PARTIAL" || last.Sources[0].Reason != "Limit" || last.Summary.Complete {
		t.Errorf("%d records, then %+v", records, last)
	}
	ours, theirs := rec.records(), src.records()
	if len(ours) != 6 || len(theirs) != 6 {
		t.Fatalf("%d and %d records in the logs", len(ours), len(theirs))
	}
	for i := range ours {
		a, b := ours[i], theirs[i]
		if a.Disclosure != b.Disclosure || a.QueryDigest != b.QueryDigest || a.ResponseDigest != b.ResponseDigest || a.Outcome != b.Outcome || a.Records != b.Records {
			t.Errorf("logs differ:\n%+v\n%+v", a, b)
		}
		if i >= 2 && a.QueryDigest == ours[i-2].QueryDigest {
			t.Errorf("two pages with one digest of the query")
		}
	}
}

func TestPageTokens(t *testing.T) {
	sources, rec := three(t, 1000, 1000, 1000)
	extra := `"order":[{"field":"birth_date"}],"page_size":30`
	_, first := rec.page(t, "alice", q(`family_name == "f3"`, extra))
	token := first.Summary.NextPageToken
	if token == "" || strings.Contains(token, "1950") || len(token) > 8000 {
		t.Fatalf("token of %d bytes", len(token))
	}
	next := func(user, filter, extra, token string) (int, pageJSON) {
		return rec.page(t, user, q(filter, extra, fmt.Sprintf(`"page_token":%q`, token)))
	}
	if code, p := next("alice", `family_name == "f3"`, `"order":[{"field":"birth_date"}],"page_size":7`, token); code != 200 || len(p.Records) == 0 {
		t.Errorf("smaller pages: %d %s", code, p.Detail)
	}
	flipped := []byte(token)
	flipped[len(flipped)-5] ^= 1
	for name, try := range map[string]func() (int, pageJSON){
		"another user":   func() (int, pageJSON) { return next("bob", `family_name == "f3"`, extra, token) },
		"another filter": func() (int, pageJSON) { return next("alice", `family_name == "f4"`, extra, token) },
		"another order": func() (int, pageJSON) {
			return next("alice", `family_name == "f3"`, `"order":[{"field":"age"}],"page_size":30`, token)
		},
		"another field": func() (int, pageJSON) {
			return next("alice", `family_name == "f3"`, extra+`,"fields":["birth_date"]`, token)
		},
		"altered":        func() (int, pageJSON) { return next("alice", `family_name == "f3"`, extra, string(flipped)) },
		"cut":            func() (int, pageJSON) { return next("alice", `family_name == "f3"`, extra, token[:len(token)/2]) },
		"invented":       func() (int, pageJSON) { return next("alice", `family_name == "f3"`, extra, "AAAAAAAA") },
		"another agency": func() (int, pageJSON) { return next("alice", `family_name == "f3"`, extra, token[:40]+token) },
	} {
		if code, p := try(); code != 400 || p.Reason != "page-token" {
			t.Errorf("%s: %d %s %s", name, code, p.Reason, p.Detail)
		}
	}
	for _, bad := range []string{`"page_size":5`, `"page_token":"x"`, `"order":[{"field":"age"}],"page_size":10001`, `"order":[{"field":"age"}],"page_size":2`,
		`"order":[{"field":"age"}],"page_size":10,"deduplicate":["person_number"]`, `"order":[{"field":"age","up":true}]`, `"order":[{"field":"age"},{"field":"age"}]`, `"order":["age"]`} {
		if code, p := rec.page(t, "alice", q(`family_name == "f3"`, bad)); code != 400 {
			t.Errorf("%s: %d %+v", bad, code, p)
		}
	}
	// One source ends between two pages: the others go on, and every page from then on says so.
	for _, a := range []*agency{sources[1], rec} {
		a.apply("agr-labor-inspectorate", &route.Tombstone{Reason: "Terminated", At: time.Now()})
	}
	seen := len(first.Records)
	for n := 0; token != ""; n++ {
		code, p := next("alice", `family_name == "f3"`, extra, token)
		if code != 200 || p.Summary.Complete || n > 20 {
			t.Fatalf("page %d: %d %+v %s", n, code, p.Summary, p.Detail)
		}
		i := slices.IndexFunc(p.Sources, func(s struct {
			Agency, Outcome, Reason, Message string
			Records                          int64
		}) bool {
			return s.Agency == "labor-inspectorate"
		})
		if i < 0 || p.Sources[i].Outcome != "DENIED" || n > 0 && p.Sources[i].Reason != "EarlierPage" {
			t.Errorf("page %d: %+v", n, p.Sources)
		}
		for _, r := range p.Records {
			if r.Source.Agency == "labor-inspectorate" {
				t.Errorf("page %d has a record of it", n)
			}
		}
		seen += len(p.Records)
		token = p.Summary.NextPageToken
	}
	if seen < 200 {
		t.Errorf("%d records", seen)
	}
}

// TestDeduplicate: a person that several agencies know is one record, which names all of them.
func TestDeduplicate(t *testing.T) {
	sources, rec := three(t, 300, 200, 100)
	fields := `"fields":["person_number","age"],"deduplicate":["person_number"]`
	check := func(name string, p pageJSON) {
		t.Helper()
		found := map[string]int{}
		for _, r := range p.Records {
			n := fmt.Sprint(r.Record["person_number"])
			found[n]++
			want := map[bool]int{true: 1}[n < "P000200"] + map[bool]int{true: 1}[n < "P000100"]
			if len(r.Also) != want || r.Source.Agency != "border-service" {
				t.Errorf("%s: %s of %s, also %+v", name, n, r.Source.Agency, r.Also)
			}
			for _, h := range r.Also {
				if h.Records != 1 || h.Source.DisclosureID == "" || len(h.Differs) != 0 {
					t.Errorf("%s: %+v", name, h)
				}
			}
		}
		if len(found) != 30 || len(p.Records) != 30 || p.Summary.Records != 30 || p.Summary.Duplicates != 30 || !p.Summary.Complete {
			t.Errorf("%s: %d persons, %d records, %+v", name, len(found), len(p.Records), p.Summary)
		}
	}
	_, p := rec.page(t, "alice", q(`family_name == "f3"`, fields))
	check("without an order", p)
	_, p = rec.page(t, "alice", q(`family_name == "f3"`, fields, `"order":[{"field":"person_number"}]`))
	check("in the key's order", p)
	_, p = rec.page(t, "alice", q(`family_name == "f3"`, fields, `"order":[{"field":"age"}]`))
	check("in another order", p)

	var all pageJSON
	for token := ""; ; {
		code, p := rec.page(t, "alice", q(`family_name == "f3"`, fields, fmt.Sprintf(`"order":[{"field":"person_number"}],"page_size":9,"page_token":%q`, token)))
		if code != 200 {
			t.Fatalf("%d %s", code, p.Detail)
		}
		all.Records = append(all.Records, p.Records...)
		all.Summary.Records += p.Summary.Records
		all.Summary.Duplicates += p.Summary.Duplicates
		if token = p.Summary.NextPageToken; token == "" {
			break
		}
	}
	all.Summary.Complete = true
	check("in pages", all)

	// What contradicts is named.
	src := sources[1]
	c := clause("persons", src, rec)
	c.Datasets[0].Columns["age"] = "wanted"
	agree("agr-labor-inspectorate", []route.Clause{c}, src, rec)
	_, p = rec.page(t, "alice", q(`person_number == "P000003"`, fields))
	if len(p.Records) != 1 || len(p.Records[0].Also) != 2 || fmt.Sprint(p.Records[0].Also[0].Differs) != "[age]" || len(p.Records[0].Also[1].Differs) != 0 {
		t.Errorf("%+v", p)
	}
	// More of one person than a page holds.
	if code, p := rec.page(t, "alice", q(`family_name == "f3"`, `"fields":["family_name","age"],"deduplicate":["family_name"],"order":[{"field":"family_name"}],"page_size":6`)); code != 422 || p.Reason != "TooLarge" {
		t.Errorf("%d %+v", code, p)
	}
}
