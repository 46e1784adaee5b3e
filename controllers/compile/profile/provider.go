package profile

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// provider adds the declared objects to what CEL knows. At run time an object is a map of the members that are there.
type provider struct{ types.Provider }

// withTerms declares the variables terms and prior and the objects that they lead to.
func withTerms(env *cel.Env) (*cel.Env, error) {
	env, err := cel.CustomTypeProvider(provider{env.CELTypeProvider()})(env)
	if err != nil {
		return nil, err
	}
	env, err = cel.Variable("terms", types.NewObjectType(terms.name))(env)
	if err != nil {
		return nil, err
	}
	return cel.Variable(prior, types.NewObjectType(terms.name))(env)
}

// FindStructType implements types.Provider.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if o := objects[name]; o != nil {
		return types.NewTypeTypeWithParam(types.NewObjectType(o.name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	o := objects[name]
	if o == nil {
		return p.Provider.FindStructFieldNames(name)
	}
	var names []string
	for i := range o.fields {
		names = append(names, o.fields[i].name)
	}
	return names, true
}

// FindStructFieldType implements types.Provider.
func (p provider) FindStructFieldType(object, name string) (*types.FieldType, bool) {
	o := objects[object]
	if o == nil {
		return p.Provider.FindStructFieldType(object, name)
	}
	f := o.byName[name]
	if f == nil {
		return nil, false
	}
	return &types.FieldType{
		Type: f.typ,
		IsSet: func(target any) bool {
			m, _ := target.(map[string]any)
			_, ok := m[name]
			return ok
		},
		GetFrom: func(target any) (any, error) {
			m, _ := target.(map[string]any)
			if v, ok := m[name]; ok {
				return v, nil
			}
			return nil, fmt.Errorf("%s is absent: ask with has() first", name)
		},
	}, true
}

// NewValue implements types.Provider. Compile refuses expressions that come here.
func (p provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if objects[name] != nil {
		return types.NewErr("a rule makes no objects")
	}
	return p.Provider.NewValue(name, fields)
}
