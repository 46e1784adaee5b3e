package standalone

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/gateway/route"
)

// report writes what people would see with kubectl: every resource with its status.
func (e *engine) report(x *compile.Index, results map[string]compile.Result, now time.Time) error {
	var errs []error
	keep := map[string]bool{}
	put := func(kind string, o metav1.Object) {
		keep[statusFile(kind, o.GetName())] = true
		errs = append(errs, e.state.putStatus(kind, o))
	}
	for _, a := range x.Agencies {
		a.TypeMeta = typeMeta("Agency")
		a.Status.Conditions = e.kept("Agency", a.Name, compile.AgencyConditions(x, a, nil, now))
		put("Agency", a)
	}
	for _, s := range x.Schemas {
		s.TypeMeta = typeMeta("ExchangeSchema")
		digest, conditions := compile.SchemaConditions(s, nil, now)
		s.Status.Digest, s.Status.Conditions = digest, e.kept("ExchangeSchema", s.Name, conditions)
		put("ExchangeSchema", s)
	}
	for _, d := range x.Datasets {
		d.TypeMeta = typeMeta("Dataset")
		d.Status.Conditions = e.kept("Dataset", d.Name, append(compile.DatasetConditions(x, d, nil, now), d.Status.Conditions...))
		put("Dataset", d)
	}
	for _, p := range x.Profiles {
		p.TypeMeta = typeMeta("AgreementProfile")
		p.Status.Rules = int64(len(p.Spec.Rules))
		p.Status.Conditions = e.kept("AgreementProfile", p.Name, compile.ProfileConditions(p, x.ProfileCache, nil, now))
		put("AgreementProfile", p)
	}
	for _, f := range x.TaskForces {
		f.TypeMeta = typeMeta("TaskForce")
		f.Status, _ = compile.TaskForceStatus(f, now)
		f.Status.Conditions = e.kept("TaskForce", f.Name, f.Status.Conditions)
		put("TaskForce", f)
	}
	for id, versions := range x.Agreements {
		for _, a := range versions {
			i := slices.IndexFunc(results[id].Versions, func(v compile.VersionResult) bool { return v.Name == a.Name })
			if i < 0 {
				continue
			}
			e.reportAgreement(a, results[id], results[id].Versions[i].Status)
			put("SharingAgreement", a)
		}
	}
	return errors.Join(append(errs, e.state.prune(keep))...)
}

// reportAgreement fills in the status that the compiler decided, and what is observed here.
func (e *engine) reportAgreement(a *v1alpha1.SharingAgreement, r compile.Result, status v1alpha1.SharingAgreementStatus) {
	status.Signatures = a.Status.Signatures
	status.Credentials = credentials(r.Credentials)
	status.Conditions = append(slices.Clone(status.Conditions), e.observed(r.Route, len(status.Routes) > 0)...)
	status.Conditions = e.kept("SharingAgreement", a.Name, status.Conditions)
	if before := e.state.agreements[a.Name]; before == nil || before.Status.State != status.State {
		e.log.Info("agreement", "name", a.Name, "state", status.State, "message", foremost(status.Conditions))
	}
	a.TypeMeta = typeMeta("SharingAgreement")
	a.Status = status
	e.state.agreements[a.Name] = a
}

// observed are the conditions that a reconciler would observe: here the gateway and the authority are in this process.
func (e *engine) observed(r *route.Route, carried bool) []metav1.Condition {
	if !carried {
		return []metav1.Condition{
			condition(v1alpha1.ConditionCredentialsReady, false, v1alpha1.ReasonNotInForce, "credentials exist while the agreement is in force"),
			condition(v1alpha1.ConditionProgrammed, false, v1alpha1.ReasonNotInForce, "the gateway serves it while it is in force"),
		}
	}
	ready := condition(v1alpha1.ConditionCredentialsReady, true, v1alpha1.ReasonReady, "the embedded authority issues the agreement's credentials")
	if e.served[r.Agreement] != r.Sequence {
		return []metav1.Condition{ready, condition(v1alpha1.ConditionProgrammed, false, v1alpha1.ReasonRouteRejected, "the gateway does not serve the route: see the log")}
	}
	return []metav1.Condition{ready, condition(v1alpha1.ConditionProgrammed, true, v1alpha1.ReasonProgrammed, fmt.Sprintf("the gateway serves sequence %d", r.Sequence))}
}

// kept keeps the transition times of conditions whose status did not change, and sets those of the others to now.
func (e *engine) kept(kind, name string, conditions []metav1.Condition) []metav1.Condition {
	id := kind + "/" + name
	before := e.conditions[id]
	e.conditions[id] = conditions
	for i := range conditions {
		c := &conditions[i]
		if c.LastTransitionTime.IsZero() {
			c.LastTransitionTime = metav1.NewTime(e.now().UTC().Truncate(time.Second))
		}
		for _, b := range before {
			if b.Type == c.Type && b.Status == c.Status && !b.LastTransitionTime.IsZero() {
				c.LastTransitionTime = b.LastTransitionTime
			}
		}
	}
	return conditions
}

func credentials(plan []compile.Credential) []v1alpha1.CredentialStatus {
	var out []v1alpha1.CredentialStatus
	for _, c := range plan {
		if c.Recipient == "" {
			continue // the database of a source is the gateway's to open here
		}
		end := metav1.NewTime(c.NotAfter)
		out = append(out, v1alpha1.CredentialStatus{Kind: "Agreement", Recipient: c.Recipient, VaultRole: "embedded/" + c.Role, NotAfter: &end})
	}
	slices.SortFunc(out, func(a, b v1alpha1.CredentialStatus) int { return cmp.Compare(a.VaultRole, b.VaultRole) })
	return out
}

func condition(kind string, ok bool, reason, message string) metav1.Condition {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// foremost is what has to be done next, or that it is in force.
func foremost(conditions []metav1.Condition) string {
	for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionSigned} {
		for _, c := range conditions {
			if c.Type == kind && c.Status != metav1.ConditionTrue {
				return c.Message
			}
		}
	}
	return message(conditions, v1alpha1.ConditionInForce)
}

func message(conditions []metav1.Condition, kind string) string {
	for _, c := range conditions {
		if c.Type == kind {
			return c.Message
		}
	}
	return ""
}
