package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/gateway/audit"
)

func newAuditShowCommand() *cobra.Command {
	var dir, disclosure, output string
	var since time.Duration
	var keys logKeyFlags
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
			first := uint64(1)
			if since > 0 {
				from = time.Now().Add(-since)
				var err error
				if first, err = audit.Seek(dir, from); err != nil {
					return noLog(err, dir)
				}
			}
			p, err := newEntryPrinter(output, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			with, err := keys.read(cmd.Context())
			if err != nil {
				return err
			}
			n := 0
			err = audit.ReadFrom(dir, first, func(e audit.Entry) error {
				if err := cmd.Context().Err(); err != nil {
					return err
				}
				if e.Time.Before(from) || disclosure != "" && e.Record.Disclosure != disclosure {
					return nil
				}
				n++
				return p.entry(e)
			}, with...)
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
	keys.add(cmd)
	return cmd
}

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
