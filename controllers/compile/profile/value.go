package profile

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// valueOf is the terms as rules see them: what their JSON has, with times as times.
func valueOf(t *v1alpha1.AgreementTerms) map[string]any {
	return members(reflect.ValueOf(t).Elem(), terms)
}

func members(v reflect.Value, o *object) map[string]any {
	out := make(map[string]any, len(o.fields))
	for i := range o.fields {
		f := &o.fields[i]
		value := v.Field(f.index)
		if f.omitEmpty && empty(value) {
			continue
		}
		if value.Kind() == reflect.Pointer {
			value = value.Elem()
		}
		out[f.name] = native(value, f)
	}
	return out
}

// empty says whether encoding/json leaves out a member with omitempty.
func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.Kind() != reflect.Struct && v.IsZero()
}

func native(v reflect.Value, f *field) any {
	switch {
	case f.list:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = members(v.Index(i), f.object)
		}
		return list
	case f.object != nil:
		return members(v, f.object)
	}
	return leaf(v)
}

func leaf(v reflect.Value) any {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Int64:
		return v.Int()
	case reflect.Bool:
		return v.Bool()
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = leaf(v.Index(i))
		}
		return list
	}
	return v.Interface().(metav1.Time).UTC() // declare knows no other
}
