package lint

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// File is a YAML file.
type File struct {
	Name    string
	Content []byte
}

// document is one document of a file, from a line on.
type document struct {
	line int
	text []byte
}

// split cuts a file where lines begin with ---, and leaves out documents that have nothing but comments.
func split(content []byte) []document {
	var out []document
	current := document{line: 1}
	empty := true
	flush := func() {
		if !empty {
			out = append(out, current)
		}
		empty = true
	}
	n := 0
	for line := range bytes.Lines(content) {
		n++
		if bytes.HasPrefix(line, []byte("---")) {
			flush()
			current = document{line: n + 1}
			continue
		}
		if text := bytes.TrimSpace(line); empty && len(text) > 0 && text[0] != '#' {
			current.line, empty = n, false
		}
		current.text = append(current.text, line...)
	}
	flush()
	return out
}

// kinds that are checked, and those that are only decoded strictly.
var kinds = map[string]func() metav1.Object{
	"Agency":            func() metav1.Object { return &v1alpha1.Agency{} },
	"ExchangeSchema":    func() metav1.Object { return &v1alpha1.ExchangeSchema{} },
	"Dataset":           func() metav1.Object { return &v1alpha1.Dataset{} },
	"SharingAgreement":  func() metav1.Object { return &v1alpha1.SharingAgreement{} },
	"AgreementDecision": func() metav1.Object { return &v1alpha1.AgreementDecision{} },
	"AgreementProfile":  func() metav1.Object { return &v1alpha1.AgreementProfile{} },
	"TaskForce":         func() metav1.Object { return &v1alpha1.TaskForce{} },
	"GatewayRoute":      func() metav1.Object { return &v1alpha1.GatewayRoute{} },
}

// errForeign is of a document of somebody else's API.
var errForeign = errors.New("no resource of entente.dev")

// decode reads a document strictly. Unknown members outside of specs with a strict decoder of their own are returned.
func decode(text []byte) (kind string, object metav1.Object, unknown []string, err error) {
	data, err := yaml.YAMLToJSONStrict(text) // a key that stands twice would silently drop the first
	if err != nil {
		return "", nil, nil, err
	}
	var meta metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &meta); err != nil {
		return "", nil, nil, err
	}
	empty, known := kinds[meta.Kind]
	ours := strings.HasPrefix(meta.APIVersion, v1alpha1.GroupVersion.Group+"/")
	switch {
	case !ours && !known:
		return meta.Kind, nil, nil, errForeign
	case meta.APIVersion != v1alpha1.GroupVersion.String():
		return meta.Kind, nil, nil, fmt.Errorf("apiVersion is %q, not %q", meta.APIVersion, v1alpha1.GroupVersion)
	case !known:
		return meta.Kind, nil, nil, fmt.Errorf("kind %q is none of entente.dev", meta.Kind)
	}
	object = empty()
	strict, err := kjson.UnmarshalStrict(data, object)
	if err != nil {
		return meta.Kind, nil, nil, err
	}
	for _, e := range strict {
		var field kjson.FieldError
		if errors.As(e, &field) {
			unknown = append(unknown, field.FieldPath())
		} else {
			unknown = append(unknown, e.Error())
		}
	}
	return meta.Kind, object, unknown, nil
}
