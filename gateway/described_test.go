package gateway_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/entente-dev/entente/gateway/internal/openapitest"
	"github.com/entente-dev/entente/gateway/server"
)

var openAPI = sync.OnceValues(func() (*openapitest.Document, error) {
	text, err := server.OpenAPI()
	if err != nil {
		return nil, err
	}
	return openapitest.New(text)
})

// described holds every answer that the tests of this package get over REST against the OpenAPI document.
type described struct {
	*agency
	next http.RoundTripper
}

func (d described) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(r)
	if err != nil || r.URL.Host != d.addrs.REST || strings.HasPrefix(r.URL.Path, "/log/") || resp.StatusCode == http.StatusNotFound {
		return resp, err
	}
	// A test may read slowly, or stop: only what it has read to its end is held against the document.
	resp.Body = &whole{ReadCloser: resp.Body, ended: func(body []byte) {
		document, err := openAPI()
		if err == nil {
			err = document.Response(allowed(r, resp), r.URL.Path, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
		if err != nil {
			d.t.Errorf("%v\n%s", err, body)
		}
	}}
	return resp, nil
}

// allowed is the method of the operation that an answer is of: the answer to another method says which there is.
func allowed(r *http.Request, resp *http.Response) string {
	if resp.StatusCode == http.StatusMethodNotAllowed {
		return resp.Header.Get("Allow")
	}
	return r.Method
}

// whole remembers what is read. Large answers are like small ones.
type whole struct {
	io.ReadCloser
	body  bytes.Buffer
	ended func([]byte)
}

const describedAtMost = 256 << 10

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if w.body.Len() <= describedAtMost {
		w.body.Write(p[:n])
	}
	if err == io.EOF && w.ended != nil && w.body.Len() <= describedAtMost {
		w.ended(w.body.Bytes())
		w.ended = nil
	}
	return n, err
}
