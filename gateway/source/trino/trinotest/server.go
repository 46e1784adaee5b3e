// Package trinotest is a server of Trino's client protocol for tests, since Trino itself is a Java program that tests do not start. It
// keeps to the protocol as documented (https://trino.io/docs/current/develop/client-protocol.html): over TLS, with passwords or
// tokens, in pages that are asked for one after the other. What a statement means is up to an Engine.
package trinotest

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Engine carries out statements, in which every parameter has its literal.
type Engine interface {
	// Query is done in the time zone of the session, which is UTC. The error is a *Error, or an internal one.
	Query(ctx context.Context, sql string) (*Result, error)
}

// Result of a statement.
type Result struct {
	// Types of the columns, as Trino calls them.
	Types []string
	// Rows of values as they go into JSON: varchar, date and timestamp as strings.
	Rows [][]any
}

// Error is one of Trino's.
type Error struct{ Name, Type, Message string }

func (e *Error) Error() string { return e.Name + ": " + e.Message }

// Server is running until the test ends.
type Server struct {
	// Username and Password that are taken; empty: Token is.
	Username, Password, Token string
	// PageRows of each page; default 100.
	PageRows int
	// Change is called for each answer before it is sent, to make a server that does not keep to the protocol; nil: none.
	Change func(r *http.Request, answer map[string]any)
	// Handle is called first for each request; it says whether it answered. nil: none.
	Handle func(w http.ResponseWriter, r *http.Request) bool

	engine Engine
	http   *httptest.Server

	mu         sync.Mutex
	statements map[string]*statement
	requests   []*http.Request
	texts      []string
	cancelled  int
}

// statement is one on its way.
type statement struct {
	cancel context.CancelFunc
	done   chan struct{}
	result *Result
	err    error
	last   int // the token that was asked for last
}

// Start starts a server on 127.0.0.1.
func Start(t testing.TB, engine Engine) *Server {
	s := &Server{engine: engine, Username: "gateway", Password: "secret", PageRows: 100, statements: map[string]*statement{}}
	s.http = httptest.NewTLSServer(s)
	t.Cleanup(s.http.Close)
	return s
}

// Port that the server listens on.
func (s *Server) Port() int32 {
	u, _ := url.Parse(s.http.URL)
	n, _ := strconv.Atoi(u.Port())
	return int32(n)
}

// CABundle verifies the server's certificate, which is for 127.0.0.1.
func (s *Server) CABundle() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw}))
}

// Requests so far.
func (s *Server) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.requests...)
}

// Texts of the statements so far, as they were sent.
func (s *Server) Texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.texts...)
}

// Cancelled is how many statements were ended by DELETE.
func (s *Server) Cancelled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancelled
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Clone(context.Background()))
	s.mu.Unlock()
	if s.Handle != nil && s.Handle(w, r) {
		return
	}
	if !s.authentic(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="Trino"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/statement"), "/")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/statement":
		s.post(w, r)
	case len(parts) == 5 && (r.Method == http.MethodGet || r.Method == http.MethodDelete):
		token, err := strconv.Atoi(parts[4])
		s.mu.Lock()
		q := s.statements[parts[2]+"/"+parts[3]]
		s.mu.Unlock()
		if q == nil || err != nil {
			http.Error(w, "Query not found", http.StatusNotFound)
			return
		}
		if r.Method == http.MethodDelete {
			q.cancel()
			s.mu.Lock()
			s.cancelled++
			delete(s.statements, parts[2]+"/"+parts[3])
			s.mu.Unlock()
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.get(w, r, q, parts[1], parts[2], parts[3], token)
	default:
		http.Error(w, "Not Found", http.StatusNotFound)
	}
}

