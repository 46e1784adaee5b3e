package server

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net/http"
	"strings"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/federation"
	"github.com/entente-dev/entente/gateway/jsonform"
)

const (
	// readTimeout bounds how long a client takes to send its request, writeTimeout how long it takes to read a piece of
	// the answer: a client that does neither does not hold a connection.
	readTimeout  = 15 * time.Second
	writeTimeout = 30 * time.Second
)

// REST gives the server for local users over HTTP/1.1 and HTTP/2. Serve it with ServeTLS(listener, "", "").
func (s *Server) REST() *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(s.serveREST),
		TLSConfig:         s.localTLS(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 128, MaxReadFrameSize: 64 << 10},
		// Refused handshakes: one line each would let strangers fill the log.
		ErrorLog: log.New(handshakeErrors{s}, "", 0),
	}
}

// handshakeErrors takes what net/http would log.
type handshakeErrors struct{ s *Server }

func (h handshakeErrors) Write(line []byte) (int, error) {
	h.s.refused("rest", "", errors.New(strings.TrimSpace(string(line))))
	return len(line), nil
}

// serveREST routes by the exact path: nothing is cleaned, redirected or matched by pattern.
func (s *Server) serveREST(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if s.Log != nil && strings.HasPrefix(r.URL.Path, "/log/") {
		// Strangers share its few places: one who does not read his answer must not keep his.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
		s.Log.ServeHTTP(w, r) // it decides nothing and has nothing personal
		return
	}
	to, ok := operations[r.URL.Path]
	if !ok {
		newProblem(http.StatusNotFound, "NotFound", "there are POST /v1/query, POST /v1/query:explain and GET /v1/datasets; GET /openapi.json describes them").write(w)
		return
	}
	if r.Method != to.method {
		h.Set("Allow", to.method)
		newProblem(http.StatusMethodNotAllowed, "MethodNotAllowed", "use "+to.method).write(w)
		return
	}
	if to.public {
		to.serve(s, w, r, federation.User{})
		return
	}
	var certificate *x509.Certificate
	if r.TLS != nil {
		certificate = verified(r.TLS.VerifiedChains, r.TLS.PeerCertificates)
	}
	user, err := s.users.authenticate(r.Context(), certificate, r.Header.Values("Authorization"))
	if err != nil {
		var nobody *unauthenticated
		if errors.As(err, &nobody) {
			s.refused("rest", r.RemoteAddr, err)
		}
		problemOf(err).write(w)
		return
	}
	// A stranger gets no span.
	ctx, span := s.request(s.Trace.FromRequest(r.Context(), r.Header), "rest")
	defer span.End()
	if ctx != r.Context() {
		r = r.WithContext(ctx)
	}
	to.serve(s, w, r, user)
}

// operation is one path of REST. openapi.yaml describes them all.
type operation struct {
	method string
	// public: it is served to anybody.
	public bool
	serve  func(*Server, http.ResponseWriter, *http.Request, federation.User)
}

var operations = map[string]operation{
	"/v1/query":         {method: http.MethodPost, serve: (*Server).restQuery},
	"/v1/query:explain": {method: http.MethodPost, serve: (*Server).restExplain},
	"/v1/datasets":      {method: http.MethodGet, serve: (*Server).restDatasets},
	"/openapi.json":     {method: http.MethodGet, public: true, serve: (*Server).restOpenAPI},
	"/openapi.yaml":     {method: http.MethodGet, public: true, serve: (*Server).restOpenAPI},
}

// body reads a JSON body, of which too much is refused before it is read.
func body(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	// Only this type: a form from another site, which a browser would send with the user's certificate, is not it.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, newProblem(http.StatusUnsupportedMediaType, "request", "send the query with Content-Type: application/json")
	}
	if r.ContentLength > maxBody {
		w.Header().Set("Connection", "close")
		return nil, problemOf(&http.MaxBytesError{Limit: maxBody})
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, problemOf(err)
		}
		return nil, newProblem(http.StatusBadRequest, "request", "the body ended early")
	}
	return b, nil
}

func (s *Server) restQuery(w http.ResponseWriter, r *http.Request, user federation.User) {
	b, p := body(w, r)
	if p != nil {
		p.write(w)
		return
	}
	req, err := decodeQuery(b)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	if typ := wantsTable(r); typ != "" {
		if g := req.GetGranularity(); g == gatewayv1.Granularity_GRANULARITY_EXISTENCE || g == gatewayv1.Granularity_GRANULARITY_COUNT {
			newProblem(http.StatusNotAcceptable, "request", "a table is of records: ask for JSON to learn whether there are any, or how many").at("granularity").write(w)
			return
		}
		a := newTableAnswer(w, typ)
		a.end(s.Federation.QueryColumns(r.Context(), user, req, a.frame))
		return
	}
	var a answer
	if wantsNDJSON(r) {
		a = newNDJSONAnswer(w)
	} else {
		a = newJSONAnswer(w)
	}
	a.end(s.Federation.Query(r.Context(), user, req, a.frame))
}

// wantsNDJSON says whether the client prefers lines.
func wantsNDJSON(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(v, ",") {
			if t, _, err := mime.ParseMediaType(part); err == nil && t == "application/x-ndjson" {
				return true
			}
		}
	}
	return false
}

func (s *Server) restExplain(w http.ResponseWriter, r *http.Request, user federation.User) {
	b, p := body(w, r)
	if p != nil {
		p.write(w)
		return
	}
	req, err := decodeExplain(b)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	resp, err := s.explain(r.Context(), user, req)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	writeJSON(w, jsonform.Explanation(resp))
}

func (s *Server) restDatasets(w http.ResponseWriter, r *http.Request, user federation.User) {
	req, err := decodeList(r.URL.RawQuery)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	resp, err := s.Federation.ListDatasets(r.Context(), user, req)
	if err != nil {
		p := problemOf(err)
		p.Errors = nil // there is no body to point into; the message names the parameter
		p.write(w)
		return
	}
	writeJSON(w, jsonform.Datasets(resp))
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		problemOf(fmt.Errorf("encode: %w", err)).write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = w.Write(append(b, '\n'))
}
