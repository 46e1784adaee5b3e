package gateway_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/quota"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// grpcClient connects to the gRPC listener for local users; nil: without a certificate.
func (a *agency) grpcClient(certificate *tls.Certificate) *grpc.ClientConn {
	a.t.Helper()
	config := &tls.Config{RootCAs: a.users.pool()}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	conn, err := grpc.NewClient(a.addrs.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	must(a.t, err)
	a.t.Cleanup(func() { conn.Close() })
	return conn
}

// askGRPC runs a query to its end.
func askGRPC(ctx context.Context, conn *grpc.ClientConn, req *gatewayv1.QueryRequest) (frames []*gatewayv1.QueryResponse, err error) {
	stream, err := gatewayv1.NewQueryServiceClient(conn).Query(ctx, req)
	if err != nil {
		return nil, err
	}
	for {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		frames = append(frames, f)
	}
}

// detailsOf are the google.rpc details of a status, by kind.
func detailsOf(err error) (info *errdetails.ErrorInfo, fields []string, retry time.Duration, preconditions, quotas int) {
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				fields = append(fields, v.GetField())
			}
		case *errdetails.RetryInfo:
			retry = d.GetRetryDelay().AsDuration()
		case *errdetails.PreconditionFailure:
			preconditions = len(d.GetViolations())
		case *errdetails.QuotaFailure:
			quotas = len(d.GetViolations())
		}
	}
	return info, fields, retry, preconditions, quotas
}

type problemDocument struct {
	Type, Title, Detail, Reason, Term string
	Status                            int
	Errors                            []struct{ Pointer, Detail, Agency, Reason string }
	Sources                           []struct{ Agency, Outcome, Reason, Message string }
}

// secrets stand in the queries of TestErrors, and in no error.
var secrets = []string{"P000042", "Okafor-7", "CASE-9-9", "1990-02-03"}

// TestErrors: both surfaces say of a query that fails what is wrong and where, in the same words, and repeat no value of it.
func TestErrors(t *testing.T) {
	src, rec := pair(t, options{})
	good := func() *gatewayv1.QueryRequest {
		return &gatewayv1.QueryRequest{Schema: "person", Filter: `person_number == "P000042"`, Purpose: purpose, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"}}
	}
	for _, tt := range []struct {
		name            string
		edit            func(*gatewayv1.QueryRequest)
		http            int
		code            codes.Code
		reason, pointer string
	}{
		{"no schema", func(q *gatewayv1.QueryRequest) { q.Schema = "" }, 400, codes.InvalidArgument, "request", "#/schema"},
		{"no purpose", func(q *gatewayv1.QueryRequest) { q.Purpose = "" }, 400, codes.InvalidArgument, "request", "#/purpose"},
		{"a control character", func(q *gatewayv1.QueryRequest) { q.Justification.CaseReference = "CASE-9-9\x01" }, 400, codes.InvalidArgument, "request", "#/justification/caseReference"},
		{"negative limit", func(q *gatewayv1.QueryRequest) { q.Limit = -1 }, 400, codes.InvalidArgument, "request", "#/limit"},
		{"an agency twice", func(q *gatewayv1.QueryRequest) { q.Agencies = []string{"a", "a"} }, 400, codes.InvalidArgument, "request", "#/agencies/1"},
		{"an unknown field", func(q *gatewayv1.QueryRequest) { q.Fields = []string{"age", "shoe_size"} }, 400, codes.InvalidArgument, "fields", "#/fields/1"},
		{"syntax", func(q *gatewayv1.QueryRequest) { q.Filter = `family_name = "Okafor-7"` }, 400, codes.InvalidArgument, "filter", "#/filter"},
		{"type", func(q *gatewayv1.QueryRequest) { q.Filter = `age == "Okafor-7"` }, 400, codes.InvalidArgument, "filter", "#/filter"},
		{"schema that nobody agreed on", func(q *gatewayv1.QueryRequest) { q.Schema = "vessel" }, 403, codes.PermissionDenied, "NoAgreement", "#/schema"},
		// Refusals of every source: over gRPC they are the sources' statuses.
		{"purpose", func(q *gatewayv1.QueryRequest) { q.Purpose = "entente:curiosity" }, 403, codes.OK, "purpose", "#/purpose"},
		{"case reference", func(q *gatewayv1.QueryRequest) { q.Justification.CaseReference = "CASE-9-9" }, 403, codes.OK, "case-reference", "#/justification/caseReference"},
		{"hidden field", func(q *gatewayv1.QueryRequest) { q.Fields = []string{"given_name"} }, 403, codes.OK, "fields", "#/fields"},
		{"filter on a hidden field", func(q *gatewayv1.QueryRequest) { q.Filter += ` && region == "Okafor-7"` }, 403, codes.OK, "filter-fields", "#/filter"},
		{"fishing", func(q *gatewayv1.QueryRequest) { q.Filter = `birth_date > date("1990-02-03")` }, 403, codes.OK, "selectors", "#/filter"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := good()
			tt.edit(req)
			code, h, body := rec.post(rec.client("alice"), "/v1/query", bodyOf(t, req))
			var p problemDocument
			must(t, json.Unmarshal([]byte(body), &p))
			if code != tt.http || p.Status != tt.http || p.Reason != tt.reason || p.Type != "https://entente.dev/problems/"+tt.reason || p.Title == "" || p.Detail == "" || h.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s", code, body)
			}
			if len(p.Errors) != 1 || p.Errors[0].Pointer != tt.pointer || p.Errors[0].Detail == "" {
				t.Errorf("errors %+v, want %s", p.Errors, tt.pointer)
			}
			frames, err := askGRPC(t.Context(), rec.grpcClient(rec.userCertificate("alice")), req)
			said := body
			if status.Code(err) != tt.code {
				t.Errorf("%v", err)
			}
			if tt.code == codes.OK {
				s := frames[0].GetSource()
				if len(frames) != 2 || s.GetReason() != tt.reason || s.GetMessage() != p.Errors[0].Detail || s.GetAgency() != p.Errors[0].Agency {
					t.Errorf("%v", frames)
				}
			} else {
				info, fields, retry, _, _ := detailsOf(err)
				if info.GetReason() != tt.reason || info.GetDomain() != "entente.dev" || retry != 0 {
					t.Errorf("%v", status.Convert(err).Details())
				}
				if tt.code == codes.InvalidArgument && (len(fields) != 1 || pointerOf(fields[0]) != tt.pointer) {
					t.Errorf("fields %v, want %s", fields, tt.pointer)
				}
				said += err.Error()
			}
			for _, secret := range secrets {
				if strings.Contains(said, secret) {
					t.Errorf("the error repeats %s: %s", secret, said)
				}
			}
		})
	}
	if n := len(src.records()); n != 0 {
		t.Errorf("the source was asked %d times", n)
	}
}

