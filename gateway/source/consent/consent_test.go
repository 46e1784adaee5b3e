package consent

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
)

// streamer gives one record, whoever asks, and remembers how it was asked.
type streamer struct {
	source.Source
	streamed, read bool
	asked          source.Query
}

func (s *streamer) record() *gatewayv1.Record {
	return &gatewayv1.Record{Values: []*gatewayv1.Value{{Kind: &gatewayv1.Value_Text{Text: "x"}}, {Kind: &gatewayv1.Value_Text{Text: "P1"}}}}
}

func (s *streamer) Records(_ context.Context, q source.Query, yield func(*gatewayv1.Record) error) (bool, error) {
	s.read, s.asked = true, q
	return false, yield(s.record())
}

func (s *streamer) Stream(_ context.Context, q source.Query, to source.Sink) (bool, error) {
	s.streamed = true
	return false, to.Record(s.record())
}

func (s *streamer) Revoke(string) {}

// However a source is read, nothing goes round the service.
func TestNothingGoesRound(t *testing.T) {
	pool := httpclient.NewPool(httpclient.Options{})
	defer pool.Close()
	bound := &route.Dataset{Name: "people", SubjectKey: "person", Columns: map[string]string{"name": "n", "person": "p"}, Consent: &route.Consent{
		Service: &route.ConsentService{Name: "consents", URL: "https://127.0.0.1:1/check", HTTPAccess: route.HTTPAccess{TimeoutSeconds: 1}},
	}}
	schema := &route.Schema{Fields: []route.Field{{Name: "name", Type: "string"}, {Name: "person", Type: "string"}}}
	q := source.Query{Agreement: "agr", Schema: schema, Dataset: bound, Fields: []string{"name"}, Limit: 10, Consent: &source.Consent{}}
	none := source.Records(func(*gatewayv1.Record) error { t.Error("told without consent"); return nil })
	for name, ask := range map[string]func(s *Source) error{
		"records": func(s *Source) error { _, err := s.Records(t.Context(), q, none); return err },
		"stream":  func(s *Source) error { _, err := source.Stream(t.Context(), s, q, none); return err },
		"count":   func(s *Source) error { _, err := s.Count(t.Context(), q); return err },
		"exists":  func(s *Source) error { _, err := s.Exists(t.Context(), q); return err },
	} {
		inner := &streamer{}
		if err := ask(Over(inner, pool, nil)); !errors.Is(err, source.ErrConsent) || inner.streamed {
			t.Errorf("%s: %v", name, err)
		}
		if inner.asked.Dataset == nil || inner.asked.Dataset.Consent != nil || inner.asked.Fields[len(inner.asked.Fields)-1] != "person" || bound.Consent == nil {
			t.Errorf("%s: asked %+v", name, inner.asked)
		}
	}
	// Without a subject key, or without what the decision gives, nothing is read.
	for name, change := range map[string]func(q *source.Query){
		"no subject key": func(q *source.Query) { d := *bound; d.SubjectKey = ""; q.Dataset = &d },
		"no consent":     func(q *source.Query) { q.Consent = nil },
		"no schema":      func(q *source.Query) { q.Schema = nil },
	} {
		inner, asked := &streamer{}, q
		change(&asked)
		if _, err := Over(inner, pool, nil).Records(t.Context(), asked, none); err == nil || inner.read {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What needs no service is read as fast as the source can.
	free, inner := q, &streamer{}
	free.Dataset = &route.Dataset{Name: "people"}
	if _, err := source.Stream(t.Context(), Over(inner, pool, nil), free, source.Records(func(*gatewayv1.Record) error { return nil })); err != nil || !inner.streamed {
		t.Error(err)
	}
}

// people is a consent service to which these persons consented, and which remembers whom it was asked about.
func people(t *testing.T, consented ...string) (at *route.Consent, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q request
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		answers := []string{}
		for _, s := range q.Subjects {
			*asked = append(*asked, s)
			answers = append(answers, map[bool]string{true: "true", false: "false"}[slices.Contains(consented, s)])
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"consents": [` + strings.Join(answers, ", ") + `]}`))
	}))
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &route.Consent{Service: &route.ConsentService{
		Name: "consents", URL: server.URL + "/check", HTTPAccess: route.HTTPAccess{TimeoutSeconds: 30, CABundle: string(authority)},
	}}, asked
}

// rows are a source of these records.
type rows struct {
	source.Source
	records []*gatewayv1.Record
}

func (g rows) Records(_ context.Context, _ source.Query, yield func(*gatewayv1.Record) error) (bool, error) {
	for _, r := range g.records {
		if err := yield(r); err != nil {
			return false, err
		}
	}
	return false, nil
}

func text(s string) *gatewayv1.Value { return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: s}} }

// The members of a record are one value of a row: the person is where the row has it, and not where its path stands among the fields.
func TestSubjectAmongRecords(t *testing.T) {
	schema := &route.Schema{Fields: []route.Field{
		{Name: "address", Type: "record", Fields: []route.Field{{Name: "city", Type: "string"}, {Name: "zip", Type: "string"}}},
		{Name: "person", Type: "string"}, {Name: "employer", Type: "string"},
	}}
	address := &gatewayv1.Value{Kind: &gatewayv1.Value_Nested{Nested: &gatewayv1.Record{Values: []*gatewayv1.Value{text("Lyon"), text("1")}}}}
	pool := httpclient.NewPool(httpclient.Options{})
	defer pool.Close()
	for name, c := range map[string]struct {
		fields []string
		row    []*gatewayv1.Value
		told   int // values of what is told
	}{
		"among the fields":      {[]string{"address.city", "address.zip", "person", "employer"}, []*gatewayv1.Value{address, text("P1"), text("E1")}, 3},
		"not among the fields":  {[]string{"address.city", "address.zip", "employer"}, []*gatewayv1.Value{address, text("E1"), text("P1")}, 2},
		"members stand apart":   {[]string{"address.zip", "person", "address.city"}, []*gatewayv1.Value{address, text("P1")}, 2},
		"the record as a whole": {[]string{"address", "employer"}, []*gatewayv1.Value{address, text("E1"), text("P1")}, 2},
	} {
		for consented, records := range map[string]int{"P1": 1, "E1": 0} {
			at, asked := people(t, consented)
			q := source.Query{
				Agreement: name, Schema: schema, Fields: c.fields, Limit: 10, Consent: &source.Consent{},
				Dataset: &route.Dataset{Name: "people", SubjectKey: "person", Consent: at},
			}
			got := 0
			_, err := Over(rows{records: []*gatewayv1.Record{{Values: slices.Clone(c.row)}}}, pool, nil).Records(t.Context(), q, func(r *gatewayv1.Record) error {
				if got++; len(r.GetValues()) != c.told {
					t.Errorf("%s: %d values are told", name, len(r.GetValues()))
				}
				return nil
			})
			if err != nil || got != records || !slices.Equal(*asked, []string{"P1"}) {
				t.Errorf("%s, with the consent of %s: %d records, asked for %v, %v", name, consented, got, *asked, err)
			}
		}
	}
}

// A consent counts as long as the dataset says now, and not as it said when the service answered.
func TestShorterMaxAge(t *testing.T) {
	pool := httpclient.NewPool(httpclient.Options{})
	defer pool.Close()
	now := time.Now()
	at, asked := people(t, "P1")
	at.Service.MaxAgeSeconds = 3600
	s := Over(rows{records: []*gatewayv1.Record{{Values: []*gatewayv1.Value{text("P1")}}}}, pool, func() time.Time { return now })
	ask := func(maxAge int32, asks int) {
		t.Helper()
		service := *at.Service
		service.MaxAgeSeconds = maxAge
		q := source.Query{
			Agreement: "agr", Schema: &route.Schema{Fields: []route.Field{{Name: "person", Type: "string"}}}, Fields: []string{"person"}, Limit: 10, Consent: &source.Consent{},
			Dataset: &route.Dataset{Name: "people", SubjectKey: "person", Consent: &route.Consent{Service: &service}},
		}
		if found, err := s.Exists(t.Context(), q); err != nil || !found || len(*asked) != asks {
			t.Errorf("max age %d: %v, %v, asked %d times, want %d", maxAge, found, err, len(*asked), asks)
		}
	}
	ask(3600, 1)
	now = now.Add(30 * time.Second)
	ask(3600, 1)
	ask(60, 1)
	ask(20, 2)
	ask(0, 3)
}
