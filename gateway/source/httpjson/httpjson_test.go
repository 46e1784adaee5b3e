package httpjson_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/order"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
	"github.com/entente-dev/entente/gateway/source/httpjson"
)

var schema = &route.Schema{Name: "wage", Version: 1, Fields: []route.Field{
	{Name: "person", Type: "string"}, {Name: "employer", Type: "string"}, {Name: "paid_on", Type: "date"}, {Name: "amount", Type: "decimal"},
	{Name: "status", Type: "code", Codes: []string{"open", "closed"}}, {Name: "final", Type: "bool"}, {Name: "hours", Type: "int"},
	{Name: "seen", Type: "timestamp"}, {Name: "sites", Type: "string", Repeated: true},
}}

var columns = map[string]string{
	"person": "/person/id", "employer": "/employer", "paid_on": "/paidOn", "amount": "/amount", "status": "/status", "final": "/final",
	"hours": "/hours", "seen": "/seen", "sites": "/sites",
}

// registry is an agency's wage registry with an HTTP API.
type registry struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	answer   func(w http.ResponseWriter, r *http.Request, body string)
}

func (g *registry) asked() (int, *http.Request, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.requests)
	if n == 0 {
		return 0, nil, ""
	}
	return n, g.requests[n-1], g.bodies[n-1]
}

func startRegistry(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body string)) *registry {
	t.Helper()
	g := &registry{answer: answer}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		g.requests, g.bodies = append(g.requests, r), append(g.bodies, string(body))
		g.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		g.answer(w, r, string(body))
	}))
	g.EnableHTTP2 = true
	g.Config.ErrorLog = log.New(io.Discard, "", 0)
	g.StartTLS()
	t.Cleanup(g.Close)
	return g
}

func (g *registry) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw}))
}

// api asks for wages of a person, and by more.
func (g *registry) api() *route.HTTP {
	at := func(field, comparison, name string) route.HTTPFilter {
		return route.HTTPFilter{Field: field, Comparison: comparison, Place: route.HTTPPlace{In: "query", Name: name}}
	}
	h := &route.HTTP{
		URL: g.URL + "/api/wages", Method: "GET", Items: "/data", AnswerBytes: 1 << 20, Requests: 20,
		Filters: []route.HTTPFilter{at("person", "Equal", "personId"), at("employer", "In", "employer"), at("paid_on", "GreaterOrEqual", "from"), at("status", "Equal", "status")},
	}
	h.Filters[1].Join = "repeat"
	h.CABundle, h.TimeoutSeconds = g.ca(), 10
	return h
}

func query(t *testing.T, h *route.HTTP, text string, fields ...string) source.Query {
	t.Helper()
	q := source.Query{Agreement: "agr", Schema: schema, Fields: fields, Limit: 100, Dataset: &route.Dataset{Name: "wages", Columns: columns, SubjectKey: "person", HTTP: h}}
	if text != "" {
		f, err := filter.Compile(schema, text)
		if err != nil {
			t.Fatal(err)
		}
		q.Filter = f
	}
	return q
}

func open(t *testing.T, o httpclient.Options) *httpjson.Source {
	t.Helper()
	s := httpjson.New(httpclient.NewPool(o))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func records(s source.Source, q source.Query) (out []string, more bool, err error) {
	more, err = s.Records(context.Background(), q, func(r *gatewayv1.Record) error {
		var line []string
		for _, v := range r.GetValues() {
			switch k := v.GetKind().(type) {
			case *gatewayv1.Value_Text:
				line = append(line, k.Text)
			case *gatewayv1.Value_Integer:
				line = append(line, strconv.FormatInt(k.Integer, 10))
			case *gatewayv1.Value_Boolean:
				line = append(line, strconv.FormatBool(k.Boolean))
			default:
				line = append(line, "null")
			}
		}
		out = append(out, strings.Join(line, " "))
		return nil
	})
	return out, more, err
}

// wage is an item of the API.
func wage(person, employer, paidOn, amount string) string {
	return fmt.Sprintf(`{"person":{"id":%q},"employer":%q,"paidOn":%q,"amount":%s,"status":"open","final":true,"hours":160,"seen":"2026-03-01T12:00:00+01:00","iban":"DE02-secret"}`, person, employer, paidOn, amount)
}

func answers(body string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) { _, _ = io.WriteString(w, body) }
}

