package gateway_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/route"
)

// service is an HTTPS service of the source agency.
type service struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	answer func(w http.ResponseWriter, r *http.Request, body string)
}

func startService(t *testing.T, token string, answer func(http.ResponseWriter, *http.Request, string)) *service {
	t.Helper()
	s := &service{answer: answer}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.bodies = append(s.bodies, string(body))
		answer := s.answer
		s.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer token of "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		answer(w, r, string(body))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) set(answer func(http.ResponseWriter, *http.Request, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *service) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies)
}

func (s *service) access() route.HTTPAccess {
	return route.HTTPAccess{
		CABundle:       string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
		Authentication: []string{"Bearer"}, TimeoutSeconds: 10,
	}
}

// registry answers searches for people as an agency's API does: number 0 … n-1, called f0 … f9, all of them in the north.
func registry(n int) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, body string) {
		var search struct {
			Query struct{ Number, Family, Region string }
			Page  struct{ Offset, Size int }
		}
		if err := json.Unmarshal([]byte(body), &search); err != nil || search.Query.Region != "north" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var items []string
		for i := range n {
			number, family := fmt.Sprintf("P%06d", i), fmt.Sprintf("f%d", i%10)
			if search.Query.Number != "" && search.Query.Number != number || search.Query.Family != "" && search.Query.Family != family {
				continue
			}
			items = append(items, fmt.Sprintf(`{"id":%q,"name":{"family":%q},"born":"1990-01-01","age":%d,"region":"north","secret":"secret-value"}`, number, family, 20+i%60))
		}
		from := min(search.Page.Offset, len(items))
		to := min(from+search.Page.Size, len(items))
		fmt.Fprintf(w, `{"people":[%s],"total":%d}`, strings.Join(items[from:to], ","), len(items))
	}
}

// byAPI has the clause's records come from the API.
func byAPI(s *service) func(*route.Clause) {
	return func(c *route.Clause) {
		at := func(field, name string) route.HTTPFilter {
			return route.HTTPFilter{Field: field, Comparison: "Equal", Place: route.HTTPPlace{In: "body", Name: name}}
		}
		c.RowFilter = `region == "north"`
		c.Datasets = []route.Dataset{{
			Name: "people", SubjectKey: "person_number",
			Columns: map[string]string{"person_number": "/id", "family_name": "/name/family", "birth_date": "/born", "age": "/age", "wanted": "/wanted", "region": "/region"},
			HTTP: &route.HTTP{
				URL: s.URL + "/search", Method: "POST", Items: "/people", Count: "/total", AnswerBytes: 1 << 20, Requests: 50, HTTPAccess: s.access(),
				Filters: []route.HTTPFilter{at("person_number", "/query/number"), at("family_name", "/query/family"), at("region", "/query/region")},
				Paging: &route.HTTPPaging{
					Style: "Offset", Place: &route.HTTPPlace{In: "body", Name: "/page/offset"}, SizePlace: &route.HTTPPlace{In: "body", Name: "/page/size"}, Size: 100,
				},
			},
		}}
	}
}

