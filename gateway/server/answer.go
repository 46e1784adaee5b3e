package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/federation"
)

// answer writes the frames of a query to an HTTP client.
type answer interface {
	frame(*gatewayv1.QueryResponse) error
	// end is called once, after the last frame, with the error of the query.
	end(error)
}

// jsonAnswer is one JSON document: {"records":[…],"sources":[…],"summary":{…}}. Records are written as they come. The
// status is 200 from the first record on; before, it can still be 403, when every source refused.
type jsonAnswer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buf     []byte
	started bool
	records int64
	sources []sourceStatus
	summary *summary
}

func newJSONAnswer(w http.ResponseWriter) *jsonAnswer {
	return &jsonAnswer{w: w, control: http.NewResponseController(w), sources: []sourceStatus{}}
}

func (a *jsonAnswer) frame(f *gatewayv1.QueryResponse) error {
	switch {
	case f.GetRecords() != nil:
		return a.batch(f.GetRecords())
	case f.GetSource() != nil:
		a.sources = append(a.sources, statusJSON(f.GetSource()))
	case f.GetSummary() != nil:
		a.summary = summaryJSON(f.GetSummary())
	}
	return nil
}

func (a *jsonAnswer) batch(b *gatewayv1.RecordBatch) error {
	a.start()
	e := newBatchEncoder(b)
	for _, r := range b.GetRecords() {
		if a.records > 0 {
			a.buf = append(a.buf, ',')
		}
		a.buf = e.append(a.buf, r)
		a.records++
	}
	// A small answer leaves in one piece, with its length; a large one leaves as it comes.
	if len(a.buf) < 32<<10 {
		return nil
	}
	return a.flush()
}

func (a *jsonAnswer) start() {
	if !a.started {
		a.started = true
		a.w.Header().Set("Content-Type", "application/json")
		a.buf = append(a.buf, `{"records":[`...)
	}
}

func (a *jsonAnswer) flush() error {
	_ = a.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := a.w.Write(a.buf)
	a.buf = a.buf[:0]
	return err
}

func (a *jsonAnswer) end(err error) {
	if err != nil {
		if a.started {
			// Some of it may be with the client already: it must see that this is not the whole.
			panic(http.ErrAbortHandler)
		}
		p := problemOf(err)
		var e *federation.Error
		if errors.As(err, &e) && e.Kind == federation.Incomplete {
			p.Sources = a.sources
			if a.refused(false) {
				p.Status, p.Title = http.StatusForbidden, http.StatusText(http.StatusForbidden)
			}
		}
		p.write(a.w)
		return
	}
	if !a.started && len(a.sources) > 0 && a.refused(true) {
		p := newProblem(http.StatusForbidden, a.sources[0].Reason, "every source refused; sources says why")
		p.Sources, p.Summary = a.sources, a.summary
		p.write(a.w)
		return
	}
	a.start()
	a.buf = append(a.buf, `],"sources":`...)
	sources, _ := json.Marshal(a.sources)
	a.buf = append(a.buf, sources...)
	a.buf = append(a.buf, `,"summary":`...)
	s, _ := json.Marshal(a.summary)
	a.buf = append(a.buf, s...)
	a.buf = append(a.buf, '}', '\n')
	_ = a.flush()
}

// refused says whether every source, or any, was DENIED.
func (a *jsonAnswer) refused(every bool) bool {
	for _, s := range a.sources {
		if (s.Outcome == "DENIED") != every {
			return !every
		}
	}
	return every
}

// ndjsonAnswer is one JSON object a line: {"source":…,"record":…} for a record, {"status":…} when a source has ended,
// {"summary":…} at the end. An answer without a summary line is not whole; a failure after the first line is an
// {"error":…} line.
type ndjsonAnswer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buf     []byte
	started bool
}

func newNDJSONAnswer(w http.ResponseWriter) *ndjsonAnswer {
	return &ndjsonAnswer{w: w, control: http.NewResponseController(w)}
}

func (a *ndjsonAnswer) frame(f *gatewayv1.QueryResponse) error {
	switch {
	case f.GetRecords() != nil:
		e := newBatchEncoder(f.GetRecords())
		for _, r := range f.GetRecords().GetRecords() {
			a.buf = append(e.append(a.buf, r), '\n')
		}
		return a.flush()
	case f.GetSource() != nil:
		return a.line("status", statusJSON(f.GetSource()))
	case f.GetSummary() != nil:
		return a.line("summary", summaryJSON(f.GetSummary()))
	}
	return nil
}

func (a *ndjsonAnswer) line(name string, v any) error {
	b, err := json.Marshal(map[string]any{name: v})
	if err != nil {
		return err
	}
	a.buf = append(append(a.buf, b...), '\n')
	return a.flush()
}

func (a *ndjsonAnswer) flush() error {
	if !a.started {
		a.started = true
		a.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := a.w.Write(a.buf)
	a.buf = a.buf[:0]
	if err != nil {
		return err
	}
	return a.control.Flush()
}

func (a *ndjsonAnswer) end(err error) {
	switch {
	case err == nil:
	case !a.started:
		problemOf(err).write(a.w)
	default:
		_ = a.line("error", problemOf(err))
	}
}
