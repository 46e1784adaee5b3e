package controllers

import (
	"reflect"
	"slices"
	"sync"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// plan is what the agreement reconciler leaves for those behind it: the part of a compile.Result that is still to be done.
type plan struct {
	// number grows with every plan of any agreement.
	number uint64
	// sequence of the route; 0: there is none.
	sequence  int64
	tombstone bool
	// prepare: the roles are to be written first, so that who asks as soon as the route is there gets an answer; the route
	// follows, and a plan that says so.
	prepare bool
	// stood: the route was there already. Its roles were written before it was.
	stood bool
	// unpublished says why the route could not be published; nothing may be done before it is.
	unpublished error
	// credentials that must exist; every other of the agreement must not.
	credentials []compile.Credential
	versions    []plannedVersion
}

// plannedVersion is one SharingAgreement of a plan.
type plannedVersion struct {
	name       string
	generation int64
	state      v1alpha1.AgreementState
	// carried: the route carries it, so it has or will have credentials and is served.
	carried bool
	// deleting: the object waits for its finalizer.
	deleting bool
	// sign digest, decided at decided.
	sign    bool
	digest  string
	decided []v1alpha1.DecisionRecord
	// say this to the other parties.
	say []v1alpha1.StatementRef
	// due are the conditions about time that hold, with their rung: Expiring/Within30Days.
	due []string
	// duties and where they stand: own/Overdue.
	duties []string
}

// deleting says whether objects wait to go.
func (p *plan) deleting() bool {
	return slices.ContainsFunc(p.versions, func(v plannedVersion) bool { return v.deleting })
}

// says whether both plans say the same.
func (p *plan) says(o *plan) bool {
	a, b := *p, *o
	a.number, b.number = 0, 0
	a.stood, b.stood = false, false
	if a.unpublished != nil && b.unpublished != nil && a.unpublished.Error() == b.unpublished.Error() {
		a.unpublished, b.unpublished = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

func (p *plan) signs() bool {
	return slices.ContainsFunc(p.versions, func(v plannedVersion) bool { return v.sign })
}

// speaks says whether there is something to tell the other parties.
func (p *plan) speaks() bool {
	return slices.ContainsFunc(p.versions, func(v plannedVersion) bool { return len(v.say) > 0 })
}

// plans holds the latest plan of each agreement, and rings for those who work on it. Plans are only made by the leader, and
// all are made anew when it starts.
type plans struct {
	signer, statements, credentials, programmed, finalizer doorbell

	mu     sync.Mutex
	latest map[string]*plan
	// settled is the number of the plan whose credentials were last made so.
	settled map[string]uint64
	// written are the credentials that were last made so.
	written map[string][]compile.Credential
	// unread are agreements whose roles are taken to be as they were written, until their turn to be read in Vault comes.
	unread map[string]bool
	number uint64
}

func newPlans() *plans {
	return &plans{latest: map[string]*plan{}, settled: map[string]uint64{}, written: map[string][]compile.Credential{}, unread: map[string]bool{}}
}

// put takes over the plan of an agreement. One that says the same as the last changes nothing: whoever works on that goes on.
func (p *plans) put(id string, next *plan) {
	p.mu.Lock()
	before := p.latest[id]
	if before != nil && before.says(next) {
		p.mu.Unlock()
		return
	}
	p.number++
	next.number = p.number
	p.latest[id] = next
	if delete(p.unread, id); before == nil && next.stood {
		p.unread[id] = true
	}
	p.mu.Unlock()

	if next.signs() {
		p.signer.ring(id)
	}
	if next.speaks() {
		p.statements.ring(id)
	}
	if before != nil && len(next.credentials) < len(before.credentials) {
		p.credentials.ringUrgent(id)
	} else {
		p.credentials.ring(id)
	}
	p.programmed.ring(id)
}

func (p *plans) get(id string) *plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest[id]
}

// settle notes that the credentials are as the plan wants them. An agreement of which nothing is left is forgotten.
func (p *plans) settle(id string, done *plan) {
	p.mu.Lock()
	p.settled[id] = done.number
	if len(done.versions) == 0 && p.latest[id] == done {
		delete(p.latest, id)
		delete(p.settled, id)
		delete(p.written, id)
		delete(p.unread, id)
	}
	p.mu.Unlock()
	if done.deleting() {
		p.finalizer.ring(id)
	}
}

// write notes that the roles of these credentials are written.
func (p *plans) write(id string, done []compile.Credential) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written[id] = done
}

// isWritten says whether exactly these were the last to be written.
func (p *plans) isWritten(id string, want []compile.Credential) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(want) == 0 || reflect.DeepEqual(p.written[id], want)
}

// leaveUnread has the roles of an agreement wait for their turn to be read, if they are as this plan wants them, and nobody wants them
// otherwise by now.
func (p *plans) leaveUnread(id string, of *plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest[id] == of && p.settled[id] == of.number {
		p.unread[id] = true
	}
}

// isUnread says whether the roles of an agreement wait for their turn.
func (p *plans) isUnread(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unread[id]
}

// readNow has the roles of an agreement read without waiting for their turn.
func (p *plans) readNow(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.unread, id)
}

// nextUnread is an agreement whose turn it is; empty: none waits.
func (p *plans) nextUnread() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.unread {
		delete(p.unread, id)
		return id
	}
	return ""
}

// isSettled says whether the credentials are as this plan wants them.
func (p *plans) isSettled(id string, of *plan) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settled[id] == of.number
}

// ids of all agreements that have a plan.
func (p *plans) ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]string, 0, len(p.latest))
	for id := range p.latest {
		out = append(out, id)
	}
	return out
}

// counts of plans, for metrics.
type counts struct {
	// states: versions by state. due: by the condition about time that holds and its rung. duties: by whose they are and where they stand.
	states map[v1alpha1.AgreementState]int
	due    map[string]int
	duties map[string]int
	// unsettled: agreements whose credentials are not yet as their plan wants them. unread: whose roles wait for their turn to be read.
	unsettled, unread int
}

func (p *plans) counts() counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := counts{states: map[v1alpha1.AgreementState]int{}, due: map[string]int{}, duties: map[string]int{}, unread: len(p.unread)}
	for id, pl := range p.latest {
		if p.settled[id] != pl.number {
			c.unsettled++
		}
		for i := range pl.versions {
			v := &pl.versions[i]
			c.states[v.state]++
			for _, d := range v.due {
				c.due[d]++
			}
			for _, d := range v.duties {
				c.duties[d]++
			}
		}
	}
	return c
}
