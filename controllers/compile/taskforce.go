package compile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/route"
)

// What the parties sign of a task force is its name, version and digest; with the digest its members and its window are signed. A
// member joins by a new version of both, and leaves as any party does: by its own Suspend or Terminate, at once, or by a new version
// that it need not sign. The window's end is in the route, so that gateways keep it by their own clocks.

// taskForce is a task force with what compiling needs of it.
type taskForce struct {
	object *v1alpha1.TaskForce
	digest string
	// window in UTC, half open.
	notBefore, notAfter time.Time
	// reason and problem say why it cannot be used; empty: it can.
	reason, problem string
}

// taskForce returns the task force of that object name, or nil.
func (c *compiler) taskForce(name string) *taskForce {
	if f, ok := c.taskForces[name]; ok {
		return f
	}
	var f *taskForce
	if object := c.index.TaskForces[name]; object != nil {
		f = newTaskForce(object)
	}
	c.taskForces[name] = f
	return f
}

func newTaskForce(object *v1alpha1.TaskForce) *taskForce {
	f := &taskForce{object: object, notBefore: object.Spec.Window.NotBefore.UTC(), notAfter: object.Spec.Window.NotAfter.UTC()}
	if unknown := object.Spec.UnknownFields; len(unknown) > 0 {
		f.reason = v1alpha1.ReasonUnknownField
		f.problem = fmt.Sprintf("this release does not know %s of spec: correct the spelling, or remove it (task forces are immutable: delete this object and apply it again)", quoteAll(unknown))
		return f
	}
	if wrong := checkTaskForce(object.Name, &object.Spec); len(wrong) > 0 {
		f.reason, f.problem = v1alpha1.ReasonInvalid, wrong.String()+": correct the task force"
		return f
	}
	digest, err := object.Spec.Digest()
	if err != nil {
		f.reason, f.problem = v1alpha1.ReasonInvalid, err.Error()
		return f
	}
	f.digest = digest
	return f
}

// checkTaskForce lists what is wrong with a task force by itself.
func checkTaskForce(name string, s *v1alpha1.TaskForceSpec) faults {
	var f faults
	if !isName(s.Name, 40) {
		f.add("name", "%q is not 1 to 40 lower-case letters, digits and hyphens", s.Name)
	}
	if s.Version < 1 || s.Version > maxVersion {
		f.add("version", "%d is not between 1 and %d", s.Version, maxVersion)
	}
	if want := schemaName(s.Name, s.Version); name != want {
		f.add("metadata.name", "%q is not %q, which name and version give", name, want)
	}
	checkText(&f, "objective", s.Objective, 1, 2000)
	checkMembers(&f, s)
	whole := func(path string, at metav1.Time) {
		switch {
		case at.IsZero():
			f.add(path, "missing")
		case at.Nanosecond() != 0:
			f.add(path, "fractions of a second cannot be signed")
		}
	}
	whole("window.notBefore", s.Window.NotBefore)
	whole("window.notAfter", s.Window.NotAfter)
	if !s.Window.NotAfter.IsZero() && !s.Window.NotBefore.Before(&s.Window.NotAfter) {
		f.add("window", "notBefore is not before notAfter")
	}
	return f
}

func checkMembers(f *faults, s *v1alpha1.TaskForceSpec) {
	names := checkIdentities(f, "members", len(s.Members), func(i int) (agency, trustDomain string) {
		return s.Members[i].Agency, s.Members[i].TrustDomain
	})
	if !names[s.Lead] {
		f.add("lead", "%q is not a member", s.Lead)
	}
}

// members by name.
func (f *taskForce) members() []string {
	out := make([]string, len(f.object.Spec.Members))
	for i, m := range f.object.Spec.Members {
		out[i] = m.Agency
	}
	slices.Sort(out)
	return out
}

