package server

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/gateway/federation"
)

//go:embed openapi.yaml
var openapiYAML []byte

// OpenAPI gives the OpenAPI document of REST, as JSON. Anchors and merges of the YAML are resolved.
var OpenAPI = sync.OnceValues(func() ([]byte, error) {
	var document any
	if err := yaml.Unmarshal(openapiYAML, &document); err != nil {
		return nil, err
	}
	return json.Marshal(document)
})

// openAPIWithoutAnchors is the document as YAML that every reader takes.
var openAPIWithoutAnchors = sync.OnceValues(func() ([]byte, error) {
	text, err := OpenAPI()
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(text)
})

// restOpenAPI serves the document to anybody: it says nothing of this agency.
func (s *Server) restOpenAPI(w http.ResponseWriter, r *http.Request, _ federation.User) {
	write, kind := OpenAPI, "application/json"
	if r.URL.Path == "/openapi.yaml" {
		write, kind = openAPIWithoutAnchors, "application/yaml"
	}
	text, err := write()
	if err != nil {
		problemOf(err).write(w)
		return
	}
	w.Header().Set("Content-Type", kind)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = w.Write(text)
}
