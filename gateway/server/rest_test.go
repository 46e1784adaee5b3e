package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// slowReader is a client's side of an answer that says by when the client must have taken it.
type slowReader struct {
	*httptest.ResponseRecorder
	deadline time.Time
	unbound  bool // something was written without a deadline
}

func (s *slowReader) SetWriteDeadline(at time.Time) error {
	s.deadline = at
	return nil
}

func (s *slowReader) Write(b []byte) (int, error) {
	s.unbound = s.unbound || s.deadline.IsZero()
	return s.ResponseRecorder.Write(b)
}

// TestStrangersMustRead: without a deadline, a stranger who does not read (over HTTP/2, a window of zero is enough) would keep a place
// among those who read the public log, or a goroutine.
func TestStrangersMustRead(t *testing.T) {
	s, err := New(Config{Logger: slog.New(slog.DiscardHandler), Log: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("tile")) })})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/log/", "/nothing", "/v1/datasets"} {
		w := &slowReader{ResponseRecorder: httptest.NewRecorder()}
		s.serveREST(w, httptest.NewRequest(http.MethodGet, "https://gateway"+path, nil))
		if w.unbound || w.Body.Len() == 0 {
			t.Errorf("%s: %d %q, without a deadline: %t", path, w.Code, w.Body, w.unbound)
		}
	}
}