func TestHTTPSource(t *testing.T) {
	api := startService(t, "people", registry(3000))
	src, rec := agreeOn(t, byAPI(api), func(*route.Clause) {})
	c := rec.client("alice")

	_, a := rec.query(t, c, q(`person_number == "P000042"`))
	if len(a.Records) != 1 || fmt.Sprint(a.Records[0].Record) != "map[age:62 birth_date:1990-01-01 family_name:f2 person_number:P000042 wanted:<nil>]" {
		t.Fatalf("%+v", a)
	}
	// One request has the whole of both filters, and nothing of it stands in a URL.
	if got := api.asked(); !slices.Equal(got, []string{`{"page":{"offset":0,"size":100},"query":{"number":"P000042","region":"north"}}`}) {
		t.Errorf("asked %q", got)
	}
	s, p := src.records(), rec.records()
	if len(s) != 2 || len(p) != 2 || s[1].ResponseDigest == "" || s[1].ResponseDigest != p[1].ResponseDigest || s[1].QueryDigest != p[1].QueryDigest || s[1].SubjectToken == "" || s[1].Dataset != "people" {
		t.Errorf("%+v\n%+v", s, p)
	}
	// Pages, frames, and the limit.
	if _, a = rec.query(t, c, q(`family_name == "f2"`)); len(a.Records) != 300 || !a.Summary.Complete {
		t.Errorf("%d, %+v", len(a.Records), a.Sources)
	}
	if _, a = rec.query(t, c, q(`family_name == "f2"`, `"limit":250`)); len(a.Records) != 250 || a.Sources[0].Outcome != "PARTIAL" {
		t.Errorf("%d, %+v", len(a.Records), a.Sources)
	}
	if _, a = rec.query(t, c, q(`family_name == "f2"`, `"granularity":"Count"`)); a.Sources[0].Count == nil || *a.Sources[0].Count != 300 {
		t.Errorf("%+v", a.Sources)
	}
	if _, a = rec.query(t, c, q(`person_number == "nobody"`, `"granularity":"Existence"`)); a.Sources[0].Exists == nil || *a.Sources[0].Exists {
		t.Errorf("%+v", a.Sources)
	}

	// What the API cannot be asked for is refused with its place, and the API is not asked.
	before := len(api.asked())
	code, a := rec.query(t, c, q(`person_number == "P000042" && age > 30`))
	if code != 403 || a.Reason != "source" || len(a.Records) > 0 || !strings.Contains(a.Sources[0].Message, `filter, line 1, column 35: the source's API cannot be asked for field "age" with >`) {
		t.Errorf("%d %+v", code, a)
	}
	if len(api.asked()) != before {
		t.Error("it was asked all the same")
	}

	// Rows outside the row filter: cut off, reported, and not passed on.
	api.set(func(w http.ResponseWriter, _ *http.Request, _ string) {
		_, _ = io.WriteString(w, `{"people":[{"id":"P000042","name":{"family":"f2"},"region":"north"},{"id":"P000042","name":{"family":"outside"},"region":"south"}],"total":2}`)
	})
	_, _, text := rec.post(c, "/v1/query", q(`person_number == "P000042"`))
	if !strings.Contains(text, `"outcome":"UNAVAILABLE"`) || strings.Contains(text, "outside") || strings.Contains(text, "P000042") {
		t.Errorf("%s", text)
	}
	if out := src.output.String(); !strings.Contains(out, "a record that the filters exclude") || strings.Contains(out, "P000042") || strings.Contains(out, "/search") {
		t.Errorf("%s", out)
	}
	if last := src.records(); last[len(last)-1].Outcome != "UNAVAILABLE" || last[len(last)-1].Records != 0 {
		t.Errorf("%+v", last[len(last)-1])
	}
}

// An agreement that ends closes what is open at the API.
func TestHTTPSourceRevoked(t *testing.T) {
	started, over := make(chan struct{}), make(chan struct{})
	api := startService(t, "people", func(_ http.ResponseWriter, r *http.Request, _ string) {
		close(started)
		<-r.Context().Done()
		close(over)
	})
	src, rec := agreeOn(t, byAPI(api), func(*route.Clause) {})
	done := make(chan answerJSON, 1)
	c := rec.client("alice")
	go func() {
		_, a := rec.query(t, c, q(`person_number == "P000042"`))
		done <- a
	}()
	<-started
	src.apply("agr", &route.Tombstone{Reason: "Suspended", At: time.Now()})
	select {
	case <-over:
	case <-time.After(20 * time.Second):
		t.Fatal("the request goes on")
	}
	if a := <-done; len(a.Records) > 0 || a.Sources[0].Outcome != "DENIED" {
		t.Errorf("%+v", a.Sources)
	}
}

// consentsGiven answers for the persons whose number is even.
func consentsGiven(w http.ResponseWriter, _ *http.Request, body string) {
	var asked struct{ Subjects []string }
	_ = json.Unmarshal([]byte(body), &asked)
	var out []string
	for _, s := range asked.Subjects {
		out = append(out, fmt.Sprint(strings.ContainsAny(s[len(s)-1:], "02468")))
	}
	fmt.Fprintf(w, `{"consents":[%s],"ref":"register/7"}`, strings.Join(out, ","))
}

func byService(s *service, maxAge int32) func(*route.Clause) {
	return func(c *route.Clause) {
		c.Consent = "consents"
		for i := range c.Datasets {
			c.Datasets[i].Consent = &route.Consent{Service: &route.ConsentService{Name: "consents", URL: s.URL + "/check", HTTPAccess: s.access(), MaxAgeSeconds: maxAge}}
		}
	}
}

