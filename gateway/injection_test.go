package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestInjection puts what is a statement, a path or markup elsewhere into every place that a caller has. Nothing of it finds a record, is
// an error of the source or the gateway, or is repeated as anything but JSON.
func TestInjection(t *testing.T) {
	_, rec := pair(t, options{})
	c := rec.client("alice")
	before, a := rec.query(t, c, q(`family_name == "f3"`))
	if before != 200 || len(a.Records) == 0 {
		t.Fatalf("%d %+v", before, a)
	}
	n := len(a.Records)
	hostile := []string{
		`'; DROP TABLE people; --`, "`; DELETE FROM people; --", `" OR ""="`, `x" == "x" || "1`, `\`, `%`, `../../etc/passwd`, `person.v1/../vessel`, `person.v1%00`, `$(id)`, `${jndi:ldap://x}`, `{{7*7}}`,
		`<script>alert(1)</script>`, "ｐｅｒｓｏｎ", "pеrson", "person\u202e", "person\u200b", "\ufeffperson", "\u2028", "person.v01", "person.v1e0", "person.v9223372036854775808", "PERSON", "person ",
	}
	for _, h := range hostile {
		quoted, err := json.Marshal(h)
		must(t, err)
		s := string(quoted)
		good := map[string]string{
			"schema": `"person"`, "filter": `"family_name == \"f3\""`, "purpose": fmt.Sprintf("%q", purpose), "justification": `{"caseReference":"SP-2026-1"}`,
		}
		for _, place := range []struct{ member, value string }{
			{"schema", s}, {"filter", s}, {"purpose", s}, {"fields", "[" + s + "]"}, {"agencies", "[" + s + "]"}, {"granularity", s}, {"order", `[{"field":` + s + `}]`}, {"deduplicate", "[" + s + "]"},
			{"pageToken", s}, {"justification", `{"caseReference":` + s + `}`}, {"justification", `{"caseReference":"SP-2026-1","subjectRole":` + s + `,"aim":` + s + `}`},
			{"justification", `{"caseReference":"SP-2026-1","jurisdiction":` + s + `}`}, {strings.Trim(s, `"`), `"x"`},
			{"filter", filterOf(t, "family_name == ", quoted)}, {"filter", filterOf(t, "family_name.contains(", quoted, ") && age < 0")}, {"filter", filterOf(t, "", []byte(h), ` == "x"`)},
		} {
			parts := map[string]string{place.member: place.value}
			for member, value := range good {
				if _, given := parts[member]; !given {
					parts[member] = value
				}
			}
			var members []string
			for member, value := range parts {
				members = append(members, `"`+member+`":`+value)
			}
			code, header, body := rec.post(c, "/v1/query", "{"+strings.Join(members, ",")+"}")
			var answer struct {
				Records []json.RawMessage
				Sources []struct{ Outcome, Reason string }
			}
			free := strings.HasPrefix(place.value, `{"caseReference":"SP-2026-1"`) // of which this clause asks nothing
			switch err := json.Unmarshal([]byte(body), &answer); {
			case err != nil || code >= 500 || header.Get("X-Content-Type-Options") == "" && strings.Contains(header.Get("Content-Type"), "html"):
				t.Errorf("%s %q: %d %.300s", place.member, h, code, body)
			case len(answer.Records) > 0 && !free:
				t.Errorf("%s %q: %d records", place.member, h, len(answer.Records))
			}
			for _, s := range answer.Sources {
				if s.Outcome == "UNAVAILABLE" || s.Outcome == "TIMEOUT" || s.Reason == "SourceError" {
					t.Errorf("%s %q reached the source: %.300s", place.member, h, body)
				}
			}
		}
		// Headers, as far as they can be sent at all.
		if !strings.ContainsFunc(h, func(r rune) bool { return r < ' ' || r > '~' }) {
			for _, name := range []string{"X-Forwarded-For", "X-Request-Id", "Traceparent", "Tracestate", "X-Http-Method-Override", "Accept-Language", "X-Trino-User", "Authorization"} {
				if code, _, body := rec.post(c, "/v1/query", q(`family_name == "nobody"`), name, h); code >= 500 || strings.Contains(body, `"record":`) {
					t.Errorf("%s %q: %d %.300s", name, h, code, body)
				}
			}
		}
		req, err := http.NewRequest("GET", "https://"+rec.addrs.REST+"/v1/datasets", nil)
		must(t, err)
		values := req.URL.Query()
		values.Set("schema", h)
		req.URL.RawQuery = values.Encode()
		resp, err := c.Do(req)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode >= 500 {
			t.Errorf("schema %q of datasets: %d", h, resp.StatusCode)
		}
	}
	if code, a := rec.query(t, c, q(`family_name == "f3"`)); code != 200 || len(a.Records) != n {
		t.Errorf("afterwards: %d, %d records instead of %d", code, len(a.Records), n)
	}
}

// filterOf is a filter of parts, as a JSON string.
func filterOf(t *testing.T, parts ...any) string {
	t.Helper()
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b.WriteString(p)
		case []byte:
			b.Write(p)
		}
	}
	out, err := json.Marshal(b.String())
	must(t, err)
	return string(out)
}
