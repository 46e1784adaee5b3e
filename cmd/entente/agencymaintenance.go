package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
)

func newAgencyMaintenanceCommand(where *deskFlags) *cobra.Command {
	var from, until, reason string
	var lasts time.Duration
	var end bool
	cmd := &cobra.Command{
		Use:   "maintenance (--for DURATION | --until TIME) --reason TEXT | --end",
		Short: "Announce to the peers when this agency answers no queries, and why",
		Long: `Sets spec.maintenance of this agency's own Agency. Its gateways then answer no queries of peers in that time: UNAVAILABLE, reason Maintenance,
with the reason and the end that are given here. The operator announces it to the peers, whose users see it in 'entente explain', before it
begins, too. Queries of this agency's own users to others, decisions and the exchange go on.

Times are RFC 3339. --end ends it, or takes it back.`,
		Example: `  entente agency maintenance -n state-police --for 2h --reason "move of the database"
  entente agency maintenance -n state-police --from 2026-12-05T22:00:00Z --until 2026-12-06T02:00:00Z --reason "new storage"
  entente agency maintenance -n state-police --end`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var m *v1alpha1.Maintenance
			if !end {
				var err error
				if m, err = maintenanceOf(from, until, lasts, reason, time.Now()); err != nil {
					return err
				}
			}
			d, err := where.open()
			if err != nil {
				return err
			}
			if err := d.SetMaintenance(cmd.Context(), m); err != nil {
				return err
			}
			if m == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "no maintenance: queries of peers are answered")
				return nil
			}
			begins := "now"
			if m.From != nil {
				begins = "from " + m.From.UTC().Format(time.RFC3339)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "maintenance %s until %s: the peers are told\n", begins, m.Until.UTC().Format(time.RFC3339))
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "when it begins (default: now)")
	flags.StringVar(&until, "until", "", "when it ends")
	flags.DurationVar(&lasts, "for", 0, "how long it lasts, instead of --until: 90m, 2h")
	flags.StringVar(&reason, "reason", "", "what the users of peers are told: at most 200 characters, nothing personal")
	flags.BoolVar(&end, "end", false, "end it, or take it back")
	cmd.MarkFlagsMutuallyExclusive("until", "for", "end")
	cmd.MarkFlagsOneRequired("until", "for", "end")
	cmd.MarkFlagsMutuallyExclusive("end", "reason")
	cmd.MarkFlagsMutuallyExclusive("end", "from")
	return cmd
}

// maintenanceOf is the maintenance that the flags say.
func maintenanceOf(from, until string, lasts time.Duration, reason string, now time.Time) (*v1alpha1.Maintenance, error) {
	if reason == "" {
		return nil, errors.New("--reason says why: the users of peers are told")
	}
	m := &v1alpha1.Maintenance{Reason: reason}
	begins := now.UTC().Truncate(time.Second)
	if from != "" {
		t, err := time.Parse(time.RFC3339, from)
		if err != nil {
			return nil, fmt.Errorf("--from %q is no RFC 3339 time: 2026-12-05T22:00:00Z", from)
		}
		begins = t.UTC()
		at := metav1.NewTime(begins)
		m.From = &at
	}
	if until != "" {
		t, err := time.Parse(time.RFC3339, until)
		if err != nil {
			return nil, fmt.Errorf("--until %q is no RFC 3339 time: 2026-12-06T02:00:00Z", until)
		}
		m.Until = metav1.NewTime(t.UTC())
	} else {
		m.Until = metav1.NewTime(begins.Add(lasts))
	}
	switch {
	case !m.Until.After(begins):
		return nil, errors.New("it ends before it begins: --until is after --from, and --for is more than nothing")
	case !m.Until.After(now):
		return nil, errors.New("it is over already: give an end to come")
	}
	return m, nil
}