func TestConsentService(t *testing.T) {
	given := startService(t, "consents", consentsGiven)
	src, rec := agreeOn(t, byService(given, 0), func(c *route.Clause) { c.Consent = "consents" })
	c := rec.client("alice")

	_, a := rec.query(t, c, q(`family_name == "f2"`, `"fields":["family_name"]`))
	if len(a.Records) != 10 || a.Sources[0].Outcome != "OK" || fmt.Sprint(a.Records[0].Record) != "map[family_name:f2]" {
		t.Fatalf("%d %+v", len(a.Records), a.Sources)
	}
	asked := given.asked()
	if last := asked[len(asked)-1]; !strings.HasPrefix(last, `{"agreement":"agr","purpose":"`+purpose+`","recipient":"state-police","subjects":["P000002","P000012",`) {
		t.Errorf("asked %s", last)
	}
	log := src.records()
	last := log[len(log)-1]
	if k := last.ConsentCheck; k.Service != "consents" || k.Asked != 10 || k.Given != 10 || k.Ref != "register/7" || !strings.HasPrefix(k.Digest, "sha256:") {
		t.Errorf("%+v", k)
	}

	// Who did not consent is no hit, is not counted, and is not there.
	for body, want := range map[string]string{
		q(`family_name == "f3"`):                                      `"records":0`,
		q(`family_name == "f3"`, `"granularity":"Count"`):             `"count":0`,
		q(`family_name == "f2"`, `"granularity":"Count"`):             `"count":10`,
		q(`person_number == "P000003"`, `"granularity":"Existence"`):  `"exists":false`,
		q(`person_number == "P000002"`, `"granularity":"Existence"`):  `"exists":true`,
		q(`person_number == "P999999"`, `"granularity":"Existence"`):  `"exists":false`,
		q(`family_name == "f2"`, `"limit":4`):                         `"outcome":"PARTIAL"`,
		q(`person_number == "P000002"`, `"fields":["person_number"]`): `"person_number":"P000002"`,
	} {
		if _, _, text := rec.post(c, "/v1/query", body); !strings.Contains(text, want) {
			t.Errorf("%s: %s", body, text)
		}
	}

	// Without an answer that can be understood, nothing is disclosed.
	for _, bad := range []string{
		`{"consents":[true]}`, `{"consents":["true"]}`, `{"consents":[1]}`, `{"consents":true}`, `{}`, `[]`, `{"consents":[true,true]}`,
		`{"consents":[true],"consents":[true]}`, `{"consents":[true],"until":"2026-01-01"}`, `{"consents":[true],"ref":1}`, `no`, ``,
	} {
		wanted := bad == `{"consents":[true]}` // the one that is right
		given.set(func(w http.ResponseWriter, _ *http.Request, _ string) { _, _ = io.WriteString(w, bad) })
		_, a := rec.query(t, c, q(`person_number == "P000003"`))
		if wanted && len(a.Records) != 1 || !wanted && (len(a.Records) > 0 || a.Sources[0].Outcome != "UNAVAILABLE" || a.Sources[0].Reason != "ConsentService") {
			t.Errorf("%s: %+v", bad, a)
		}
	}
	given.set(func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusInternalServerError) })
	if _, a := rec.query(t, c, q(`person_number == "P000002"`)); len(a.Records) > 0 || a.Sources[0].Reason != "ConsentService" {
		t.Errorf("%+v", a)
	}
	given.Close()
	if _, a := rec.query(t, c, q(`person_number == "P000002"`)); len(a.Records) > 0 || a.Sources[0].Reason != "ConsentService" {
		t.Errorf("%+v", a)
	}
	if out := src.output.String(); strings.Contains(out, "P000002") || strings.Contains(out, "/check") {
		t.Errorf("%s", out)
	}
}

// An answer is used again for as long as the dataset says, under its agreement only.
func TestConsentServiceMaxAge(t *testing.T) {
	given := startService(t, "consents", consentsGiven)
	src, rec := agreeOn(t, byService(given, 3600), func(c *route.Clause) { c.Consent = "consents" })
	c := rec.client("alice")
	for range 2 {
		if _, a := rec.query(t, c, q(`family_name == "f2"`)); len(a.Records) != 10 {
			t.Fatalf("%+v", a)
		}
	}
	if n := len(given.asked()); n != 1 {
		t.Errorf("asked %d times", n)
	}
	log := src.records()
	if first, again := log[1].ConsentCheck, log[3].ConsentCheck; first.Digest == "" || again.Digest != "" || again.Given != 10 {
		t.Errorf("%+v, %+v", first, again)
	}
}

// Records of an API are held against the consents of a service, in batches.
func TestHTTPSourceWithConsentService(t *testing.T) {
	given, api := startService(t, "consents", consentsGiven), startService(t, "people", registry(3000))
	src, rec := agreeOn(t, func(c *route.Clause) { byAPI(api)(c); byService(given, 0)(c) }, func(c *route.Clause) { c.Consent = "consents" })
	c := rec.client("alice")
	if _, a := rec.query(t, c, q(`family_name == "f2"`)); len(a.Records) != 300 {
		t.Errorf("%d %+v", len(a.Records), a.Sources)
	}
	if n := len(given.asked()); n != 2 {
		t.Errorf("%d batches for 300 persons", n)
	}
	// What the API counts says nothing of consents: records are read and counted.
	if _, a := rec.query(t, c, q(`family_name == "f3"`, `"granularity":"Count"`)); a.Sources[0].Count == nil || *a.Sources[0].Count != 0 {
		t.Errorf("%+v", a.Sources)
	}
	var releases, persons int64
	for _, r := range src.records() {
		if r.Kind == audit.Release || r.Kind == audit.Outcome {
			releases++
			persons = max(persons, r.ConsentCheck.Asked)
		}
	}
	if releases < 3 || persons != 300 {
		t.Errorf("%d records of the log, %d persons", releases, persons)
	}
}
