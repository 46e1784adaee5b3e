package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/gateway/audit"
)

func newAuditEraseCommand() *cobra.Command {
	var dir, before string
	var selection audit.Selection
	var order audit.Order
	var timeout time.Duration
	var keys logKeyFlags
	cmd := &cobra.Command{
		Use:   "erase --dir DIR (--disclosure ID | --before DATE) --reason TEXT",
		Short: "Erase records from a gateway's log, which goes on proving the rest",
		Long: `Overwrites the payloads of records with zeros. Their places, times and commitments stay, so that the chain and every proof go on
verifying. That it was done, of which entries, why and for whom, is a record of its own in the log before anything is erased
(EU 2016/680 Art. 25); it is kept in the clear and for good: reason and name must not say who the person concerned is.

Records are erased by themselves when their retention ends (entente gateway --log-retention). This command is for what must go
earlier. When a gateway has the log open, the gateway does it; otherwise the command does. It cannot be undone.`,
		Example: `  # One disclosure: what was asked, by whom, about whom
  entente audit erase --dir /var/lib/entente/log --disclosure 01a20aa2-1beb-7dbd-8ac4-271765c90710 \
    --reason "order 2026/114 of the data protection officer" --by "records office"

  # Everything older than a day
  entente audit erase --dir /var/lib/entente/log --before 2025-01-01 --reason "end of the year that follows"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if before != "" {
				at, err := time.Parse(time.DateOnly, before)
				if err != nil {
					if at, err = time.Parse(time.RFC3339, before); err != nil {
						return fmt.Errorf("--before %q: use 2025-01-01 or 2025-01-01T00:00:00Z (UTC)", before)
					}
				}
				selection.Before = at
			}
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("it took longer than %s", timeout))
			defer cancel()
			bar := startProgress(cmd.ErrOrStderr(), "looking for what is to be erased")
			n, err := eraseFromLog(ctx, dir, &keys, selection, order)
			bar.end()
			if err != nil {
				return noLog(err, dir)
			}
			if n == 0 {
				return errors.New("nothing was erased: no entry is like that, or all of them are erased already")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d entries erased\n", n)
			return nil
		},
	}
	auditDirFlag(cmd, &dir)
	fl := cmd.Flags()
	fl.StringVar(&selection.Disclosure, "disclosure", "", "erase the records of this disclosure id")
	fl.StringVar(&before, "before", "", "erase all records older than this day or time, UTC")
	fl.StringVar(&order.Text, "reason", "", "why; kept in the log in the clear (required)")
	fl.StringVar(&order.By, "by", "", "who orders it; kept in the log in the clear")
	fl.DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait for it")
	keys.add(cmd)
	_ = cmd.MarkFlagRequired("reason")
	cmd.MarkFlagsMutuallyExclusive("disclosure", "before")
	cmd.MarkFlagsOneRequired("disclosure", "before")
	return cmd
}

// eraseFromLog opens the log, or asks the gateway that has it open.
func eraseFromLog(ctx context.Context, dir string, keys *logKeyFlags, s audit.Selection, o audit.Order) (uint64, error) {
	id, err := audit.ReadIdentity(dir)
	if err != nil {
		return 0, err
	}
	ring, err := keys.ring()
	if err != nil {
		return 0, err
	}
	log, err := audit.Open(dir, audit.Options{Origin: id.Origin, Keys: ring})
	if errors.Is(err, audit.ErrLocked) {
		return audit.RequestErasure(ctx, dir, s, o)
	}
	if err != nil {
		return 0, err
	}
	n, err := log.Erase(ctx, s, o)
	if err == nil {
		err = log.Sweep(ctx)
	}
	return n, errors.Join(err, log.Close())
}
