package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"google.golang.org/protobuf/encoding/protowire"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/route"
)

// TestHostileBodies: all are refused early, and memory stays flat.
func TestHostileBodies(t *testing.T) {
	src, rec := pair(t, options{})
	c := rec.client("alice")
	deep := strings.Repeat("(", 10000) + `person_number == "x"` + strings.Repeat(")", 10000)
	nots := strings.Repeat("!", 10000) + `wanted`
	var fields []string
	for i := range 10000 {
		fields = append(fields, fmt.Sprintf("%q", fmt.Sprintf("field_%d", i)))
	}
	ors := strings.Repeat(`person_number == "x" || `, 20000) + `person_number == "y"`
	for _, tt := range []struct {
		name, body, detail string
		code               int
	}{
		{"10,000 parentheses", q(deep), "", 400},
		{"10,000 negations", q(nots), "", 400},
		{"20,000 alternatives", q(ors), "", 400},
		{"10,000 fields", q(`person_number == "x"`, `"fields":[`+strings.Join(fields, ",")+`]`), "256", 400},
		{"10,000 agencies", q(`person_number == "x"`, `"agencies":[`+strings.Join(fields, ",")+`]`), "256", 400},
		{"unknown member", q(`person_number == "x"`, `"fieldz":["age"]`), `fieldz`, 400},
		{"unknown nested member", `{"schema":"person","justification":{"caseRef":"x"}}`, `justification.caseRef`, 400},
		{"member twice", q(`person_number == "x"`, `"schema":"vessel"`), `"schema" stands twice`, 400},
		{"member twice in two spellings", `{"requireAll":true,"require_all":false}`, `"requireAll" stands twice`, 400},
		{"wrong type", `{"schema":["person"]}`, "schema must be a string", 400},
		{"10,000 deep JSON", `{"schema":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, "schema must be a string", 400},
		{"not JSON", `{"schema":"person`, "not JSON", 400},
		{"two documents", q(`person_number == "x"`) + `{}`, "goes on", 400},
		{"an array", `[]`, "must be a JSON object", 400},
		{"empty", ``, "not JSON", 400},
		{"null", `null`, "must be a JSON object", 400},
		{"not UTF-8", "{\"schema\":\"\xff\"}", "UTF-8", 400},
		{"NUL", `{"schema":"person\u0000","purpose":"x:y"}`, "control characters", 400},
		{"fraction", q(`person_number == "x"`, `"limit":1.5`), "whole number", 400},
		{"granularity", q(`person_number == "x"`, `"granularity":"Everything"`), "Existence, Count or Records", 400},
		{"2 MB", `{"filter":"` + strings.Repeat("x", 2<<20) + `"}`, "1 MiB", 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, body := rec.post(c, "/v1/query", tt.body)
			if code != tt.code || !strings.Contains(strings.ReplaceAll(body, `\"`, `"`), tt.detail) || len(body) > 2000 {
				t.Errorf("%d %.300s", code, body)
			}
		})
	}

	t.Run("100 MB", func(t *testing.T) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for _, length := range []int64{100 << 20, -1} { // announced, and not
			req, err := http.NewRequest("POST", "https://"+rec.addrs.REST+"/v1/query", io.LimitReader(zeros{}, 100<<20))
			must(t, err)
			req.ContentLength = length
			req.Header.Set("Content-Type", "application/json")
			resp, err := c.Do(req)
			if err != nil {
				continue // the connection was closed while the client was still writing: refused, too
			}
			if resp.StatusCode != 413 {
				t.Errorf("status %d", resp.StatusCode)
			}
			resp.Body.Close()
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
			t.Errorf("allocated %d MB", grown>>20)
		}
	})

	// A peer that is authenticated and hostile.
	certificate := src.ca.issue(t, "spiffe://border-service.example/agreement/agr/recipient/state-police", pkix.Name{}, time.Now().Add(time.Hour))
	for name, change := range map[string]func(*gatewayv1.RetrieveRequest){
		"deep filter":    func(r *gatewayv1.RetrieveRequest) { r.Filter = deep },
		"many fields":    func(r *gatewayv1.RetrieveRequest) { r.Fields = make([]string, 10000) },
		"huge purpose":   func(r *gatewayv1.RetrieveRequest) { r.Purpose = strings.Repeat("x", 500_000) },
		"no id":          func(r *gatewayv1.RetrieveRequest) { r.DisclosureId = "" },
		"a sly id":       func(r *gatewayv1.RetrieveRequest) { r.DisclosureId = "{01920000-0000-7000-8000-000000000000}" },
		"granularity 9":  func(r *gatewayv1.RetrieveRequest) { r.Granularity = 9 },
		"huge agreement": func(r *gatewayv1.RetrieveRequest) { r.Agreement = strings.Repeat("x", 500_000) },
		"huge clause":    func(r *gatewayv1.RetrieveRequest) { r.Clause = strings.Repeat("x", 500_000) },
		"unknown member": func(r *gatewayv1.RetrieveRequest) {
			r.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
		},
		"huge user": func(r *gatewayv1.RetrieveRequest) { r.User = strings.Repeat("x", 500_000); r.Filter = "" },
	} {
		t.Run("peer "+name, func(t *testing.T) {
			before := len(src.records())
			r := request("agr")
			change(r)
			f, err := retrieve(t, src, certificate, r)
			if err != nil || f.GetResult().GetOutcome() != gatewayv1.Outcome_OUTCOME_DENIED {
				t.Errorf("%v %v", f, err)
			}
			if n := len(src.records()) - before; n != 1 {
				t.Errorf("%d records in the log", n)
			}
		})
	}
	t.Run("peer 2 MB", func(t *testing.T) {
		r := request("agr")
		r.Filter = strings.Repeat("x", 2<<20)
		if _, err := retrieve(t, src, certificate, r); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%v", err)
		}
	})
	if s := rec.output.String() + src.output.String(); strings.Contains(s, "P0000") || strings.Contains(s, "alice") {
		t.Errorf("personal data in the process log:\n%s", s)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("0"), len(p))), nil }

