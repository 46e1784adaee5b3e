package compile

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// AgencyConditions decides Accepted of an Agency. Nothing that the operator still has to publish of its own agency keeps
// that from being accepted.
func AgencyConditions(index *Index, a *v1alpha1.Agency, prior []metav1.Condition, now time.Time) []metav1.Condition {
	l := conditionList{now: now.UTC(), generation: a.Generation, prior: prior}
	l.set(v1alpha1.ConditionAccepted, agencyAccepted(index, a))
	return l.out
}

func agencyAccepted(index *Index, a *v1alpha1.Agency) verdict {
	var f faults
	if !isName(a.Name, 40) {
		f.add("metadata.name", "%q is not 1 to 40 lower-case letters, digits and hyphens", a.Name)
	}
	if len(a.Spec.TrustDomain) > 255 || !trustDomainForm.MatchString(a.Spec.TrustDomain) {
		f.add("spec.trustDomain", "%q is not a trust domain", a.Spec.TrustDomain)
	}
	for name, other := range index.Agencies {
		if name != a.Name && other.Spec.TrustDomain == a.Spec.TrustDomain {
			f.add("spec.trustDomain", "%q is that of Agency %q, too", a.Spec.TrustDomain, name)
		}
	}
	slices.Sort(f)
	if len(f) > 0 {
		return verdict{false, v1alpha1.ReasonInvalid, f.String() + ": correct the agency"}
	}
	if a.Name == index.Self {
		if missing := localIncomplete(a); missing != "" {
			return verdict{false, v1alpha1.ReasonAgencyIncomplete, missing}
		}
		return verdict{true, v1alpha1.ReasonAccepted, "this installation's own agency"}
	}
	if a.Spec.Maintenance != nil {
		return verdict{false, v1alpha1.ReasonInvalid, "spec.maintenance is for this installation's own agency; a peer announces its own, which stands in status: remove it"}
	}
	if err := peerIncomplete(a); err != nil {
		return verdict{false, v1alpha1.ReasonAgencyIncomplete, err.Error()}
	}
	return verdict{true, v1alpha1.ReasonAccepted, "a peer that can sign and be recognised"}
}

// SchemaConditions decides Accepted of an ExchangeSchema, and its digest, which agreements pin; empty when it is not
// accepted.
func SchemaConditions(s *v1alpha1.ExchangeSchema, prior []metav1.Condition, now time.Time) (digest string, conditions []metav1.Condition) {
	l := conditionList{now: now.UTC(), generation: s.Generation, prior: prior}
	compiled := newSchema(s)
	accepted := verdict{true, v1alpha1.ReasonAccepted, "agreements can pin it by its digest"}
	if compiled.problem != "" {
		reason, message, failed := schemaAccepted(s)
		if !failed {
			reason, message = v1alpha1.ReasonInvalid, compiled.problem
		}
		accepted = verdict{false, reason, message}
	}
	l.set(v1alpha1.ConditionAccepted, accepted)
	return compiled.route.Digest, l.out
}

var fieldTypes = []v1alpha1.FieldType{
	v1alpha1.TypeString, v1alpha1.TypeInt, v1alpha1.TypeDecimal, v1alpha1.TypeBool, v1alpha1.TypeDate, v1alpha1.TypeTimestamp, v1alpha1.TypeCode,
	v1alpha1.TypeRecord,
}

// maxMembers of a record.
const maxMembers = 32

// schemaAccepted decides whether a schema is well formed.
func schemaAccepted(s *v1alpha1.ExchangeSchema) (reason, message string, failed bool) {
	spec := &s.Spec
	if len(spec.UnknownFields) > 0 {
		return v1alpha1.ReasonUnknownField, fmt.Sprintf("this release does not know %s of spec: correct the spelling, or remove it (schemas are immutable: delete this object and apply it again)",
			quoteAll(spec.UnknownFields)), true
	}
	var f faults
	if !isName(spec.Name, 40) {
		f.add("name", "%q is not 1 to 40 lower-case letters, digits and hyphens", spec.Name)
	}
	if spec.Version < 1 || spec.Version > maxVersion {
		f.add("version", "%d is not between 1 and %d", spec.Version, maxVersion)
	}
	if want := schemaName(spec.Name, spec.Version); s.Name != want {
		f.add("metadata.name", "%q is not %q, which name and version give", s.Name, want)
	}
	if n := len(spec.Fields); n < 1 || n > maxFields {
		f.add("fields", "%d fields; 1 to %d are possible", n, maxFields)
	}
	seen := map[string]bool{}
	for i := range spec.Fields {
		checkSchemaField(&f, fmt.Sprintf("fields[%d]", i), &spec.Fields[i], seen)
	}
	if len(f) > 0 {
		return v1alpha1.ReasonInvalid, f.String() + ": correct the schema", true
	}
	return "", "", false
}

