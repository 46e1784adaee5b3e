package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
)

const manyPeople = 30_000

// manyPair is two agencies, of which one may be asked for everybody at once.
func manyPair(t testing.TB) (src, rec *agency) { return manyPairOf(t, manyPeople) }

func manyPairOf(t testing.TB, n int) (src, rec *agency) {
	src, rec = pair(t, options{people: n, timeout: 5 * time.Minute, sourceTimeout: 5 * time.Minute})
	agree("agr", []route.Clause{everybody(src, rec)}, src, rec)
	return src, rec
}

// bulkFrames asks the source's gateway for everybody, as a peer's does.
func bulkFrames(t testing.TB, src *agency, ctx context.Context) []*gatewayv1.RetrieveResponse {
	t.Helper()
	certificate := src.ca.issue(t, identity.AgreementID(src.party.TrustDomain, "agr", "state-police"), pkix.Name{}, time.Now().Add(time.Hour))
	conn, err := grpc.NewClient(src.addrs.Peer, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate}})))
	must(t, err)
	defer conn.Close()
	r := request("agr")
	r.Filter, r.Fields = `age >= 0`, []string{"family_name", "birth_date", "age", "wanted"}
	stream, err := gatewayv1.NewSourceServiceClient(conn).Retrieve(ctx, r)
	must(t, err)
	var out []*gatewayv1.RetrieveResponse
	for {
		f, err := stream.Recv()
		if err == io.EOF {
			return out
		}
		must(t, err)
		out = append(out, f)
	}
}

// TestBulkByPeers: a peer that reads columns gets records first and then columns; one that does not, records; both the same ones.
func TestBulkByPeers(t *testing.T) {
	src, _ := manyPair(t)
	plain := bulkFrames(t, src, context.Background())
	bulk := bulkFrames(t, src, metadata.AppendToOutgoingContext(context.Background(), columns.Header, "parquet, "+columns.Encoding))
	var want, got []*gatewayv1.Record
	for _, f := range plain {
		if len(f.GetArrow()) > 0 {
			t.Fatal("a peer that does not read columns got some")
		}
		want = append(want, f.GetRecords().GetRecords()...)
	}
	byColumns := 0
	for i, f := range bulk {
		if i == 0 && len(f.GetRecords().GetRecords()) == 0 {
			t.Error("the first frame holds no records")
		}
		if b := f.GetRecords(); b != nil && (b.GetProvenance().GetDataset() != "people" || b.GetProvenance().GetObligations().GetRedisclosure() != "Prohibited" || len(b.GetFields()) != 4) {
			t.Errorf("frame %d: %v", i, b.GetProvenance())
		}
		got = append(got, f.GetRecords().GetRecords()...)
		if len(f.GetArrow()) > 0 {
			byColumns++
			b, err := columns.Decode(f.GetArrow(), columns.Select(&personSchema, f.GetRecords().GetFields()))
			must(t, err)
			got = append(got, b.Records()...)
		}
	}
	if byColumns < 2 || len(want) != manyPeople || len(got) != manyPeople {
		t.Fatalf("%d frames by columns, %d and %d records", byColumns, len(want), len(got))
	}
	for i := range want {
		if fmt.Sprint(want[i]) != fmt.Sprint(got[i]) {
			t.Fatalf("record %d: %v and %v", i, want[i], got[i])
		}
	}
	// The log names everybody, and the key by which it does, which was not asked for, is in no frame.
	var digests []string
	released, tokens := int64(0), map[string]bool{}
	for _, r := range src.records() {
		switch r.Kind {
		case audit.Release:
			released += r.Records
		case audit.Outcome:
			digests = append(digests, r.ResponseDigest)
		}
		for _, token := range r.SubjectTokens {
			tokens[token] = true
		}
	}
	if len(digests) != 2 || digests[0] == "" || digests[0] != digests[1] {
		t.Errorf("the same records have the digests %q", digests)
	}
	if released < 2*manyPeople-512 || len(tokens) != manyPeople {
		t.Errorf("the log releases %d records of %d persons", released, len(tokens))
	}
}

