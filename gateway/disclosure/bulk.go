package disclosure

import (
	"context"
	"slices"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/source"
)

// plainFrames is how many full frames of records an answer begins with. What outgrows them goes on by columns.
const plainFrames = 4

// sink takes the rows of one dataset: as records first, and by columns when the answer is large, the caller reads them, and the
// fields' types can be columns.
type sink struct {
	d    *disclosure
	ctx  context.Context
	send func(*gatewayv1.RetrieveResponse) error
	q    *source.Query
	left int64 // of the limit
	// takeKey takes the subject key off a record, if it is not disclosed, and gives the person's token.
	takeKey func(*gatewayv1.Record) string
	able    bool
	pipe    *pipe
}

var _ source.Sink = (*sink)(nil)

// newSink also makes the query read the dataset's subject key.
func (d *disclosure) newSink(ctx context.Context, q *source.Query, send func(*gatewayv1.RetrieveResponse) error) *sink {
	s := &sink{d: d, ctx: ctx, send: send, q: q, left: q.Limit}
	s.takeKey = d.subjectOf(q)
	s.able = d.caller.Arrow && columns.Supports(columns.Select(q.Schema, q.Fields))
	return s
}

// Columns implements source.Sink.
func (s *sink) Columns() (*columns.Batch, error) {
	if !s.able || s.left == 0 {
		return nil, nil
	}
	if !s.d.bulk {
		if s.d.frames < plainFrames-1 || !s.d.batch.full(0) {
			return nil, nil
		}
		s.d.bulk = true
	}
	if s.pipe == nil {
		if s.d.batch.records > 0 {
			if err := s.d.release(s.ctx, s.send); err != nil {
				return nil, err
			}
		}
		s.pipe = s.newPipe()
	}
	return s.pipe.batch()
}

// Row implements source.Sink.
func (s *sink) Row() error {
	s.left--
	if s.pipe.current.EndRow() > maxRecordBytes {
		return errRecordTooLarge
	}
	if !s.pipe.current.Full() {
		return nil
	}
	return s.pipe.flush()
}

// Record implements source.Sink.
func (s *sink) Record(r *gatewayv1.Record) error {
	if s.left == 0 {
		return nil // a source that yields more than it was asked for does not disclose more
	}
	s.left--
	return s.d.add(s.ctx, s.q.Dataset.Name, r, s.takeKey(r), s.send)
}

// end waits until all is sent that is to be sent: everything, or after an error nothing more.
func (s *sink) end(err error) error {
	if s.pipe == nil {
		return err
	}
	if err == nil && s.pipe.current != nil && s.pipe.current.Rows() > 0 {
		err = s.pipe.flush()
	}
	return s.pipe.end(err)
}

// pipe lets the source be read while the batch before is logged, encoded and sent. There are two batches, so what an answer
// holds does not grow with it, and a caller that does not read keeps the source waiting.
type pipe struct {
	current *columns.Batch // being filled; nil: the next one has to be waited for
	free    chan *columns.Batch
	work    chan *columns.Batch
	err     error // of the release; read it after done
	done    chan struct{}
}

func (s *sink) newPipe() *pipe {
	fields := columns.Select(s.q.Schema, s.q.Fields)
	p := &pipe{free: make(chan *columns.Batch, 2), work: make(chan *columns.Batch), done: make(chan struct{})}
	for range cap(p.free) {
		p.free <- columns.New(fields)
	}
	r := s.newReleaser()
	go func() {
		defer close(p.done)
		for b := range p.work {
			if p.err = r.release(b); p.err != nil {
				return
			}
			b.Reset()
			p.free <- b
		}
	}()
	return p
}

// batch gives the one to fill.
func (p *pipe) batch() (*columns.Batch, error) {
	if p.current != nil {
		return p.current, nil
	}
	select {
	case p.current = <-p.free:
		return p.current, nil
	case <-p.done:
		return nil, p.err
	}
}

// flush hands the current batch over.
func (p *pipe) flush() error {
	select {
	case p.work <- p.current:
		p.current = nil
		return nil
	case <-p.done:
		return p.err
	}
}

// end ends the pipe; err is that of the reading.
func (p *pipe) end(err error) error {
	close(p.work)
	<-p.done
	if p.err != nil {
		return p.err // the reading's came of it
	}
	return err
}

// releaser releases the batches of one dataset, one after the other. While a pipe runs, what it uses of the disclosure is its own.
type releaser struct {
	*sink
	key    int // column of the subject key; -1: none
	tokens *tokens
	width  int // columns that are disclosed
}

func (s *sink) newReleaser() *releaser {
	r := &releaser{sink: s, key: slices.Index(s.q.Fields, s.q.Dataset.SubjectKey), width: len(s.d.plan.Fields)}
	if s.q.Dataset.SubjectKey == "" {
		r.key = -1
	}
	if r.key >= 0 {
		r.tokens = s.d.core.Subjects.tokens(s.q.Schema.Name, s.q.Dataset.SubjectKey)
	}
	return r
}

// release sends a batch, once the log says durably whose records are in it, and while it still stands.
func (r *releaser) release(b *columns.Batch) error {
	d := r.d
	record, receipts := d.record(audit.Release), []*audit.Receipt{d.intent}
	record.Hit = true
	// As many records to one of the log as a plain frame has: their tokens fit.
	for from := 0; from < b.Rows(); from += maxFrameRecords {
		to := min(from+maxFrameRecords, b.Rows())
		record.Records, record.SubjectTokens = int64(to-from), nil
		if r.key >= 0 {
			record.SubjectTokens = r.tokens.of(b.Column(r.key), from, to)
		}
		receipt, err := d.core.Log.Append(r.ctx, record)
		if err != nil {
			return err
		}
		receipts = append(receipts, receipt)
	}
	// While the log syncs.
	disclosed := b.First(r.width)
	d.digest.Columns(r.q.Dataset.Name, disclosed)
	data, err := disclosed.Encode()
	if err != nil {
		return err
	}
	if err := d.wait(r.ctx, receipts...); err != nil {
		return err
	}
	if refusal := d.core.standing(d.plan, d.caller, d.req.GetAgreement()); refusal != nil {
		return refusal
	}
	return d.pass(r.ctx, &gatewayv1.RetrieveResponse{Records: d.envelope(r.q.Dataset.Name), Arrow: data}, int64(b.Rows()), r.send)
}
