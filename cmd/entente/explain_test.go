package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/jsonform"
)

func (g *cannedGateway) Explain(_ context.Context, req *gatewayv1.ExplainRequest) (*gatewayv1.ExplainResponse, error) {
	g.explained = req
	return &gatewayv1.ExplainResponse{Clauses: g.clauses}, g.err
}

func (g *cannedGateway) ListDatasets(ctx context.Context, _ *gatewayv1.ListDatasetsRequest) (*gatewayv1.ListDatasetsResponse, error) {
	if g.hang {
		<-ctx.Done()
	}
	return &gatewayv1.ListDatasetsResponse{Datasets: g.datasets}, g.err
}

var explanation = []*gatewayv1.ClauseExplanation{
	{
		Agency: "border-service", Agreement: "agr.v1", Clause: "crossings", Allowed: true, Chosen: true,
		Checks:      []*gatewayv1.CheckResult{{Name: "fields", Passed: true}},
		SourceQuery: []*gatewayv1.SourceQuery{{Statement: "SELECT permit FROM person.v1 WHERE (document_number == $1) LIMIT 50"}},
	},
	{
		Agency: "labor\x1b]0;owned\x07", Agreement: "agr.v1", Clause: "wages",
		Checks: []*gatewayv1.CheckResult{
			{Name: "schema", Passed: true},
			{Name: "fields", Term: "clauses[wages].fields", Message: "field \"bank_account\" is not permitted", Change: "remove bank_account from fields, or ask for an amendment of clauses[wages].fields"},
		},
	},
}

