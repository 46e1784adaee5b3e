package peer

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/grpc/status"
)

// A source's gateway endpoint is a name, and behind it are as many addresses as it has replicas. A question goes to the one of two, drawn by
// lot, that has fewer questions open: the least loaded of all would draw the questions of every peer at once. A replica that fails some times
// in a row is left out for a while, if there is another.
const (
	balancerName = "entente_replicas"
	// maxReplicas that one connection uses: agreements are many, and each has its own.
	maxReplicas = 8
	// ejectAfter failures in a row, a replica is left out: for firstEjected, and then for twice as long each time, up to longestEjected.
	ejectAfter     = 3
	firstEjected   = 5 * time.Second
	longestEjected = time.Minute
	// resolveEvery bounds how often a name is looked up, when a replica is gone.
	resolveEvery = 5 * time.Second
)

func init() {
	balancer.Register(replicaBalancer{})
	dns.SetMinResolutionInterval(resolveEvery)
}

// replicaBalancer builds a balancer with a memory of its own for each connection.
type replicaBalancer struct{}

func (replicaBalancer) Name() string { return balancerName }

func (replicaBalancer) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	p := &pickers{known: map[string]*replica{}}
	return &fewReplicas{base.NewBalancerBuilder(balancerName, p, base.Config{}).Build(cc, o)}
}

// fewReplicas uses no more than maxReplicas of the addresses: those that it uses already, and others by lot.
type fewReplicas struct{ balancer.Balancer }

func (f *fewReplicas) UpdateClientConnState(s balancer.ClientConnState) error {
	if all := s.ResolverState.Addresses; len(all) > maxReplicas {
		some := slices.Clone(all)
		rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		s.ResolverState.Addresses = some[:maxReplicas]
	}
	return f.Balancer.UpdateClientConnState(s)
}

// pickers makes a picker for each set of replicas that are connected, and remembers what is known of them.
type pickers struct {
	mu    sync.Mutex
	known map[string]*replica
}

// replica is what is known of one.
type replica struct {
	conn balancer.SubConn
	open atomic.Int64 // questions

	mu       sync.Mutex
	failures int // in a row
	ejected  int // times, in a row
	until    time.Time
}

// Build implements base.PickerBuilder.
func (p *pickers) Build(info base.PickerBuildInfo) balancer.Picker {
	if len(info.ReadySCs) == 0 {
		return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := map[string]*replica{}
	out := &picker{}
	for conn, i := range info.ReadySCs {
		r := p.known[i.Address.Addr]
		if r == nil || r.conn != conn {
			r = &replica{conn: conn}
			if old := p.known[i.Address.Addr]; old != nil { // a new connection to a replica that failed is not trusted for that
				old.mu.Lock()
				r.failures, r.ejected, r.until = old.failures, old.ejected, old.until
				old.mu.Unlock()
			}
		}
		now[i.Address.Addr] = r
		out.replicas = append(out.replicas, r)
	}
	if len(now) < len(p.known) && len(p.known) <= 4*maxReplicas {
		for a, r := range p.known { // gone for a moment
			if now[a] == nil {
				now[a] = r
			}
		}
	}
	p.known = now
	return out
}

// picker picks among the replicas that are connected.
type picker struct{ replicas []*replica }

// Pick implements balancer.Picker.
func (p *picker) Pick(balancer.PickInfo) (balancer.PickResult, error) {
	r := p.choose(time.Now(), rand.IntN)
	r.open.Add(1)
	return balancer.PickResult{SubConn: r.conn, Done: func(d balancer.DoneInfo) {
		r.open.Add(-1)
		r.learn(d.Err, time.Now(), spread)
	}}, nil
}

// choose takes the less loaded of two, by lot, of those that are not left out; of all when all are.
func (p *picker) choose(now time.Time, lot func(int) int) *replica {
	if len(p.replicas) == 1 {
		return p.replicas[0]
	}
	in := make([]*replica, 0, len(p.replicas))
	for _, r := range p.replicas {
		if !r.out(now) {
			in = append(in, r)
		}
	}
	if len(in) == 0 {
		in = p.replicas
	}
	i := lot(len(in))
	if len(in) == 1 {
		return in[0]
	}
	j := (i + 1 + lot(len(in)-1)) % len(in)
	if in[j].open.Load() < in[i].open.Load() {
		return in[j]
	}
	return in[i]
}

func (r *replica) out(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.until)
}

// learn notes how a question ended.
func (r *replica) learn(err error, now time.Time, jitter func(time.Duration) time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		if r.failures++; r.failures < ejectAfter {
			return
		}
		r.until = now.Add(jitter(min(firstEjected<<min(r.ejected, 10), longestEjected)))
		r.failures = 0
		r.ejected++
	case codes.Canceled: // the user went away
	default:
		r.failures, r.ejected, r.until = 0, 0, time.Time{}
	}
}
