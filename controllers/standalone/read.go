package standalone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// Index gives everything that the folder holds, for commands that read: the resources with their status as `entente
// standalone` last wrote it, and every decision that was ever made. It makes nothing, neither keys nor a state folder.
func (f Folder) Index() (*compile.Index, error) {
	c, err := f.read()
	if err != nil {
		return nil, err
	}
	s, err := f.readState()
	if err != nil {
		return nil, err
	}
	x := &compile.Index{
		Agencies:   map[string]*v1alpha1.Agency{},
		Schemas:    map[string]*v1alpha1.ExchangeSchema{},
		Datasets:   map[string]*v1alpha1.Dataset{},
		TaskForces: map[string]*v1alpha1.TaskForce{},
		Agreements: map[string][]*v1alpha1.SharingAgreement{},
		Decisions:  map[string][]*v1alpha1.AgreementDecision{},
	}
	if self, err := selfOf(c, f.Agency); err == nil {
		x.Self = self.Name
	}
	for _, id := range sortedKeys(c.documents) {
		switch o := c.documents[id].object.(type) {
		case *v1alpha1.Agency:
			x.Agencies[o.Name] = o.DeepCopy()
			if before := s.agencies[o.Name]; before != nil {
				x.Agencies[o.Name].Status = before.Status
			}
		case *v1alpha1.ExchangeSchema:
			x.Schemas[o.Name] = o.DeepCopy()
		case *v1alpha1.TaskForce:
			x.TaskForces[o.Name] = o.DeepCopy()
		case *v1alpha1.Dataset:
			x.Datasets[o.Name] = o.DeepCopy()
			if before := s.datasets[o.Name]; before != nil {
				x.Datasets[o.Name].Status = before.Status
			}
		case *v1alpha1.SharingAgreement:
			a := o.DeepCopy()
			if before := s.agreements[o.Name]; before != nil {
				a.Status = before.Status
			}
			x.Agreements[a.Spec.Terms.ID] = append(x.Agreements[a.Spec.Terms.ID], a)
		case *v1alpha1.AgreementDecision:
			if s.decisions[o.Name] == nil {
				s.decisions[o.Name] = o.DeepCopy()
			}
		}
	}
	for _, name := range sortedKeys(s.decisions) {
		d := s.decisions[name]
		x.Decisions[d.Spec.Agreement] = append(x.Decisions[d.Spec.Agreement], d)
	}
	return x, nil
}

// written is what the state folder says, as far as there is one.
type written struct {
	agencies   map[string]*v1alpha1.Agency
	datasets   map[string]*v1alpha1.Dataset
	agreements map[string]*v1alpha1.SharingAgreement
	decisions  map[string]*v1alpha1.AgreementDecision
}

func (f Folder) readState() (*written, error) {
	w := &written{
		agencies:   map[string]*v1alpha1.Agency{},
		datasets:   map[string]*v1alpha1.Dataset{},
		agreements: map[string]*v1alpha1.SharingAgreement{},
		decisions:  map[string]*v1alpha1.AgreementDecision{},
	}
	status := filepath.Join(f.stateDir(), "status")
	var errs []error
	for _, err := range []error{
		load(status, w.agencies),
		load(status, w.datasets),
		load(status, w.agreements),
		load(filepath.Join(f.stateDir(), "decisions"), w.decisions),
	} {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return w, nil
}
