package standalone

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// maxDocument bounds one document of a file; an Agency with a large trust bundle has some 100 KB.
const maxDocument = 1 << 20

// kinds are the resources that a folder may hold. GatewayRoute is not among them: nobody but the compiler writes one.
var kinds = map[string]func() metav1.Object{
	"Agency":            func() metav1.Object { return &v1alpha1.Agency{} },
	"ExchangeSchema":    func() metav1.Object { return &v1alpha1.ExchangeSchema{} },
	"Dataset":           func() metav1.Object { return &v1alpha1.Dataset{} },
	"SharingAgreement":  func() metav1.Object { return &v1alpha1.SharingAgreement{} },
	"AgreementDecision": func() metav1.Object { return &v1alpha1.AgreementDecision{} },
	"AgreementProfile":  func() metav1.Object { return &v1alpha1.AgreementProfile{} },
	"TaskForce":         func() metav1.Object { return &v1alpha1.TaskForce{} },
}

// nameForm is what the API server takes as a name; names become file names here.
var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// document is one resource of a file.
type document struct {
	kind   string
	object metav1.Object
	file   string
}

// id names the resource as people do.
func (d document) id() string { return d.kind + "/" + d.object.GetName() }

// parse reads the documents of a file, strictly: what is not understood is an error that names it.
func parse(content []byte) ([]document, error) {
	var out []document
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for n := 1; ; n++ {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if blank(text) {
			continue
		}
		if len(text) > maxDocument {
			return nil, fmt.Errorf("document %d: longer than %d bytes", n, maxDocument)
		}
		d, err := parseDocument(text)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		out = append(out, d)
	}
}

// blank says whether a document has nothing but comments.
func blank(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

func parseDocument(text []byte) (document, error) {
	// Strict: a key that stands twice would silently drop the first.
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return document{}, err
	}
	var meta metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &meta); err != nil {
		return document{}, err
	}
	if meta.APIVersion != v1alpha1.GroupVersion.String() {
		return document{}, fmt.Errorf("apiVersion is %q, not %q", meta.APIVersion, v1alpha1.GroupVersion)
	}
	empty, ok := kinds[meta.Kind]
	if !ok {
		return document{}, fmt.Errorf("kind %q is none that a folder holds (Agency, ExchangeSchema, Dataset, SharingAgreement, AgreementDecision, AgreementProfile, TaskForce)", meta.Kind)
	}
	object := empty()
	strict, err := kjson.UnmarshalStrict(data, object)
	if err != nil {
		return document{}, fmt.Errorf("%s: %w", meta.Kind, err)
	}
	d := document{kind: meta.Kind, object: object}
	if len(object.GetName()) > 253 || !nameForm.MatchString(object.GetName()) {
		return document{}, fmt.Errorf("%s: metadata.name is %q: lower-case letters, digits, hyphens and dots", meta.Kind, object.GetName())
	}
	if unknown := append(messages(strict), unknownFields(object)...); len(unknown) > 0 {
		return document{}, fmt.Errorf("%s: this release does not know %s: correct the spelling, or remove it", d.id(), strings.Join(unknown, ", "))
	}
	forget(object)
	return d, nil
}

func messages(errs []error) []string {
	var out []string
	for _, e := range errs {
		var field kjson.FieldError
		if errors.As(e, &field) {
			out = append(out, field.FieldPath())
		} else {
			out = append(out, e.Error())
		}
	}
	return out
}

// unknownFields are the members that the specs with a strict decoder of their own found.
func unknownFields(o metav1.Object) []string {
	var fields []string
	switch o := o.(type) {
	case *v1alpha1.ExchangeSchema:
		fields = o.Spec.UnknownFields
	case *v1alpha1.Dataset:
		fields = o.Spec.UnknownFields
	case *v1alpha1.SharingAgreement:
		fields = o.Spec.UnknownFields
	case *v1alpha1.AgreementProfile:
		fields = o.Spec.UnknownFields
	case *v1alpha1.TaskForce:
		fields = o.Spec.UnknownFields
	}
	fields = slices.Clone(fields)
	for i := range fields {
		fields[i] = "spec." + fields[i]
	}
	return fields
}

// forget drops what a person does not decide: what an API server would set, and the status, which is ours to say. A file
// may come from `kubectl get -o yaml`.
func forget(o metav1.Object) {
	o.SetNamespace("")
	o.SetResourceVersion("")
	o.SetUID("")
	o.SetGeneration(0)
	o.SetCreationTimestamp(metav1.Time{})
	o.SetDeletionTimestamp(nil)
	o.SetManagedFields(nil)
	switch o := o.(type) {
	case *v1alpha1.Agency:
		o.Status = v1alpha1.AgencyStatus{}
	case *v1alpha1.ExchangeSchema:
		o.Status = v1alpha1.ExchangeSchemaStatus{}
	case *v1alpha1.Dataset:
		o.Status = v1alpha1.DatasetStatus{}
	case *v1alpha1.SharingAgreement:
		o.Status = v1alpha1.SharingAgreementStatus{}
	case *v1alpha1.AgreementProfile:
		o.Status = v1alpha1.AgreementProfileStatus{}
	case *v1alpha1.TaskForce:
		o.Status = v1alpha1.TaskForceStatus{}
	}
}