func TestGet(t *testing.T) {
	g := startRegistry(t, answers(`{"data":[`+wage("P1", "Acme", "2026-02-01", "1200.50")+`,`+wage("P1", "Böhm & Co", "2026-03-01", "1.2e3")+`,{"person":{"id":"P1"},"employer":"Acme","paidOn":"2026-01-05"}],"more":"members"}`))
	s := open(t, httpclient.Options{})
	h := g.api()
	h.Constants = []route.HTTPConstant{{Name: "v", Value: "2"}}
	got, more, err := records(s, query(t, h, `person == "P1" && employer in ["Acme", "Böhm & Co"] && paid_on >= date("2026-01-01")`, "person", "employer", "paid_on", "amount", "status", "final", "hours", "seen"))
	if err != nil || more {
		t.Fatal(more, err)
	}
	want := []string{
		"P1 Acme 2026-02-01 1200.50 open true 160 2026-03-01T11:00:00Z", "P1 Böhm & Co 2026-03-01 1200 open true 160 2026-03-01T11:00:00Z",
		"P1 Acme 2026-01-05 null null null null null",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	_, r, _ := g.asked()
	if q := r.URL.Query(); r.URL.Path != "/api/wages" || !slices.Equal(q["employer"], []string{"Acme", "Böhm & Co"}) || q.Get("personId") != "P1" || q.Get("from") != "2026-01-01" || q.Get("v") != "2" || len(q) != 4 {
		t.Errorf("asked for %s", r.URL)
	}
	// Connections serve again.
	if n, err := s.Count(context.Background(), query(t, h, `person == "P1"`)); n != 3 || err != nil {
		t.Error(n, err)
	}
	if _, again, _ := g.asked(); again.RemoteAddr != r.RemoteAddr {
		t.Error("a connection for each request")
	}
}

func TestPost(t *testing.T) {
	g := startRegistry(t, answers(`[]`))
	h := g.api()
	h.Method, h.Items, h.Body = "POST", "", json.RawMessage(`{"sort":"paidOn","query":{"kind":"wage"}}`)
	place := func(i int, name string) { h.Filters[i].Place = route.HTTPPlace{In: "body", Name: name} }
	place(0, "/query/person~1id")
	place(1, "/query/employers")
	place(2, "/query/from")
	h.Filters = append(h.Filters,
		route.HTTPFilter{Field: "amount", Comparison: "Less", Place: route.HTTPPlace{In: "body", Name: "/query/below"}},
		route.HTTPFilter{Field: "hours", Comparison: "Equal", Place: route.HTTPPlace{In: "body", Name: "/query/hours", Text: true}},
		route.HTTPFilter{Field: "final", Comparison: "Equal", Place: route.HTTPPlace{In: "body", Name: "/final"}})
	s := open(t, httpclient.Options{})
	if got, _, err := records(s, query(t, h, `person == "P\"1" && employer in ["a", "b"] && amount < 10.50 && hours == 8 && final`, "person")); err != nil || len(got) > 0 {
		t.Fatal(got, err)
	}
	_, r, body := g.asked()
	want := `{"final":true,"query":{"below":10.5,"employers":["a","b"],"hours":"8","kind":"wage","person/id":"P\"1"},"sort":"paidOn"}`
	if r.Method != "POST" || r.URL.RawQuery != "" || body != want || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s %s", r.Method, r.URL, body)
	}
}

func TestPath(t *testing.T) {
	g := startRegistry(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		if r.URL.Path == "/api/persons/nobody/wages" {
			w.WriteHeader(404)
			return
		}
		_, _ = io.WriteString(w, `{"data":[`+wage("P 1ä", "Acme", "2026-02-01", "1")+`]}`)
	})
	h := g.api()
	h.URL = g.URL + "/api/persons/{id}/wages"
	h.Filters[0].Place, h.Filters[0].Required = route.HTTPPlace{In: "path", Name: "id"}, true
	s := open(t, httpclient.Options{})
	if got, _, err := records(s, query(t, h, `person == "P 1ä"`, "person")); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if _, r, _ := g.asked(); r.URL.EscapedPath() != "/api/persons/P%201%C3%A4/wages" {
		t.Error(r.URL.EscapedPath())
	}
	if _, err := s.Exists(context.Background(), query(t, h, `person == "nobody"`)); err == nil || strings.Contains(err.Error(), "nobody") {
		t.Error("404 where the dataset does not allow for it: ", err)
	}
	h.EmptyOnNotFound = true
	if found, err := s.Exists(context.Background(), query(t, h, `person == "nobody"`)); err != nil || found {
		t.Error(found, err)
	}
}

func TestList(t *testing.T) {
	for sites, want := range map[string]string{`["a",null,"b"]`: "a,b", `[]`: "", `null`: "null", `"a"`: "not a list", `[1]`: "not a string", `[["a"]]`: "not a string"} {
		g := startRegistry(t, answers(`{"data":[{"person":{"id":"P1"},"sites":`+sites+`}]}`))
		got := "null"
		_, err := open(t, httpclient.Options{}).Records(context.Background(), query(t, g.api(), `person == "P1"`, "sites"), func(r *gatewayv1.Record) error {
			if l := r.GetValues()[0].GetList(); l != nil {
				var all []string
				for _, v := range l.GetValues() {
					all = append(all, v.GetText())
				}
				got = strings.Join(all, ",")
			}
			return nil
		})
		if err != nil {
			got = err.Error()
		}
		if !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s", sites, got, want)
		}
	}
}

