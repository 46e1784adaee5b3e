// Package v1alpha1 holds the resources of entente.dev/v1alpha1: who the agencies are, what shape records have, where
// they live, and what agencies have agreed to share.
//
// +kubebuilder:object:generate=true
// +groupName=entente.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the API group and version of every resource in this package.
	GroupVersion = schema.GroupVersion{Group: "entente.dev", Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme registers the resources of this package.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&Agency{}, &AgencyList{},
		&ExchangeSchema{}, &ExchangeSchemaList{},
		&Dataset{}, &DatasetList{},
		&SharingAgreement{}, &SharingAgreementList{},
		&AgreementDecision{}, &AgreementDecisionList{},
		&AgreementProfile{}, &AgreementProfileList{},
		&TaskForce{}, &TaskForceList{},
		&GatewayRoute{}, &GatewayRouteList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