// TestSlowClient: a client that dribbles is cut off.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	_, rec := pair(t, options{})
	conn, err := tls.Dial("tcp", rec.addrs.REST, &tls.Config{RootCAs: rec.users.pool()})
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /v1/query HTTP/1.1\r\nHost: x\r\n")
	must(t, err)
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	started := time.Now()
	b, err := io.ReadAll(conn)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("held for %v: %q", time.Since(started), b)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	_, rec := pair(t, options{})
	c := rec.client("alice")
	for _, path := range []string{"/", "/v1/query/", "/v1//query", "/v1/../v1/query", "/v1/query%2f..", "/metrics", "/v1/datasets/x"} {
		code, h, body := rec.post(c, path, q("x"))
		if code != 404 || h.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, h, _ := rec.post(c, "/v1/datasets", ""); code != 405 || h.Get("Allow") != "GET" {
		t.Errorf("%d", code)
	}
	if code, _, _ := rec.post(c, "/v1/query", "a=b", "Content-Type", "application/x-www-form-urlencoded"); code != 415 {
		t.Errorf("form: %d", code)
	}
}

// TestGRPC asks over gRPC: answers, errors with reasons, health, explanation.
func TestGRPC(t *testing.T) {
	_, rec := pair(t, options{})
	certificate := rec.users.issue(t, "", pkix.Name{CommonName: "alice"}, time.Now().Add(time.Hour))
	dial := func(certificates ...tls.Certificate) *grpc.ClientConn {
		conn, err := grpc.NewClient(rec.addrs.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: rec.users.pool(), Certificates: certificates})))
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	conn := dial(*certificate)
	s := gatewayv1.NewQueryServiceClient(conn)
	ctx := context.Background()
	ask := func(req *gatewayv1.QueryRequest) (records int, sources []*gatewayv1.SourceStatus, summary *gatewayv1.QuerySummary, err error) {
		stream, err := s.Query(ctx, req)
		must(t, err)
		for {
			f, err := stream.Recv()
			if err == io.EOF {
				return records, sources, summary, nil
			}
			if err != nil {
				return records, sources, summary, err
			}
			records += len(f.GetRecords().GetRecords())
			if f.GetSource() != nil {
				sources = append(sources, f.GetSource())
			}
			if f.GetSummary() != nil {
				summary = f.GetSummary()
			}
		}
	}
	good := &gatewayv1.QueryRequest{Schema: "person.v1", Filter: `family_name == "f3"`, Purpose: purpose, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"}}
	n, sources, summary, err := ask(good)
	if err != nil || n != 100 || len(sources) != 1 || !summary.GetComplete() {
		t.Errorf("%d %v %v %v", n, sources, summary, err)
	}
	bad := &gatewayv1.QueryRequest{Schema: "person", Filter: `family_name = "f3"`, Purpose: purpose, Justification: good.Justification}
	if _, _, _, err = ask(bad); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "column") || len(status.Convert(err).Details()) != 2 {
		t.Errorf("%v", err)
	}
	e, err := s.Explain(ctx, &gatewayv1.ExplainRequest{Query: &gatewayv1.QueryRequest{Schema: "person", Filter: `age > 3`, Purpose: "entente:other", Justification: good.Justification}})
	must(t, err)
	failed := map[string]string{}
	for _, k := range e.GetClauses()[0].GetChecks() {
		if !k.GetPassed() {
			failed[k.GetName()] = k.GetTerm()
		}
	}
	if e.GetClauses()[0].GetAllowed() || failed["purpose"] != "clauses[persons].purposes" || failed["selectors"] == "" || len(failed) != 2 {
		t.Errorf("%v", failed)
	}
	if _, err = s.Explain(ctx, &gatewayv1.ExplainRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	d, err := s.ListDatasets(ctx, &gatewayv1.ListDatasetsRequest{})
	if err != nil || len(d.GetDatasets()) != 1 || d.GetDatasets()[0].GetSchema() != "person.v1" {
		t.Errorf("%v %v", d, err)
	}
	_, err = gatewayv1.NewQueryServiceClient(dial()).ListDatasets(ctx, &gatewayv1.ListDatasetsRequest{})
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v", err)
	}
	h, err := healthv1.NewHealthClient(dial()).Check(ctx, &healthv1.HealthCheckRequest{})
	if err != nil || h.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("%v %v", h, err)
	}
}

