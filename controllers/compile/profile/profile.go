package profile

import (
	"fmt"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/ext"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Bounds of a rule: its text, and what evaluating it may cost. The rules that ship stay within it on the largest terms that the
// API takes; a test of theirs holds them to that.
const (
	maxRules     = 64
	maxRule      = 2000
	maxCost      = 5_000_000
	maxRecursion = 64
)

// Profile is a compiled AgreementProfile. It is immutable and safe for concurrent use.
type Profile struct {
	name  string
	rules []rule
	// compares: one of the rules does.
	compares bool
}

type rule struct {
	v1alpha1.ProfileRule
	program cel.Program
	// compares: it reads the terms of the version that is superseded, too.
	compares bool
}

// prior is the variable that holds the terms of the version that is superseded. It is there only where there is such a version.
const prior = "prior"

// environment is the same for every rule.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewCustomEnv(append([]cel.EnvOption{
		cel.StdLib(),
		cel.OptionalTypes(cel.OptionalTypesVersion(1)),
		ext.Strings(ext.StringsVersion(2)),
		cel.DefaultUTCTimeZone(true),
		cel.EnableMacroCallTracking(),
		cel.ParserRecursionLimit(maxRecursion),
		cel.ParserExpressionSizeLimit(maxRule),
		withTerms,
	}, functions...)...)
})

// Compile compiles the rules of the profile of that name. What is wrong is listed in the order of the rules, each fault
// with the path in spec and, for an expression, its position.
func Compile(name string, spec *v1alpha1.AgreementProfileSpec) (*Profile, []string) {
	var faults []string
	fault := func(path, format string, args ...any) {
		faults = append(faults, path+": "+fmt.Sprintf(format, args...))
	}
	checkSpec(spec, fault)
	p := &Profile{name: name}
	for i := range spec.Rules {
		r := &spec.Rules[i]
		compiled := rule{ProfileRule: *r}
		if err := compiled.compile(); err != nil {
			fault("rules["+r.Name+"].rule", "%v", err)
		}
		p.compares = p.compares || compiled.compares
		p.rules = append(p.rules, compiled)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return p, nil
}

func (r *rule) compile() error {
	text := r.Rule
	if text == "" || len(text) > maxRule {
		return fmt.Errorf("%d characters; 1 to %d are possible", len(text), maxRule)
	}
	env, err := environment()
	if err != nil {
		return err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return positioned(issues)
	}
	if checked.OutputType() != cel.BoolType {
		return fmt.Errorf("it is of type %s, not bool", checked.OutputType())
	}
	if made := firstObject(checked.NativeRep()); made != nil {
		at := checked.NativeRep().SourceInfo().GetStartLocation(made.ID())
		return fmt.Errorf("line %d, column %d: a rule makes no objects", at.Line(), at.Column()+1)
	}
	r.compares = names(checked.NativeRep(), prior)
	// The cost limit needs no clock, so it stops a rule at the same point everywhere.
	r.program, err = env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	return err
}

// positioned gives the first error as one line.
func positioned(issues *cel.Issues) error {
	first := issues.Errors()[0]
	return fmt.Errorf("line %d, column %d: %s", first.Location.Line(), first.Location.Column()+1, first.Message)
}

// names says whether the expression names the variable.
func names(a *ast.AST, variable string) bool {
	return len(ast.MatchDescendants(ast.NavigateAST(a), func(e ast.NavigableExpr) bool {
		return e.Kind() == ast.IdentKind && e.AsIdent() == variable
	})) > 0
}

func firstObject(a *ast.AST) ast.Expr {
	made := ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.StructKind))
	if len(made) == 0 {
		return nil
	}
	return made[0]
}

// Violation is a rule that terms break.
type Violation struct {
	// Profile and Rule name it.
	Profile, Rule string
	Severity      v1alpha1.Severity
	// Field is the path of the term; of a rule about clauses that a clause breaks by itself, with its name.
	Field    string
	Citation string
	// Message says what is wrong and what to do.
	Message string
	// NoPrior: it is not known whether the rule is broken, since the version that is superseded is not there to compare with.
	NoPrior bool
}

// String puts the violation in one line.
func (v Violation) String() string {
	return fmt.Sprintf("profile %s, rule %s (%s): %s: %s", v.Profile, v.Rule, v.Citation, v.Field, v.Message)
}

// Check lists the rules that the terms break, in the order of the profile. A rule that cannot be evaluated is broken. superseded are
// the terms of the version that these supersede; nil: there is none, or it is not there, and then a rule that needs them is broken.
func (p *Profile) Check(t, superseded *v1alpha1.AgreementTerms) []Violation {
	value := map[string]any{"terms": nil}
	if p.compares && superseded != nil {
		// Lists that are sets are compared as such.
		t, superseded = t.Sorted(), superseded.Sorted()
		value[prior] = valueOf(superseded)
	}
	terms := valueOf(t)
	value["terms"] = terms
	var out []Violation
	for i := range p.rules {
		r := &p.rules[i]
		kept, err := r.holds(value)
		if kept && err == nil {
			continue
		}
		v := Violation{Profile: p.name, Rule: r.Name, Severity: r.Severity, Field: r.Field, Citation: r.Citation, Message: r.Message}
		switch {
		case err != nil && r.compares && superseded == nil && t.Supersedes > 0:
			v.NoPrior = true
			v.Message = fmt.Sprintf("version %d, which this one supersedes, is not there to compare with: apply it, too", t.Supersedes)
			out = append(out, v)
			continue
		case err != nil:
			v.Message = fmt.Sprintf("the rule cannot be evaluated (%v): correct the profile, or state the term", err)
		}
		for _, field := range r.places(value, terms, t) {
			v.Field = field
			out = append(out, v)
		}
	}
	return out
}

func (r *rule) holds(value map[string]any) (bool, error) {
	got, _, err := r.program.Eval(value)
	if err != nil {
		return false, err
	}
	return got.Value() == true, nil
}

// places names where the rule is broken. A rule about clauses is tried on each clause as if there were no other; when
// that tells some clauses from others, it names those. Otherwise it is about all of them together.
func (r *rule) places(value, terms map[string]any, t *v1alpha1.AgreementTerms) []string {
	const each = "clauses[]"
	if len(r.Field) < len(each) || r.Field[:len(each)] != each {
		return []string{r.Field}
	}
	all, _ := terms["clauses"].([]any)
	var places []string
	for i := range all {
		terms["clauses"] = all[i : i+1]
		if kept, err := r.holds(value); !kept || err != nil {
			places = append(places, "clauses["+t.Clauses[i].Name+"]"+r.Field[len(each):])
		}
	}
	terms["clauses"] = all
	if len(places) == 0 {
		return []string{r.Field}
	}
	return places
}

// Rules lists the names of the rules.
func (p *Profile) Rules() []string {
	names := make([]string, len(p.rules))
	for i := range p.rules {
		names[i] = p.rules[i].Name
	}
	return slices.Clip(names)
}