// TestOrder: whatever order the API has, and another each time, records come in the query's, whole and from any place on.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var items []string
	for range 300 {
		word := func(of ...string) string { return of[r.IntN(len(of))] }
		items = append(items, fmt.Sprintf(`{"person":{"id":"P1"},"employer":%s,"paidOn":%s,"amount":%s,"status":%s,"final":%s,"hours":%s,"seen":%s,"sites":%s}`,
			word(`"a"`, `"B"`, `"ä"`, `"\ud83d\ude00"`, `"\uffee"`, `""`, "null"), word(`"1999-12-31"`, `"2026-01-01"`, "null"), word("1.5", `"1.50"`, "-3", "20", "1e2", "null"), word(`"open"`, `"closed"`, "null"),
			word("true", "false", "null"), word("9", "10", "-1", "null"), word(`"2026-03-01T12:00:00+01:00"`, `"2026-03-01T11:30:00Z"`, "null"), word(`["a"]`, `["b","a"]`, "[]", "null")))
	}
	var mu sync.Mutex
	g := startRegistry(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		from, _ := strconv.Atoi(r.URL.Query().Get("skip"))
		mu.Lock()
		defer mu.Unlock()
		if from == 0 {
			rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		}
		fmt.Fprintf(w, `{"data":[%s]}`, strings.Join(items[from:min(from+70, len(items))], ","))
	})
	h := g.api()
	h.Paging = &route.HTTPPaging{Style: "Offset", Size: 70, Place: &route.HTTPPlace{In: "query", Name: "skip"}}
	s := open(t, httpclient.Options{})
	q := query(t, h, `person == "P1"`, "sites", "employer", "paid_on", "amount", "status", "final", "hours", "seen")
	read := func(q source.Query) (out []*gatewayv1.Record, more bool) {
		t.Helper()
		more, err := s.Records(context.Background(), q, func(r *gatewayv1.Record) error { out = append(out, r); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return out, more
	}
	for range 20 {
		q.Order, q.From, q.Limit = nil, nil, 1000
		var by []order.By
		for _, i := range r.Perm(7)[:1+r.IntN(7)] {
			o := source.Order{Field: q.Fields[i+1], Descending: r.IntN(2) == 0}
			q.Order = append(q.Order, o)
			at := slices.IndexFunc(schema.Fields, func(f route.Field) bool { return f.Name == o.Field })
			by = append(by, order.By{Index: i + 1, Type: schema.Fields[at].Type, Descending: o.Descending})
		}
		compare := func(a, b *gatewayv1.Record) int { return order.Compare(by, a.Values, b.Values) }
		equal := func(a, b *gatewayv1.Record) bool { return proto.Equal(a, b) }
		whole, more := read(q)
		if more || len(whole) != len(items) || !slices.IsSortedFunc(whole, compare) {
			t.Fatalf("%v: %d records, more %v, or out of order", q.Order, len(whole), more)
		}
		q.Limit = int64(1 + r.IntN(50))
		place := whole[r.IntN(len(whole))]
		q.From = &source.From{Including: r.IntN(2) == 0}
		for _, k := range by {
			q.From.Values = append(q.From.Values, place.Values[k.Index])
		}
		want := slices.DeleteFunc(slices.Clone(whole), func(x *gatewayv1.Record) bool {
			d := compare(x, place)
			return d < 0 || d == 0 && !q.From.Including
		})
		rest := int64(len(want)) > q.Limit
		want = want[:min(int64(len(want)), q.Limit)]
		if got, more := read(q); !slices.EqualFunc(got, want, equal) || more != rest {
			t.Errorf("%v, %d from a place: %d records, want %d; more %v, want %v", q.Order, q.Limit, len(got), len(want), more, rest)
		}
	}
	// What it may read and keep is bounded.
	q.From, q.Limit = nil, 1000
	h.Requests = 4
	if _, _, err := records(s, q); !errors.Is(err, source.ErrTooMany) {
		t.Errorf("five requests where four are allowed: %v", err)
	}
	h.Requests, h.AnswerBytes = 20, 64<<20
	long := strings.Repeat("x", 100_000)
	g.answer = func(w http.ResponseWriter, r *http.Request, _ string) {
		if r.URL.Query().Get("skip") != "0" {
			_, _ = io.WriteString(w, `{"data":[]}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":[`+strings.Repeat(wage("P1", long, "2026-02-01", "1")+",", 69)+wage("P1", long, "2026-02-01", "1")+`]}`)
	}
	if got, _, err := records(s, q); err != nil || len(got) != 70 {
		t.Errorf("7 MB: %d records, %v", len(got), err)
	}
	g.answer = func(w http.ResponseWriter, _ *http.Request, _ string) {
		_, _ = io.WriteString(w, `{"data":[`+strings.Repeat(wage("P1", long, "2026-02-01", "1")+",", 69)+wage("P1", long, "2026-02-01", "1")+`]}`)
	}
	if _, _, err := records(s, q); !errors.Is(err, source.ErrTooMany) || strings.Contains(err.Error(), "xxx") {
		t.Errorf("140 MB: %v", err)
	}
	q.Limit = 10 // which is all that is kept
	h.Requests = 3
	if _, _, err := records(s, q); !errors.Is(err, source.ErrTooMany) || !strings.Contains(err.Error(), "requests") {
		t.Errorf("ten of them: %v", err)
	}
}

// TestDescribe: what would be asked, by the names of its parameters, and no value, not even the dataset's own; nothing is asked for it.
func TestDescribe(t *testing.T) {
	g := startRegistry(t, answers(`{"data":[]}`))
	s := open(t, httpclient.Options{})
	get := g.api()
	get.URL = g.URL + "/api/persons/{id}/wages"
	get.Filters[0].Place = route.HTTPPlace{In: "path", Name: "id"}
	get.Constants = []route.HTTPConstant{{Name: "key", Value: "Secret"}}
	post := g.api()
	post.Method, post.Body = "POST", json.RawMessage(`{"tenant":"Secret","kinds":["Secret","b"],"none":[]}`)
	post.Filters[0].Place, post.Filters[1].Place = route.HTTPPlace{In: "body", Name: "/query/person"}, route.HTTPPlace{In: "body", Name: "/query/employers"}
	post.Paging = &route.HTTPPaging{Style: "Offset", Size: 10, Place: &route.HTTPPlace{In: "body", Name: "/page/skip"}, SizePlace: &route.HTTPPlace{In: "body", Name: "/page/size"}}
	const body = `{"kinds":["?"],"none":[],"page":{"size":"?","skip":"?"},"query":{"employers":["?"],"person":"?"},"tenant":"?"}`
	for _, tt := range []struct {
		api    *route.HTTP
		method source.Method
		order  []source.Order
		filter string
		want   string
	}{
		{get, source.MethodRecords, nil, `person == "Secret" && employer in ["Secret", "b"] && paid_on >= date("2026-01-01")`, "GET /api/persons/{id}/wages?employer=?&from=?&key=?"},
		{post, source.MethodCount, nil, `person == "Secret" && employer in ["Secret", "b"]`, "POST /api/wages " + body},
		{post, source.MethodRecords, []source.Order{{Field: "person"}}, `person == "Secret" && employer in ["Secret"]`, "POST /api/wages " + body + " (all records that match, sorted by the gateway)"},
		{post, source.MethodExists, nil, `person == "Secret" && person == "b"`, "nothing is asked: the filters exclude each other"},
	} {
		q := query(t, tt.api, tt.filter, "person", "amount")
		q.Order = tt.order
		if got, err := s.Describe(q, tt.method); err != nil || got.System != "http" || got.Text != tt.want {
			t.Errorf("%s: %+v, %v\nwant %s", tt.filter, got, err, tt.want)
		}
	}
	if _, err := s.Describe(query(t, get, `hours == 8`, "person"), source.MethodRecords); err == nil {
		t.Error("what cannot be asked is described")
	}
	if n, _, _ := g.asked(); n > 0 {
		t.Errorf("it was asked %d times", n)
	}
}

// Filters that exclude each other have no records, and nobody is asked.
func TestNothing(t *testing.T) {
	g := startRegistry(t, answers(`{"data":[]}`))
	s := open(t, httpclient.Options{})
	q := query(t, g.api(), `status == "open"`, "person")
	q.RowFilter, _ = filter.Compile(schema, `status == "closed"`)
	got, more, err := records(s, q)
	n, errCount := s.Count(context.Background(), q)
	found, errExists := s.Exists(context.Background(), q)
	if len(got) > 0 || more || n > 0 || found || errors.Join(err, errCount, errExists) != nil {
		t.Error(got, n, found, err, errCount, errExists)
	}
	if asked, _, _ := g.asked(); asked > 0 {
		t.Error("it was asked")
	}
}

// TestPaging reads 25 records in pages, in each style.
func TestPaging(t *testing.T) {
	const all = 25
	var items []string
	for i := range all {
		items = append(items, wage("P1", fmt.Sprintf("E%02d", i), "2026-02-01", strconv.Itoa(i)))
	}
	page := func(w http.ResponseWriter, from, size int, more string) {
		from = min(from, all)
		fmt.Fprintf(w, `{"data":[%s],"total":%d%s}`, strings.Join(items[from:min(from+size, all)], ","), all, more)
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	for _, tt := range []struct {
		style    string
		set      func(h *route.HTTP)
		answer   func(w http.ResponseWriter, r *http.Request, body string)
		requests int // of a query that reads all
	}{
		{"Page", func(h *route.HTTP) {
			h.Paging.Place, h.Paging.First = &route.HTTPPlace{In: "query", Name: "page"}, 1
		}, func(w http.ResponseWriter, r *http.Request, _ string) {
			size := number(r.URL.Query().Get("size"))
			page(w, (number(r.URL.Query().Get("page"))-1)*size, size, "")
		}, 4},
		{"Page", func(h *route.HTTP) {
			h.Paging.Place, h.Count = &route.HTTPPlace{In: "query", Name: "page"}, "/total"
		}, func(w http.ResponseWriter, r *http.Request, _ string) {
			size := number(r.URL.Query().Get("size"))
			page(w, number(r.URL.Query().Get("page"))*size, size, "")
		}, 3},
		// It gives less than it is asked for: nothing is left out.
		{"Offset", func(h *route.HTTP) { h.Paging.Place = &route.HTTPPlace{In: "query", Name: "skip"} },
			func(w http.ResponseWriter, r *http.Request, _ string) {
				page(w, number(r.URL.Query().Get("skip")), min(4, number(r.URL.Query().Get("size"))), "")
			}, 8},
		{"Cursor", func(h *route.HTTP) {
			h.Method, h.Paging.Place, h.Paging.Next = "POST", &route.HTTPPlace{In: "body", Name: "/page/after"}, "/next"
			h.Paging.SizePlace = &route.HTTPPlace{In: "body", Name: "/page/size"}
		}, func(w http.ResponseWriter, _ *http.Request, body string) {
			var b struct {
				Page struct {
					After string
					Size  int
				}
			}
			_ = json.Unmarshal([]byte(body), &b)
			from, more := number(b.Page.After), `,"next":null`
			if from+b.Page.Size < all {
				more = fmt.Sprintf(`,"next":"%d"`, from+b.Page.Size)
			}
			page(w, from, b.Page.Size, more)
		}, 3},
		{"Link", func(h *route.HTTP) {}, func(w http.ResponseWriter, r *http.Request, _ string) {
			from, size := number(r.URL.Query().Get("x")), number(r.URL.Query().Get("size"))
			if from+size < all {
				w.Header().Set("Link", fmt.Sprintf(`</api/wages?x=0&size=10>; rel="first", <?personId=P1&size=%d&x=%d>; title="a, b"; rel="last next"`, size, from+size))
			}
			page(w, from, size, "")
		}, 3},
	} {
		t.Run(tt.style, func(t *testing.T) {
			g := startRegistry(t, tt.answer)
			h := g.api()
			h.Paging = &route.HTTPPaging{Style: tt.style, Size: 10, SizePlace: &route.HTTPPlace{In: "query", Name: "size"}}
			tt.set(h)
			s := open(t, httpclient.Options{})
			got, more, err := records(s, query(t, h, `person == "P1"`, "employer"))
			if err != nil || more || len(got) != all || got[0] != "E00" || got[24] != "E24" {
				t.Fatalf("%d, %v, %v", len(got), more, err)
			}
			if n, _, _ := g.asked(); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			q := query(t, h, `person == "P1"`, "employer")
			q.Limit = 12
			if got, more, err := records(s, q); err != nil || !more || len(got) != 12 {
				t.Errorf("%d, %v, %v", len(got), more, err)
			}
			q.Limit = 25
			if got, more, err := records(s, q); err != nil || more || len(got) != 25 {
				t.Errorf("%d, %v, %v", len(got), more, err)
			}
			before, _, _ := g.asked()
			if found, err := s.Exists(context.Background(), q); err != nil || !found {
				t.Error(found, err)
			}
			if after, _, _ := g.asked(); after != before+1 {
				t.Error("existence takes more than one request")
			}
			if n, err := s.Count(context.Background(), q); err != nil || n != all {
				t.Error(n, err)
			}
			q.Persons = true
			if n, err := s.Count(context.Background(), q); err != nil || n != 1 {
				t.Error(n, err)
			}
			h.Requests = 2
			if _, _, err := records(s, query(t, h, `person == "P1"`, "employer")); err == nil || !strings.Contains(err.Error(), "more than 2 requests") {
				t.Error(err)
			}
		})
	}
}

// A server that does not do as it should.
func TestHostile(t *testing.T) {
	one := wage("P1", "Acme", "2026-02-01", "1200.50")
	var mu sync.Mutex
	elsewhere := 0
	other := startRegistry(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		mu.Lock()
		elsewhere++
		mu.Unlock()
		_, _ = io.WriteString(w, `{"data":[`+one+`]}`)
	})
	item := func(s string) func(http.ResponseWriter, *http.Request, string) {
		return answers(`{"data":[` + s + `]}`)
	}
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request, body string)
		want   string
		set    func(h *route.HTTP)
	}{
		{"another person", item(one + "," + wage("P2-secret", "Acme", "2026-02-01", "1")), "a record that the filters exclude", nil},
		{"null person", item(`{"employer":"Acme"}`), "a record that the filters exclude", nil},
		{"amount is text", item(strings.Replace(one, "1200.50", `"secret"`, 1)), "field amount: its value is no decimal", nil},
		{"amount is true", item(strings.Replace(one, "1200.50", `true`, 1)), "field amount: its value is not a number", nil},
		{"amount is endless", item(strings.Replace(one, "1200.50", strings.Repeat("9", 65), 1)), "field amount: its value is no decimal of at most 64 digits", nil},
		{"amount is a fraction", item(strings.Replace(one, "1200.50", `"1/2e1"`, 1)), "field amount: its value is no decimal", nil},
		{"amount is in another base", item(strings.Replace(one, "1200.50", `"0x10e1"`, 1)), "field amount: its value is no decimal", nil},
		{"amount is huge", item(strings.Replace(one, "1200.50", "1e999999999", 1)), "field amount: its value is no decimal", nil},
		{"amount is NaN", item(strings.Replace(one, "1200.50", "NaN", 1)), "no JSON", nil},
		{"hours are a fraction", item(strings.Replace(one, "160", "160.5", 1)), "field hours: the number is no whole one", nil},
		{"hours beyond 64 bits", item(strings.Replace(one, "160", "9223372036854775808", 1)), "field hours: the number is no whole one", nil},
		{"a date that is none", item(strings.Replace(one, "2026-02-01", "2026-02-30", 1)), "field paid_on: the text is no date", nil},
		{"a code that is none", item(strings.Replace(one, `"open"`, `"secret"`, 1)), "field status: the code is not in the schema's list", nil},
		{"final is 1", item(strings.Replace(one, `true`, `1`, 1)), "field final: its value is not true or false", nil},
		{"seen in nanoseconds", item(strings.Replace(one, "12:00:00+", "12:00:00.123456789+", 1)), "field seen: the text is no RFC 3339", nil},
		{"employer is an object", item(strings.Replace(one, `"Acme"`, `{"name":"Acme"}`, 1)), "field employer: its value is not a string", nil},
		{"person is a list", item(strings.Replace(one, `{"id":"P1"}`, `["P1"]`, 1)), "field person: there is no object", nil},
		{"NUL", item(strings.Replace(one, `Acme`, `Ac\u0000me`, 1)), "field employer: the text has a NUL", nil},
		{"half a surrogate pair", item(strings.Replace(one, `Acme`, `Ac\ud800me`, 1)), "surrogate", nil},
		{"no UTF-8", item(strings.Replace(one, `Acme`, "Ac\xffme", 1)), "no valid UTF-8", nil},
		{"duplicate member", item(strings.Replace(one, `"employer"`, `"employer":"x","employer"`, 1)), "a member twice", nil},
		{"duplicate member of another spelling", item(strings.Replace(one, `"employer"`, `"employer":"x","employ\u0065r"`, 1)), "a member twice", nil},
		{"deep", item(strings.Repeat(`[`, 10000) + strings.Repeat(`]`, 10000)), "nested deeper", nil},
		{"items are strings", item(`"secret"`), "an item is no object", nil},
		{"no items", answers(`{"data":null}`), `there is no array at "/data"`, nil},
		{"items are elsewhere", answers(`[` + one + `]`), `there is no array at "/data"`, nil},
		{"invalid JSON", answers(`{"data":[`), "no JSON", nil},
		{"two documents", answers(`{"data":[]}{"data":[]}`), "no JSON", nil},
		{"empty", answers(``), "no JSON", nil},
		{"HTML", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `{"data":[]}`)
		}, "no JSON, as its Content-Type says", nil},
		{"endless", func(w http.ResponseWriter, r *http.Request, _ string) {
			_, _ = io.WriteString(w, `{"data":[`)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, one+","); err != nil {
					return
				}
			}
		}, "larger than 1048576 bytes", nil},
		{"announced as huge", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Length", "1000000000000")
			w.WriteHeader(200)
		}, "larger than 1048576 bytes", nil},
		{"slow", func(w http.ResponseWriter, r *http.Request, _ string) {
			_, _ = io.WriteString(w, `{"data":[`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "does not answer in time", func(h *route.HTTP) { h.TimeoutSeconds = 1 }},
		{"huge headers", func(w http.ResponseWriter, _ *http.Request, _ string) {
			for i := range 100 {
				w.Header().Set("X-"+strconv.Itoa(i), strings.Repeat("x", 2000))
			}
		}, "does not answer as HTTP does", nil},
		{"redirect", func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, other.URL+r.URL.String(), http.StatusTemporaryRedirect)
		}, "redirect (status 307), which is not followed", nil},
		{"500", func(w http.ResponseWriter, _ *http.Request, _ string) { http.Error(w, "P1 secret", 500) }, "status 500", nil},
		{"429", func(w http.ResponseWriter, _ *http.Request, _ string) {
			http.Error(w, "P1 secret", http.StatusTooManyRequests)
		}, "status 429", nil},
		{"204", func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(204) }, "status 204", nil},
		{"401", func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(401) }, "does not take this gateway's secret", nil},
		{"breaks off", func(w http.ResponseWriter, _ *http.Request, _ string) {
			_, _ = io.WriteString(w, `{"data":[`)
			panic(http.ErrAbortHandler)
		}, "", nil},
		{"a page too large", item(one + "," + one + "," + one), "3 records on a page of at most 2", func(h *route.HTTP) {
			h.Paging = &route.HTTPPaging{Style: "Offset", Size: 2, Place: &route.HTTPPlace{In: "query", Name: "skip"}}
		}},
		{"endless pages", item(one), "more than 20 requests", func(h *route.HTTP) {
			h.Paging = &route.HTTPPaging{Style: "Offset", Size: 2, Place: &route.HTTPPlace{In: "query", Name: "skip"}}
		}},
		{"the same cursor again", answers(`{"data":[],"next":"a"}`), "the same page again", func(h *route.HTTP) {
			h.Paging = &route.HTTPPaging{Style: "Cursor", Size: 2, Next: "/next", Place: &route.HTTPPlace{In: "query", Name: "after"}}
		}},
		{"a cursor that is none", answers(`{"data":[],"next":{"a":1}}`), "no cursor", func(h *route.HTTP) {
			h.Paging = &route.HTTPPaging{Style: "Cursor", Size: 2, Next: "/next", Place: &route.HTTPPlace{In: "query", Name: "after"}}
		}},
		{"the next page is elsewhere", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Link", "<"+other.URL+`/api/wages?x=1>; rel=next`)
			_, _ = io.WriteString(w, `{"data":[]}`)
		}, "the next page is elsewhere", func(h *route.HTTP) { h.Paging = &route.HTTPPaging{Style: "Link", Size: 2} }},
		{"the next page is another operation", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Link", `</api/wages/../secrets>; rel=next`)
			_, _ = io.WriteString(w, `{"data":[]}`)
		}, "the next page is elsewhere", func(h *route.HTTP) { h.Paging = &route.HTTPPaging{Style: "Link", Size: 2} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := startRegistry(t, tt.answer)
			h := g.api()
			if tt.set != nil {
				tt.set(h)
			}
			s := open(t, httpclient.Options{})
			fields := []string{"person", "employer", "paid_on", "amount", "status", "final", "hours", "seen"}
			got, more, err := records(s, query(t, h, `person == "P1"`, fields...))
			if err == nil || !strings.Contains(err.Error(), tt.want) || more {
				t.Fatalf("%v, %v, %v", got, more, err)
			}
			if strings.Contains(err.Error(), "P1") || strings.Contains(err.Error(), "secret\"") || strings.Contains(err.Error(), "-secret") || strings.Contains(err.Error(), g.URL) || len(err.Error()) > 400 {
				t.Errorf("the error says too much: %v", err)
			}
			for _, line := range got {
				if !strings.HasPrefix(line, "P1 ") || strings.Contains(line, "secret") {
					t.Errorf("passed on: %s", line)
				}
			}
		})
	}
	if elsewhere > 0 {
		t.Error("it was followed elsewhere")
	}
}

