package gateway_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/quota"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/hack/testenv"
)

// counted makes two agencies of which the source counts.
func counted(t testing.TB, store *quota.Store, edit func(*route.Clause)) (src, rec *agency) {
	t.Helper()
	inOneDay()
	src, rec = startAgency(t, "border-service", options{people: 1000, quotas: store}), startAgency(t, "state-police", options{people: 1})
	c := clause("persons", src, rec)
	edit(&c)
	agree("agr", []route.Clause{c}, src, rec)
	return src, rec
}

func embedded(t testing.TB) *quota.Store {
	t.Helper()
	s, err := quota.OpenEmbedded(filepath.Join(t.TempDir(), quota.File))
	must(t, err)
	return s
}

// used says what the store holds for the recipient.
func used(t testing.TB, s *quota.Store) quota.Used {
	t.Helper()
	u, err := s.Used(context.Background(), quota.Key{Agreement: "agr", Clause: "persons", Recipient: "state-police"}, time.Now())
	must(t, err)
	return u
}

func TestQuotas(t *testing.T) {
	store := embedded(t)
	src, rec := counted(t, store, func(c *route.Clause) { c.QueriesPerDay, c.RecordsPerDay, c.RecordsPerQuery = 5, 130, 200 })
	c := rec.client("alice")
	explained := func(want string) {
		t.Helper()
		_, _, body := rec.post(c, "/v1/query:explain", q(`family_name == "f3"`))
		if !strings.Contains(body, want) {
			t.Errorf("explain does not say %q: %s", want, body)
		}
	}
	explained("5 queries a day, 130 records a day; this gateway has not asked today")
	if u := used(t, store); u != (quota.Used{}) {
		t.Errorf("explain spent %+v", u)
	}
	// What the recipient's gateway refuses, and what the source refuses, does not count.
	rec.query(t, c, q(`age > 3`))
	code, a := rec.query(t, c, q(`family_name == "f3"`)) // 100 records
	if code != 200 || len(a.Records) != 100 || a.Sources[0].Outcome != "OK" {
		t.Fatalf("%d %+v", code, a.Sources)
	}
	if u := used(t, store); u != (quota.Used{Queries: 1, Records: 100}) {
		t.Errorf("used %+v", u)
	}
	explained("4 of 5 queries left today, 30 of 130 records left today, as the source said at")
	_, _, body := rec.post(c, "/v1/query", q(`person_number == "P000001"`))
	if !strings.Contains(body, `"quotaLeft":{"day":"`+time.Now().UTC().Format(time.DateOnly)+`","queries":3,"records":29}`) {
		t.Errorf("%s", body)
	}
	// An answer has at most what is left of the day.
	if _, a = rec.query(t, c, q(`family_name == "f4"`)); len(a.Records) != 29 || a.Sources[0].Outcome != "PARTIAL" {
		t.Errorf("%d records, %+v", len(a.Records), a.Sources)
	}
	before := len(src.records())
	if code, a = rec.query(t, c, q(`family_name == "f4"`)); code != 429 || a.Reason != "quota" || !strings.Contains(a.Sources[0].Message, "130 records a day") {
		t.Errorf("%d %+v", code, a.Sources)
	}
	if log := src.records()[before:]; len(log) != 1 || log[0].Kind != audit.Denial || log[0].Reason != "quota" {
		t.Errorf("log %+v", log)
	}
	// A hit takes a query and no record.
	for range 2 {
		if code, _ = rec.query(t, c, q(`family_name == "f4"`, `"granularity":"Existence"`)); code != 200 {
			t.Errorf("%d", code)
		}
	}
	if code, a = rec.query(t, c, q(`family_name == "f4"`, `"granularity":"Existence"`)); code != 429 || !strings.Contains(a.Sources[0].Message, "5 queries a day") {
		t.Errorf("%d %+v", code, a.Sources)
	}
	if u := used(t, store); u != (quota.Used{Queries: 5, Records: 130}) {
		t.Errorf("used %+v", u)
	}
	explained(`"name":"quota","passed":false`)
}

