package controllers

import (
	"context"
	"sync"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// doorbell is the source by which one part of the operator calls for another's reconcile. It never blocks. What is rung before
// the controller starts is kept.
type doorbell struct {
	mu      sync.Mutex
	queue   workqueue.TypedRateLimitingInterface[reconcile.Request]
	waiting []ring
}

// enqueueName calls for an object by its name, as doorbells do. Under two keys, with its namespace and without, an object would be worked
// on twice at once.
var enqueueName = handler.EnqueueRequestsFromMapFunc(byName)

type ring struct {
	name     string
	priority int
}

// What takes permissions away is before everything else, and what is looked at again without anybody's having changed it is after.
const (
	urgent   = 100
	whenever = handler.LowPriority
)

func (d *doorbell) source() source.Source {
	return source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.queue = q
		for _, r := range d.waiting {
			r.add(q)
		}
		d.waiting = nil
		return nil
	})
}

func (d *doorbell) ring(name string)         { d.press(ring{name, 0}) }
func (d *doorbell) ringUrgent(name string)   { d.press(ring{name, urgent}) }
func (d *doorbell) ringWhenever(name string) { d.press(ring{name, whenever}) }

func (d *doorbell) press(r ring) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.queue == nil {
		d.waiting = append(d.waiting, r)
		return
	}
	r.add(d.queue)
}

func (r ring) add(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	request := reconcile.Request{NamespacedName: client.ObjectKey{Name: r.name}}
	if pq, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok && r.priority != 0 {
		pq.AddWithOpts(priorityqueue.AddOpts{Priority: &r.priority}, request)
		return
	}
	q.Add(request)
}
