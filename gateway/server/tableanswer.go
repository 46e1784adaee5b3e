package server

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/jsonform"
	"github.com/entente-dev/entente/gateway/tabular"
)

// Media types of tables.
const (
	typeCSV   = "text/csv"
	typeArrow = "application/vnd.apache.arrow.stream"
)

// wantsTable gives the media type of a table that the client prefers; "": none.
func wantsTable(r *http.Request) string {
	for _, v := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(v, ",") {
			if t, _, err := mime.ParseMediaType(part); err == nil && (t == typeCSV || t == typeArrow) {
				return t
			}
		}
	}
	return ""
}

// Trailers of a table: how each source ended, and how the query did, in JSON.
const (
	trailerSources = "Entente-Sources"
	trailerSummary = "Entente-Summary"
)

// tableAnswer is the records as a table, and the rest in trailers. What is not whole breaks off.
type tableAnswer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	typ     string
	table   tabular.Writer
	sources []jsonform.SourceStatus
	summary *jsonform.QuerySummary
	started bool
}

func newTableAnswer(w http.ResponseWriter, typ string) *tableAnswer {
	a := &tableAnswer{w: w, control: http.NewResponseController(w), typ: typ}
	if typ == typeArrow {
		a.table = &tabular.Arrow{W: a}
	} else {
		a.table = &tabular.CSV{W: a}
	}
	return a
}

func (a *tableAnswer) frame(f *gatewayv1.QueryResponse) error {
	switch {
	case f.GetSource() != nil:
		a.sources = append(a.sources, jsonform.Status(f.GetSource()))
	case f.GetSummary() != nil:
		a.summary = jsonform.Summary(f.GetSummary())
	default:
		return a.table.Frame(f)
	}
	return nil
}

// Write gives a client some time to take each piece.
func (a *tableAnswer) Write(p []byte) (int, error) {
	if !a.started {
		a.started = true
		h := a.w.Header()
		h.Set("Content-Type", a.typ)
		if a.typ == typeCSV {
			h.Set("Content-Type", typeCSV+"; charset=utf-8; header=present")
		}
		h.Set("Trailer", trailerSources+", "+trailerSummary)
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	return a.w.Write(p)
}

func (a *tableAnswer) end(err error) {
	if err != nil && a.started {
		panic(http.ErrAbortHandler)
	}
	if p := unanswered(err, a.started, a.sources, a.summary); p != nil {
		p.write(a.w)
		return
	}
	if err := a.table.End(); err != nil {
		panic(http.ErrAbortHandler)
	}
	a.w.Header().Set(trailerSources, trailer(a.sources))
	a.w.Header().Set(trailerSummary, trailer(a.summary))
}

// trailer is JSON in the letters that a header may have.
func trailer(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r < utf8.RuneSelf:
			out = append(out, b[0])
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return string(out)
}
