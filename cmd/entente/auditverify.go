package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/entente-dev/entente/gateway/audit"
)

func newAuditVerifyCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "verify --dir DIR",
		Short: "Prove that a gateway's log is whole",
		Long: `Recomputes every commitment and the whole chain of a gateway's log, and says what it holds. When something is damaged, missing or
changed it says in which file, at which byte and entry, and exits with 1.

The head is the chain hash of the last entry. Keep it elsewhere: a log that was cut short or written anew has another one at
that entry.`,
		Example: `  entente audit verify --dir /var/lib/entente/audit`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rep, err := verifyLog(cmd.Context(), dir, cmd.ErrOrStderr())
			var damage *audit.CorruptError
			if err != nil && !errors.As(err, &damage) {
				return noLog(err, dir)
			}
			if err := printReport(cmd.OutOrStdout(), rep, damage == nil); err != nil {
				return err
			}
			return err
		},
	}
	auditDirFlag(cmd, &dir)
	return cmd
}

// verifyLog verifies and shows progress when it takes long and somebody watches. It returns at once when ctx ends.
func verifyLog(ctx context.Context, dir string, messages io.Writer) (audit.Report, error) {
	type step struct{ done, total int64 }
	steps := make(chan step, 1)
	type result struct {
		rep audit.Report
		err error
	}
	ended := make(chan result, 1)
	go func() {
		rep, err := audit.Verify(dir, func(done, total int64) {
			select {
			case steps <- step{done, total}:
			default: // the last one is not shown yet
			}
		})
		ended <- result{rep, err}
	}()
	f, ok := messages.(*os.File)
	watched := ok && term.IsTerminal(int(f.Fd()))
	var bar *progressbar.ProgressBar
	started := time.Now()
	for {
		select {
		case <-ctx.Done():
			return audit.Report{}, ctx.Err()
		case r := <-ended:
			if bar != nil {
				_ = bar.Exit()
				fmt.Fprintln(messages)
			}
			return r.rep, r.err
		case s := <-steps:
			if !watched || time.Since(started) < 2*time.Second {
				continue
			}
			if bar == nil {
				bar = progressbar.NewOptions64(s.total, progressbar.OptionSetWriter(messages), progressbar.OptionShowBytes(true),
					progressbar.OptionSetDescription("verifying"), progressbar.OptionThrottle(100*time.Millisecond))
			}
			_ = bar.Set64(s.done)
		}
	}
}

func printReport(out io.Writer, rep audit.Report, whole bool) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+":\t"+format+"\n", args...) }
	line("Origin", "%s", rep.Origin)
	line("Log id", "%s", rep.ID)
	entries := fmt.Sprint(rep.Entries)
	if rep.Erased > 0 {
		entries += fmt.Sprintf(", %d of them with their payload erased", rep.Erased)
	}
	if !whole {
		entries += " before the damage"
	}
	line("Entries", "%s", entries)
	if rep.Entries > 0 {
		line("First", "%s", rep.First.Format(logTime))
		line("Last", "%s", rep.Last.Format(logTime))
	}
	line("Head", "%s", rep.Head)
	switch {
	case !whole:
		line("Result", "DAMAGED")
	case rep.Tail > 0:
		line("Result", "whole; not sealed: a gateway is writing, or it crashed and left %d bytes of an entry that nobody was told of", rep.Tail)
	case rep.Open:
		line("Result", "whole; not sealed: a gateway is writing, or it crashed")
	default:
		line("Result", "whole")
	}
	return w.Flush()
}
