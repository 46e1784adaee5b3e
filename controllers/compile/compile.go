package compile

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// CompileAgreement decides what the agreement of that id means at now, in all its versions.
func CompileAgreement(index *Index, id string, prior Prior, now time.Time) Result {
	return newCompiler(index, now).agreement(id, prior)
}

// Compile is CompileAgreement of every agreement that exists or existed.
func Compile(index *Index, prior map[string]Prior, now time.Time) map[string]Result {
	c := newCompiler(index, now)
	out := make(map[string]Result, len(index.Agreements))
	for id := range index.Agreements {
		out[id] = c.agreement(id, prior[id])
	}
	for id, p := range prior {
		if _, ok := out[id]; !ok {
			out[id] = c.agreement(id, p)
		}
	}
	return out
}

// compiler holds what stays the same while agreements are compiled, and remembers what is costly to compute twice.
type compiler struct {
	index *Index
	now   time.Time
	// self is the local Agency; nil when there is no such object.
	self    *v1alpha1.Agency
	schemas map[string]*schema
	peers   map[string]error
	// profiles of this compilation by name.
	profiles map[string]*framework
	// taskForces of this compilation by object name.
	taskForces map[string]*taskForce
	// apis of this compilation by dataset.
	apis map[string]apiFound
	// datasets of the local agency in the order of their names.
	datasets []*v1alpha1.Dataset
}

func newCompiler(index *Index, now time.Time) *compiler {
	c := &compiler{
		index:    index,
		now:      now.UTC(),
		self:     index.Agencies[index.Self],
		schemas:  map[string]*schema{},
		peers:    map[string]error{},
		profiles: map[string]*framework{},
		apis:     map[string]apiFound{},

		taskForces: map[string]*taskForce{},
	}
	for _, name := range slices.Sorted(maps.Keys(index.Datasets)) {
		c.datasets = append(c.datasets, index.Datasets[name])
	}
	return c
}

// agreement is the table of contents: what each version is, how the versions relate, and what follows from that.
func (c *compiler) agreement(id string, prior Prior) Result {
	versions := c.versions(id)
	for _, v := range versions {
		c.judge(v)
		c.resolve(v)
		c.count(v)
		c.verify(v)
		c.hear(v)
	}
	relate(versions)
	for _, v := range versions {
		c.renew(v)
		c.live(v)
		c.owe(v)
	}
	route := c.route(id, versions, prior.Route)
	result := Result{
		Route:       route,
		Credentials: c.credentials(id, route, versions),
		Next:        c.next(versions),
	}
	for _, v := range versions {
		result.Versions = append(result.Versions, VersionResult{
			Name:   v.name,
			Status: c.status(v, route, prior.Conditions[v.name]),
			Sign:   v.sign,
			Record: v.decided.record,
			Say:    v.say(),
		})
	}
	return result
}

// version is one version of an agreement while it is compiled. Each step of agreement fills in its part.
type version struct {
	object *v1alpha1.SharingAgreement
	self   string // the local agency
	name   string
	terms  *v1alpha1.AgreementTerms
	digest string

	accepted verdict  // judge, hear, relate
	warnings []string // judge
	coverage []v1alpha1.TermCoverage
	resolved verdict // resolve
	clauses  []clause

	decided    decisions  // count
	signatures signatures // verify
	voices     []voice    // hear

	// notBefore and end are the window in which the version can be in force: its term, cut where a signed later version
	// replaces it (relate).
	notBefore, end time.Time
	replacedBy     *version
	ancestors      []*version
	siblings       []*version // all versions of the agreement

	inForce verdict // live
	state   v1alpha1.AgreementState
	sign    bool

	duties []v1alpha1.DutyStatus // owe
}

// versions of the agreement, ascending. Objects of another id have no business here and are left to be refused by judge.
func (c *compiler) versions(id string) []*version {
	objects := c.index.Agreements[id]
	out := make([]*version, 0, len(objects))
	for _, o := range objects {
		out = append(out, &version{
			object:    o,
			self:      c.index.Self,
			name:      o.Name,
			terms:     &o.Spec.Terms,
			notBefore: o.Spec.Terms.Term.NotBefore.UTC(),
			end:       o.Spec.Terms.Term.NotAfter.UTC(),
		})
	}
	slices.SortFunc(out, func(a, b *version) int {
		return cmp.Or(cmp.Compare(a.terms.Version, b.terms.Version), cmp.Compare(a.name, b.name))
	})
	return out
}

// verdict is the outcome of a chain of checks: what a condition says.
type verdict struct {
	ok              bool
	reason, message string
}

// check is one rule over a version. It fails with a reason of a condition and a message that says the next step.
type check func(c *compiler, v *version) (reason, message string, failed bool)

// first runs the checks in order; the first that fails is the verdict.
func (c *compiler) first(v *version, checks []check, reason, message string) verdict {
	for _, check := range checks {
		if reason, message, failed := check(c, v); failed {
			return verdict{false, reason, message}
		}
	}
	return verdict{true, reason, message}
}
