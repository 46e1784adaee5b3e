package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// Field indexes of the cache. A reconcile gets or lists by one of these and never lists everything.
const (
	// agreementByID: terms.id.
	agreementByID = "terms.id"
	// agreementByRef: what the terms name, as agency/NAME, schema/NAME.vN, dataset/NAME, profile/NAME, taskforce/NAME.vN.
	agreementByRef = "terms.refs"
	// decisionByID: the id of the agreement that is decided on.
	decisionByID = "spec.agreement.id"
	// datasetBySchema: the schema's object name.
	datasetBySchema = "spec.schema"
	// agencyByTrustDomain: spec.trustDomain.
	agencyByTrustDomain = "spec.trustDomain"
)

func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, x := range []struct {
		object client.Object
		field  string
		values client.IndexerFunc
	}{
		{&v1alpha1.SharingAgreement{}, agreementByID, func(o client.Object) []string {
			return []string{o.(*v1alpha1.SharingAgreement).Spec.Terms.ID}
		}},
		{&v1alpha1.SharingAgreement{}, agreementByRef, func(o client.Object) []string {
			return references(&o.(*v1alpha1.SharingAgreement).Spec.Terms)
		}},
		{&v1alpha1.AgreementDecision{}, decisionByID, func(o client.Object) []string {
			return []string{agreementID(o.(*v1alpha1.AgreementDecision).Spec.Agreement)}
		}},
		{&v1alpha1.Dataset{}, datasetBySchema, func(o client.Object) []string {
			return []string{schemaName(o.(*v1alpha1.Dataset).Spec.Schema)}
		}},
		{&v1alpha1.Agency{}, agencyByTrustDomain, func(o client.Object) []string {
			return []string{o.(*v1alpha1.Agency).Spec.TrustDomain}
		}},
	} {
		if err := indexer.IndexField(ctx, x.object, x.field, x.values); err != nil {
			return fmt.Errorf("index %s of %T: %w", x.field, x.object, err)
		}
	}
	return nil
}

// agreementID is the id in an agreement's object name, <id>.v<version>.
func agreementID(name string) string {
	if i := strings.LastIndex(name, ".v"); i >= 0 {
		return name[:i]
	}
	return name
}

func schemaName(s v1alpha1.SchemaVersion) string { return fmt.Sprintf("%s.v%d", s.Name, s.Version) }

func agencyRef(name string) string  { return "agency/" + name }
func schemaRef(name string) string  { return "schema/" + name }
func datasetRef(name string) string { return "dataset/" + name }
func profileRef(name string) string { return "profile/" + name }

func taskForceRef(name string) string { return "taskforce/" + name }

// references lists what the terms name.
func references(t *v1alpha1.AgreementTerms) []string {
	var out []string
	for _, p := range t.Parties {
		out = append(out, agencyRef(p.Agency))
	}
	for _, name := range t.Profiles {
		out = append(out, profileRef(name))
	}
	for _, ref := range compile.PinnedTaskForces(t) {
		out = append(out, taskForceRef(compile.TaskForceName(ref)))
	}
	for i := range t.Clauses {
		c := &t.Clauses[i]
		out = append(out, schemaRef(schemaName(v1alpha1.SchemaVersion{Name: c.Schema.Name, Version: c.Schema.Version})))
		if c.Dataset != "" {
			out = append(out, datasetRef(c.Dataset))
		}
		if c.Conditions != nil && c.Conditions.Consent != nil {
			out = append(out, datasetRef(c.Conditions.Consent.Dataset))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
