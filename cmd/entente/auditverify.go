package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/transparency"
)

func newAuditVerifyCommand() *cobra.Command {
	var dir string
	var keys logKeyFlags
	var proof proofFlags
	cmd := &cobra.Command{
		Use:   "verify --dir DIR | --proof FILE",
		Short: "Prove that a gateway's log is whole, or check a proof",
		Long: `Recomputes the whole chain of a gateway's log, and says what it holds. When something is damaged, missing or changed it says in
which file, at which byte and entry, and exits with 1.

Anyone who has the folder can do this. With the log's key it also opens every record and recomputes its commitment: that the chain
speaks of these records and no others. The line Payloads says which of the two was done.

Every leaf and tile of the transparency log, and its checkpoints, are compared with the chain. Keep a checkpoint elsewhere, or have
the log witnessed: a log that was cut short or written anew has another one.

--proof checks what entente audit prove wrote, and needs no log: that the records are in the log with that key, and that witnesses
cosigned it.`,
		Example: `  # Anyone, on a copy of the folder
  entente audit verify --dir ./log

  # An auditor, with a Vault token that may decrypt with the agency's log key
  entente audit verify --dir ./log --agency state-police

  # Somebody who was given a proof, and has the published keys
  entente audit verify --proof proof.json --log-key "$LOG_KEY" --witness-key "$OVERSEER_KEY"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if proof.file != "" {
				return proof.verify(cmd)
			}
			with, err := keys.read(cmd.Context())
			if err != nil {
				return err
			}
			rep, err := verifyLog(cmd.Context(), dir, cmd.ErrOrStderr(), with...)
			var damage *audit.CorruptError
			if err != nil && !errors.As(err, &damage) {
				return noLog(err, dir)
			}
			var public transparency.Files
			var mismatch error
			if damage == nil {
				public, mismatch = transparency.VerifyTree(cmd.Context(), dir, nil)
			}
			if err := printReport(cmd.OutOrStdout(), rep, damage == nil, public, mismatch); err != nil {
				return err
			}
			if err == nil && !errors.Is(mismatch, transparency.ErrNone) {
				return mismatch
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the gateway's log")
	_ = cmd.MarkFlagDirname("dir")
	keys.add(cmd)
	proof.add(cmd)
	cmd.MarkFlagsOneRequired("dir", "proof")
	cmd.MarkFlagsMutuallyExclusive("dir", "proof")
	return cmd
}

// verifyLog verifies and shows progress when it takes long and somebody watches. It returns at once when ctx ends.
func verifyLog(ctx context.Context, dir string, messages io.Writer, with ...audit.ReadOption) (audit.Report, error) {
	bar := startProgress(messages, "verifying", progressbar.OptionShowBytes(true))
	defer bar.end()
	type result struct {
		rep audit.Report
		err error
	}
	ended := make(chan result, 1)
	go func() {
		rep, err := audit.Verify(dir, bar.set, with...)
		ended <- result{rep, err}
	}()
	select {
	case <-ctx.Done():
		return audit.Report{}, ctx.Err()
	case r := <-ended:
		return r.rep, r.err
	}
}

func printReport(out io.Writer, rep audit.Report, whole bool, public transparency.Files, mismatch error) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+":\t"+format+"\n", args...) }
	line("Origin", "%s", rep.Origin)
	line("Log id", "%s", rep.ID)
	entries := fmt.Sprint(rep.Entries)
	if !whole {
		entries += " before the damage"
	}
	line("Entries", "%s", entries)
	if rep.Entries > 0 {
		line("Payloads", "%s", payloads(rep, whole))
	}
	if rep.Entries > 0 {
		line("First", "%s", rep.First.Format(logTime))
		line("Last", "%s", rep.Last.Format(logTime))
	}
	if rep.Back > 0 {
		line("Clock", "set back %d times, by %s at most; the order is that of the entries", rep.Back, rep.BackMost.Round(time.Second))
	}
	line("Head", "%s", rep.Head)
	switch {
	case !whole: // nothing to compare with
	case errors.Is(mismatch, transparency.ErrNone):
		line("Tree", "no checkpoint yet")
	case mismatch != nil:
		line("Tree", "DOES NOT MATCH")
	case public.Cosigned.Raw != nil:
		line("Tree", "checkpoint of %d entries, cosigned of %d; as in the chain", public.Latest.Size, public.Cosigned.Size)
	default:
		line("Tree", "checkpoint of %d entries, cosigned by nobody; as in the chain", public.Latest.Size)
	}
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

// payloads says what was done with them.
func payloads(rep audit.Report, whole bool) string {
	var parts []string
	part := func(n uint64, format string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, n))
		}
	}
	part(rep.Entries-rep.Erased-rep.Sealed, "%d opened, each is what the chain committed to")
	part(rep.Sealed, "%d sealed: checksums only, there is no key here")
	part(rep.Erased, "%d erased")
	if whole {
		part(rep.Unexplained, "%d of those without a record of their erasure")
	}
	return strings.Join(parts, "; ")
}
