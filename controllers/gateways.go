package controllers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/kube"
)

// gateways reads the reports on the gateways' Leases, and calls for the agreements that a new report is about: a heartbeat is
// about none, progress about the routes that were waited for.
type gateways struct {
	reader    client.Reader
	namespace string
	plans     *plans
	// maxStale is after what time a silent gateway denies everything by itself, so that it counts no more.
	maxStale time.Duration
	now      func() time.Time

	mu sync.Mutex
	// alive replicas, as last looked at; guarded by mu.
	alive map[string]bool
	// awaited are the resource versions of routes that not every replica was known to have taken in, by agreement; guarded by mu.
	awaited map[string]string
}

var _ handler.EventHandler = (*gateways)(nil)

// reports are those of the replicas that count, by name.
func (g *gateways) reports(ctx context.Context) ([]kube.Report, error) {
	var list coordinationv1.LeaseList
	if err := g.reader.List(ctx, &list, client.InNamespace(g.namespace), client.MatchingLabels{kube.LabelGateway: "true"}); err != nil {
		return nil, fmt.Errorf("list leases of gateways: %w", err)
	}
	now := g.now()
	var out []kube.Report
	for i := range list.Items {
		l := &list.Items[i]
		if l.Spec.RenewTime == nil || now.Sub(l.Spec.RenewTime.Time) > g.maxStale {
			continue
		}
		r, err := kube.ReadReport(l, now)
		if err != nil {
			// A report that cannot be read is none.
			r = kube.Report{Replica: cmp.Or(r.Replica, l.Name)}
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b kube.Report) int { return cmp.Compare(a.Replica, b.Replica) })
	return out, nil
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Create implements handler.EventHandler.
func (g *gateways) Create(context.Context, event.CreateEvent, queue) { g.ringAll() }

// Delete implements handler.EventHandler.
func (g *gateways) Delete(context.Context, event.DeleteEvent, queue) { g.ringAll() }

// Generic implements handler.EventHandler.
func (g *gateways) Generic(context.Context, event.GenericEvent, queue) {}

// Update implements handler.EventHandler.
func (g *gateways) Update(_ context.Context, e event.UpdateEvent, _ queue) {
	now := g.now()
	before, err1 := kube.ReadReport(e.ObjectOld.(*coordinationv1.Lease), now)
	after, err2 := kube.ReadReport(e.ObjectNew.(*coordinationv1.Lease), now)
	if err1 != nil || err2 != nil || !reached(after.ResourceVersion, before.ResourceVersion) {
		g.ringAll()
		return
	}
	if !maps.Equal(before.Rejected, after.Rejected) {
		if len(before.Rejected) >= kube.MaxRejected || len(after.Rejected) >= kube.MaxRejected {
			g.ringAll()
			return
		}
		for _, rejected := range []map[string]string{before.Rejected, after.Rejected} {
			for name := range rejected {
				g.plans.programmed.ring(name)
			}
		}
	}
	for _, id := range g.reachedBy(before, after) {
		g.plans.programmed.ring(id)
	}
}

// on are the reports for whoever judges how far an agreement's route is; nil: there is none. The route is waited for until every replica
// has taken it in: noted before the reports are read, so that one that comes meanwhile calls.
func (g *gateways) on(ctx context.Context, id string, route *v1alpha1.GatewayRoute) ([]kube.Report, error) {
	if route != nil {
		g.mu.Lock()
		g.awaited[id] = route.ResourceVersion
		g.mu.Unlock()
	}
	reports, err := g.reports(ctx)
	if err != nil {
		return nil, err
	}
	if route != nil {
		if w := weigh(route, reports); len(w.behind)+len(w.silent) > 0 {
			return reports, nil
		}
	}
	g.mu.Lock()
	delete(g.awaited, id)
	g.mu.Unlock()
	return reports, nil
}

// reachedBy are the agreements whose routes a replica has taken in since its report before; all that are waited for, if it was silent.
func (g *gateways) reachedBy(before, after kube.Report) []string {
	if before.Alive && before.ResourceVersion == after.ResourceVersion {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for id, wanted := range g.awaited {
		if !before.Alive || !reached(before.ResourceVersion, wanted) && reached(after.ResourceVersion, wanted) {
			out = append(out, id)
		}
	}
	return out
}

func (g *gateways) ringAll() {
	for _, id := range g.plans.ids() {
		g.plans.programmed.ring(id)
	}
}

// lookEvery is how soon it is seen that a gateway went silent.
const lookEvery = 2 * time.Second

// Start implements manager.Runnable: that a replica went silent is no event.
func (g *gateways) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookEvery):
		}
		reports, err := g.reports(ctx)
		if err != nil {
			continue
		}
		alive := map[string]bool{}
		for _, r := range reports {
			alive[r.Replica] = r.Alive
		}
		g.mu.Lock()
		changed := !maps.Equal(alive, g.alive)
		g.alive = alive
		g.mu.Unlock()
		if changed {
			g.ringAll()
		}
	}
}
