package gateway_test

import (
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
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

// TestOrderAcrossKinds: an agency with an API, which knows no order and gives its records in another each time, is one of the sources of an
// ordered answer, in one piece and in pages.
func TestOrderAcrossKinds(t *testing.T) {
	var shuffled atomic.Int64
	api := startService(t, "people", func(w http.ResponseWriter, _ *http.Request, body string) {
		var search struct{ Page struct{ Offset, Size int } }
		_ = json.Unmarshal([]byte(body), &search)
		var items []string
		for i := range 250 {
			items = append(items, fmt.Sprintf(`{"id":"A%06d","name":{"family":"f3"},"born":"19%02d-01-01","age":%d,"region":"north"}`, i, i%90, 20+i%60))
		}
		// Every page of a reading is of one order, chosen when it begins.
		if search.Page.Offset == 0 {
			shuffled.Store(time.Now().UnixNano())
		}
		rand.New(rand.NewPCG(1, uint64(shuffled.Load()))).Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		from := min(search.Page.Offset, len(items))
		fmt.Fprintf(w, `{"people":[%s],"total":%d}`, strings.Join(items[from:min(from+search.Page.Size, len(items))], ","), len(items))
	})
	rec := startAgency(t, "state-police", options{people: 1})
	for name, change := range map[string]func(*route.Clause){"border-service": func(*route.Clause) {}, "labor-inspectorate": byAPI(api)} {
		src := startAgency(t, name, options{people: 400})
		c := clause("persons", src, rec)
		change(&c)
		agree("agr-"+name, []route.Clause{c}, src, rec)
	}
	for _, order := range []string{`[{"field":"age"}]`, `[{"field":"birth_date","descending":true},{"field":"person_number"}]`} {
		extra := []string{`"order":` + order, `"fields":["age","birth_date","person_number"]`}
		code, whole := rec.page(t, "alice", q(`family_name == "f3"`, extra...))
		if code != 200 || len(whole.Records) != 290 || !whole.Summary.Complete {
			t.Fatalf("%s: %d, %d records, %+v %s", order, code, len(whole.Records), whole.Sources, whole.Detail)
		}
		want := whole.rows("age", "birth_date", "person_number")
		var got []string
		for token := ""; ; {
			code, p := rec.page(t, "alice", q(`family_name == "f3"`, append(extra, fmt.Sprintf(`"page_size":60,"page_token":%q`, token))...))
			if code != 200 || !p.Summary.Complete || len(got) > len(want) {
				t.Fatalf("%s: %d %+v %s", order, code, p.Sources, p.Detail)
			}
			got = append(got, p.rows("age", "birth_date", "person_number")...)
			if token = p.Summary.NextPageToken; token == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s in pages: %d records, want %d", order, len(got), len(want))
		}
		for i, r := range whole.Records[1:] {
			before := whole.Records[i].Record
			if strings.Contains(order, "age") && r.Record["age"].(float64) < before["age"].(float64) || !strings.Contains(order, "age") && r.Record["birth_date"].(string) > before["birth_date"].(string) {
				t.Fatalf("%s: %v before %v", order, before, r.Record)
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
	if token == "" || strings.Contains(token, "1950-01") || len(token) > 8000 {
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

// TestLargeAnswers are such as go by columns between gateways, unless they are in an order.
func TestLargeAnswers(t *testing.T) {
	sources, rec := startAgency(t, "border-service", options{people: 40_000}), startAgency(t, "state-police", options{people: 1})
	agree("agr", persons(sources, rec), sources, rec)
	for _, extra := range []string{`"deduplicate":["person_number"]`, `"order":[{"field":"birth_date"}]`, `"order":[{"field":"person_number"}],"deduplicate":["person_number"]`} {
		code, p := rec.page(t, "alice", q(`family_name == "f3"`, extra))
		if code != 200 || len(p.Records) != 4000 || !p.Summary.Complete || p.Summary.Duplicates != 0 {
			t.Errorf("%s: %d, %d records, %+v", extra, code, len(p.Records), p.Sources)
		}
	}
}

// TestOrderOfSeveralDatasets: one source with two datasets, which have the same records; and require_all.
func TestOrderOfSeveralDatasets(t *testing.T) {
	src, rec := startAgency(t, "border-service", options{people: 400}), startAgency(t, "state-police", options{people: 1})
	c := clause("persons", src, rec)
	second := c.Datasets[0]
	second.Name = "crossings"
	c.Datasets = append(c.Datasets, second)
	agree("agr", []route.Clause{c}, src, rec)
	fields := `"fields":["wanted","age"],"order":[{"field":"wanted"}]`
	code, whole := rec.page(t, "alice", q(`family_name == "f3"`, fields, `"requireAll":true`))
	if code != 200 || len(whole.Records) != 80 || !whole.Summary.Complete {
		t.Fatalf("%d, %d records %+v %s", code, len(whole.Records), whole.Sources, whole.Detail)
	}
	for _, r := range src.records() {
		if r.Kind == audit.Release { // all fit a frame, whichever dataset each is of
			t.Fatalf("a release of %d records", r.Records)
		}
	}
	want := whole.rows("wanted", "age")
	if !slices.IsSorted(want) {
		t.Errorf("%v", want)
	}
	for _, size := range []int{1, 7, 80} {
		var got []string
		for token := ""; ; {
			code, p := rec.page(t, "alice", q(`family_name == "f3"`, fields, `"requireAll":true`, fmt.Sprintf(`"page_size":%d,"page_token":%q`, size, token)))
			if code != 200 || len(got) > len(want) {
				t.Fatalf("%d %s", code, p.Detail)
			}
			got = append(got, p.rows("wanted", "age")...)
			if token = p.Summary.NextPageToken; token == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %d records, want %d", size, len(got), len(want))
		}
	}
}

// TestPositionsAreTheSources: a recipient can go on only where the source's own page left it, whatever its gateway makes of positions.
func TestPositionsAreTheSources(t *testing.T) {
	src, _ := pair(t, options{})
	certificate := src.ca.issue(t, "spiffe://border-service.example/agreement/agr/recipient/state-police", pkix.Name{}, time.Now().Add(time.Hour))
	ask := func(change func(*gatewayv1.RetrieveRequest)) *gatewayv1.RetrieveResponse {
		t.Helper()
		r := request("agr")
		r.Filter = `family_name == "f3"`
		r.Order = []*gatewayv1.OrderBy{{Field: "birth_date"}}
		r.After = &gatewayv1.After{Size: 10}
		change(r)
		f, err := retrieve(t, src, certificate, r)
		must(t, err)
		return f
	}
	nothing := func(*gatewayv1.RetrieveRequest) {}
	first := ask(nothing)
	records := first.GetRecords().GetRecords()
	if first.GetResult().GetReason() != "Page" || len(records) != 10 {
		t.Fatalf("%v", first.GetResult())
	}
	after := func(r *gatewayv1.Record) *gatewayv1.After {
		return &gatewayv1.After{
			Size: 10, DisclosureId: first.GetResult().GetDisclosureId(), Dataset: "people", Values: r.GetValues(), Position: r.GetPosition(), PositionKey: first.GetRecords().GetPositionKey(),
		}
	}
	next := ask(func(r *gatewayv1.RetrieveRequest) { r.After = after(records[4]) })
	if got := next.GetRecords().GetRecords(); len(got) != 10 || !proto.Equal(&gatewayv1.Record{Values: got[0].GetValues()}, &gatewayv1.Record{Values: records[5].GetValues()}) {
		t.Fatalf("after the fifth: %v", next.GetResult())
	}
	for name, change := range map[string]func(*gatewayv1.RetrieveRequest){
		"another record's values":   func(r *gatewayv1.RetrieveRequest) { r.After.Values = records[9].GetValues() },
		"another record's position": func(r *gatewayv1.RetrieveRequest) { r.After.Position = records[9].GetPosition() },
		"a count made smaller": func(r *gatewayv1.RetrieveRequest) {
			r.After.Position = append([]byte{1}, r.After.Position[1:]...)
		},
		"another dataset":       func(r *gatewayv1.RetrieveRequest) { r.After.Dataset = "others" },
		"another disclosure":    func(r *gatewayv1.RetrieveRequest) { r.After.DisclosureId = r.DisclosureId },
		"no disclosure's id":    func(r *gatewayv1.RetrieveRequest) { r.After.DisclosureId = "x" },
		"no key":                func(r *gatewayv1.RetrieveRequest) { r.After.PositionKey = nil },
		"another key":           func(r *gatewayv1.RetrieveRequest) { r.After.PositionKey = []byte("local:v1:AAAA") },
		"another filter":        func(r *gatewayv1.RetrieveRequest) { r.Filter = `family_name == "f4"` },
		"another order":         func(r *gatewayv1.RetrieveRequest) { r.Order[0].Descending = true },
		"a larger limit":        func(r *gatewayv1.RetrieveRequest) { r.Limit = 1 },
		"fewer fields":          func(r *gatewayv1.RetrieveRequest) { r.Fields = []string{"birth_date"} },
		"no order":              func(r *gatewayv1.RetrieveRequest) { r.Order = nil },
		"a page of none":        func(r *gatewayv1.RetrieveRequest) { r.After.Size = 0 },
		"a page of everything":  func(r *gatewayv1.RetrieveRequest) { r.After.Size = 1 << 40 },
		"a position of nothing": func(r *gatewayv1.RetrieveRequest) { r.After.Position = nil },
	} {
		got := ask(func(r *gatewayv1.RetrieveRequest) { r.After = after(records[4]); change(r) })
		if got.GetResult().GetOutcome() != gatewayv1.Outcome_OUTCOME_DENIED || got.GetRecords() != nil {
			t.Errorf("%s: %v", name, got.GetResult())
		}
	}
}

// TestCircuitOpen: after some questions that were not answered none is asked for a while, and that is logged; an agreement that ended is
// said to have ended.
func TestCircuitOpen(t *testing.T) {
	src, rec := pair(t, options{})
	c := rec.client("alice")
	rec.query(t, c, q(`person_number == "P000042"`))
	src.stop()
	open := false
	for n := 0; n < 20 && !open; n++ {
		code, a := rec.query(t, c, q(`person_number == "P000042"`))
		if code != 200 || a.Sources[0].Outcome != "UNAVAILABLE" {
			t.Fatalf("%d %+v", code, a)
		}
		open = a.Sources[0].Reason == "CircuitOpen" && strings.Contains(a.Sources[0].Message, "tried")
	}
	log := rec.records()
	if last := log[len(log)-1]; !open || last.Outcome != "UNAVAILABLE" || last.Reason != "CircuitOpen" {
		t.Errorf("open %v, %+v", open, last)
	}
	rec.apply("agr", &route.Tombstone{Reason: "Terminated", At: time.Now()})
	if code, a := rec.query(t, c, q(`person_number == "P000042"`, `"agencies":["border-service"]`)); code != 403 || a.Sources[0].Outcome != "DENIED" {
		t.Errorf("%d %+v", code, a)
	}
}
