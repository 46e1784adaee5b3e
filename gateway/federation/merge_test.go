package federation

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/internal/shape"
	"github.com/entente-dev/entente/gateway/route"
)

// merging is a query of two agencies whose answers are merged, and how to end the agreement with one of them.
func merging(t *testing.T, req *gatewayv1.QueryRequest, p *pages, send func(*gatewayv1.QueryResponse) error) (*query, func(*lane)) {
	t.Helper()
	c := many(t, 2)
	req.Schema, req.Filter, req.Purpose, req.Fields = "person", `nr == "1"`, "entente:purpose-2", []string{"nr", "family_name"}
	req.Order = []*gatewayv1.OrderBy{{Field: "nr"}}
	choices, refusal := c.choose(req, nil, User{}, time.Now())
	if refusal != nil {
		t.Fatal(refusal)
	}
	q := &query{core: c, req: req, pages: p, out: &output{send: send}}
	if refusal := q.plan(context.Background(), choices); refusal != nil {
		t.Fatal(refusal)
	}
	return q, func(l *lane) {
		r := *c.Table.Get(l.ch.agreement)
		r.Sequence, r.Versions, r.Tombstone = 2, nil, &route.Tombstone{Reason: "Suspended"}
		if err := c.Table.Put(&r); err != nil {
			t.Error(err)
		}
	}
}

// batchOf are records with these values of nr.
func batchOf(l *lane, nrs ...string) *gatewayv1.RecordBatch {
	b := &gatewayv1.RecordBatch{Fields: l.fields, Provenance: &gatewayv1.Provenance{Agency: l.ch.agency, DisclosureId: l.ch.disclosure}}
	for _, nr := range nrs {
		text := func(s string) *gatewayv1.Value { return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: s}} }
		b.Records = append(b.Records, &gatewayv1.Record{Values: []*gatewayv1.Value{text(nr), text("Meyer")}})
	}
	return b
}

// A source goes on sending its share of a page while it is merged with the others'.
func TestPageIsMergedWhileItComes(t *testing.T) {
	got := 0
	q, _ := merging(t, &gatewayv1.QueryRequest{PageSize: 4000}, &pages{size: 4000, first: true}, func(f *gatewayv1.QueryResponse) error {
		got += len(f.GetRecords().GetRecords())
		return nil
	})
	for _, l := range q.merge.lanes {
		go func() {
			for i := range 2000 {
				if err := q.merge.put(l, batchOf(l, fmt.Sprintf("%04d", i))); err != nil {
					t.Error(err)
				}
			}
			q.merge.end(l, false)
		}()
	}
	if err := q.merge.run(); err != nil || got != 4000 {
		t.Errorf("%d records, %v", got, err)
	}
}

// Whoever reads slowly is not told that an agency holds a record whose agreement has ended meanwhile.
func TestHoldingsOfAnEndedAgreement(t *testing.T) {
	var q *query
	var end func(*lane)
	var also [][]*gatewayv1.Holding
	q, end = merging(t, &gatewayv1.QueryRequest{Deduplicate: []string{"nr"}}, nil, func(f *gatewayv1.QueryResponse) error {
		for _, r := range f.GetRecords().GetRecords() {
			also = append(also, r.GetAlso())
		}
		if len(also) == 1 {
			end(q.merge.lanes[1]) // while the first frame is read
		}
		return nil
	})
	a, b := q.merge.lanes[0], q.merge.lanes[1]
	a.queue = append(a.queue, batchOf(a, "1"), batchOf(a, "2"), batchOf(a, "3"))
	b.queue = append(b.queue, batchOf(b, "1"), batchOf(b, "2"))
	a.ended, b.ended = true, true
	if err := q.merge.run(); err != nil {
		t.Fatal(err)
	}
	if len(also) != 3 || len(also[0]) != 1 {
		t.Fatalf("%v", also)
	}
	if len(also[1]) > 0 {
		t.Errorf("told after the agreement had ended: %v", also[1])
	}
}

// What waits for the user to read what came before is looked at again when its turn comes.
func TestWhatWaitsForTheUserMayEnd(t *testing.T) {
	for name, release := range map[string]func(*asking) error{
		"records": func(a *asking) error {
			a.pending = &piece{batch: batchOf(&lane{ch: a.ch, fields: []string{"nr", "family_name"}}, "1")}
			return a.release()
		},
		"count": func(a *asking) error {
			n := int64(7)
			_, err := a.q.out.status(&gatewayv1.SourceStatus{Outcome: gatewayv1.Outcome_OUTCOME_OK, Count: &n}, func() bool { return a.q.core.standing(a.ch) })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			reads, begun := make(chan struct{}), make(chan struct{}, 2)
			told := make(chan *gatewayv1.QueryResponse, 2)
			q, end := merging(t, &gatewayv1.QueryRequest{}, nil, func(f *gatewayv1.QueryResponse) error {
				begun <- struct{}{}
				<-reads
				told <- f
				return nil
			})
			q.core.Logger = slog.New(slog.DiscardHandler)
			l := q.merge.lanes[0]
			first := make(chan error, 1)
			go func() { first <- q.out.write(&gatewayv1.QueryResponse{}) }()
			<-begun
			second := make(chan error, 1)
			go func() { second <- release(&asking{q: q, ch: l.ch}) }()
			time.Sleep(50 * time.Millisecond) // it waits behind the first
			end(l)
			close(reads)
			if err := <-first; err != nil {
				t.Error(err)
			}
			err := <-second
			close(told)
			<-told
			for f := range told {
				if len(f.GetRecords().GetRecords()) > 0 || f.GetSource().Count != nil {
					t.Errorf("told after the agreement had ended: %v (%v)", f, err)
				}
			}
		})
	}
}

// One source that sends what cannot be in its field's column does not take the others' answers along.
func TestRecordThatIsNoRow(t *testing.T) {
	for arrow, want := range map[bool]bool{false: true, true: false} {
		q, _ := merging(t, &gatewayv1.QueryRequest{}, nil, nil)
		q.out.arrow = arrow
		l := q.merge.lanes[0]
		schema := &l.ch.plan.Clause.Schema
		a := &asking{q: q, ch: l.ch, req: &gatewayv1.RetrieveRequest{}, shape: shape.Of(schema, l.fields), fields: columns.Select(schema, l.fields)}
		b := batchOf(l, "1")
		if err := a.check(b, 1); err != nil {
			t.Error(err)
		}
		b.Records[0].Values[0] = &gatewayv1.Value{Kind: &gatewayv1.Value_Integer{Integer: 1}}
		if err := a.check(b, 1); (err == nil) != want {
			t.Errorf("for a user of columns: %v: %v", arrow, err)
		}
	}
}
