package server

import (
	"encoding/json"
	"fmt"
	"strings"
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

// TestDecodeOddJSON: each has one defined outcome.
func TestDecodeOddJSON(t *testing.T) {
	for body, want := range map[string]string{
		`{"filter":"\ud800"}`:                             "half a surrogate pair",
		`{"filter":"\udc00\ud800"}`:                       "half a surrogate pair",
		`{"\ud800":1}`:                                    "half a surrogate pair",
		`{"filter":"\ud83d\ude00"}`:                       "",
		`{"filter":"\\ud800"}`:                            "", // a backslash: CEL's to judge
		`{"schema":"a","\u0073chema":"b"}`:                `"schema" stands twice`,
		`{"requireAll":true,"require_all":true}`:          `"requireAll" stands twice`,
		`{"justification":{"aim":"a","aim":"b"}}`:         `"justification.aim" stands twice`,
		`{"Schema":"a"}`:                                  "unknown member",
		`{"sсhema":"a"}`:                                  "unknown member", // a Cyrillic с
		`{"schema\u0000":"a"}`:                            "unknown member",
		`{"limit":NaN}`:                                   "not JSON",
		`{"limit":Infinity}`:                              "not JSON",
		`{"limit":1e400}`:                                 "whole number",
		`{"limit":1e2}`:                                   "whole number",
		`{"limit":9223372036854775808}`:                   "whole number",
		`{"limit":"0x10"}`:                                "whole number",
		`{"limit":"٣"}`:                                   "whole number",
		`{"limit":01}`:                                    "not JSON",
		`{"limit":null}`:                                  "whole number",
		`{"schema":null}`:                                 "must be a string",
		`{"fields":[null]}`:                               "fields[0] must be a string",
		`{"order":[{"field":"a","field":"b"}]}`:           `"order[0].field" stands twice`,
		`{"order":[{"field":"a","direction":"up"}]}`:      "unknown member",
		"\ufeff" + `{"schema":"a"}`:                       "not JSON",
		`{"schema":"a"}` + "\x00":                         "goes on",
		`{"schema":"a",}`:                                 "not JSON",
		`{'schema':'a'}`:                                  "not JSON",
		`{"schema":"a" /* x */}`:                          "not JSON",
		`{"schema":"a","__proto__":{"requireAll":false}}`: "unknown member",
	} {
		_, err := decodeQuery([]byte(body))
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// FuzzDecodeQuery: no input panics, and what is taken is JSON and inside the bounds.
func FuzzDecodeQuery(f *testing.F) {
	f.Add([]byte(`{"schema":"person","fields":["a"],"limit":5}`))
	f.Add([]byte(`{"justification":{"case_reference":"x"},"granularity":"Existence"}`))
	f.Add([]byte(`{"schema":"a","schema":"b"}`))
	f.Add([]byte(`[[[[`))
	f.Add([]byte(`{"filter":"\ud83d\ude00 \ud800","fields":["\udc00"]}`))
	f.Add([]byte("{\"\xff\":1}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := decodeQuery(body)
		if err != nil {
			return
		}
		for _, s := range append(q.GetFields(), q.GetSchema(), q.GetFilter(), q.GetPurpose()) {
			if strings.ContainsRune(s, '\uFFFD') && !strings.Contains(strings.ToLower(string(body)), "fffd") && !strings.ContainsRune(string(body), '\uFFFD') {
				t.Errorf("mended: %q", body)
			}
		}
		if !json.Valid(body) || len(q.GetFields()) > maxElements || len(q.GetAgencies()) > maxElements {
			t.Errorf("taken: %q", body)
		}
	})
}
