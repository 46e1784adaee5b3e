package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/gateway/transparency"
	"github.com/entente-dev/entente/gateway/witness"
)

// logFlags say how a gateway's log is made public, by whom it is witnessed, and whose logs the gateway witnesses.
type logFlags struct {
	mergeDelay         time.Duration
	policyFile, caFile string
	interval, required time.Duration

	witnessAddress, witnessName, witnessLogs string
}

func (f *logFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.DurationVar(&f.mergeDelay, "log-merge-delay", transparency.DefaultMergeDelay, "how long a log entry may wait for its signed checkpoint; beyond it queries are refused")
	fl.StringVar(&f.policyFile, "log-witness-policy", "", "file that names the witnesses of this log and which of them are a quorum (C2SP tlog-policy)")
	fl.StringVar(&f.caFile, "log-witness-ca-file", "", "PEM file of the authorities of the witnesses' certificates (default: the system's)")
	fl.DurationVar(&f.interval, "log-witness-interval", transparency.DefaultWitnessInterval, "time between two requests for cosignatures, at least 1s")
	fl.DurationVar(&f.required, "log-witness-required", 0, "refuse queries after so long without a quorum of witnesses; 0: go on, and say so")
	fl.StringVar(&f.witnessAddress, "witness-address", ":8446", "where this gateway serves as a witness, if it is one")
	fl.StringVar(&f.witnessName, "witness-name", "", "name of this gateway as a witness, for example police.example.gov/witness/gateway-0")
	fl.StringVar(&f.witnessLogs, "witness-logs", "", "file with the keys of the logs that this gateway witnesses, one a line")
	cmd.MarkFlagsRequiredTogether("witness-name", "witness-logs")
}

// transparency says what is configured of a gateway's own log.
func (f *logFlags) transparency() (transparency.Options, error) {
	o := transparency.Options{MergeDelay: f.mergeDelay}
	switch {
	case f.mergeDelay < time.Second:
		return o, fmt.Errorf("--log-merge-delay %s: at least 1s", f.mergeDelay)
	case f.interval < time.Second:
		return o, fmt.Errorf("--log-witness-interval %s: at least 1s", f.interval)
	case f.required < 0 || f.required > 0 && f.required < f.interval:
		return o, fmt.Errorf("--log-witness-required %s: 0, or at least --log-witness-interval", f.required)
	case f.policyFile == "" && (f.required > 0 || f.caFile != ""):
		return o, fmt.Errorf("--log-witness-required and --log-witness-ca-file need --log-witness-policy")
	case f.policyFile == "":
		return o, nil
	}
	b, err := os.ReadFile(f.policyFile)
	if err != nil {
		return o, fmt.Errorf("--log-witness-policy: %w", err)
	}
	policy, err := transparency.ParsePolicy(b)
	if err != nil {
		return o, fmt.Errorf("--log-witness-policy %s: %w", f.policyFile, err)
	}
	o.Witnesses = &transparency.Witnesses{Policy: policy, Interval: f.interval, Required: f.required}
	if f.caFile != "" {
		pool, err := certPool(f.caFile)
		if err != nil {
			return o, fmt.Errorf("--log-witness-ca-file: %w", err)
		}
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		o.Witnesses.Client = &http.Client{Transport: t}
	}
	return o, nil
}

// witness opens the witness that the gateway is; nil: it is none.
func (f *logFlags) witness(stateDir string, log *slog.Logger) (*witness.Witness, error) {
	if f.witnessLogs == "" {
		return nil, nil
	}
	return witness.Open(filepath.Join(stateDir, "witness"), witness.Options{Name: f.witnessName, LogsFile: f.witnessLogs, Logger: log})
}