func TestCount(t *testing.T) {
	one := wage("P1", "Acme", "2026-02-01", "1")
	for body, want := range map[string]string{
		`{"data":[` + one + `],"total":7}`:                                   "7",
		`{"data":[],"total":0}`:                                              "0",
		`{"data":[` + one + `],"total":0}`:                                   "fewer",
		`{"data":[` + one + `],"total":-1}`:                                  "no count",
		`{"data":[` + one + `],"total":"7"}`:                                 "no count",
		`{"data":[` + one + `]}`:                                             "no count",
		`{"data":[` + wage("P2", "Acme", "2026-02-01", "1") + `],"total":7}`: "filters exclude",
	} {
		g := startRegistry(t, answers(body))
		h := g.api()
		h.Count = "/total"
		n, err := open(t, httpclient.Options{}).Count(context.Background(), query(t, h, `person == "P1"`))
		if got := fmt.Sprint(n, " ", err); !strings.Contains(got, want) {
			t.Errorf("%s: %s", body, got)
		}
	}
}

// The server's certificate is one of the pinned authority, whatever the system trusts.
func TestTLS(t *testing.T) {
	g := startRegistry(t, answers(`{"data":[]}`))
	s := open(t, httpclient.Options{})
	ask := func(set func(h *route.HTTP)) error {
		h := g.api()
		set(h)
		_, _, err := records(s, query(t, h, `person == "P1"`, "person"))
		return err
	}
	if err := ask(func(*route.HTTP) {}); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]func(h *route.HTTP){
		"the system's authorities": func(h *route.HTTP) { h.CABundle = "" },
		"no authority":             func(h *route.HTTP) { h.CABundle = "x" },
		"another name":             func(h *route.HTTP) { h.URL = strings.Replace(h.URL, "127.0.0.1", "localhost", 1) },
		"nobody there":             func(h *route.HTTP) { h.URL = "https://127.0.0.1:1/api/wages" },
		"no TLS":                   func(h *route.HTTP) { h.URL = strings.Replace(h.URL, "https", "http", 1) },
	} {
		err := ask(set)
		if err == nil || strings.Contains(err.Error(), "P1") || strings.Contains(err.Error(), "personId") {
			t.Errorf("%s: %v", name, err)
		}
		if u := new(url.Error); errors.As(err, &u) {
			t.Errorf("%s: a URL is in %v", name, err)
		}
		if name != "no TLS" && !errors.Is(err, source.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	var mu sync.Mutex
	good := "one"
	g := startRegistry(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+good {
			w.WriteHeader(401)
			return
		}
		_, _ = io.WriteString(w, `{"data":[]}`)
	})
	h := g.api()
	h.Authentication = []string{"Bearer"}
	reads, token := 0, "one"
	s := open(t, httpclient.Options{Secrets: func(_ context.Context, dataset string) (httpclient.Secret, error) {
		if reads++; dataset != "wages" {
			t.Errorf("secret of %q", dataset)
		}
		return httpclient.NewSecret(map[string]string{"token": token})
	}})
	ask := func() error {
		_, _, err := records(s, query(t, h, `person == "P1"`, "person"))
		return err
	}
	if err := errors.Join(ask(), ask()); err != nil || reads != 1 {
		t.Fatal(err, reads)
	}
	// A new secret is read when the old one is not taken any more.
	mu.Lock()
	good, token = "two", "two"
	mu.Unlock()
	if err := ask(); err != nil || reads != 2 {
		t.Fatal(err, reads)
	}
	mu.Lock()
	good = "three"
	mu.Unlock()
	if err := ask(); !errors.Is(err, source.ErrUnavailable) || strings.Contains(err.Error(), "two") || reads != 3 {
		t.Error(err, reads)
	}
	// What the service does not ask for is not shown to it.
	h.Authentication = []string{"Basic"}
	if err := ask(); !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "the secret has Bearer") {
		t.Error(err)
	}
}

