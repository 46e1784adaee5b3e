package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/internal/accounting"
)

func newAuditCorrectionsCommand() *cobra.Command {
	var logs logsFlags
	var subject subjectFlags
	var fields []string
	var record string
	cmd := &cobra.Command{
		Use:   "corrections --dir DIR [--subject FILE]",
		Short: "List who must be told that a person's record was wrong",
		Long: `Lists the agencies that received a person's records, with their addresses, contacts and the disclosures, so that they can be told
of a correction or a dispute (5 U.S.C. 552a(c)(4), EU 2016/680 Art. 7(3)). The person is given as to 'entente audit disclosures'.

--record DIR writes down that they have been told: a record for each disclosure, in a log of the agency's own in that folder, a
chain like the gateways' logs, which 'entente audit verify' and 'entente audit show' read. Tell them first. What is recorded
there is shown as told from then on.`,
		Example: `  entente audit corrections --dir /var/lib/entente/log --subject person.txt -n labor-inspectorate

  # Only those who received the wage, and then that they were told
  entente audit corrections --dir ./log --subject person.txt --field monthly_wage
  entente audit corrections --dir ./log --subject person.txt --field monthly_wage --record ./corrections`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			told := record != "" && exists(record)
			if told {
				logs.dirs = append(logs.dirs, record)
			}
			q, err := logs.question(cmd, &subject)
			if err != nil {
				return err
			}
			found, err := accounting.PastRecipients(cmd.Context(), q, fields)
			if err != nil {
				return err
			}
			if err := logs.print(cmd, found); err != nil || record == "" {
				return err
			}
			gateways := q.Logs
			if told {
				gateways = gateways[:len(gateways)-1]
			}
			n, err := recordCorrections(cmd, record, &logs.keys, gateways, found)
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "Recorded in %s that the recipients of %d disclosures have been told.\n", record, n)
			}
			return err
		},
	}
	logs.add(cmd, "text", "json", "csv")
	subject.add(cmd)
	logs.desk.add(cmd)
	cmd.Flags().StringSliceVar(&fields, "field", nil, "only who received this field, or an answer about the whole record (repeatable)")
	cmd.Flags().StringVar(&record, "record", "", "folder of the agency's log of corrections: record there that the recipients have been told")
	return cmd
}

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

func recordCorrections(cmd *cobra.Command, dir string, keys *logKeyFlags, gateways []accounting.Log, found *accounting.Corrections) (n int, err error) {
	if found.Untold() == 0 {
		return 0, nil
	}
	origin, err := accounting.CorrectionsOrigin(gateways)
	if err != nil {
		return 0, err
	}
	ring, err := keys.ring()
	if err != nil {
		return 0, err
	}
	log, err := audit.Open(dir, audit.Options{Origin: origin, Keys: ring})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	return found.Record(cmd.Context(), log)
}
