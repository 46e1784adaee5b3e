package disclosure

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// A frame is released when the next record would make it larger than either. A record is never split.
const (
	maxFrameRecords = 256
	maxFrameBytes   = 256 << 10
	// maxRecordBytes is below what a peer takes in one message.
	maxRecordBytes = 2 << 20
)

// batch is what is being filled: a frame, or when an order mixes datasets one for each run of records of the same. They are released
// together, for one record of the log. Until then they are not.
type batch struct {
	runs    []stretch
	records int
	bytes   int
}

type stretch struct {
	dataset string
	records []*gatewayv1.Record
}

func (b *batch) full(next int) bool {
	return b.records >= maxFrameRecords || (b.records > 0 && b.bytes+next > maxFrameBytes)
}

func (b *batch) add(dataset string, r *gatewayv1.Record, size int) {
	last := len(b.runs) - 1
	if last < 0 || b.runs[last].dataset != dataset {
		b.runs, last = append(b.runs, stretch{dataset: dataset}), last+1
	}
	b.runs[last].records = append(b.runs[last].records, r)
	b.records++
	b.bytes += size
}

func (b *batch) clear() { *b = batch{} }

// sendError is an error of the caller's stream, as opposed to one of the source.
type sendError struct{ err error }

func (e *sendError) Error() string { return e.err.Error() }

var (
	errRecordTooLarge = errors.New("a record is larger than 2 MiB")
	errShape          = errors.New("the source's system gave a record with other values than the fields have")
)

// inOrder gives the clause's datasets by name: the order in which they answer.
func inOrder(c *route.Clause) []*route.Dataset {
	if len(c.Datasets) == 1 {
		return []*route.Dataset{&c.Datasets[0]}
	}
	out := make([]*route.Dataset, len(c.Datasets))
	for i := range c.Datasets {
		out[i] = &c.Datasets[i]
	}
	slices.SortFunc(out, func(a, b *route.Dataset) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// datasets names them, for the log.
func datasets(c *route.Clause) string {
	if len(c.Datasets) == 1 {
		return c.Datasets[0].Name
	}
	var b []byte
	for i, ds := range inOrder(c) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, ds.Name...)
	}
	return string(b)
}

func (d *disclosure) ask(ds *route.Dataset, limit int64) source.Query {
	q := queryOf(d.req.GetAgreement(), d.plan, ds, limit)
	if q.Consent != nil {
		q.Consent.Purpose, q.Consent.Recipient, q.Consent.Checked = d.req.GetPurpose(), d.caller.Recipient, d.consents.add
	}
	return q
}

// queryOf is what a plan asks of one dataset.
func queryOf(agreement string, plan *enforce.Plan, ds *route.Dataset, limit int64) source.Query {
	q := source.Query{
		Agreement: agreement, Dataset: ds, Schema: &plan.Clause.Schema,
		Filter: plan.Filter, RowFilter: plan.RowFilter, Fields: plan.Fields, Limit: limit,
	}
	if condition, needed := plan.Consents[ds.Name]; needed {
		q.Consent = &source.Consent{Condition: condition}
	}
	return q
}

// drop gives up the frame that is being filled.
func (d *disclosure) drop() {
	d.batch.clear()
	d.subjects = nil
}

// persons counts under a minimum count. Each dataset is rounded by itself: a person may be in several.
func (d *disclosure) persons(ctx context.Context, result *gatewayv1.SourceStatus) error {
	minimum := d.plan.Clause.MinimumCount
	var total int64
	for _, ds := range inOrder(d.plan.Clause) {
		q := d.ask(ds, 0)
		q.Persons = true
		n, err := d.core.Sources.Count(ctx, q)
		if err != nil {
			return err
		}
		if told, ok := enforce.Told(n, minimum); ok {
			total += told
		}
	}
	switch found := total > 0; {
	case !found:
		result.Suppressed = true
	case d.plan.Granularity == "Existence":
		result.Exists = &found
	default:
		result.Count, result.CountStep = &total, minimum
	}
	return nil
}

func (d *disclosure) exists(ctx context.Context, result *gatewayv1.SourceStatus) error {
	if d.plan.Clause.MinimumCount > 0 {
		return d.persons(ctx, result)
	}
	found := false
	for _, ds := range inOrder(d.plan.Clause) {
		yes, err := d.core.Sources.Exists(ctx, d.ask(ds, 0))
		if err != nil {
			return err
		}
		if yes {
			found = true
			break
		}
	}
	result.Exists = &found
	return nil
}