// pointerOf is the JSON pointer of a path in protobuf's names.
func pointerOf(field string) string {
	field = strings.NewReplacer("[", "/", "]", "", ".", "/", "case_reference", "caseReference").Replace(field)
	return "#/" + field
}

func bodyOf(t *testing.T, q *gatewayv1.QueryRequest) string {
	t.Helper()
	m := map[string]any{}
	for name, value := range map[string]string{"schema": q.GetSchema(), "filter": q.GetFilter(), "purpose": q.GetPurpose()} {
		m[name] = value
	}
	m["justification"] = map[string]string{"caseReference": q.GetJustification().GetCaseReference()}
	if len(q.GetFields()) > 0 {
		m["fields"] = q.GetFields()
	}
	if len(q.GetAgencies()) > 0 {
		m["agencies"] = q.GetAgencies()
	}
	m["limit"], m["requireAll"] = q.GetLimit(), q.GetRequireAll()
	b, err := json.Marshal(m)
	must(t, err)
	return string(b)
}

// TestErrorsOfTheBody: what is wrong with the JSON itself is pointed at.
func TestErrorsOfTheBody(t *testing.T) {
	_, rec := pair(t, options{people: 1})
	for body, want := range map[string]string{
		`{"schema":"person","purposes":"x"}`:                  "#/purposes",
		`{"justification":{"case_ref":"P000042"}}`:            "#/justification/case_ref",
		`{"justification":{"caseReference":7}}`:               "#/justification/caseReference",
		`{"fields":["a",{"b":"P000042"}]}`:                    "#/fields/1",
		`{"limit":"P000042"}`:                                 "#/limit",
		`{"schema":"a","schema":"P000042"}`:                   "#/schema",
		`{"granularity":"P000042"}`:                           "#/granularity",
		`{"a/b~c d":"P000042"}`:                               "#/a~1b~0c%20d",
		`{"schema":"P000042"`:                                 "",
		`["P000042"]`:                                         "",
		`{"schema":"person","fields":"` + secrets[0] + `"}`:   "#/fields",
		`{"agencies":[` + strings.Repeat(`"a",`, 300) + `""]`: "#/agencies",
	} {
		code, _, text := rec.post(rec.client("alice"), "/v1/query", body)
		var p problemDocument
		must(t, json.Unmarshal([]byte(text), &p))
		pointer := ""
		if len(p.Errors) > 0 {
			pointer = p.Errors[0].Pointer
		}
		if code != 400 || pointer != want || strings.Contains(text, secrets[0]) {
			t.Errorf("%s: %d %s", body, code, text)
		}
	}
}

