// Package lint checks resources before they are applied, as files or as a namespace holds them, with the code that decides
// when they are. It says everything that it finds, and what it could not check.
package lint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/compile/profile"
	"github.com/entente-dev/entente/controllers/openapi"
)

// Rules of findings that no condition has.
const (
	// RuleUnreadable: the document cannot be read as a resource.
	RuleUnreadable = "Unreadable"
	// RuleTwice: the resource stands in the files more than once, and only one of them would be there.
	RuleTwice = "Twice"
)

// Finding is what is to be known of one resource.
type Finding struct {
	// File and line where the resource begins; empty for one of a cluster.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Resource is Kind/name, as far as they are known.
	Resource string `json:"resource,omitempty"`
	compile.Finding
}

// Report is what was found.
type Report struct {
	// Resources and Agreements that were checked.
	Resources  int       `json:"resources"`
	Agreements int       `json:"agreements"`
	Findings   []Finding `json:"findings"`
}

// Count is the number of findings of a severity.
func (r *Report) Count(s v1alpha1.Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// resource is one that was read.
type resource struct {
	file   string
	line   int
	kind   string
	object metav1.Object
	// unknown members that are not the spec's own to tell.
	unknown []string
}

func (r resource) id() string { return r.kind + "/" + r.object.GetName() }

// Files checks the resources of the files together: agreements against the schemas, agencies and profiles among them, and
// against the profiles given, unless a file has one of the same name. Documents of other APIs are passed over.
func Files(files []File, profiles []*v1alpha1.AgreementProfile) *Report {
	report := &Report{Findings: []Finding{}}
	var all []resource
	where := map[string]string{}
	for _, f := range files {
		for _, d := range split(f.Content) {
			kind, object, unknown, err := decode(d.text)
			if errors.Is(err, errForeign) {
				continue
			}
			report.Resources++
			at := Finding{File: f.Name, Line: d.line, Resource: kind}
			if err != nil {
				report.add(at, compile.Finding{Severity: v1alpha1.SeverityError, Rule: RuleUnreadable, Message: oneLine(err)})
				continue
			}
			r := resource{f.Name, d.line, kind, object, unknown}
			at.Resource = r.id()
			if other, twice := where[r.id()]; twice {
				report.add(at, compile.Finding{Path: "metadata.name", Severity: v1alpha1.SeverityError, Rule: RuleTwice, Message: "stands in " + other + ", too: remove one of them"})
				continue
			}
			where[r.id()] = fmt.Sprintf("%s, line %d", f.Name, d.line)
			all = append(all, r)
		}
	}
	report.check(all, profiles)
	return report
}

// Objects checks the resources that a namespace has. It has the profiles that it has, and no others.
func Objects(objects map[string][]metav1.Object) *Report {
	report := &Report{Findings: []Finding{}}
	var all []resource
	for kind, list := range objects {
		for _, o := range list {
			all = append(all, resource{kind: kind, object: o})
		}
	}
	slices.SortFunc(all, func(a, b resource) int { return strings.Compare(a.id(), b.id()) })
	report.Resources = len(all)
	report.check(all, nil)
	return report
}

func (r *Report) add(at Finding, f compile.Finding) {
	at.Finding = f
	r.Findings = append(r.Findings, at)
}

// check adds what is found of each resource, in the order of the files.
func (r *Report) check(all []resource, profiles []*v1alpha1.AgreementProfile) {
	x := index(all, profiles)
	for _, res := range all {
		at := Finding{File: res.file, Line: res.line, Resource: res.id()}
		for _, field := range res.unknown {
			r.add(at, compile.Finding{Path: field, Severity: v1alpha1.SeverityError, Rule: v1alpha1.ReasonUnknownField, Message: "this release does not know it: correct the spelling, or remove it"})
		}
		var found []compile.Finding
		switch o := res.object.(type) {
		case *v1alpha1.SharingAgreement:
			r.Agreements++
			found = compile.LintAgreement(x, o)
		case *v1alpha1.ExchangeSchema:
			found = compile.LintSchema(o)
		case *v1alpha1.AgreementProfile:
			found = compile.LintProfile(o)
		case *v1alpha1.TaskForce:
			found = compile.LintTaskForce(o)
		case *v1alpha1.Dataset:
			found = compile.LintDataset(x, o)
		}
		for _, f := range found {
			r.add(at, f)
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}

func index(all []resource, profiles []*v1alpha1.AgreementProfile) *compile.Index {
	x := &compile.Index{
		Agencies: map[string]*v1alpha1.Agency{}, Schemas: map[string]*v1alpha1.ExchangeSchema{}, Datasets: map[string]*v1alpha1.Dataset{},
		TaskForces: map[string]*v1alpha1.TaskForce{},
		Profiles:   map[string]*v1alpha1.AgreementProfile{}, ProfileCache: profile.NewCache(), APIs: openapi.Read,
		Agreements: map[string][]*v1alpha1.SharingAgreement{},
	}
	for _, p := range profiles {
		x.Profiles[p.Name] = p
	}
	for _, res := range all {
		switch o := res.object.(type) {
		case *v1alpha1.Agency:
			x.Agencies[o.Name] = o
		case *v1alpha1.ExchangeSchema:
			x.Schemas[o.Name] = o
		case *v1alpha1.Dataset:
			x.Datasets[o.Name] = o
		case *v1alpha1.AgreementProfile:
			x.Profiles[o.Name] = o
		case *v1alpha1.TaskForce:
			x.TaskForces[o.Name] = o
		case *v1alpha1.SharingAgreement:
			id := o.Spec.Terms.ID
			x.Agreements[id] = append(x.Agreements[id], o)
		}
	}
	return x
}

// oneLine is the error without the line breaks that YAML's has.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