func TestNDJSON(t *testing.T) {
	_, rec := pair(t, options{people: 10000})
	code, h, body := rec.post(rec.client("alice"), "/v1/query", q(`family_name == "f3"`), "Accept", "application/x-ndjson")
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if code != 200 || h.Get("Content-Type") != "application/x-ndjson" || len(lines) != 1002 {
		t.Fatalf("%d %s %d lines", code, h, len(lines))
	}
	if !strings.HasPrefix(lines[0], `{"source":{"agency":"border-service","dataset":"people",`) || !strings.HasPrefix(lines[1000], `{"status":`) || !strings.HasPrefix(lines[1001], `{"summary":`) {
		t.Errorf("%s\n%s\n%s", lines[0], lines[1000], lines[1001])
	}
}

// TestPeerThatDoesNotRead: it holds neither the source's connection nor an agreement that ended.
func TestPeerThatDoesNotRead(t *testing.T) {
	src, _ := pair(t, options{people: 50000})
	certificate := src.ca.issue(t, "spiffe://border-service.example/agreement/agr/recipient/state-police", pkix.Name{}, time.Now().Add(time.Hour))
	conn, err := grpc.NewClient(src.addrs.Peer, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate}})),
		grpc.WithStaticStreamWindowSize(65535), grpc.WithStaticConnWindowSize(65535))
	must(t, err)
	defer conn.Close()
	r := request("agr")
	r.Filter = `family_name == "f1"`
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := gatewayv1.NewSourceServiceClient(conn).Retrieve(ctx, r)
	must(t, err)
	_, err = stream.Recv()
	must(t, err)
	time.Sleep(300 * time.Millisecond) // the window is full by now
	done := make(chan struct{})
	go func() {
		src.apply("agr", &route.Tombstone{Reason: "Terminated", At: time.Now()})
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second): // the reading would end by itself after 30
		t.Fatal("the revocation waits for the peer")
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		if log := src.records(); log[len(log)-1].Kind == audit.Outcome {
			if log[len(log)-1].Records >= 5000 {
				t.Errorf("log %+v", log[len(log)-1])
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the disclosure goes on")
		}
		time.Sleep(10 * time.Millisecond)
	}
	n := 0
	for {
		f, err := stream.Recv()
		if err != nil || f.GetResult() != nil {
			break
		}
		n += len(f.GetRecords().GetRecords())
	}
	t.Logf("%d more records were in flight", n)
}
