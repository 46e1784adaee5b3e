package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/receipt"
)

// Replica is one of the agency's own gateways, whose log is its own.
type Replica struct {
	Name string
	// Address of its peer listener, host:port; empty: it has not said.
	Address string
}

// Logs reads receipts from the logs of all of the agency's gateways, as one. A replica that cannot be read makes it fail: what is
// compared must be whole.
type Logs struct {
	TrustDomain string
	// Own identity, spiffe://<trust domain>/operator.
	Own identity.Own
	// Replicas are all that there are, those that do not answer among them.
	Replicas func(ctx context.Context) ([]Replica, error)
}

var _ receipt.Lister = (*Logs)(nil)

// replicaTimeout bounds the reading of one page at one replica.
const replicaTimeout = 30 * time.Second

// errNoReplica: an agency without a gateway has no log; that it has none is not the same as that it cannot be asked.
var errNoReplica = errors.New("no gateway of this agency has reported yet")

// ListReceipts implements receipt.Lister.
func (l *Logs) ListReceipts(ctx context.Context, peer string, w receipt.Window, after string) ([]receipt.Receipt, string, error) {
	replicas, err := l.Replicas(ctx)
	if err != nil {
		return nil, "", err
	}
	if len(replicas) == 0 {
		return nil, "", errNoReplica
	}
	var all []receipt.Receipt
	end := "" // the id up to which every replica has given what it has; empty: all of it
	for _, r := range replicas {
		page, more, err := l.page(ctx, r, peer, w, after)
		if err != nil {
			return nil, "", fmt.Errorf("the log of gateway replica %s cannot be read: %w", r.Name, err)
		}
		all = append(all, page...)
		if last := len(page) - 1; more && last >= 0 && (end == "" || page[last].Disclosure < end) {
			end = page[last].Disclosure
		}
	}
	page, next := merge(all, end)
	return page, next, nil
}

// merge sorts what several replicas gave, up to an id.
func merge(all []receipt.Receipt, end string) (page []receipt.Receipt, next string) {
	slices.SortStableFunc(all, func(a, b receipt.Receipt) int { return strings.Compare(a.Disclosure, b.Disclosure) })
	for _, r := range all {
		last := len(page) - 1
		switch {
		case end != "" && r.Disclosure > end:
			return page, end
		case last >= 0 && page[last].Disclosure == r.Disclosure:
			page[last].Repeated = true // two logs have it
		case len(page) == receipt.MaxPage:
			return page, page[last].Disclosure
		default:
			page = append(page, r)
		}
	}
	return page, end
}

func (l *Logs) page(ctx context.Context, r Replica, peer string, w receipt.Window, after string) ([]receipt.Receipt, bool, error) {
	if r.Address == "" {
		return nil, false, errors.New("it does not say where it is reached: start it with --advertise-address, or set POD_IP")
	}
	conn, err := l.dial(ctx, r.Address)
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	answer, err := gatewayv1.NewAuditServiceClient(conn).ListReceipts(ctx, &gatewayv1.ListReceiptsRequest{
		Peer: peer, Since: timestamppb.New(w.Since), Until: timestamppb.New(w.Until), After: after,
	})
	if err != nil {
		return nil, false, fmt.Errorf("%s (if its volume is gone for good, delete its Lease)", status.Convert(err).Message())
	}
	page, err := receipt.FromProtos(answer.GetReceipts())
	return page, answer.GetMore(), err
}

// dial makes a connection for one page: pages are few, and far between.
func (l *Logs) dial(ctx context.Context, address string) (*grpc.ClientConn, error) {
	pem, err := l.Own.TrustBundle(ctx)
	if err != nil {
		return nil, fmt.Errorf("own trust bundle: %w", err)
	}
	bundle, err := identity.Bundle(l.TrustDomain, pem)
	if err != nil {
		return nil, err
	}
	config := identity.ClientConfig(identity.GatewayID(l.TrustDomain), bundle, l.Own.Certificate)
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithDisableServiceConfig())
}
