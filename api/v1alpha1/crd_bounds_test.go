package v1alpha1_test

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// TestBounds: everything that people write has a bound, and `kubectl explain` says something of every member. A marker in a place where
// controller-gen does not look for one is no error, and sets no bound.
func TestBounds(t *testing.T) {
	for _, crd := range definitions(t) {
		for _, version := range crd.Spec.Versions {
			for _, part := range []string{"spec", "status"} {
				schema := version.Schema.OpenAPIV3Schema.Properties[part]
				bounded(t, crd.Spec.Names.Kind+"."+part, part == "spec", &schema)
			}
		}
	}
}

func bounded(t *testing.T, path string, written bool, s *apiextensionsv1.JSONSchemaProps) {
	if written {
		switch {
		case s.Type == "string" && s.MaxLength == nil && len(s.Enum) == 0 && s.Format == "":
			t.Errorf("%s has no maxLength", path)
		case s.Type == "array" && s.MaxItems == nil:
			t.Errorf("%s has no maxItems", path)
		case s.AdditionalProperties != nil && s.MaxProperties == nil:
			t.Errorf("%s has no maxProperties", path)
		}
	}
	for name, member := range s.Properties {
		if member.Description == "" {
			t.Errorf("%s.%s has no description", path, name)
		}
		bounded(t, path+"."+name, written, &member)
	}
	if s.Items != nil {
		bounded(t, path+"[]", written, s.Items.Schema)
	}
}
