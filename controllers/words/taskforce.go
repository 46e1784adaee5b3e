package words

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// TaskForces are those that are known, by object name. What an agreement pins and is not among them, as it is pinned, is named and not
// described.
type TaskForces map[string]*v1alpha1.TaskForce

// TaskForce is one that an agreement pins, as people read it.
type TaskForce struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	// Problem says why nothing more is known of it.
	Problem   string     `json:"problem,omitempty"`
	Objective string     `json:"objective,omitempty"`
	Lead      string     `json:"lead,omitempty"`
	Members   []string   `json:"members,omitempty"`
	NotBefore *time.Time `json:"notBefore,omitempty"`
	NotAfter  *time.Time `json:"notAfter,omitempty"`
}

// pinned finds the task force that a reference pins; or says why it cannot be.
func (f TaskForces) pinned(ref *v1alpha1.TaskForceRef) (found *v1alpha1.TaskForce, problem string) {
	name := compile.TaskForceName(*ref)
	found = f[name]
	if found == nil {
		return nil, "it is not here, so nobody can say who its members are: apply it, or put it into the same file"
	}
	if digest, err := found.Spec.Digest(); err != nil || digest != ref.Digest {
		return nil, "the one that is here is not the one that the terms pin"
	}
	return found, ""
}

func taskForceName(ref *v1alpha1.TaskForceRef) string { return plain(compile.TaskForceName(*ref)) }

// members of a task force that may ask under a clause: all but the source.
func members(tf *v1alpha1.TaskForce, c *v1alpha1.Clause) []string {
	var out []string
	for _, m := range tf.Spec.Members {
		if m.Agency != c.Source {
			out = append(out, plain(m.Agency))
		}
	}
	return sorted(out)
}

// recipients of a clause, as agencies; the members of a task force that is not known stand as one.
func (f TaskForces) recipients(c *v1alpha1.Clause) []string {
	var out []string
	for _, r := range c.Recipients {
		switch tf := f.of(r); {
		case r.TaskForce == nil:
			out = append(out, plain(r.Agency))
		case tf == nil:
			out = append(out, membersOf(r.TaskForce))
		default:
			out = append(out, members(tf, c)...)
		}
	}
	return sorted(out)
}

// recipientTexts name the recipients as a sentence does.
func (f TaskForces) recipientTexts(c *v1alpha1.Clause) []string {
	out := make([]string, len(c.Recipients))
	for i, r := range c.Recipients {
		switch tf := f.of(r); {
		case r.TaskForce == nil:
			out[i] = plain(r.Agency)
		case tf == nil:
			out[i] = membersOf(r.TaskForce)
		default:
			out[i] = fmt.Sprintf("%s (%s, until %s)", membersOf(r.TaskForce), and(members(tf, c)), when(tf.Spec.Window.NotAfter.Time))
		}
	}
	return out
}

func membersOf(ref *v1alpha1.TaskForceRef) string {
	return "the members of task force " + taskForceName(ref)
}

// of finds the task force that a recipient is; nil: it is none, or one that is not known.
func (f TaskForces) of(r v1alpha1.Recipient) *v1alpha1.TaskForce {
	if r.TaskForce == nil {
		return nil
	}
	found, _ := f.pinned(r.TaskForce)
	return found
}

// describe lists the task forces that the terms pin.
func (f TaskForces) describe(t *v1alpha1.AgreementTerms) []TaskForce {
	var out []TaskForce
	for _, ref := range compile.PinnedTaskForces(t) {
		d := TaskForce{Name: taskForceName(&ref), Digest: plain(ref.Digest)}
		tf, problem := f.pinned(&ref)
		if d.Problem = problem; tf != nil {
			from, until := tf.Spec.Window.NotBefore.UTC(), tf.Spec.Window.NotAfter.UTC()
			d.Objective, d.Lead, d.NotBefore, d.NotAfter = plain(tf.Spec.Objective), plain(tf.Spec.Lead), &from, &until
			for _, m := range tf.Spec.Members {
				d.Members = append(d.Members, plain(m.Agency))
			}
			slices.Sort(d.Members)
		}
		out = append(out, d)
	}
	return out
}

func (d *TaskForce) line() string {
	if d.Problem != "" {
		return d.Name + ": " + d.Problem
	}
	return fmt.Sprintf("%s: %s from %s until %s; led by %s. %s", d.Name, and(d.Members), when(*d.NotBefore), when(*d.NotAfter), d.Lead, d.Objective)
}

// unknown lists the task forces that the terms pin and that are not here.
func (f TaskForces) unknown(t *v1alpha1.AgreementTerms) []string {
	var out []string
	for _, d := range f.describe(t) {
		if d.Problem != "" {
			out = append(out, "task force "+d.line())
		}
	}
	return out
}

// taskForces compares through which task forces recipients may ask: who may, the recipients say.
func (c *comparison) taskForces(term string, x, y *v1alpha1.Clause) {
	before, after := pinsOf(x), pinsOf(y)
	var names []string
	for name := range before {
		names = append(names, name)
	}
	for name := range after {
		names = append(names, name)
	}
	for _, name := range sorted(names) {
		a, b := before[name], after[name]
		switch {
		case a == nil:
			c.add(Changes, term, "", taskForceName(b), "%s may ask, while its window is open", membersOf(b))
		case b == nil:
			c.add(Changes, term, taskForceName(a), "", "%s may no longer ask as such", membersOf(a))
		case *a != *b:
			c.repinned(term+"["+plain(name)+"]", a, b)
		}
	}
}

func pinsOf(c *v1alpha1.Clause) map[string]*v1alpha1.TaskForceRef {
	out := map[string]*v1alpha1.TaskForceRef{}
	for _, r := range c.Recipients {
		if r.TaskForce != nil {
			out[r.TaskForce.Name] = r.TaskForce
		}
	}
	return out
}

// repinned compares two versions of a task force.
func (c *comparison) repinned(term string, a, b *v1alpha1.TaskForceRef) {
	if a.Version == b.Version {
		c.add(Changes, term+".digest", plain(a.Digest), plain(b.Digest), "another task force %s is pinned: one of the two is not what was agreed on", taskForceName(b))
		return
	}
	c.add(Changes, term, taskForceName(a), taskForceName(b), "task force %s instead of %s", taskForceName(b), taskForceName(a))
	x, _ := c.forces.pinned(a)
	y, _ := c.forces.pinned(b)
	if x == nil || y == nil {
		return
	}
	c.clock(term+".window.notBefore", "the task force begins", x.Spec.Window.NotBefore, y.Spec.Window.NotBefore, Narrows)
	c.clock(term+".window.notAfter", "the task force ends", x.Spec.Window.NotAfter, y.Spec.Window.NotAfter, Widens)
	if x.Spec.Lead != y.Spec.Lead {
		c.add(Changes, term+".lead", plain(x.Spec.Lead), plain(y.Spec.Lead), "%s leads the task force instead of %s", plain(y.Spec.Lead), plain(x.Spec.Lead))
	}
	c.text(term+".objective", "the task force's objective", x.Spec.Objective, y.Spec.Objective)
}

// through says as a member of which task force an agency may ask; empty: by itself.
func (a *Access) through() string {
	if a.TaskForce == "" {
		return ""
	}
	return ", as a member of task force " + a.TaskForce
}

// byAccess is the order of accesses.
func byAccess(a, b Access) int {
	return cmp.Or(strings.Compare(a.Agency, b.Agency), strings.Compare(a.Agreement, b.Agreement), strings.Compare(a.Clause, b.Clause), strings.Compare(a.TaskForce, b.TaskForce))
}
