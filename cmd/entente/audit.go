package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/gateway/audit"
)

func newAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show and prove the log of disclosures and denials",
		Long: `Every gateway logs what it disclosed, received and refused, before anything is released. These commands read its log folder;
they change nothing and may run beside the gateway.`,
	}
	cmd.AddCommand(newAuditShowCommand(), newAuditVerifyCommand())
	return cmd
}

func newAuditShowCommand() *cobra.Command {
	var dir, disclosure, output string
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "show --dir DIR",
		Short: "Show entries of a gateway's log",
		Long: `Shows entries of a gateway's log, oldest first, checked as they are read. The table leaves out fields, filter and people; json and
yaml have the whole record: handle them as the personal data that they are.

Both sides of a disclosure log it under the same id: run it with --disclosure on the source's and on the recipient's log to
compare.`,
		Example: `  # The last hour
  entente audit show --dir /var/lib/entente/audit --since 1h

  # One disclosure, with everything that was logged
  entente audit show --dir /var/lib/entente/audit --disclosure 0192f0c1-7b1e-7c3a-9d54-3b7f1f0a2c11 -o yaml

  # Denials by reason
  entente audit show --dir /var/lib/entente/audit -o json | jq -r '.[].record | select(.kind=="Denial").reason' | sort | uniq -c`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since < 0 {
				return fmt.Errorf("--since %s: use a duration back from now, for example 1h", since)
			}
			var from time.Time
			if since > 0 {
				from = time.Now().Add(-since)
			}
			p, err := newEntryPrinter(output, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			n := 0
			err = audit.Read(dir, func(e audit.Entry) error {
				if err := cmd.Context().Err(); err != nil {
					return err
				}
				if e.Time.Before(from) || disclosure != "" && e.Record.Disclosure != disclosure {
					return nil
				}
				n++
				return p.entry(e)
			})
			if err = errors.Join(err, p.end()); err != nil {
				return noLog(err, dir)
			}
			switch {
			case n == 0 && disclosure != "":
				return fmt.Errorf("no entry of disclosure %s in %s", sanitize(disclosure), dir)
			case n == 0:
				fmt.Fprintln(cmd.ErrOrStderr(), "No entries found.")
			}
			return nil
		},
	}
	auditDirFlag(cmd, &dir)
	cmd.Flags().StringVar(&disclosure, "disclosure", "", "only the entries of this disclosure id")
	cmd.Flags().DurationVar(&since, "since", 0, "only entries newer than this, for example 1h; 0: all")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	return cmd
}

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

func auditDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "folder of the gateway's log (required)")
	_ = cmd.MarkFlagRequired("dir")
	_ = cmd.MarkFlagDirname("dir")
}

// noLog says what to do when there is no log, rather than that a file is missing.
func noLog(err error, dir string) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not a gateway's log: want the folder that has the file origin in it", dir)
	}
	return err
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

const logTime = "2006-01-02T15:04:05.000Z"

// entryPrinter prints entries as they come, so that memory does not grow with the log.
type entryPrinter interface {
	entry(audit.Entry) error
	end() error
}

func newEntryPrinter(output string, out io.Writer) (entryPrinter, error) {
	switch output {
	case "table":
		return &entryTable{w: tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)}, nil
	case "json":
		return &entryJSON{out: out}, nil
	case "yaml":
		return &entryYAML{out: out}, nil
	}
	return nil, fmt.Errorf("--output %q: use table, json or yaml", output)
}

// entryTable aligns its columns a hundred rows at a time.
type entryTable struct {
	w    *tabwriter.Writer
	rows int
}

func (p *entryTable) entry(e audit.Entry) error {
	if p.rows == 0 {
		fmt.Fprintln(p.w, "TIME\tSIDE\tKIND\tAGREEMENT\tCLAUSE\tPURPOSE\tGRANULARITY\tRECORDS\tOUTCOME\tREASON\tDISCLOSURE")
	}
	p.rows++
	r := &e.Record
	if e.Erased {
		fmt.Fprintf(p.w, "%s\t-\tErased\t-\t-\t-\t-\t-\t-\t-\tentry %d\n", e.Time.Format(logTime), e.Seq)
	} else {
		agreement := r.Agreement
		if r.Version > 0 {
			agreement += fmt.Sprintf(".v%d", r.Version)
		}
		cells := []string{e.Time.Format(logTime), string(r.Side), string(r.Kind), agreement, r.Clause, r.Purpose, r.Granularity,
			fmt.Sprint(r.Records), r.Outcome, r.Reason, r.Disclosure}
		for i, c := range cells {
			if cells[i] = sanitize(c); c == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(p.w, strings.Join(cells, "\t"))
	}
	if p.rows%100 == 0 {
		return p.w.Flush()
	}
	return nil
}

func (p *entryTable) end() error { return p.w.Flush() }

// entryJSON prints one array.
type entryJSON struct {
	out  io.Writer
	rows int
}

func (p *entryJSON) entry(e audit.Entry) error {
	sep := ",\n  "
	if p.rows == 0 {
		sep = "[\n  "
	}
	p.rows++
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a filter is for people to read
	enc.SetIndent("  ", "  ")
	if err := enc.Encode(e); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.out, "%s%s", sep, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return err
}

func (p *entryJSON) end() error {
	text := "\n]\n"
	if p.rows == 0 {
		text = "[]\n"
	}
	_, err := io.WriteString(p.out, text)
	return err
}

// entryYAML prints a document for each entry.
type entryYAML struct {
	out  io.Writer
	rows int
}

func (p *entryYAML) entry(e audit.Entry) error {
	if p.rows++; p.rows > 1 {
		if _, err := io.WriteString(p.out, "---\n"); err != nil {
			return err
		}
	}
	b, err := yaml.Marshal(e)
	if err != nil {
		return err
	}
	_, err = p.out.Write(b)
	return err
}

func (p *entryYAML) end() error { return nil }
