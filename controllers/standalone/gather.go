package standalone

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// selfOf finds the agency that the folder is of: the one named, or else the only Agency without keys of its own in spec,
// since a peer's has those that `entente agency export` printed.
func selfOf(c *contents, named string) (*v1alpha1.Agency, error) {
	var local []string
	for _, id := range sortedKeys(c.documents) {
		a, ok := c.documents[id].object.(*v1alpha1.Agency)
		switch {
		case !ok:
		case a.Name == named:
			return a, nil
		case a.Spec.TrustBundle == "" && a.Spec.SigningKeys == nil:
			local = append(local, a.Name)
		}
	}
	switch {
	case named != "":
		return nil, fmt.Errorf("the folder has no Agency %q", named)
	case len(local) == 0:
		return nil, errors.New("the folder has no Agency of its own: one without trustBundle and signingKeys, which the installation publishes itself")
	case len(local) > 1:
		return nil, fmt.Errorf("the folder has several Agencies without keys (%s): say which is this installation's with --agency", strings.Join(local, ", "))
	}
	a := c.documents["Agency/"+local[0]].object.(*v1alpha1.Agency)
	return a, nil
}

// recordDecisions keeps the decisions of the folder from now on. A file that changes one becomes unreadable.
func recordDecisions(c *contents, s *state, now time.Time) error {
	for _, id := range sortedKeys(c.documents) {
		doc := c.documents[id]
		d, ok := doc.object.(*v1alpha1.AgreementDecision)
		if !ok {
			continue
		}
		err := s.record(d, now)
		if errors.Is(err, errChanged) {
			c.unreadable[doc.file] = unreadable{err: fmt.Errorf("%s: %w", id, err), text: []byte(d.Spec.Agreement)}
			continue
		}
		if err != nil {
			return fmt.Errorf("recording %s: %w", id, err)
		}
	}
	return nil
}

// gather builds what the compiler needs to know. Its objects are copies, with the status that they had.
func (e *engine) gather(ctx context.Context, c *contents) (*compile.Index, error) {
	x := &compile.Index{
		Self:       e.self,
		Agencies:   map[string]*v1alpha1.Agency{},
		Schemas:    map[string]*v1alpha1.ExchangeSchema{},
		Datasets:   map[string]*v1alpha1.Dataset{},
		Agreements: map[string][]*v1alpha1.SharingAgreement{},
		Decisions:  map[string][]*v1alpha1.AgreementDecision{},
		Profiles:   map[string]*v1alpha1.AgreementProfile{},
		TaskForces: map[string]*v1alpha1.TaskForce{},

		ProfileCache: e.profiles, APIs: e.apis.Operation,
	}
	for _, d := range c.documents {
		switch o := d.object.(type) {
		case *v1alpha1.Agency:
			x.Agencies[o.Name] = o.DeepCopy()
		case *v1alpha1.ExchangeSchema:
			x.Schemas[o.Name] = o.DeepCopy()
		case *v1alpha1.Dataset:
			x.Datasets[o.Name] = e.dataset(ctx, o)
		case *v1alpha1.AgreementProfile:
			x.Profiles[o.Name] = o.DeepCopy()
		case *v1alpha1.TaskForce:
			x.TaskForces[o.Name] = o.DeepCopy()
		case *v1alpha1.SharingAgreement:
			e.addAgreement(x, o, c.mentions(o.Name))
		}
	}
	for name, u := range c.unreadable {
		for _, d := range u.before {
			o, ok := d.object.(*v1alpha1.SharingAgreement)
			if _, elsewhere := c.documents[d.id()]; ok && !elsewhere {
				e.addAgreement(x, o, name)
			}
		}
	}
	for _, d := range e.state.decisions {
		x.Decisions[d.Spec.Agreement] = append(x.Decisions[d.Spec.Agreement], d)
	}
	if self := x.Agencies[e.self]; self != nil {
		return x, e.publish(ctx, self)
	}
	return x, nil
}

// addAgreement adds an agreement with the status that it had. One that an unreadable file mentions is not understood in
// full: the compiler treats what the file may say like any member that it does not know.
func (e *engine) addAgreement(x *compile.Index, o *v1alpha1.SharingAgreement, unreadableFile string) {
	a := o.DeepCopy()
	if before := e.state.agreements[a.Name]; before != nil {
		a.Status = *before.Status.DeepCopy()
	}
	if unreadableFile != "" {
		a.Spec.UnknownFields = []string{"what the unreadable file " + unreadableFile + " says"}
	}
	x.Agreements[a.Spec.Terms.ID] = append(x.Agreements[a.Spec.Terms.ID], a)
}

// publish fills in what the agency publishes of itself.
func (e *engine) publish(ctx context.Context, self *v1alpha1.Agency) (err error) {
	self.Status.Local = true
	if self.Status.TrustBundle, err = e.keys.TrustBundle(ctx); err != nil {
		return fmt.Errorf("own trust bundle: %w", err)
	}
	if self.Status.SigningKeys, err = e.keys.Public(ctx); err != nil {
		return fmt.Errorf("own signing keys: %w", err)
	}
	return nil
}

// dataset gives the copy with its columns as the source has them.
func (e *engine) dataset(ctx context.Context, o *v1alpha1.Dataset) *v1alpha1.Dataset {
	d := o.DeepCopy()
	lite := d.Spec.Source.SQLite
	if lite == nil || lite.Path == "" {
		return d
	}
	columns, err := e.columns.of(ctx, o, e.folder.dir)
	d.Status.Columns = columns
	d.Status.Conditions = []metav1.Condition{reachable(err)}
	return d
}
