package compile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// keeping says what becomes of a term. Exactly one of its members is set, or none for a term that identifies or describes
// and promises nothing.
type keeping struct {
	// controls that keep the promise, the strongest first.
	controls []v1alpha1.Control
	// instead is what to do about a term that this release cannot enforce.
	instead string
}

var (
	promisesNothing = keeping{}
	byGateway       = keeping{controls: []v1alpha1.Control{v1alpha1.ControlGateway}}
	byDatabase      = keeping{controls: []v1alpha1.Control{v1alpha1.ControlSourceDatabase, v1alpha1.ControlGateway}}
	byCredential    = keeping{controls: []v1alpha1.Control{v1alpha1.ControlVault, v1alpha1.ControlGateway}}
	byGatewayInTime = keeping{controls: []v1alpha1.Control{v1alpha1.ControlGateway, v1alpha1.ControlVault}}
	byOperator      = keeping{controls: []v1alpha1.Control{v1alpha1.ControlOperator}}
	attested        = keeping{controls: []v1alpha1.Control{v1alpha1.ControlAttested}}
)

// terms says of every term of an agreement what keeps it. Both status.coverage and the reason UnenforceableTerm come from
// here, so a term cannot be covered and refused, nor be forgotten: a term without a row is refused, and a test fails when
// the terms gain a field that has none. A row stands for everything below its path.
var terms = map[string]keeping{
	"id":         promisesNothing,
	"version":    promisesNothing,
	"supersedes": byGateway, // the switch is in the route
	"title":      promisesNothing,
	"type":       promisesNothing,
	"profiles":   byOperator, // before it accepts the terms

	"parties":            promisesNothing,
	"legalAuthority":     attested,
	"purposeStatement":   attested,
	"justification":      attested,
	"anticipatedResults": attested,

	"term.notBefore":    byGatewayInTime,
	"term.notAfter":     byGatewayInTime,
	"term.reviewBy":     byOperator, // it tells people when the review is due
	"term.renewFrom":    byOperator, // and when a renewal may be decided
	"requiredDecisions": byOperator, // each party's own signs only with them

	"clauses[].name":                   promisesNothing,
	"clauses[].source":                 promisesNothing,
	"clauses[].recipients[].agency":    byCredential,
	"clauses[].recipients[].taskForce": byCredential, // who is in it, and its window
	"clauses[].schema":                 byGateway,
	"clauses[].dataset":                byDatabase,
	"clauses[].purposes":               byGateway,
	"clauses[].granularity":            byGateway,
	"clauses[].fields":                 byDatabase,
	"clauses[].filterFields":           byGateway,
	"clauses[].rowFilter":              byGateway,

	"clauses[].conditions.caseReference.pattern": byGateway,
	"clauses[].conditions.requireSelectors":      byGateway,
	"clauses[].conditions.subjectRoles":          byGateway,
	"clauses[].conditions.userAttributes":        byGateway,
	"clauses[].conditions.consent":               byGateway,
	"clauses[].conditions.jurisdictions":         byGateway,

	"clauses[].limits.recordsPerQuery": byGateway,
	"clauses[].limits.queriesPerDay":   byGateway,
	"clauses[].limits.recordsPerDay":   byGateway,
	"clauses[].limits.minimumCount":    byGateway,

	"clauses[].obligations.retentionDays":       attested,
	"clauses[].obligations.redisclosure":        attested,
	"clauses[].obligations.destruction":         attested,
	"clauses[].obligations.verifyBeforeAction":  attested,
	"clauses[].obligations.responseTimeSeconds": attested,

	"duties[]":              attested, // and each party's operator says when one is due
	"noticeProcedure":       attested,
	"verificationProcedure": attested,
	"accuracyAssessment":    attested,
	"security":              attested,
	"oversightAccess":       attested,
	"publicationRef":        attested,
	"publication":           attested, // `entente register` leaves out what is not Public; people publish
	"contacts":              promisesNothing,
}

// cover lists what keeps each term that promises something.
func (c *compiler) cover(v *version) []v1alpha1.TermCoverage {
	var out []v1alpha1.TermCoverage
	eachTerm(v.terms, func(row, path string, clause *v1alpha1.Clause) {
		k := terms[row]
		if len(k.controls) == 0 {
			return
		}
		controls := k.controls
		if controls[0] == v1alpha1.ControlSourceDatabase && !c.databaseKeeps(row, clause) {
			controls = controls[1:]
		}
		out = append(out, v1alpha1.TermCoverage{Term: path, Controls: slices.Clone(controls)})
	})
	return out
}