func (s *Server) authentic(r *http.Request) bool {
	if s.Token != "" {
		return r.Header.Get("Authorization") == "Bearer "+s.Token
	}
	user, password, ok := r.BasicAuth()
	return ok && user == s.Username && password == s.Password
}

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) == 0 {
		http.Error(w, "SQL statement is empty", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	if limit, ok := strings.CutPrefix(r.Header.Get("X-Trino-Session"), "query_max_run_time="); ok {
		d, err := time.ParseDuration(limit)
		if err != nil {
			http.Error(w, "Invalid session property", http.StatusBadRequest)
			cancel()
			return
		}
		ctx, cancel = context.WithTimeout(ctx, d)
	}
	q := &statement{cancel: cancel, done: make(chan struct{}), last: -1}
	s.mu.Lock()
	s.texts = append(s.texts, string(body))
	id, slug := fmt.Sprintf("20260101_000000_%05d_test", len(s.texts)), fmt.Sprintf("y%d", time.Now().UnixNano())
	s.statements[id+"/"+slug] = q
	s.mu.Unlock()
	go func() {
		defer close(q.done)
		sql, err := immediate(string(body))
		if err == nil {
			q.result, err = s.engine.Query(ctx, sql)
		}
		if q.err = err; ctx.Err() == context.DeadlineExceeded {
			q.err = &Error{"EXCEEDED_TIME_LIMIT", "INSUFFICIENT_RESOURCES", "Query exceeded the maximum run time limit"}
		}
	}()
	s.answer(w, r, map[string]any{"id": id, "nextUri": s.uri("queued", id, slug, 1), "stats": map[string]any{"state": "QUEUED"}})
}

func (s *Server) uri(state, id, slug string, token int) string {
	return fmt.Sprintf("%s/v1/statement/%s/%s/%s/%d", s.http.URL, state, id, slug, token)
}

// get gives the page of a token. The same page may be asked for again; earlier ones are gone.
func (s *Server) get(w http.ResponseWriter, r *http.Request, q *statement, state, id, slug string, token int) {
	answer := map[string]any{"id": id, "infoUri": s.http.URL + "/ui/query.html?" + id, "stats": map[string]any{"state": "RUNNING"}, "warnings": []any{}}
	if state == "queued" {
		answer["nextUri"] = s.uri("executing", id, slug, 0)
		s.answer(w, r, answer)
		return
	}
	if token < q.last {
		http.Error(w, "Gone", http.StatusGone)
		return
	}
	select {
	case <-q.done:
	case <-time.After(100 * time.Millisecond): // as Trino waits, up to a second
		answer["nextUri"] = s.uri("executing", id, slug, token)
		s.answer(w, r, answer)
		return
	}
	q.last = token
	if q.err != nil {
		e, ok := q.err.(*Error)
		if !ok {
			e = &Error{"GENERIC_INTERNAL_ERROR", "INTERNAL_ERROR", q.err.Error()}
		}
		answer["stats"] = map[string]any{"state": "FAILED"}
		answer["error"] = map[string]any{"message": e.Message, "errorCode": 1, "errorName": e.Name, "errorType": e.Type, "failureInfo": map[string]any{"type": "io.trino.spi.TrinoException", "message": e.Message, "stack": []any{}}}
		s.answer(w, r, answer)
		return
	}
	columns := make([]any, len(q.result.Types))
	for i, t := range q.result.Types {
		raw, _, _ := strings.Cut(t, "(")
		columns[i] = map[string]any{"name": fmt.Sprintf("_col%d", i), "type": t, "typeSignature": map[string]any{"rawType": raw, "arguments": []any{}}}
	}
	answer["columns"] = columns
	from := min(token*s.PageRows, len(q.result.Rows))
	to := min(from+s.PageRows, len(q.result.Rows))
	if from < to {
		answer["data"] = q.result.Rows[from:to]
		answer["nextUri"] = s.uri("executing", id, slug, token+1)
	} else {
		answer["stats"] = map[string]any{"state": "FINISHED"}
	}
	s.answer(w, r, answer)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, answer map[string]any) {
	if s.Change != nil {
		s.Change(r, answer)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}