// TestQuotaIsGivenBack: what a query did not disclose is there for the next.
func TestQuotaIsGivenBack(t *testing.T) {
	store := embedded(t)
	src, rec := counted(t, store, func(c *route.Clause) { c.RecordsPerDay, c.RecordsPerQuery = 200, 200 })
	c := rec.client("alice")
	broken := func(context.Context) error { return source.ErrUnavailable }
	src.sources.hook(broken)
	for range 3 {
		if _, a := rec.query(t, c, q(`family_name == "f3"`)); a.Sources[0].Outcome != "UNAVAILABLE" {
			t.Fatalf("%+v", a.Sources)
		}
	}
	src.sources.hook(nil)
	if u := used(t, store); u != (quota.Used{Queries: 3}) {
		t.Errorf("used %+v", u)
	}
	if _, a := rec.query(t, c, q(`family_name == "f3"`)); len(a.Records) != 100 {
		t.Errorf("%+v", a.Sources)
	}
}

// TestNoQuotaStore: what cannot be counted is not answered, and other clauses are.
func TestNoQuotaStore(t *testing.T) {
	src, rec := counted(t, nil, func(c *route.Clause) { c.QueriesPerDay = 5 })
	_, a := rec.query(t, rec.client("alice"), q(`family_name == "f3"`))
	if a.Sources[0].Outcome != "UNAVAILABLE" || a.Sources[0].Reason != "QuotaStore" || len(a.Records) > 0 {
		t.Errorf("%+v", a.Sources)
	}
	if log := src.records(); len(log) != 1 || log[0].Reason != "QuotaStore" {
		t.Errorf("log %+v", log)
	}
	agree("agr", []route.Clause{clause("persons", src, rec)}, src, rec)
	if _, a = rec.query(t, rec.client("alice"), q(`family_name == "f3"`)); len(a.Records) != 100 {
		t.Errorf("%+v", a.Sources)
	}
	// A store that breaks is no store.
	store := embedded(t)
	_, rec = counted(t, store, func(c *route.Clause) { c.QueriesPerDay = 5 })
	must(t, store.Close())
	if _, a = rec.query(t, rec.client("alice"), q(`family_name == "f3"`)); a.Sources[0].Reason != "QuotaStore" || len(a.Records) > 0 {
		t.Errorf("%+v", a.Sources)
	}
}

// TestQuotaOfManyReplicas: two gateways of one source share a PostgreSQL, and give exactly the day's queries between them.
func TestQuotaOfManyReplicas(t *testing.T) {
	p := testenv.RequirePostgres(t, testenv.PostgresOptions{NoSync: true})
	must(t, p.Exec(context.Background(), "postgres", quota.Schema+`CREATE ROLE counter LOGIN PASSWORD 'pw'; GRANT SELECT, INSERT, UPDATE, DELETE ON entente_quota TO counter;`))
	share := func() *quota.Store {
		s, err := quota.OpenPostgres(fmt.Sprintf("postgres://127.0.0.1:%d/postgres?sslmode=verify-full&sslrootcert=%s", p.Port(), p.CAFile()),
			func(context.Context) (string, string, error) { return "counter", "pw", nil })
		must(t, err)
		return s
	}
	const most, asked = 50, 80
	var answered, refused atomic.Int64
	var wg sync.WaitGroup
	var stores []*quota.Store
	for range 2 {
		store := share()
		stores = append(stores, store)
		_, rec := counted(t, store, func(c *route.Clause) { c.QueriesPerDay, c.RecordsPerDay = most, 500; c.RecordsPerQuery = 5 })
		for range 4 {
			c := rec.client("alice")
			wg.Go(func() {
				for i := range asked / 8 {
					code, a := rec.query(t, c, q(fmt.Sprintf(`person_number == "P%06d"`, i)))
					switch {
					case code == 200 && len(a.Records) == 1:
						answered.Add(1)
					case code == 429 && a.Reason == "quota":
						refused.Add(1)
					default:
						t.Errorf("%d %+v", code, a.Sources)
					}
				}
			})
		}
	}
	wg.Wait()
	if answered.Load() != most || refused.Load() != asked-most {
		t.Errorf("answered %d, refused %d; want %d and %d", answered.Load(), refused.Load(), most, asked-most)
	}
	if u := used(t, stores[0]); u != (quota.Used{Queries: most, Records: most}) {
		t.Errorf("counted %+v", u)
	}
}
