package v1alpha1_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// misspell calls each once for every object under spec, with a copy of the object in which a member that no version knows
// stands there, and with that member's path.
func misspell(t *testing.T, base string, each func(o object, path string)) {
	var walk func(v any, path string, visit func(m map[string]any, path string))
	walk = func(v any, path string, visit func(map[string]any, string)) {
		switch v := v.(type) {
		case map[string]any:
			visit(v, path)
			for k, child := range v {
				walk(child, strings.TrimPrefix(path+"."+k, "."), visit)
			}
		case []any:
			for i, child := range v {
				walk(child, path+"["+strconv.Itoa(i)+"]", visit)
			}
		}
	}
	var paths []string
	walk(load(t, base)["spec"], "", func(_ map[string]any, path string) { paths = append(paths, path) })
	slices.Sort(paths)
	for _, want := range paths {
		o := load(t, base)
		walk(o["spec"], "", func(m map[string]any, path string) {
			if path == want {
				m["misspelt"] = "x"
			}
		})
		each(o, strings.TrimPrefix(want+".misspelt", "."))
	}
}

func unknownFields(t *testing.T, kind string, data []byte) []string {
	t.Helper()
	var err error
	var fields []string
	switch kind {
	case "SharingAgreement":
		var a v1alpha1.SharingAgreement
		err = json.Unmarshal(data, &a)
		fields = a.Spec.UnknownFields
	case "Dataset":
		var d v1alpha1.Dataset
		err = json.Unmarshal(data, &d)
		fields = d.Spec.UnknownFields
	case "ExchangeSchema":
		var s v1alpha1.ExchangeSchema
		err = json.Unmarshal(data, &s)
		fields = s.Spec.UnknownFields
	case "AgreementProfile":
		var p v1alpha1.AgreementProfile
		err = json.Unmarshal(data, &p)
		fields = p.Spec.UnknownFields
	case "TaskForce":
		var f v1alpha1.TaskForce
		err = json.Unmarshal(data, &f)
		fields = f.Spec.UnknownFields
	}
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

var strictBases = []string{"sharingagreement", "dataset", "exchangeschema", "agreementprofile", "taskforce"}

// TestUnknownMembersAreNamed: a member that this version does not know, anywhere under spec, is found when decoding.
func TestUnknownMembersAreNamed(t *testing.T) {
	for _, base := range strictBases {
		n := 0
		misspell(t, base, func(o object, path string) {
			n++
			data, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if got := unknownFields(t, o["kind"].(string), data); !slices.Equal(got, []string{path}) {
				t.Errorf("%s: unknown member at %s: found %q", base, path, got)
			}
		})
		if n < 3 {
			t.Errorf("%s: only %d places tried", base, n)
		}
	}
}

// TestDuplicateMembersAreNamed: JSON lets a member stand twice; which one would count is not left to chance.
func TestDuplicateMembersAreNamed(t *testing.T) {
	data := []byte(`{"kind":"SharingAgreement","spec":{"terms":{"id":"a","id":"b"}}}`)
	if got := unknownFields(t, "SharingAgreement", data); len(got) != 1 || !strings.Contains(got[0], "id") {
		t.Errorf("found %q", got)
	}
}
