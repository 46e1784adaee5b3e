package standalone

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/transparency"
	"github.com/entente-dev/entente/gateway/witness"
)

// Options of Run.
type Options struct {
	Folder
	// Host that the listeners bind, and a name that local clients may use; default 127.0.0.1.
	Host string
	// Listen has the gateway's addresses, and Exchange that of the exchange; each by default on Host, with its usual port,
	// or the one that the Agency publishes.
	Listen   gateway.Addrs
	Exchange string
	// SourceExplainGroups of local users may have queries explained as the source; nil: nobody.
	SourceExplainGroups []string
	// LogRetention is how long the payloads of log records are kept; 0: gateway.DefaultLogRetention.
	LogRetention time.Duration
	// Transparency says how the log is made public, and by whom it is witnessed.
	Transparency transparency.Options
	// Witness of other agencies' logs, served at Listen.Witness; without LogsFile this installation is none.
	Witness witness.Options
	// Ready is called once everything is bound.
	Ready  func(Bound)
	Logger *slog.Logger
}

// Bound is where a running installation listens.
type Bound struct {
	Agency   string
	Gateway  gateway.Addrs
	Exchange string
}

// The usual ports.
const (
	portREST     = "8443"
	portGRPC     = "8444"
	portPeer     = "9443"
	portExchange = "9444"
	portHealth   = "8080"
)

func (o *Options) setDefaults() error {
	if o.ConfigDir == "" {
		return errors.New("no folder of resources is given")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Host = cmp.Or(o.Host, "127.0.0.1")
	o.LogRetention = cmp.Or(o.LogRetention, gateway.DefaultLogRetention)
	return nil
}

// setAddresses fills in the addresses that were not given.
func (o *Options) setAddresses(published v1alpha1.AgencyEndpoints) {
	port := func(endpoint, usual string) string {
		if _, port, err := net.SplitHostPort(endpoint); err == nil {
			return port
		}
		return usual
	}
	for _, a := range []struct {
		address *string
		port    string
	}{
		{&o.Listen.REST, portREST}, {&o.Listen.GRPC, portGRPC}, {&o.Listen.Health, portHealth},
		{&o.Listen.Peer, port(published.Gateway, portPeer)}, {&o.Exchange, port(published.Exchange, portExchange)},
	} {
		*a.address = cmp.Or(*a.address, net.JoinHostPort(o.Host, a.port))
	}
}

// names are those that local clients know the gateway by.
func (o *Options) names() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if o.Host != "127.0.0.1" && o.Host != "localhost" && o.Host != "::1" && o.Host != "0.0.0.0" && o.Host != "::" {
		names = append(names, o.Host)
	}
	return names
}
