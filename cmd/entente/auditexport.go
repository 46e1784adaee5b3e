package main

import (
	"bufio"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/internal/accounting"
)

func newAuditExportCommand() *cobra.Command {
	var logs logsFlags
	o := accounting.ExportOptions{}
	var follow bool
	cmd := &cobra.Command{
		Use:   "export --dir DIR",
		Short: "Print entries as JSON lines, for other systems",
		Long: `Prints every entry as a JSON document on a line of its own, for a system that collects events. What identifies persons is left out
(NIST SP 800-53 AU-3(3)): filters, case references, messages, subject tokens, claims of users, the names of the agency's own users, and the digests
of query and answer, by which a guess can be tried; the user's pseudonym stays. --with-parameters prints it all: the system that takes it then holds personal data.

--follow goes on with new entries until it is stopped. After a restart begin with --since; origin and seq say which lines the
other system has already.`,
		Example: `  entente audit export --dir /var/lib/entente/log --since 24h
  entente audit export --dir /var/lib/entente/log --follow | collector`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Logs, err = logs.open(cmd); err != nil {
				return err
			}
			o.Since = logs.from(time.Now())
			out := bufio.NewWriter(cmd.OutOrStdout())
			enc := json.NewEncoder(out)
			enc.SetEscapeHTML(false)
			line := func(l accounting.Line) error { return enc.Encode(l) }
			if follow {
				o.Poll = time.Second
				line = func(l accounting.Line) error {
					if err := enc.Encode(l); err != nil {
						return err
					}
					return out.Flush()
				}
			}
			if err := accounting.Export(cmd.Context(), o, line); err != nil {
				return err
			}
			return out.Flush()
		},
	}
	logs.add(cmd)
	cmd.Flags().BoolVar(&o.WithParameters, "with-parameters", false, "print what identifies persons too")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new entries")
	return cmd
}
