package server

import (
	"errors"
	"net/http"
	"slices"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/federation"
	"github.com/entente-dev/entente/gateway/jsonform"
)

// answer writes the frames of a query to an HTTP client.
type answer interface {
	frame(*gatewayv1.QueryResponse) error
	// end is called once, after the last frame, with the error of the query.
	end(error)
}

// jsonAnswer is one JSON document. Its status is 200 from the first record on; before, it can still be 403, when every
// source refused.
type jsonAnswer struct {
	w        http.ResponseWriter
	document jsonform.Document
}

func newJSONAnswer(w http.ResponseWriter) *jsonAnswer {
	return &jsonAnswer{w, jsonform.Document{W: &deadlineWriter{w, http.NewResponseController(w)}}}
}

func (a *jsonAnswer) frame(f *gatewayv1.QueryResponse) error { return a.document.Frame(f) }

func (a *jsonAnswer) end(err error) {
	d := &a.document
	if err != nil && d.Started() {
		// Some of it may be with the client already: it must see that this is not the whole.
		panic(http.ErrAbortHandler)
	}
	if p := unanswered(err, d.Started(), d.Sources, d.Summary); p != nil {
		p.write(a.w)
		return
	}
	a.w.Header().Set("Content-Type", "application/json")
	_ = d.End()
}

// unanswered is the problem of a query that failed, or that every source refused before there was a record; nil: it was answered.
func unanswered(err error, started bool, sources []jsonform.SourceStatus, summary *jsonform.QuerySummary) *problem {
	if err != nil {
		p := problemOf(err)
		var e *federation.Error
		if errors.As(err, &e) && e.Kind == federation.Incomplete {
			p.Sources = sources
			if slices.ContainsFunc(sources, denied) {
				p.retryAfter = 0
				p.refusedBy(sources, time.Now())
			}
		}
		return p
	}
	if started || len(sources) == 0 || slices.ContainsFunc(sources, func(s jsonform.SourceStatus) bool { return !denied(s) }) {
		return nil
	}
	p := newProblem(http.StatusForbidden, sources[0].Reason, "every source refused; sources says why")
	p.Sources, p.Summary = sources, summary
	p.refusedBy(sources, time.Now())
	return p
}

func denied(s jsonform.SourceStatus) bool { return s.Outcome == "DENIED" }

// deadlineWriter gives a client some time to take each piece.
type deadlineWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (d *deadlineWriter) Write(p []byte) (int, error) {
	d.w.Header().Set("Content-Type", "application/json")
	_ = d.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	return d.w.Write(p)
}

// ndjsonAnswer is one JSON object a line, see jsonform.Lines. An answer without a summary line is not whole; a failure after
// the first line is an {"error":…} line.
type ndjsonAnswer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	started bool
	lines   jsonform.Lines
}

func newNDJSONAnswer(w http.ResponseWriter) *ndjsonAnswer {
	a := &ndjsonAnswer{w: w, control: http.NewResponseController(w)}
	a.lines.W = a
	return a
}

func (a *ndjsonAnswer) frame(f *gatewayv1.QueryResponse) error { return a.lines.Frame(f) }

// Write sends each piece at once: a client that asked for lines wants them as they come.
func (a *ndjsonAnswer) Write(p []byte) (int, error) {
	if !a.started {
		a.started = true
		a.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := a.w.Write(p)
	if err == nil {
		err = a.control.Flush()
	}
	return n, err
}

func (a *ndjsonAnswer) end(err error) {
	switch {
	case err == nil:
	case !a.started:
		problemOf(err).write(a.w)
	default:
		_ = a.lines.Line("error", problemOf(err))
	}
}