func TestExplainCommand(t *testing.T) {
	g := &cannedGateway{clauses: explanation}
	flags := append([]string{"person", "--filter", `a == "b"`, "--purpose", "x:y"}, startCanned(t, g)...)
	out, _, err := runCommand(newExplainCommand(), append(flags, "--as-recipient", "state-police", "--claim", `units=["a","b"]`, "--claim", "rank=captain")...)
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != exitIncomplete {
		t.Errorf("%v", err)
	}
	for _, want := range []string{
		"border-service: would be asked under agr.v1/crossings", "would be refused under agr.v1/wages", "→ remove bank_account from fields",
		"runs: SELECT permit FROM person.v1", "✗ fields",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.ContainsAny(out, "\x1b\x07") {
		t.Errorf("the source steers the terminal: %q", out)
	}
	claims := g.explained.GetClaims().AsMap()
	if g.explained.GetAsRecipient() != "state-police" || claims["rank"] != "captain" || len(claims["units"].([]any)) != 2 {
		t.Errorf("asked %v", g.explained)
	}
	out, _, _ = runCommand(newExplainCommand(), append(flags, "-o", "yaml")...)
	var document struct {
		Clauses []struct {
			Chosen bool
			Checks []struct{ Change string }
		}
	}
	if err := yaml.Unmarshal([]byte(out), &document); err != nil || len(document.Clauses) != 2 || !document.Clauses[0].Chosen || document.Clauses[1].Checks[1].Change == "" {
		t.Errorf("%v %+v\n%s", err, document, out)
	}
	if _, _, err := runCommand(newExplainCommand(), append(flags, "-o", "csv")...); err == nil || !strings.Contains(err.Error(), "table, json or yaml") {
		t.Errorf("%v", err)
	}
}

// TestQueryAsksNobody: --explain and --dry-run run Explain, and never Query.
func TestQueryAsksNobody(t *testing.T) {
	for _, flag := range []string{"--explain", "--dry-run"} {
		g := &cannedGateway{clauses: explanation}
		out, _, err := runCommand(newQueryCommand(), append([]string{"person", "--filter", `a == "b"`, "--purpose", "x:y", flag}, startCanned(t, g)...)...)
		var exit *exitError
		if !errors.As(err, &exit) || exit.code != exitIncomplete || g.asked != nil || g.explained.GetQuery().GetFilter() != `a == "b"` {
			t.Errorf("%s: %v, asked %v, explained %v", flag, err, g.asked, g.explained)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if flag == "--dry-run" && (len(lines) != 3 || !strings.Contains(lines[1], "yes    agr.v1/crossings  SELECT permit") || !strings.Contains(lines[2], "no ")) {
			t.Errorf("%s", out)
		}
	}
	g := &cannedGateway{clauses: explanation[:1]}
	if _, _, err := runCommand(newQueryCommand(), append([]string{"person", "--purpose", "x:y", "--dry-run"}, startCanned(t, g)...)...); err != nil {
		t.Errorf("everybody would be asked: %v", err)
	}
}

// TestYAMLOutput: it says what the JSON document says.
func TestYAMLOutput(t *testing.T) {
	var asYAML, asJSON bytes.Buffer
	printers := []printer{&yamlPrinter{out: &asYAML}, &documentPrinter{jsonform.Document{W: &asJSON}}}
	number := &gatewayv1.Value{Kind: &gatewayv1.Value_Integer{Integer: 9007199254740993}}
	frames := []*gatewayv1.QueryResponse{
		{Records: &gatewayv1.RecordBatch{Provenance: &gatewayv1.Provenance{Agency: "a"}, Fields: []string{"text", "n"}, Records: []*gatewayv1.Record{
			{Values: []*gatewayv1.Value{text("no"), number}}, {Values: []*gatewayv1.Value{text("line\nbreak: \x1b[31m\u009b"), {}}},
		}}},
		{Records: &gatewayv1.RecordBatch{Provenance: &gatewayv1.Provenance{Agency: "b"}, Fields: []string{"text"}, Records: []*gatewayv1.Record{{Values: []*gatewayv1.Value{text("1e3")}}}}},
		{Source: &gatewayv1.SourceStatus{Agency: "a", Outcome: gatewayv1.Outcome_OUTCOME_OK, Records: 2}},
		{Summary: &gatewayv1.QuerySummary{Complete: true}},
	}
	for _, some := range [][]*gatewayv1.QueryResponse{frames, frames[2:]} {
		asYAML.Reset()
		asJSON.Reset()
		printers[0], printers[1] = &yamlPrinter{out: &asYAML}, &documentPrinter{jsonform.Document{W: &asJSON}}
		for _, p := range printers {
			for _, f := range some {
				if err := p.frame(f); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.end(); err != nil {
				t.Fatal(err)
			}
		}
		var document any
		if err := yaml.Unmarshal(asYAML.Bytes(), &document); err != nil {
			t.Fatalf("%v\n%s", err, &asYAML)
		}
		back, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := plainJSON(t, back), plainJSON(t, asJSON.Bytes()); a != b {
			t.Errorf("\n%s\n%s", a, b)
		}
	}
}

func plainJSON(t *testing.T, b []byte) string {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestEscaping: nothing steers the terminal, and the JSON means what it did.
func TestEscaping(t *testing.T) {
	said := map[string]string{"a": "bell\u0007 csi\u009b del\u007f bidi\u202e tag\U000e0001 é 漢 😀"}
	in, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1; size < 6; size++ { // whatever the pieces
		var b bytes.Buffer
		e := &escaping{w: &b}
		for rest := in; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if _, err := e.Write(rest[:min(size, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if strings.ContainsAny(b.String(), "\u0007\u009b\u007f\u202e\U000e0001") {
			t.Errorf("%q", b.String())
		}
		got := map[string]string{}
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || got["a"] != said["a"] || !strings.Contains(b.String(), "漢 😀") {
			t.Errorf("%v %q", err, b.String())
		}
	}
}

func TestCompletion(t *testing.T) {
	g := &cannedGateway{datasets: []*gatewayv1.OfferedDataset{
		{Agency: "border-service", Schema: "person.v1", Agreement: "agr.v1", Clause: "crossings", Purposes: []string{"entente:trafficking-investigation"},
			Fields: []string{"permit", "permit_until"}, FilterFields: []string{"document_number"}, FieldTypes: map[string]string{"permit": "string", "permit_until": "date", "document_number": "string"}},
		{Agency: "labor", Schema: "person.v1", Agreement: "agr.v1", Clause: "wages", Purposes: []string{"entente:audit", "entente:trafficking-investigation"},
			Fields: []string{"employer"}, FilterFields: []string{"employer"}},
		{Agency: "coast-guard", Schema: "vessel.v2", Agreement: "sea.v1", Clause: "hulls", Purposes: []string{"entente:safety"}, Fields: []string{"hull"}},
	}}
	flags := startCanned(t, g)
	complete := func(args ...string) string {
		t.Helper()
		out, errs, err := runCommand(newRootCommand(), append([]string{"__complete", "query"}, append(flags, args...)...)...)
		if err != nil || strings.Contains(errs, "Error") {
			t.Errorf("%v %s", err, errs)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		return strings.Join(lines[:len(lines)-1], "|") // the last is the directive
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--purpose", "x", ""}, "person\tborder-service, labor|person.v1\tborder-service, labor|vessel\tcoast-guard|vessel.v2\tcoast-guard"},
		{[]string{"--purpose", "x", "person", ""}, ""},
		{[]string{"person", "--purpose", ""}, "entente:audit\tagr.v1/wages|entente:trafficking-investigation\tagr.v1/crossings, agr.v1/wages"},
		{[]string{"vessel", "--purpose", ""}, "entente:safety\tsea.v1/hulls"},
		{[]string{"person", "--agencies", "labor", "--fields", ""}, "employer"},
		{[]string{"person", "--fields", "permit,"}, "permit,employer|permit,permit_until\tdate"},
		{[]string{"person", "--agencies", "labor,"}, "labor,border-service\tagr.v1/crossings"},
		{[]string{"person", "--filter", ""}, "document_number\tstring|employer"},
		{[]string{"person", "--filter", `employer == "a `}, ""},
		{[]string{"person", "--granularity", ""}, "existence|count|records"},
		{[]string{"person", "-o", ""}, "table|json|ndjson|yaml|csv|arrow"},
	} {
		if got := complete(tt.args...); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
	// A gateway that is away or does not answer costs a moment, and no message.
	g.hang = true
	started := time.Now()
	if got := complete("person", "--purpose", ""); got != "" || time.Since(started) > 30*time.Second {
		t.Errorf("%q after %s", got, time.Since(started))
	}
}
