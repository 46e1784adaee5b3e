package controllers

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
)

// announcer calls the peers when this agency has something new to say of itself: a maintenance. They would ask within minutes, and
// what is urgent to their users must not wait for that.
type announcer struct {
	record   *record
	pool     *exchange.Pool
	contacts *contacts
}

// announceAgain is how soon a peer is called again that did not answer.
const announceAgain = 15 * time.Second

func (r *announcer) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("announce").
		Watches(&v1alpha1.Agency{}, handler.EnqueueRequestsFromMapFunc(r.peers), changed(maintenanceInput)).
		WithOptions(options(8)).
		Complete(r)
}

func maintenanceInput(o client.Object) any { return o.(*v1alpha1.Agency).Spec.Maintenance }

// peers are all other agencies, when it is this one that changed.
func (r *announcer) peers(ctx context.Context, o client.Object) []reconcile.Request {
	self := r.record.gather.self
	if o.GetName() != self {
		return nil
	}
	var list v1alpha1.AgencyList
	if err := r.record.gather.reader.List(ctx, &list, client.InNamespace(r.record.gather.namespace)); err != nil {
		return nil // they ask by themselves
	}
	var out []reconcile.Request
	for i := range list.Items {
		if name := list.Items[i].Name; name != self {
			out = append(out, requests(name)...)
		}
	}
	return out
}

// Reconcile implements reconcile.Reconciler for a peer's name.
func (r *announcer) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	peer, ok, err := r.record.peer(ctx, request.Name)
	if err != nil || !ok {
		return reconcile.Result{}, err
	}
	shared, err := r.record.With(ctx, peer.Agency, "")
	if err != nil || len(shared) == 0 {
		return reconcile.Result{}, err
	}
	err = r.pool.Announce(ctx, peer)
	if err == nil || status.Code(err) == codes.Unimplemented {
		return reconcile.Result{}, nil // an older operator sees it in the list, or not at all
	}
	if exchange.ReasonOf(err) == "" {
		r.contacts.lost(peer.Agency, err)
	}
	return reconcile.Result{RequeueAfter: announceAgain}, nil
}
