package v1alpha1_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/hack/testenv"
)

// TestCRDValidation puts every case to a real kube-apiserver.
func TestCRDValidation(t *testing.T) {

	kube := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{"../../config/crd"}})
	c, err := client.New(kube.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("unknown members survive", func(t *testing.T) { unknownMembersSurvive(t, c) })
	for _, tc := range crdCases {
		t.Run(tc.name, func(t *testing.T) {
			o := load(t, tc.base)
			o.set("default", "metadata", "namespace")
			if tc.edit != nil {
				tc.edit(o)
			}
			u := &unstructured.Unstructured{Object: o}
			err := c.Create(t.Context(), u)
			if err == nil {
				defer func() { _ = c.Delete(t.Context(), u) }()
			}
			if err == nil && tc.update != nil {
				tc.update(u.Object)
				err = c.Update(t.Context(), u)
			} else if err != nil && tc.update != nil {
				t.Fatalf("the base object is refused: %v", err)
			}
			switch {
			case tc.want == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case tc.want != "" && err == nil:
				t.Fatalf("accepted; want a refusal with %q", tc.want)
			case tc.want != "" && !strings.Contains(err.Error(), tc.want):
				t.Fatalf("refused with %q; want %q in it", err, tc.want)
			}
		})
	}
}

// unknownMembersSurvive: the API server prunes members that it does not know. Under spec of the kinds whose misspelt
// restriction would be a permission it must keep them, so that the operator sees them, with field validation off too.
func unknownMembersSurvive(t *testing.T, c client.Client) {
	for _, base := range strictBases {
		misspell(t, base, func(o object, path string) {
			o.set("default", "metadata", "namespace")
			u := &unstructured.Unstructured{Object: o}
			if err := c.Create(t.Context(), u, client.FieldValidation("Ignore")); err != nil {
				t.Errorf("%s with %s: %v", base, path, err)
				return
			}
			data, err := u.MarshalJSON() // what the server stored
			if err != nil {
				t.Fatal(err)
			}
			if got := unknownFields(t, u.GetKind(), data); !slices.Equal(got, []string{path}) {
				t.Errorf("%s: the API server pruned %s (found %q)", base, path, got)
			}
			if err := c.Delete(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		})
	}
}