// TestBulkByUsers: whatever a user reads, they get the same, and both logs agree.
func TestBulkByUsers(t *testing.T) {
	src, rec := manyPair(t)
	certificate := rec.users.issue(t, "", pkix.Name{CommonName: "alice"}, time.Now().Add(time.Hour))
	conn, err := grpc.NewClient(rec.addrs.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: rec.users.pool(), Certificates: []tls.Certificate{*certificate}})))
	must(t, err)
	defer conn.Close()
	ask := func(ctx context.Context, filter string, all bool) (records []*gatewayv1.Record, frames []*gatewayv1.QueryResponse) {
		stream, err := gatewayv1.NewQueryServiceClient(conn).Query(ctx, &gatewayv1.QueryRequest{
			Schema: "person", Filter: filter, Fields: []string{"person_number", "birth_date", "wanted"}, Purpose: purpose,
			Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"}, RequireAll: all,
		})
		must(t, err)
		for {
			f, err := stream.Recv()
			if err == io.EOF {
				return records, frames
			}
			must(t, err)
			frames = append(frames, f)
			records = append(records, f.GetRecords().GetRecords()...)
			if len(f.GetArrow()) > 0 {
				b, err := columns.Decode(f.GetArrow(), nil)
				must(t, err)
				records = append(records, b.Records()...)
			}
		}
	}
	byColumns := metadata.AppendToOutgoingContext(context.Background(), columns.Header, columns.Encoding)
	want, frames := ask(context.Background(), "age >= 0", false)
	if len(want) != manyPeople || slices.ContainsFunc(frames, func(f *gatewayv1.QueryResponse) bool { return len(f.GetArrow()) > 0 }) {
		t.Fatalf("%d records", len(want))
	}
	for _, all := range []bool{false, true} {
		got, frames := ask(byColumns, "age >= 0", all)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d other records by columns", len(got))
		}
		if len(frames[0].GetArrow()) == 0 || frames[0].GetRecords().GetProvenance() != nil || frames[1].GetRecords().GetProvenance().GetDisclosureId() == "" {
			t.Errorf("all=%v: the first frames are %v", all, frames[:2])
		}
	}
	// A small answer, and none at all.
	if got, _ := ask(byColumns, `person_number == "P000007"`, false); len(got) != 1 || got[0].Values[0].GetText() != "P000007" {
		t.Errorf("%v", got)
	}
	if got, frames := ask(byColumns, `person_number == "nobody"`, false); len(got) != 0 || !slices.Equal(frames[0].GetRecords().GetFields(), []string{"person_number", "birth_date", "wanted"}) {
		t.Errorf("%v", frames)
	}
	digests := map[string][]string{}
	for _, r := range append(src.records(), rec.records()...) {
		if r.Kind == audit.Outcome {
			digests[r.Disclosure] = append(digests[r.Disclosure], r.ResponseDigest)
		}
	}
	for id, d := range digests {
		if len(d) != 2 || d[0] == "" || d[0] != d[1] {
			t.Errorf("disclosure %s has the digests %q", id, d)
		}
	}
	if len(digests) != 5 {
		t.Errorf("%d disclosures", len(digests))
	}
}

// everybody is a clause under which all may be asked for.
func everybody(src *agency, recipients ...*agency) route.Clause {
	c := clause("persons", src, recipients...)
	c.RequireSelectors, c.RecordsPerQuery = nil, 1_000_000
	return c
}

// TestTables: CSV and Arrow over REST, with how it ended in trailers.
func TestTables(t *testing.T) {
	src, rec := manyPair(t)
	c := rec.client("alice")
	ask := func(accept, body string) (*http.Response, string) {
		req, err := http.NewRequest("POST", "https://"+rec.addrs.REST+"/v1/query", strings.NewReader(body))
		must(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", accept)
		resp, err := c.Do(req)
		must(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp, string(b)
	}
	everybody := q("age >= 0", `"fields":["person_number","age"]`)
	resp, body := ask("text/csv", everybody)
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || resp.StatusCode != 200 || len(rows) != manyPeople+1 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv") {
		t.Fatalf("%d, %d rows, %v", resp.StatusCode, len(rows), err)
	}
	if want := []string{"border-service", "people", "agr.v1", "persons", "Prohibited", "P000007", "27"}; !slices.Equal(slices.Delete(slices.Delete(slices.Clone(rows[8]), 6, 8), 4, 5), want) {
		t.Errorf("%q", rows[8])
	}
	if s := resp.Trailer.Get("Entente-Summary"); !strings.Contains(s, `"complete":true`) || !strings.Contains(resp.Trailer.Get("Entente-Sources"), `"outcome":"OK"`) {
		t.Errorf("trailers %v", resp.Trailer)
	}
	resp, body = ask("application/vnd.apache.arrow.stream", everybody)
	r, err := ipc.NewReader(strings.NewReader(body))
	must(t, err)
	n := int64(0)
	for r.Next() {
		n += r.RecordBatch().NumRows()
	}
	if r.Err() != nil || n != manyPeople || !strings.Contains(resp.Trailer.Get("Entente-Summary"), `"records":30000`) {
		t.Errorf("%d rows, %v, %v", n, r.Err(), resp.Trailer)
	}
	// Refused: as in JSON.
	if resp, body := ask("text/csv", q("age >= 0", `"fields":["note"]`)); resp.StatusCode != 403 || !strings.Contains(body, "fields") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := ask("text/csv", q("age >= 0", `"granularity":"Count"`)); resp.StatusCode != 406 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	// Cut on the way: the client sees it.
	reached, gate := make(chan struct{}), make(chan struct{})
	src.sources.Source = &gated{Source: src.sources.Source, after: 25_000, reached: reached, gate: gate}
	go func() {
		<-reached
		src.apply("agr", &route.Tombstone{Reason: "Terminated", At: time.Now()})
		close(gate)
	}()
	resp, body = ask("text/csv", everybody)
	if n := strings.Count(body, "\n"); n <= 1 || n > 25_000 || !strings.Contains(resp.Trailer.Get("Entente-Sources"), "DENIED") || !strings.Contains(resp.Trailer.Get("Entente-Summary"), `"complete":false`) {
		t.Errorf("%d lines, %v", n, resp.Trailer)
	}
}
