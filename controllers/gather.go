package controllers

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/compile/profile"
	"github.com/entente-dev/entente/controllers/openapi"
)

// gatherer collects from the cache what compile needs to know of one agreement.
type gatherer struct {
	reader    client.Reader
	namespace string
	self      string
	// profiles that were compiled before.
	profiles *profile.Cache
	// apis whose documents were read before.
	apis *openapi.Cache
}

// agreement gathers all versions of the agreement, what their terms name, and this agency's decisions on them.
func (g *gatherer) agreement(ctx context.Context, id string) (*compile.Index, error) {
	x := g.empty()
	var agreements v1alpha1.SharingAgreementList
	if err := g.list(ctx, &agreements, agreementByID, id); err != nil {
		return nil, err
	}
	if err := g.agency(ctx, x, g.self); err != nil {
		return nil, err
	}
	for i := range agreements.Items {
		a := &agreements.Items[i]
		x.Agreements[id] = append(x.Agreements[id], a)
		if err := g.terms(ctx, x, &a.Spec.Terms); err != nil {
			return nil, err
		}
	}
	var decisions v1alpha1.AgreementDecisionList
	if err := g.list(ctx, &decisions, decisionByID, id); err != nil {
		return nil, err
	}
	for i := range decisions.Items {
		d := &decisions.Items[i]
		x.Decisions[d.Spec.Agreement] = append(x.Decisions[d.Spec.Agreement], d)
	}
	return x, nil
}

// terms gathers what the terms name.
func (g *gatherer) terms(ctx context.Context, x *compile.Index, t *v1alpha1.AgreementTerms) error {
	for _, p := range t.Parties {
		if err := g.agency(ctx, x, p.Agency); err != nil {
			return err
		}
	}
	for _, name := range t.Profiles {
		if err := g.profile(ctx, x, name); err != nil {
			return err
		}
	}
	for _, ref := range compile.PinnedTaskForces(t) {
		if err := g.taskForce(ctx, x, compile.TaskForceName(ref)); err != nil {
			return err
		}
	}
	for i := range t.Clauses {
		c := &t.Clauses[i]
		name := schemaName(v1alpha1.SchemaVersion{Name: c.Schema.Name, Version: c.Schema.Version})
		if _, ok := x.Schemas[name]; !ok {
			if err := g.schema(ctx, x, name); err != nil {
				return err
			}
		}
		if c.Source != g.self {
			continue
		}
		if err := g.datasets(ctx, x, name); err != nil {
			return err
		}
		if err := g.dataset(ctx, x, c.Dataset); err != nil {
			return err
		}
		if err := g.consents(ctx, x, c); err != nil {
			return err
		}
	}
	return nil
}

// consents gathers the dataset that records the consents which a clause asks for, with its schema.
func (g *gatherer) consents(ctx context.Context, x *compile.Index, c *v1alpha1.Clause) error {
	if c.Conditions == nil || c.Conditions.Consent == nil {
		return nil
	}
	if err := g.dataset(ctx, x, c.Conditions.Consent.Dataset); err != nil {
		return err
	}
	d := x.Datasets[c.Conditions.Consent.Dataset]
	if d == nil {
		return nil
	}
	if name := schemaName(d.Spec.Schema); x.Schemas[name] == nil {
		return g.schema(ctx, x, name)
	}
	return nil
}

// dataset gathers the dataset of that name, if there is one.
func (g *gatherer) dataset(ctx context.Context, x *compile.Index, name string) error {
	if name == "" || x.Datasets[name] != nil {
		return nil
	}
	d := &v1alpha1.Dataset{}
	found, err := g.get(ctx, name, d)
	if found {
		x.Datasets[name] = d
	}
	return err
}

func (g *gatherer) empty() *compile.Index {
	return &compile.Index{
		Self:       g.self,
		Agencies:   map[string]*v1alpha1.Agency{},
		Schemas:    map[string]*v1alpha1.ExchangeSchema{},
		Datasets:   map[string]*v1alpha1.Dataset{},
		Agreements: map[string][]*v1alpha1.SharingAgreement{},
		Decisions:  map[string][]*v1alpha1.AgreementDecision{},
		Profiles:   map[string]*v1alpha1.AgreementProfile{},
		TaskForces: map[string]*v1alpha1.TaskForce{},

		ProfileCache: g.profiles, APIs: g.apis.Operation,
	}
}

func (g *gatherer) agency(ctx context.Context, x *compile.Index, name string) error {
	if x.Agencies[name] != nil {
		return nil
	}
	a := &v1alpha1.Agency{}
	found, err := g.get(ctx, name, a)
	if found {
		x.Agencies[name] = a
	}
	return err
}

func (g *gatherer) schema(ctx context.Context, x *compile.Index, name string) error {
	s := &v1alpha1.ExchangeSchema{}
	found, err := g.get(ctx, name, s)
	if found {
		x.Schemas[name] = s
	}
	return err
}

func (g *gatherer) profile(ctx context.Context, x *compile.Index, name string) error {
	p := &v1alpha1.AgreementProfile{}
	found, err := g.get(ctx, name, p)
	if found {
		x.Profiles[name] = p
	}
	return err
}

func (g *gatherer) taskForce(ctx context.Context, x *compile.Index, name string) error {
	if x.TaskForces[name] != nil {
		return nil
	}
	f := &v1alpha1.TaskForce{}
	found, err := g.get(ctx, name, f)
	if found {
		x.TaskForces[name] = f
	}
	return err
}

// datasets gathers the local agency's datasets of a schema.
func (g *gatherer) datasets(ctx context.Context, x *compile.Index, schema string) error {
	var list v1alpha1.DatasetList
	if err := g.list(ctx, &list, datasetBySchema, schema); err != nil {
		return err
	}
	for i := range list.Items {
		x.Datasets[list.Items[i].Name] = &list.Items[i]
	}
	return nil
}

// get says whether there is an object of that name. A name that cannot be an object's is of none.
func (g *gatherer) get(ctx context.Context, name string, into client.Object) (bool, error) {
	err := g.reader.Get(ctx, client.ObjectKey{Namespace: g.namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get %T %s: %w", into, name, err)
	}
	return true, nil
}

func (g *gatherer) list(ctx context.Context, into client.ObjectList, field, value string, options ...client.ListOption) error {
	options = append(options, client.InNamespace(g.namespace), client.MatchingFields{field: value})
	if err := g.reader.List(ctx, into, options...); err != nil {
		return fmt.Errorf("list %T by %s: %w", into, field, err)
	}
	return nil
}
