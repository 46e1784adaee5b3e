package jsonform

import (
	"encoding/json"
	"io"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// Document writes an answer as one JSON document, {"records":[…],"sources":[…],"summary":{…}}. Records are written as they
// come; sources and summary stand at the end.
type Document struct {
	W io.Writer
	// Sources and Summary, as far as they have come.
	Sources []SourceStatus
	Summary *QuerySummary

	buf     []byte
	started bool
	records int64
}

// chunk is what is gathered before it is written: a small answer leaves in one piece.
const chunk = 32 << 10

// Started says whether the document has records: from then on it can only end, or end early.
func (d *Document) Started() bool { return d.started }

// Frame takes one frame.
func (d *Document) Frame(f *gatewayv1.QueryResponse) error {
	switch {
	case f.GetRecords() != nil:
		return d.batch(f.GetRecords())
	case f.GetSource() != nil:
		d.Sources = append(d.Sources, Status(f.GetSource()))
	case f.GetSummary() != nil:
		d.Summary = Summary(f.GetSummary())
	}
	return nil
}

func (d *Document) start() {
	if !d.started {
		d.started = true
		d.buf = append(d.buf, `{"records":[`...)
	}
}

func (d *Document) batch(b *gatewayv1.RecordBatch) error {
	d.start()
	e := NewBatch(b)
	for _, r := range b.GetRecords() {
		if d.records > 0 {
			d.buf = append(d.buf, ',')
		}
		d.buf = e.Append(d.buf, r)
		d.records++
	}
	if len(d.buf) < chunk {
		return nil
	}
	return d.flush()
}

func (d *Document) flush() error {
	_, err := d.W.Write(d.buf)
	d.buf = d.buf[:0]
	return err
}

// End writes what is left.
func (d *Document) End() error {
	d.start()
	if d.Sources == nil {
		d.Sources = []SourceStatus{}
	}
	sources, err := json.Marshal(d.Sources)
	if err != nil {
		return err
	}
	summary, err := json.Marshal(d.Summary)
	if err != nil {
		return err
	}
	d.buf = append(append(d.buf, `],"sources":`...), sources...)
	d.buf = append(append(d.buf, `,"summary":`...), summary...)
	d.buf = append(d.buf, '}', '\n')
	return d.flush()
}

// Lines writes an answer as one JSON object a line: {"source":{…},"record":{…}} for a record, {"status":{…}} when a source
// has ended, {"summary":{…}} at the end.
type Lines struct {
	W io.Writer

	buf []byte
}

// Frame takes one frame.
func (l *Lines) Frame(f *gatewayv1.QueryResponse) error {
	switch {
	case f.GetRecords() != nil:
		e := NewBatch(f.GetRecords())
		for _, r := range f.GetRecords().GetRecords() {
			l.buf = append(e.Append(l.buf, r), '\n')
		}
		return l.flush()
	case f.GetSource() != nil:
		return l.Line("status", Status(f.GetSource()))
	case f.GetSummary() != nil:
		return l.Line("summary", Summary(f.GetSummary()))
	}
	return nil
}

// Line writes {"name":v}.
func (l *Lines) Line(name string, v any) error {
	b, err := json.Marshal(map[string]any{name: v})
	if err != nil {
		return err
	}
	l.buf = append(append(l.buf, b...), '\n')
	return l.flush()
}

func (l *Lines) flush() error {
	_, err := l.W.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}
