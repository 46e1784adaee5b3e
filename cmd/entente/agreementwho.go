package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/controllers/words"
)

func newWhoCanSeeCommand(where *deskFlags) *cobra.Command {
	read := readFlags{where: where}
	var field, at string
	cmd := &cobra.Command{
		Use:   "who-can-see DATASET",
		Short: "Say which agencies may see a dataset of this agency, under which agreements and for what",
		Long: `Says which agencies may ask about a dataset of this agency, over all its agreements: under which agreement and clause, for
which purposes, at which granularity, and which fields. With --field, it is about one field: who may see its value, and who
may filter on it, which can confirm a value without showing it.

--at takes a date (the whole day in UTC: whoever could see it at any time of the day) or an instant (RFC 3339). The answer
is computed from the agreements, signatures and decisions that are on file. Of what has no history (the mapping of a
dataset, an agreement whose resource was deleted) it cannot know how it was. It says what was permitted; what was in fact
disclosed stands in the log: entente audit.`,
		Example: `  entente agreement who-can-see wage-records --config ./labor-inspectorate
  entente agreement who-can-see wage-records --field monthly_wage -n labor-inspectorate
  entente agreement who-can-see wage-records --at 2026-03-31 -o text`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now()
			period, err := periodOf(at, now)
			if err != nil {
				return err
			}
			d, err := where.open()
			if err != nil {
				return err
			}
			index, err := d.Index(cmd.Context())
			if err != nil {
				return err
			}
			rows, err := words.WhoCanSee(index, args[0], field, period, now)
			if err != nil {
				return err
			}
			return read.print(cmd.OutOrStdout(), rows, func() string {
				if read.output == "text" || len(rows) == 0 {
					return words.AccessText(rows, args[0], field, period)
				}
				return words.AccessTable(rows, field)
			})
		},
	}
	cmd.Flags().StringVar(&field, "field", "", "field of the dataset (default: the dataset as a whole)")
	cmd.Flags().StringVar(&at, "at", "", "date (2026-03-31) or instant (2026-03-31T12:00:00Z) (default: now)")
	read.addOutput(cmd, "table", "text", "json", "yaml")
	return cmd
}

func periodOf(at string, now time.Time) (words.Period, error) {
	if at == "" {
		return words.Moment(now), nil
	}
	if day, err := time.Parse(time.DateOnly, at); err == nil {
		return words.Day(day), nil
	}
	instant, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return words.Period{}, fmt.Errorf("--at %q is neither a date (2026-03-31) nor an instant (2026-03-31T12:00:00Z)", at)
	}
	return words.Moment(instant), nil
}
