package standalone

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/receipt"
	"github.com/entente-dev/entente/gateway/route"
)

// Logs gives this installation's log, and that of a peer, over its exchange. The pool is the caller's to close.
func (f Folder) Logs(peer string) (ours, theirs receipt.Lister, pool *exchange.Pool, err error) {
	_, store, err := f.open()
	if err != nil {
		return nil, nil, nil, err
	}
	x, err := f.Index()
	if err != nil {
		return nil, nil, nil, err
	}
	a := x.Agencies[peer]
	if a == nil {
		return nil, nil, nil, fmt.Errorf("there is no agency %q here", peer)
	}
	to, err := exchange.PeerOf(a)
	if err != nil {
		return nil, nil, nil, err
	}
	dir := filepath.Join(f.stateDir(), "gateway", "log")
	ours = receipt.Log{Read: func(from time.Time, fn func(audit.Record) error) error { return audit.ReadSince(dir, from, fn) }}
	pool = exchange.NewPool(store.OperatorIdentity())
	return ours, exchange.Receipts{Pool: pool, Peer: to}, pool, nil
}

// Operator gives this installation's party and its operator's identity.
func (f Folder) Operator() (route.Party, identity.Own, error) {
	self, store, err := f.open()
	if err != nil {
		return route.Party{}, nil, err
	}
	return route.Party{Agency: self.Name, TrustDomain: self.Spec.TrustDomain}, store.OperatorIdentity(), nil
}
