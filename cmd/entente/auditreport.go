package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/internal/accounting"
)

func newAuditReportCommand() *cobra.Command {
	var logs logsFlags
	var by string
	var until time.Duration
	cmd := &cobra.Command{
		Use:   "report --dir DIR",
		Short: "Report how agreements were used",
		Long: `Counts what the logs hold: for each agreement, purpose or agency how often it was asked, answered (with a hit or without), denied and
by which check, failed, how many records went out or came in, and how long it took. With --config or -n it also lists the
agreements that are in force and unused, and sets what each was to bring (anticipatedResults) beside what was measured.

There is nothing in it about the persons asked about, nor about who asked. -o html is one page that stands by itself.`,
		Example: `  entente audit report --dir /var/lib/entente/log --since 720h
  entente audit report --dir ./gateway-0/log --dir ./gateway-1/log --by purpose -o csv > use.csv
  entente audit report --dir /var/lib/entente/log --config ./labor-inspectorate -o html > report.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if until < 0 || logs.since > 0 && until >= logs.since {
				return fmt.Errorf("--until %s: use a duration back from now, shorter than --since", until)
			}
			if !slices.Contains(accounting.By, by) {
				return fmt.Errorf("--by %q: use agreement, purpose or agency", by)
			}
			now := time.Now()
			s := accounting.Scope{By: by, Since: logs.from(now), Now: now}
			if until > 0 {
				s.Until = now.Add(-until).UTC()
			}
			var err error
			if s.Logs, err = logs.open(cmd); err != nil {
				return err
			}
			if s.Directory, err = logs.directory(cmd.Context(), now); err != nil {
				return err
			}
			r, err := accounting.NewReport(cmd.Context(), s)
			if err != nil {
				return err
			}
			return logs.print(cmd, r)
		},
	}
	logs.add(cmd, "text", "json", "csv", "html")
	logs.desk.add(cmd)
	cmd.Flags().StringVar(&by, "by", "agreement", "what a row is about: agreement, purpose or agency")
	cmd.Flags().DurationVar(&until, "until", 0, "only what is older than this; 0: up to now")
	return cmd
}
