// Package gitops evaluates the health rules of config/gitops, as Argo CD and Flux do, for tests.
package gitops

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/hack/testenv"
)

func file(name string, into any) error {
	root, err := testenv.Root()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(root, "config", "gitops", name))
	if err != nil {
		return err
	}
	return yaml.Unmarshal(data, into)
}

// Argo are the rules for Argo CD: Lua by kind.
type Argo map[string]string

// ReadArgo reads them.
func ReadArgo() (Argo, error) {
	var patch struct{ Data map[string]string }
	if err := file("argocd-cm.yaml", &patch); err != nil {
		return nil, err
	}
	rules := Argo{}
	for key, script := range patch.Data {
		kind, ok := strings.CutPrefix(key, "resource.customizations.health.entente.dev_")
		if !ok {
			return nil, fmt.Errorf("argocd-cm has no member %s for health rules", key)
		}
		rules[kind] = script
	}
	return rules, nil
}

// Health of an object. Argo CD lets a script use tables, strings, numbers and little else; so does this.
func (a Argo) Health(o *unstructured.Unstructured) (status, message string, err error) {
	script, ok := a[o.GetKind()]
	if !ok {
		return "", "", errors.New("no rule for " + o.GetKind())
	}
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString, lua.MathLibName: lua.OpenMath} {
		l.Push(l.NewFunction(open))
		l.Push(lua.LString(name))
		l.Call(1, 0)
	}
	l.SetGlobal("obj", value(l, o.Object))
	if err := l.DoString(script); err != nil {
		return "", "", err
	}
	result, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", errors.New("the rule gives no table")
	}
	return lua.LVAsString(result.RawGetString("status")), lua.LVAsString(result.RawGetString("message")), nil
}

func value(l *lua.LState, v any) lua.LValue {
	switch v := v.(type) {
	case map[string]any:
		t := l.NewTable()
		for k, x := range v {
			t.RawSetString(k, value(l, x))
		}
		return t
	case []any:
		t := l.NewTable()
		for _, x := range v {
			t.Append(value(l, x))
		}
		return t
	case string:
		return lua.LString(v)
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	}
	return lua.LNil
}

// Flux are the health check expressions for Flux, by kind.
type Flux map[string]struct{ InProgress, Failed, Current string }

// ReadFlux reads them.
func ReadFlux() (Flux, error) {
	var k struct {
		Spec struct {
			HealthCheckExprs []struct {
				APIVersion, Kind            string
				InProgress, Failed, Current string
			}
		}
	}
	if err := file("flux-kustomization.yaml", &k); err != nil {
		return nil, err
	}
	rules := Flux{}
	for _, r := range k.Spec.HealthCheckExprs {
		rules[r.Kind] = struct{ InProgress, Failed, Current string }{r.InProgress, r.Failed, r.Current}
	}
	return rules, nil
}

// Health of an object, as Flux's RFC 0009 has it: the expressions in this order, over the object's members; without any that holds it
// is in progress. An object without a status has none.
func (f Flux) Health(o *unstructured.Unstructured) (string, error) {
	rule, ok := f[o.GetKind()]
	if !ok {
		return "", errors.New("no rule for " + o.GetKind())
	}
	env, err := cel.NewEnv(cel.HomogeneousAggregateLiterals(), cel.DefaultUTCTimeZone(true), cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(), ext.Sets())
	if err != nil {
		return "", err
	}
	for _, e := range []struct{ status, expression string }{{"InProgress", rule.InProgress}, {"Failed", rule.Failed}, {"Current", rule.Current}} {
		parsed, issues := env.Parse(e.expression)
		if issues.Err() != nil {
			return "", issues.Err()
		}
		program, err := env.Program(parsed)
		if err != nil {
			return "", err
		}
		result, _, err := program.Eval(o.Object)
		if err != nil {
			return "", fmt.Errorf("%s: %w", e.status, err)
		}
		if holds, ok := result.Value().(bool); !ok {
			return "", fmt.Errorf("%s is no condition: %v", e.status, result)
		} else if holds {
			return e.status, nil
		}
	}
	return "InProgress", nil
}
