package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/transparency"
	"github.com/entente-dev/entente/internal/accounting"
	"github.com/entente-dev/entente/internal/register"
)

func newRegisterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "register",
		Short: "Publish the agreements in force, and how they are used",
	}
	cmd.AddCommand(newRegisterBuildCommand())
	return cmd
}

func newRegisterBuildCommand() *cobra.Command {
	var desk deskFlags
	var keys logKeyFlags
	var dirs []string
	var out string
	var least int64
	var delay time.Duration
	cmd := &cobra.Command{
		Use:   "build --out DIR",
		Short: "Build the public register as a static site",
		Long: `Builds a static site of this agency's agreements: those in force whose terms have 'publication: Public', with purposes, parties, law,
data, window and review, as pages and as register.json. It has no case references, row filters, selectors, contacts or persons,
and no scripts: any web server serves it.

With --dir it also shows how often each agreement was used, by calendar month, until the end of the last month. A count from 1 to
the least that is shown (--minimum) is shown as "fewer than". A year's total is shown when the year is over, and only where
it does not give such a count away. The latest checkpoint of each log is shown too.

It replaces an earlier edition in the folder in one step.`,
		Example: `  entente register build --config ./labor-inspectorate --dir ./labor-inspectorate/.entente/gateway/log --out ./public
  entente register build -n labor-inspectorate --agency labor-inspectorate --dir ./gateway-0/log --delay 240h --out ./public`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if delay < 0 {
				return fmt.Errorf("--delay %s: use a duration, for example 240h", delay)
			}
			now := time.Now()
			d, err := desk.open()
			if err != nil {
				return err
			}
			index, err := d.Index(cmd.Context())
			if err != nil {
				return err
			}
			in := register.Input{Agency: index.Self, Agencies: index.Agencies, TaskForces: index.TaskForces, K: least, Until: register.LastMonth(now.Add(-delay)), Now: now}
			var ids []string
			for id, versions := range index.Agreements {
				ids = append(ids, id)
				in.Agreements = append(in.Agreements, versions...)
			}
			if len(dirs) > 0 {
				scope := accounting.Scope{Since: register.FirstMonth(now), Until: in.Until, Now: now}
				if scope.Logs, err = openLogs(cmd, dirs, &keys); err != nil {
					return err
				}
				if in.Use, in.Logs, err = accounting.Monthly(cmd.Context(), scope, ids); err != nil {
					return keyless(err)
				}
				if in.Checkpoints, err = checkpoints(scope.Logs, in.Logs); err != nil {
					return err
				}
			}
			r, err := register.Make(in)
			if err != nil {
				return fmt.Errorf("--minimum: %w", err)
			}
			if err := r.Write(out); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %d not public; open %s/index.html\n", out, counted(len(r.Agreements), "agreement"), r.NotPublic, out)
			for _, a := range in.Agreements {
				if a.Spec.Terms.Publication == v1alpha1.PublicationPublic && a.Status.State == "" {
					fmt.Fprintf(cmd.ErrOrStderr(), "Note: nothing is known of the state of %s: see that the operator, or standalone, runs\n", a.Name)
				}
			}
			return nil
		},
	}
	desk.add(cmd)
	keys.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&out, "out", "", "folder of the site (required)")
	_ = cmd.MarkFlagRequired("out")
	_ = cmd.MarkFlagDirname("out")
	flags.StringArrayVar(&dirs, "dir", nil, "folder of a gateway's log, for numbers and checkpoints (repeatable: one for each replica)")
	flags.Int64Var(&least, "minimum", 10, "the least count that is shown as a number")
	flags.DurationVar(&delay, "delay", 0, "how much older than the end of its month a number must be")
	return cmd
}

// checkpoints gives the latest checkpoint of each log: a cosigned one where there is one, and the head of the chain of a log
// that has no signed checkpoints.
func checkpoints(logs []accounting.Log, covered []accounting.Covered) ([]register.Checkpoint, error) {
	var out []register.Checkpoint
	for i, l := range logs {
		files, err := transparency.ReadFiles(l.Dir)
		switch {
		case errors.Is(err, transparency.ErrNone) || err == nil && files.Latest.Size == 0:
			if c := covered[i]; c.Entries > 0 {
				out = append(out, register.Checkpoint{Log: l.Origin, Head: c.Head, Last: c.Last})
			}
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", l.Dir, err)
		}
		note := files.Latest.Raw
		if files.Cosigned.Size > 0 {
			note = files.Cosigned.Raw
		}
		out = append(out, register.Checkpoint{Log: files.Origin, Key: files.Key, Note: string(note)})
	}
	return out, nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