func (d *disclosure) count(ctx context.Context, result *gatewayv1.SourceStatus) error {
	if d.plan.Clause.MinimumCount > 0 {
		return d.persons(ctx, result)
	}
	var total int64
	for _, ds := range inOrder(d.plan.Clause) {
		n, err := d.core.Sources.Count(ctx, d.ask(ds, 0))
		if err != nil {
			return err
		}
		total += n
	}
	result.Count = &total
	return nil
}

// records reads the records of every dataset. Full frames are released on the way; the last one stays in the batch.
func (d *disclosure) records(ctx context.Context, result *gatewayv1.SourceStatus, send func(*gatewayv1.RetrieveResponse) error) error {
	left := d.plan.Limit
	more := false
	for _, ds := range inOrder(d.plan.Clause) {
		if left == 0 {
			// What is left to know is whether there would have been more.
			yes, err := d.core.Sources.Exists(ctx, d.ask(ds, 0))
			if err != nil {
				return err
			}
			if yes {
				more = true
				break
			}
			continue
		}
		q := d.ask(ds, left)
		s := d.newSink(ctx, &q, send)
		m, err := source.Stream(ctx, d.core.Sources, q, s)
		if ended := s.end(err); ended != nil {
			return ended
		}
		left = s.left
		if m {
			more = true
			break
		}
	}
	if more {
		result.Outcome = gatewayv1.Outcome_OUTCOME_PARTIAL
		result.Reason = ReasonLimit
		result.Message = "more records match than the limit lets through: narrow the filter"
	}
	return nil
}

// add puts a record into the batch and releases the batch before if it is full.
func (d *disclosure) add(ctx context.Context, dataset string, r *gatewayv1.Record, subject string, send func(*gatewayv1.RetrieveResponse) error) error {
	if !d.shape.Fits(r) {
		return errShape
	}
	size := proto.Size(r)
	if size > maxRecordBytes {
		return errRecordTooLarge
	}
	if d.batch.full(size) {
		if err := d.release(ctx, send); err != nil {
			return err
		}
	}
	d.digest.Record(dataset, r)
	d.batch.add(dataset, r, size)
	if subject != "" {
		d.subjects = append(d.subjects, subject)
	}
	return nil
}

// release sends the batch, once the log says durably whose records are in it, and while it still stands.
func (d *disclosure) release(ctx context.Context, send func(*gatewayv1.RetrieveResponse) error) error {
	receipt, err := d.core.Log.Append(ctx, d.releaseRecord())
	if err != nil {
		return err
	}
	if err := d.wait(ctx, receipt, d.intent); err != nil {
		return err
	}
	runs := d.batch.runs
	d.drop()
	d.frames++
	for _, r := range runs {
		if err := d.passRun(ctx, r, send); err != nil {
			return err
		}
	}
	return nil
}

// passRun sends a frame that the log holds, while it still stands.
func (d *disclosure) passRun(ctx context.Context, r stretch, send func(*gatewayv1.RetrieveResponse) error) error {
	if refusal := d.core.standing(d.plan, d.caller, d.req.GetAgreement()); refusal != nil {
		return refusal
	}
	return d.pass(ctx, &gatewayv1.RetrieveResponse{Records: d.frame(r)}, int64(len(r.records)), send)
}

// pass sends a frame of that many records, which the log holds and which still stand.
func (d *disclosure) pass(ctx context.Context, frame *gatewayv1.RetrieveResponse, records int64, send func(*gatewayv1.RetrieveResponse) error) error {
	d.released += records // from here on some of it may be with the caller
	// A caller that does not read would hold the source's connection for as long as it likes, and an agreement that ends
	// meanwhile would go on: when the reading's time is over, the frame is given up with the stream.
	sent := make(chan error, 1)
	go func() { sent <- send(frame) }()
	select {
	case err := <-sent:
		if err != nil {
			return &sendError{err}
		}
		return nil
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), errCut) {
			return &sendError{status.Error(codes.PermissionDenied, errCut.Error())}
		}
		return &sendError{status.Error(codes.DeadlineExceeded, "the caller does not read its answer")}
	}
}

func (d *disclosure) frame(r stretch) *gatewayv1.RecordBatch {
	b := d.envelope(r.dataset)
	b.Records = r.records
	if d.page != nil {
		b.PositionKey = d.page.key.Wrapped
	}
	return b
}

// envelope says where the records of a frame come from.
func (d *disclosure) envelope(dataset string) *gatewayv1.RecordBatch {
	return &gatewayv1.RecordBatch{
		Provenance: &gatewayv1.Provenance{
			Agency: d.core.Table.Self().Agency, Dataset: dataset, Agreement: d.agreement(), Clause: d.plan.Clause.Name,
			DisclosureId: d.id, Obligations: d.obligations(),
		},
		Fields:  d.shape.Fields,
		Members: d.shape.Members,
	}
}