// pinnedTaskForce returns the task force that the reference pins, or nil when we do not have exactly that.
func (c *compiler) pinnedTaskForce(ref *v1alpha1.TaskForceRef) *taskForce {
	f := c.taskForce(schemaName(ref.Name, ref.Version))
	if f == nil || f.problem != "" || f.digest != ref.Digest {
		return nil
	}
	return f
}

// recipient may ask under a clause: by itself, or as a member of a task force while its window is open.
type recipient struct {
	agency string
	// through is the task force; nil: by itself.
	through *taskForce
}

// recipients of a clause, as agencies. A task force that we do not have, as it is pinned, has none: ResolvedRefs tells.
func (c *compiler) recipients(cl *v1alpha1.Clause) []recipient {
	out := make([]recipient, 0, len(cl.Recipients))
	for _, r := range cl.Recipients {
		if r.TaskForce == nil {
			out = append(out, recipient{agency: r.Agency})
			continue
		}
		f := c.pinnedTaskForce(r.TaskForce)
		if f == nil {
			continue
		}
		for _, agency := range f.members() {
			if agency != cl.Source {
				out = append(out, recipient{agency, f})
			}
		}
	}
	return out
}

// window in which the recipient may ask, inside that of the version.
func (r recipient) window(v *version) (from, until time.Time) {
	from, until = v.notBefore, v.end
	if r.through == nil {
		return from, until
	}
	if r.through.notBefore.After(from) {
		from = r.through.notBefore
	}
	if r.through.notAfter.Before(until) {
		until = r.through.notAfter
	}
	return from, until
}

// routeRecipients are the recipients as gateways know them.
func (c *compiler) routeRecipients(of []recipient) []route.Recipient {
	out := make([]route.Recipient, len(of))
	for i, r := range of {
		// Every recipient is a party, or the terms were not accepted; then the route is only measured.
		if a := c.index.Agencies[r.agency]; a != nil {
			out[i].Party = partyOf(a)
		}
		if f := r.through; f != nil {
			out[i].TaskForce, out[i].NotBefore, out[i].NotAfter = f.object.Name, f.notBefore, f.notAfter
		}
	}
	return out
}

// taskForces lists those that the version's clauses pin and that we have, by name.
func (v *version) taskForces() []*taskForce {
	found := map[string]*taskForce{}
	for i := range v.clauses {
		for _, r := range v.clauses[i].recipients {
			if r.through != nil {
				found[r.through.object.Name] = r.through
			}
		}
	}
	out := make([]*taskForce, 0, len(found))
	for _, f := range found {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *taskForce) int { return strings.Compare(a.object.Name, b.object.Name) })
	return out
}

// eachTaskForce calls visit for every task force that the terms name, with its path.
func eachTaskForce(t *v1alpha1.AgreementTerms, visit func(path string, ref *v1alpha1.TaskForceRef) (failed bool)) bool {
	for i := range t.Clauses {
		for j, r := range t.Clauses[i].Recipients {
			if r.TaskForce != nil && visit(fmt.Sprintf("clauses[%s].recipients[%d].taskForce", t.Clauses[i].Name, j), r.TaskForce) {
				return true
			}
		}
	}
	return false
}

func taskForcesKnown(c *compiler, v *version) (reason, message string, failed bool) {
	failed = eachTaskForce(v.terms, func(path string, ref *v1alpha1.TaskForceRef) bool {
		name := schemaName(ref.Name, ref.Version)
		switch f := c.taskForce(name); {
		case f == nil:
			message = fmt.Sprintf("%s: there is no TaskForce %q: apply the one that the parties agreed on (what `kubectl get tf %s -o yaml` prints at the agency that proposed)", path, name, name)
		case f.problem != "":
			message = fmt.Sprintf("%s: TaskForce %q is not accepted: %s", path, name, f.problem)
		}
		return message != ""
	})
	return v1alpha1.ReasonUnknownTaskForce, message, failed
}

