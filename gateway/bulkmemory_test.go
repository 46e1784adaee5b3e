package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/source"
)

// springing is a source with so many records of half a kilobyte.
type springing struct {
	source.Source
	records int64
	yielded atomic.Int64
}

func (s *springing) Records(_ context.Context, _ source.Query, yield func(*gatewayv1.Record) error) (bool, error) {
	filler := strings.Repeat("x", 500)
	for i := range s.records {
		s.yielded.Store(i)
		text := func(v string) *gatewayv1.Value { return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: v}} }
		if err := yield(&gatewayv1.Record{Values: []*gatewayv1.Value{text(fmt.Sprintf("P%07d", i)), text(fmt.Sprintf("%s%d", filler, i))}}); err != nil {
			return false, err
		}
	}
	return false, nil
}

// TestBulkMemory: what an answer holds on its way does not grow with it, and whoever does not read keeps the source waiting. All that
// is on the way is in this process: the source, both gateways, and the user.
func TestBulkMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 100 MB")
	}
	const records, most = 200_000, 48 << 20 // 100 MB of text
	src, rec := manyPairOf(t, 10)
	spring := &springing{Source: src.sources.Source, records: records}
	src.sources.Source = spring
	certificate := rec.users.issue(t, "", pkix.Name{CommonName: "alice"}, time.Now().Add(time.Hour))
	conn, err := grpc.NewClient(rec.addrs.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: rec.users.pool(), Certificates: []tls.Certificate{*certificate}})))
	must(t, err)
	defer conn.Close()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	ctx := metadata.AppendToOutgoingContext(context.Background(), columns.Header, columns.Encoding)
	stream, err := gatewayv1.NewQueryServiceClient(conn).Query(ctx, &gatewayv1.QueryRequest{
		Schema: "person", Filter: "age >= 0", Fields: []string{"person_number", "family_name"}, Purpose: purpose, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"},
	})
	must(t, err)
	for last, now := int64(-1), int64(0); last != now || now == 0; { // until nothing moves any more
		time.Sleep(300 * time.Millisecond)
		last, now = now, spring.yielded.Load()
	}
	if n := spring.yielded.Load(); n > records/2 {
		t.Errorf("%d records were read for a user who reads none", n)
	}
	got, highest := 0, heap()
	for frames := 0; ; frames++ {
		f, err := stream.Recv()
		if err == io.EOF {
			break
		}
		must(t, err)
		if len(f.GetArrow()) > 0 {
			b, err := columns.Decode(f.GetArrow(), nil)
			must(t, err)
			got += b.Rows()
		}
		if frames%20 == 0 {
			highest = max(highest, heap())
		}
	}
	if got != records {
		t.Errorf("%d records", got)
	}
	if highest > before+most {
		t.Errorf("the heap grew from %d to %d MB", before>>20, highest>>20)
	}
	t.Logf("heap %d MB before, %d MB at most", before>>20, highest>>20)
}
