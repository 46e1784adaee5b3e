package controllers

import (
	"context"
	"time"

	"golang.org/x/time/rate"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/controllers/reconciliation"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
)

// between is what works between this agency's operator and those of others: what comes in, what goes out, and keeping in touch.
type between struct {
	inbox      *exchange.Inbox
	report     *exchangeReport
	contacts   *contacts
	deliveries *deliveries
	announcer  *announcer
	pool       *exchange.Pool

	reconciliations *reconciliations
}

func newBetween(m manager.Manager, o Options, gather *gatherer, own identity.Own) *between {
	recorder := m.GetEventRecorder("entente-exchange")
	rec := &record{gather: gather, client: m.GetClient(), live: m.GetAPIReader()}
	b := &between{
		inbox: &exchange.Inbox{Self: route.Party{Agency: o.Agency, TrustDomain: o.TrustDomain}, Agreements: rec, Now: o.Now},
		pool:  exchange.NewPool(own),
	}
	b.contacts = &contacts{record: rec, pool: b.pool, inbox: b.inbox, log: o.Logger, recorder: recorder, now: o.Now, failures: map[string]int{}, suspected: map[string]time.Time{}}
	b.deliveries = &deliveries{
		client: m.GetClient(), record: rec, pool: b.pool, contacts: b.contacts, recorder: recorder, now: o.Now,
		failures: map[string]map[string]int{}, corrected: map[string]map[string][]v1alpha1.StatementRef{},
		fresh: map[string][]v1alpha1.AgreementStatement{},
	}
	b.contacts.corrected, b.contacts.ring = b.deliveries.correct, b.deliveries.door.ring
	b.announcer = &announcer{record: rec, pool: b.pool, contacts: b.contacts}
	b.reconciliations = &reconciliations{
		client: m.GetClient(), record: rec, pool: b.pool, recorder: recorder, log: o.Logger, now: o.Now, every: o.ReconcileEvery, delay: o.ReconcileDelay,
		logs: &reconciliation.Logs{TrustDomain: o.TrustDomain, Own: own, Replicas: replicasOf(m.GetClient(), o.Namespace)},
	}
	b.report = &exchangeReport{gather: gather, recorder: recorder, heard: b.contacts.heard, suspect: b.contacts.suspect, events: map[string]*rate.Limiter{}}
	return b
}

// Start implements manager.Runnable: the connections end with the operator.
func (b *between) Start(ctx context.Context) error {
	<-ctx.Done()
	b.pool.Close()
	return nil
}