func taskForceDigestsMatch(c *compiler, v *version) (reason, message string, failed bool) {
	failed = eachTaskForce(v.terms, func(path string, ref *v1alpha1.TaskForceRef) bool {
		f := c.taskForce(schemaName(ref.Name, ref.Version))
		if f.digest == ref.Digest {
			return false
		}
		message = fmt.Sprintf("%s.digest: the terms pin %s, TaskForce %q has %s: put the task force that the parties agreed on in its place, or pin this one in a new version",
			path, ref.Digest, f.object.Name, f.digest)
		return true
	})
	return v1alpha1.ReasonTaskForceDigest, message, failed
}

// taskForceMembersSign: whoever may see something signs what it is bound to.
func taskForceMembersSign(c *compiler, v *version) (reason, message string, failed bool) {
	failed = eachTaskForce(v.terms, func(path string, ref *v1alpha1.TaskForceRef) bool {
		f := c.taskForce(schemaName(ref.Name, ref.Version))
		for _, m := range f.object.Spec.Members {
			p := party(v.terms, m.Agency)
			if p != nil && p.TrustDomain == m.TrustDomain {
				continue
			}
			message = fmt.Sprintf("%s: %s of %s is a member of TaskForce %q and no party of the terms: add it as a party in a new version, or pin a version of the task force without it",
				path, m.Agency, m.TrustDomain, f.object.Name)
			return true
		}
		return false
	})
	return v1alpha1.ReasonTaskForceMember, message, failed
}

// TaskForceStatus decides what is shown of a task force, and when that changes by itself; zero: never.
func TaskForceStatus(object *v1alpha1.TaskForce, now time.Time) (status v1alpha1.TaskForceStatus, next time.Time) {
	l := conditionList{now: now.UTC(), generation: object.Generation, prior: object.Status.Conditions}
	f := newTaskForce(object)
	status.Members = strings.Join(f.members(), ",")
	if f.problem != "" {
		status.State = v1alpha1.TaskForceRejected
		l.set(v1alpha1.ConditionAccepted, verdict{false, f.reason, f.problem})
		status.Conditions = l.out
		return status, time.Time{}
	}
	status.Digest = f.digest
	accepted := verdict{true, v1alpha1.ReasonAccepted, "agreements can pin it by its digest"}
	switch {
	case now.Before(f.notBefore):
		status.State, next = v1alpha1.TaskForcePending, f.notBefore
		accepted.message += "; its window opens at " + f.notBefore.Format(time.RFC3339)
	case now.Before(f.notAfter):
		status.State, next = v1alpha1.TaskForceActive, f.notAfter
	default:
		status.State = v1alpha1.TaskForceEnded
		accepted.message = "its window ended at " + f.notAfter.Format(time.RFC3339) + ": nothing is disclosed to its members as such any more"
	}
	l.set(v1alpha1.ConditionAccepted, accepted)
	status.Conditions = l.out
	return status, next
}

// CheckTaskForce says what is wrong with a task force by itself, as the condition Accepted would: for one that is not yet a resource.
func CheckTaskForce(object *v1alpha1.TaskForce) error {
	if f := newTaskForce(object); f.problem != "" {
		return fmt.Errorf("task force %s: %s", object.Name, f.problem)
	}
	return nil
}

// PinnedTaskForces lists the task forces that the terms pin, each once, by object name.
func PinnedTaskForces(t *v1alpha1.AgreementTerms) []v1alpha1.TaskForceRef {
	var out []v1alpha1.TaskForceRef
	eachTaskForce(t, func(_ string, ref *v1alpha1.TaskForceRef) bool {
		if !slices.Contains(out, *ref) {
			out = append(out, *ref)
		}
		return false
	})
	slices.SortFunc(out, func(a, b v1alpha1.TaskForceRef) int {
		return strings.Compare(TaskForceName(a), TaskForceName(b))
	})
	return out
}

// TaskForceName is the object name of the task force that a reference pins.
func TaskForceName(ref v1alpha1.TaskForceRef) string { return schemaName(ref.Name, ref.Version) }
