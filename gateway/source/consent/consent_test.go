package consent

import (
	"context"
	"errors"
	"testing"

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
	q := source.Query{Agreement: "agr", Dataset: bound, Fields: []string{"name"}, Limit: 10, Consent: &source.Consent{}}
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