func checkSchemaField(f *faults, path string, field *v1alpha1.SchemaField, seen map[string]bool) {
	if len(field.Name) > 63 || !fieldForm.MatchString(field.Name) {
		f.add(path+".name", "%q is not the name of a field", field.Name)
	}
	if seen[field.Name] {
		f.add(path+".name", "%q stands twice", field.Name)
	}
	seen[field.Name] = true
	if !slices.Contains(fieldTypes, field.Type) {
		f.add(path+".type", "%q is not a type", field.Type)
	}
	checkCodes(f, path, field.Type, field.Codes, field.Displays)
	if (field.Type == v1alpha1.TypeRecord) != (len(field.Fields) > 0) {
		f.add(path+".fields", "fields are given for type record, and only for it")
	}
	if n := len(field.Fields); n > maxMembers {
		f.add(path+".fields", "%d members; at most %d are possible", n, maxMembers)
	}
	members := map[string]bool{}
	for i := range field.Fields {
		m, at := &field.Fields[i], fmt.Sprintf("%s.fields[%d]", path, i)
		if len(m.Name) > 63 || !fieldForm.MatchString(m.Name) {
			f.add(at+".name", "%q is not the name of a member", m.Name)
		}
		if members[m.Name] {
			f.add(at+".name", "%q stands twice", m.Name)
		}
		members[m.Name] = true
		if t := v1alpha1.FieldType(m.Type); t == v1alpha1.TypeRecord || !slices.Contains(fieldTypes, t) {
			f.add(at+".type", "%q is not a type of a member: records do not nest further", m.Type)
		}
		checkCodes(f, at, v1alpha1.FieldType(m.Type), m.Codes, m.Displays)
	}
}

func checkCodes(f *faults, path string, of v1alpha1.FieldType, codes []string, displays []v1alpha1.CodeDisplay) {
	if (of == v1alpha1.TypeCode) != (len(codes) > 0) {
		f.add(path+".codes", "codes are given for type code, and only for it")
	}
	if len(codes) > 256 {
		f.add(path+".codes", "%d codes; at most 256 are possible", len(codes))
	}
	checkUnique(f, path+".codes", codes)
	seen := map[string]bool{}
	for i, d := range displays {
		at := fmt.Sprintf("%s.displays[%d]", path, i)
		if !slices.Contains(codes, d.Code) || seen[d.Code] {
			f.add(at+".code", "%q is no code of the list, or stands twice", d.Code)
		}
		seen[d.Code] = true
		if n := utf8.RuneCountInString(d.Display); n < 1 || n > 200 || strings.ContainsFunc(d.Display, unicode.IsControl) {
			f.add(at+".display", "it is 1 to 200 characters on one line")
		}
	}
}

// DatasetConditions decides Accepted and ResolvedRefs of a Dataset. (SourceReachable is observed.)
func DatasetConditions(index *Index, d *v1alpha1.Dataset, prior []metav1.Condition, now time.Time) []metav1.Condition {
	c := newCompiler(index, now)
	l := conditionList{now: c.now, generation: d.Generation, prior: prior}
	accepted := verdict{true, v1alpha1.ReasonAccepted, "agreements in its schema can use it"}
	if reason, message, failed := datasetAccepted(d); failed {
		accepted = verdict{false, reason, message}
	}
	resolved := verdict{true, v1alpha1.ReasonResolved, "its schema is known and its fields fit"}
	if d.Spec.Source.HTTP == nil && d.Spec.Source.ConsentService == nil && !columnsObserved(d) {
		resolved.message += "; its columns were not read yet, so they are not checked"
	}
	if reason, message, failed := c.datasetResolved(d); failed {
		resolved = verdict{false, reason, message}
	}
	l.set(v1alpha1.ConditionAccepted, accepted)
	l.set(v1alpha1.ConditionResolvedRefs, resolved)
	return l.out
}