// TestRetry: who may ask again is told when, and who may not is not.
func TestRetry(t *testing.T) {
	t.Run("quota", func(t *testing.T) {
		store, err := quota.OpenEmbedded(t.TempDir() + "/quota.db")
		must(t, err)
		_, rec := counted(t, store, func(c *route.Clause) { c.QueriesPerDay = 1 })
		rec.query(t, rec.client("alice"), q(`person_number == "P000001"`))
		code, h, body := rec.post(rec.client("alice"), "/v1/query", q(`person_number == "P000001"`))
		after, _ := strconv.Atoi(h.Get("Retry-After"))
		if code != 429 || after < 1 || after > 24*60*60 || !strings.Contains(body, `"status":429`) {
			t.Errorf("%d after %d: %s", code, after, body)
		}
		_, err = askGRPC(t.Context(), rec.grpcClient(rec.userCertificate("alice")), &gatewayv1.QueryRequest{
			Schema: "person", Filter: `person_number == "P000001"`, Purpose: purpose, RequireAll: true, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"},
		})
		info, _, retry, preconditions, quotas := detailsOf(err)
		if status.Code(err) != codes.FailedPrecondition || info.GetReason() != "RequireAll" || preconditions != 1 || quotas != 1 || retry < time.Second || retry > 24*time.Hour {
			t.Errorf("%v: %v", err, status.Convert(err).Details())
		}
	})
	t.Run("a source that is away", func(t *testing.T) {
		src, rec := pair(t, options{})
		src.sources.hook(func(context.Context) error { return errors.Join(source.ErrUnavailable, errors.New("away")) })
		code, h, body := rec.post(rec.client("alice"), "/v1/query", q(`person_number == "P000042"`, `"requireAll":true`))
		if code != 503 || h.Get("Retry-After") != "1" {
			t.Errorf("%d %v %s", code, h, body)
		}
		_, err := askGRPC(t.Context(), rec.grpcClient(rec.userCertificate("alice")), &gatewayv1.QueryRequest{
			Schema: "person", Filter: `person_number == "P000042"`, Purpose: purpose, RequireAll: true, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"},
		})
		if _, _, retry, preconditions, quotas := detailsOf(err); retry != time.Second || preconditions != 1 || quotas != 0 {
			t.Errorf("%v: %v", err, status.Convert(err).Details())
		}
	})
	t.Run("a refusal", func(t *testing.T) {
		_, rec := pair(t, options{})
		code, h, body := rec.post(rec.client("alice"), "/v1/query", strings.Replace(q(`person_number == "P000042"`, `"requireAll":true`), purpose, "entente:curiosity", 1))
		if code != 403 || h.Get("Retry-After") != "" {
			t.Errorf("%d %v %s", code, h, body)
		}
		_, err := askGRPC(t.Context(), rec.grpcClient(rec.userCertificate("alice")), &gatewayv1.QueryRequest{
			Schema: "person", Filter: `person_number == "P000042"`, Purpose: "entente:curiosity", RequireAll: true, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"},
		})
		if info, _, retry, preconditions, _ := detailsOf(err); retry != 0 || preconditions != 1 || info.GetReason() != "RequireAll" {
			t.Errorf("%v: %v", err, status.Convert(err).Details())
		}
	})
	t.Run("nobody", func(t *testing.T) {
		_, rec := pair(t, options{people: 1})
		_, err := askGRPC(t.Context(), rec.grpcClient(nil), &gatewayv1.QueryRequest{})
		if info, _, _, _, _ := detailsOf(err); status.Code(err) != codes.Unauthenticated || info.GetReason() != "Unauthenticated" {
			t.Errorf("%v", err)
		}
	})
}
