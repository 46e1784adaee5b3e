package controllers

import (
	"net/http"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// mapper remembers what a kind of a version is mapped to, which does not change while a process runs. The cache of a namespace asks for
// each object that it is asked for whether its kind has namespaces, and discovery's mapper looks through all groups each time.
type mapper struct {
	meta.RESTMapper
	known sync.Map // mapping of a kind
}

func newMapper(rc *rest.Config, c *http.Client) (meta.RESTMapper, error) {
	m, err := apiutil.NewDynamicRESTMapper(rc, c)
	return &mapper{RESTMapper: m}, err
}

type kind struct {
	schema.GroupKind
	versions string
}

// RESTMapping implements meta.RESTMapper.
func (m *mapper) RESTMapping(gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	k := kind{gk, strings.Join(versions, ",")}
	if found, ok := m.known.Load(k); ok {
		return found.(*meta.RESTMapping), nil
	}
	found, err := m.RESTMapper.RESTMapping(gk, versions...)
	if err == nil {
		m.known.Store(k, found)
	}
	return found, err
}
