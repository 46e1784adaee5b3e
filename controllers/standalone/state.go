package standalone

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// state is what an installation remembers between two starts. An API server would keep the same:
//
//	keys/        the agency's keys, see package local
//	decisions/   every decision that was ever read, with the time of the first reading
//	routes/      the signed gateway routes, as GatewayRoute resources
//	status/      the resources with their status, for people; status.signatures holds the agency's own signatures
//	gateway/     the gateway's log and its own keys
type state struct {
	dir        string
	decisions  map[string]*v1alpha1.AgreementDecision
	routes     map[string]*v1alpha1.GatewayRoute
	agreements map[string]*v1alpha1.SharingAgreement
	written    map[string][]byte // status files as last written
}

// openState reads the state folder, or makes it.
func openState(dir string) (*state, error) {
	s := &state{
		dir:        dir,
		decisions:  map[string]*v1alpha1.AgreementDecision{},
		routes:     map[string]*v1alpha1.GatewayRoute{},
		agreements: map[string]*v1alpha1.SharingAgreement{},
		written:    map[string][]byte{},
	}
	for _, sub := range []string{"decisions", "routes", "status"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("state folder: %w", err)
		}
	}
	if err := load(s.path("decisions"), s.decisions); err != nil {
		return nil, err
	}
	if err := load(s.path("routes"), s.routes); err != nil {
		return nil, err
	}
	return s, load(s.path("status"), s.agreements)
}

func (s *state) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// load reads the resources of one kind that are in the folder, by name.
func load[T any, P interface {
	*T
	metav1.Object
}](dir string, into map[string]P) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	kind := strings.TrimPrefix(fmt.Sprintf("%T", *new(T)), "v1alpha1.")
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".yaml" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal(text, &meta); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if meta.Kind != kind {
			continue
		}
		object := P(new(T))
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		into[object.GetName()] = object
	}
	return nil
}

// errChanged: a decision is created once.
var errChanged = errors.New("a decision cannot change once it was made: write another AgreementDecision, under another name")

// record keeps a decision from now on. It returns errChanged for another decision under the name of an earlier one.
func (s *state) record(d *v1alpha1.AgreementDecision, now time.Time) error {
	if known, ok := s.decisions[d.Name]; ok {
		if !equality.Semantic.DeepEqual(known.Spec, d.Spec) {
			return errChanged
		}
		return nil
	}
	kept := d.DeepCopy()
	kept.TypeMeta = typeMeta("AgreementDecision")
	kept.CreationTimestamp = metav1.NewTime(now.UTC().Truncate(time.Second))
	s.decisions[kept.Name] = kept
	return writeYAML(s.path("decisions", kept.Name+".yaml"), kept)
}

// route returns the route last published for an agreement, or nil; it verifies as a gateway does.
func (s *state) route(agreement string, keys map[string]ed25519.PublicKey) (*route.Route, error) {
	g := s.routes[agreement]
	if g == nil {
		return nil, nil
	}
	r, err := route.Verify(signed(g), keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path("routes", agreement+".yaml"), err)
	}
	return r, nil
}

func signed(g *v1alpha1.GatewayRoute) route.Signed {
	return route.Signed{Payload: g.Spec.Payload, KeyID: g.Spec.KeyID, Signature: g.Spec.Signature}
}

func (s *state) putRoute(g *v1alpha1.GatewayRoute) error {
	s.routes[g.Name] = g
	return writeYAML(s.path("routes", g.Name+".yaml"), g)
}

// putStatus writes the status file of a resource when it changed.
func (s *state) putStatus(kind string, object metav1.Object) error {
	text, err := Print(object)
	if err != nil {
		return err
	}
	name := statusFile(kind, object.GetName())
	if bytes.Equal(s.written[name], text) {
		return nil
	}
	if err := replaceFile(s.path("status", name), text); err != nil {
		return err
	}
	s.written[name] = text
	return nil
}

// prune removes the status files of resources that are gone.
func (s *state) prune(keep map[string]bool) error {
	entries, err := os.ReadDir(s.path("status"))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".yaml" && !keep[e.Name()] {
			delete(s.written, e.Name())
			errs = append(errs, os.Remove(s.path("status", e.Name())))
		}
	}
	return errors.Join(errs...)
}

func statusFile(kind, name string) string { return strings.ToLower(kind) + "-" + name + ".yaml" }

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind}
}
