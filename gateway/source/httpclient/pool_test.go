package httpclient

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// TestRevokeAfterNewSecret: a request that goes on with a client whose secret was replaced meanwhile ends with its agreement, too.
func TestRevokeAfterNewSecret(t *testing.T) {
	started := make(chan struct{}, 2)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			started <- struct{}{}
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	access := route.HTTPAccess{
		Authentication: []string{"Bearer"}, TimeoutSeconds: 120,
		CABundle: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
	}
	var mu sync.Mutex
	now := time.Now()
	secret, err := NewSecret(map[string]string{"token": "hush"})
	if err != nil {
		t.Fatal(err)
	}
	p := NewPool(Options{Secrets: func(context.Context, string) (Secret, error) { return secret, nil }, Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	defer p.Close()
	ask := func(agreement, path string) error {
		_, err := p.Do(t.Context(), agreement, "wages", access, Request{URL: server.URL + path, Method: "GET", MaxBytes: 100})
		return err
	}
	ended := make(chan error, 2)
	for _, agreement := range []string{"ends", "stays"} {
		go func() { ended <- ask(agreement, "/slow") }()
		<-started
	}
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	for _, agreement := range []string{"ends", "stays"} {
		if err := ask(agreement, "/quick"); err != nil {
			t.Fatal(err)
		}
	}
	p.Revoke("ends")
	if err := <-ended; !errors.Is(err, source.ErrUnavailable) || !errors.Is(err, errCut) {
		t.Error(err)
	}
	select {
	case err := <-ended:
		t.Errorf("another agreement's end ended it: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	p.Revoke("stays")
	if err := <-ended; !errors.Is(err, errCut) {
		t.Error(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.entries) != 0 {
		t.Errorf("%d clients are left", len(p.entries))
	}
}