// databaseKeeps says whether we know that the source's database refuses anything else than the term of the row names: when the records
// are ours, every dataset that answers has a role of its own and, as far as fields go, the columns that the role may read are what the
// fields say. Of a peer's database we know nothing.
func (c *compiler) databaseKeeps(row string, terms *v1alpha1.Clause) bool {
	if terms == nil || terms.Source != c.index.Self {
		return false
	}
	found := c.offering(terms)
	if len(found) == 0 || slices.ContainsFunc(found, func(d *v1alpha1.Dataset) bool { return d.Spec.Source.PostgreSQL == nil }) {
		return false
	}
	if row != "clauses[].fields" {
		return true
	}
	s := c.pinned(terms.Schema)
	if s == nil {
		return false
	}
	cl := clause{terms: terms, schema: s}
	for _, d := range found {
		mapped := make([]string, len(d.Spec.Fields))
		for i := range d.Spec.Fields {
			mapped[i] = d.Spec.Fields[i].Field
		}
		within := func(path string) bool { return !columnsAre(d, s, path) }
		if !slices.ContainsFunc(s.read(mapped), within) {
			continue // which most are, and what the clause reads of it does not matter
		}
		if cl.needs == nil {
			cl.read()
		}
		if slices.ContainsFunc(cl.needsOf(d), within) {
			return false
		}
	}
	return true
}

// columnsAre says whether a column holds what a path names and nothing else: what is computed is made of more than it discloses, and
// JSON has members that no grant tells apart.
func columnsAre(d *v1alpha1.Dataset, s *schema, path string) bool {
	r := readOf(d, s, path)
	if r == nil {
		return true // that it is not mapped, ResolvedRefs says
	}
	field, member := s.route.Find(path)
	isJSON := field != nil && len(field.Fields) > 0 && (member == nil || field.Repeated)
	return r.plain() && !isJSON
}

// unenforceable lists the terms that this release cannot keep, each with what to do instead.
func unenforceable(t *v1alpha1.AgreementTerms) []string {
	var out []string
	eachTerm(t, func(row, path string, _ *v1alpha1.Clause) {
		k, known := terms[row]
		switch {
		case !known:
			out = append(out, path+": this release has no control that keeps it: remove it")
		case k.instead != "":
			out = append(out, path+": "+k.instead)
		}
	})
	return out
}

// eachTerm calls visit for every term that is given, with its row in the table (or its own path when it has none), its
// path, and the clause it is in.
func eachTerm(t *v1alpha1.AgreementTerms, visit func(row, path string, clause *v1alpha1.Clause)) {
	w := walker{visit: visit}
	w.walk(reflect.ValueOf(t).Elem(), "", "")
}

type walker struct {
	visit  func(row, path string, clause *v1alpha1.Clause)
	clause *v1alpha1.Clause
}

func (w *walker) walk(value reflect.Value, row, path string) {
	if value.IsZero() {
		return
	}
	if _, known := terms[row]; known {
		w.visit(row, path, w.clause)
		return
	}
	switch kind, elem := shapeOf(value.Type()); kind {
	case shapeStruct:
		for value.Kind() == reflect.Pointer {
			value = value.Elem()
		}
		for i := range elem.NumField() {
			name := memberName(elem.Field(i))
			w.walk(value.Field(i), join(row, name), join(path, name))
		}
	case shapeList:
		for i := range value.Len() {
			item := value.Index(i)
			key := fmt.Sprint(i)
			switch o := item.Addr().Interface().(type) {
			case *v1alpha1.Clause:
				w.clause, key = o, o.Name
			case *v1alpha1.Duty:
				key = o.Name
			}
			w.walk(item, row+"[]", path+"["+key+"]")
		}
	default:
		w.visit(row, path, w.clause)
	}
}

type shape int

const (
	shapeLeaf shape = iota
	shapeStruct
	shapeList
)

// shapeOf says whether a term has terms of its own: an object of this API, or a list of such.
func shapeOf(t reflect.Type) (shape, reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice {
		if s, _ := shapeOf(t.Elem()); s == shapeStruct {
			return shapeList, t.Elem()
		}
		return shapeLeaf, t
	}
	if t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[v1alpha1.AgreementTerms]().PkgPath() {
		return shapeStruct, t
	}
	return shapeLeaf, t
}

func memberName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
