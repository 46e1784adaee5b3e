package server

import (
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

func TestDecodeQuery(t *testing.T) {
	want := &gatewayv1.QueryRequest{
		Schema: "person.v2", Filter: `a == "b"`, Fields: []string{"a", "b"}, Granularity: gatewayv1.Granularity_GRANULARITY_COUNT, Purpose: "x:y",
		Justification: &gatewayv1.Justification{CaseReference: "C", SubjectRole: "victim", Aim: "identify"}, Agencies: []string{"z"}, Limit: 5, RequireAll: true,
	}
	for _, body := range []string{
		`{"schema":"person.v2","filter":"a == \"b\"","fields":["a","b"],"granularity":"Count","purpose":"x:y","justification":{"caseReference":"C","subjectRole":"victim","aim":"identify"},"agencies":["z"],"limit":5,"requireAll":true}`,
		` {"require_all":true,"limit":"5","agencies":["z"],"justification":{"case_reference":"C","subject_role":"victim","aim":"identify"},"purpose":"x:y","granularity":"GRANULARITY_COUNT","fields":["a","b"],"filter":"a == \"b\"","schema":"person.v2"} `,
	} {
		got, err := decodeQuery([]byte(body))
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%v %v", got, err)
		}
	}
}

// FuzzDecodeQuery: no input panics, and what is taken is JSON and inside the bounds.
func FuzzDecodeQuery(f *testing.F) {
	f.Add([]byte(`{"schema":"person","fields":["a"],"limit":5}`))
	f.Add([]byte(`{"justification":{"case_reference":"x"},"granularity":"Existence"}`))
	f.Add([]byte(`{"schema":"a","schema":"b"}`))
	f.Add([]byte(`[[[[`))
	f.Add([]byte("{\"\xff\":1}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := decodeQuery(body)
		if err != nil {
			return
		}
		if !json.Valid(body) || len(q.GetFields()) > maxElements || len(q.GetAgencies()) > maxElements {
			t.Errorf("taken: %q", body)
		}
	})
}
