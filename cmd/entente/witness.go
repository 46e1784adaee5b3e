package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"

	"github.com/entente-dev/entente/gateway"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/witness"
)

type witnessFlags struct {
	stateDir          string
	o                 witness.Options
	address, metrics  string
	certFile, keyFile string
}

func newWitnessCommand() *cobra.Command {
	f := &witnessFlags{}
	cmd := &cobra.Command{
		Use:   "witness --name NAME --logs FILE --state-dir DIR",
		Short: "Witness the logs of agencies, as an overseer",
		Long: `Cosigns the checkpoints of agencies' logs (C2SP tlog-witness): of each log one history only, whatever it shows to others. It sees
checkpoints and hashes, and nothing of what a log holds. A log that is cut, rolled back or forked is not cosigned any more; that is
logged, counted in entente_witness_requests_total, and what it showed is kept in the state folder.

FILE has the key of each log, one a line, as "entente audit checkpoint -o json" and GET /log/ of a gateway show it; it is read
again when it changes. A log that ends and begins anew, because its volume was lost, has another key.

The state folder makes the witness: one that lost it must not go on under its name. Without a certificate it serves HTTP; put it
behind something that has one.`,
		Example: `  entente witness --name oversight.example.gov/witness --logs ./logs --state-dir /var/lib/entente-witness \
    --tls-cert-file tls.crt --tls-key-file tls.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return f.run(cmd.Context(), func(format string, args ...any) { fmt.Fprintf(cmd.OutOrStdout(), format, args...) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.o.Name, "name", "", "name of the witness: a name in DNS that is yours, and a path (required)")
	fl.StringVar(&f.o.LogsFile, "logs", "", "file with the keys of the logs (required)")
	fl.StringVar(&f.stateDir, "state-dir", "", "folder for the key and for what was cosigned (required)")
	fl.StringVar(&f.address, "address", ":8446", "listen address")
	fl.StringVar(&f.metrics, "metrics-address", "", "listen address of metrics, without TLS (default: none)")
	fl.StringVar(&f.certFile, "tls-cert-file", "", "PEM file of the certificate to serve with")
	fl.StringVar(&f.keyFile, "tls-key-file", "", "PEM file of its key")
	for _, name := range []string{"name", "logs", "state-dir"} {
		_ = cmd.MarkFlagRequired(name) // the flag was added above
	}
	cmd.MarkFlagsRequiredTogether("tls-cert-file", "tls-key-file")
	return cmd
}

// maxWitnessed bounds the connections of strangers.
const maxWitnessed = 1024

func (f *witnessFlags) run(ctx context.Context, say func(string, ...any)) (err error) {
	w, err := witness.Open(f.stateDir, f.o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	listener, err := net.Listen("tcp", f.address)
	if err != nil {
		return err
	}
	server := w.Server()
	servers := []*http.Server{server}
	ended := make(chan error, 2)
	go func() {
		listener := netutil.LimitListener(listener, maxWitnessed)
		if f.certFile == "" {
			ended <- server.Serve(listener)
			return
		}
		ended <- server.ServeTLS(listener, f.certFile, f.keyFile)
	}()
	if f.metrics != "" {
		m := metrics.New()
		gateway.WitnessMetrics(m, w)
		counts := &http.Server{Addr: f.metrics, Handler: promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: 5 * time.Second}
		servers = append(servers, counts)
		go func() { ended <- counts.ListenAndServe() }()
	}
	scheme := "https"
	if f.certFile == "" {
		scheme = "http"
	}
	say("Witnessing at %s. Agencies put this line into their policy, with the address by which they reach it:\n  witness NAME %s %s://%s\n",
		listener.Addr(), w.VerifierKey(), scheme, listener.Addr())
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	for _, s := range servers {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		_ = s.Shutdown(stop)
		cancel()
	}
	return err
}
