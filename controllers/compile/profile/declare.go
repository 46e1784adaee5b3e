package profile

import (
	"fmt"
	"reflect"
	"strings"

	"cel.dev/cel-go/common/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// object is a struct of the API as CEL sees it.
type object struct {
	name   string
	fields []field
	byName map[string]*field
}

// field is a member of an object.
type field struct {
	name  string
	index int
	typ   *types.Type
	// object that it holds, itself or in a list; nil: none.
	object *object
	// list says whether it is a list of objects.
	list bool
	// omitEmpty: a zero value is an absent member.
	omitEmpty bool
}

const namespace = "entente.dev.v1alpha1."

var timeType = reflect.TypeFor[metav1.Time]()

// objects are the declared objects by name, and declared those by their Go type.
var (
	objects  = map[string]*object{}
	declared = map[reflect.Type]*object{}
	terms    = declare(reflect.TypeFor[v1alpha1.AgreementTerms]())
)

// declare reads an object's members from its Go type, so that a rule can never ask for one that the API does not have. A
// type that has no counterpart in CEL is a mistake of this package and panics when the program starts; a test declares all.
func declare(t reflect.Type) *object {
	if o := declared[t]; o != nil {
		return o
	}
	o := &object{name: namespace + t.Name(), byName: map[string]*field{}}
	declared[t], objects[o.name] = o, o
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		f := field{name: name, index: i, omitEmpty: strings.Contains(options, "omitempty")}
		f.typ, f.object, f.list = typeOf(t.Field(i).Type)
		o.fields = append(o.fields, f)
	}
	for i := range o.fields {
		o.byName[o.fields[i].name] = &o.fields[i]
	}
	return o
}

func typeOf(t reflect.Type) (typ *types.Type, inner *object, list bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == timeType:
		return types.TimestampType, nil, false
	case t.Kind() == reflect.String:
		return types.StringType, nil, false
	case t.Kind() == reflect.Int64:
		return types.IntType, nil, false
	case t.Kind() == reflect.Bool:
		return types.BoolType, nil, false
	case t.Kind() == reflect.Slice:
		elem, inner, _ := typeOf(t.Elem())
		return types.NewListType(elem), inner, inner != nil
	case t.Kind() == reflect.Struct:
		o := declare(t)
		return types.NewObjectType(o.name), o, false
	}
	panic(fmt.Sprintf("profile: terms have a member of type %s, which rules cannot read", t))
}

// hasPath says whether the terms have a member at the path, such as clauses[].limits.recordsPerQuery. A list of objects is
// written with [], whichever of its objects is meant.
func hasPath(path string) bool {
	at := terms
	for path != "" {
		var step string
		step, path, _ = strings.Cut(path, ".")
		name, isList := strings.CutSuffix(step, "[]")
		if at == nil {
			return false
		}
		f := at.byName[name]
		if f == nil || isList && !f.list || f.list && !isList && path != "" {
			return false
		}
		at = f.object
	}
	return true
}