func TestRevoke(t *testing.T) {
	started, over := make(chan struct{}, 1), make(chan struct{})
	g := startRegistry(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		started <- struct{}{}
		<-r.Context().Done()
		close(over)
	})
	s := open(t, httpclient.Options{})
	ended := make(chan error, 1)
	go func() {
		_, _, err := records(s, query(t, g.api(), `person == "P1"`, "person"))
		ended <- err
	}()
	<-started
	s.Revoke("another")
	select {
	case err := <-ended:
		t.Fatalf("another agreement's end ended it: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.Revoke("agr")
	if err := <-ended; !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "agreement ended") {
		t.Error(err)
	}
	<-over // the server saw the connection go
}

// A client certificate is what opens the service.
func TestCertificate(t *testing.T) {
	g := &registry{answer: answers(`{"data":[]}`)}
	var names []string
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names = append(names, r.TLS.PeerCertificates[0].Subject.CommonName)
		w.Header().Set("Content-Type", "application/vnd.wages+json; charset=utf-8")
		_, _ = io.WriteString(w, `{"data":[]}`)
	}))
	certificate, key, pool := clientCertificate(t, "entente gateway")
	g.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	g.StartTLS()
	t.Cleanup(g.Close)
	h := g.api()
	h.Authentication = []string{"Certificate"}
	s := open(t, httpclient.Options{Secrets: func(context.Context, string) (httpclient.Secret, error) {
		return httpclient.NewSecret(map[string]string{"certificate": certificate, "key": key})
	}})
	if _, _, err := records(s, query(t, h, `person == "P1"`, "person")); err != nil || !slices.Equal(names, []string{"entente gateway"}) {
		t.Error(err, names)
	}
	h.Authentication = nil
	if _, _, err := records(s, query(t, h, `person == "P1"`, "person")); !errors.Is(err, source.ErrUnavailable) {
		t.Error(err)
	}
}
