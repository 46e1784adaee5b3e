package server

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"sigs.k8s.io/yaml"
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

// restOpenAPI serves the document to anybody: it says nothing of this agency.
func restOpenAPI(w http.ResponseWriter, r *http.Request) {
	text, kind := openapiYAML, "application/yaml"
	if r.URL.Path == "/openapi.json" {
		var err error
		if text, err = OpenAPI(); err != nil {
			problemOf(err).write(w)
			return
		}
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = w.Write(text)
}
