package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/internal/accounting"
)

// logsFlags say which logs a command answers from, and where the agency's resources are.
type logsFlags struct {
	dirs   []string
	desk   deskFlags
	keys   logKeyFlags
	output string
	since  time.Duration
}

func (f *logsFlags) add(cmd *cobra.Command, forms ...string) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.dirs, "dir", nil, "folder of a gateway's log (required; repeatable: one for each replica)")
	_ = cmd.MarkFlagRequired("dir")
	_ = cmd.MarkFlagDirname("dir")
	f.keys.add(cmd)
	flags.DurationVar(&f.since, "since", 0, "only what is newer than this, for example 720h; 0: all")
	if len(forms) > 0 {
		flags.StringVarP(&f.output, "output", "o", forms[0], strings.Join(forms[:len(forms)-1], ", ")+" or "+forms[len(forms)-1])
	}
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.since < 0 {
			return fmt.Errorf("--since %s: use a duration back from now, for example 720h", f.since)
		}
		if len(forms) > 0 && !slices.Contains(forms, f.output) {
			return fmt.Errorf("--output %q: use %s", f.output, strings.Join(forms, ", "))
		}
		return keyless(run(cmd, args))
	}
}

// from is when --since begins; zero: at the beginning.
func (f *logsFlags) from(now time.Time) time.Time {
	if f.since == 0 {
		return time.Time{}
	}
	return now.Add(-f.since).UTC()
}

// open opens the logs, with the keys that are named.
func (f *logsFlags) open(cmd *cobra.Command) ([]accounting.Log, error) {
	return openLogs(cmd, f.dirs, &f.keys)
}

// openLogs opens logs that show their progress when reading them takes long and somebody watches.
func openLogs(cmd *cobra.Command, dirs []string, keys *logKeyFlags) ([]accounting.Log, error) {
	with, err := keys.read(cmd.Context())
	if err != nil {
		return nil, err
	}
	logs, err := accounting.OpenLogs(dirs, with...)
	if err != nil || !isTerminal(cmd.ErrOrStderr()) {
		return logs, err
	}
	for i := range logs {
		logs[i].Progress = progressOf(cmd.ErrOrStderr(), logs[i].Origin)
	}
	return logs, nil
}

func progressOf(w io.Writer, origin string) func(uint64, bool) {
	var p *progress
	return func(entries uint64, ended bool) {
		if p == nil {
			p = startProgress(w, "reading "+origin, progressbar.OptionShowCount())
		}
		p.set(int64(entries), -1)
		if ended {
			p.end()
		}
	}
}

// directory reads the agency's resources, when flags say where they are.
func (f *logsFlags) directory(ctx context.Context, now time.Time) (accounting.Directory, error) {
	if d := f.desk; d.config == "" && d.kubeconfig == "" && d.context == "" && d.namespace == "" {
		return accounting.Directory{}, nil
	}
	d, err := f.desk.open()
	if err != nil {
		return accounting.Directory{}, err
	}
	index, err := d.Index(ctx)
	if err != nil {
		return accounting.Directory{}, err
	}
	return directoryOf(index, now), nil
}

func directoryOf(x *compile.Index, now time.Time) accounting.Directory {
	d := accounting.Directory{Agencies: map[string]accounting.Agency{}, SubjectKeys: map[string][]string{}}
	for name, a := range x.Agencies {
		d.Agencies[name] = accounting.Agency{ID: name, Name: a.Spec.DisplayName, Address: a.Spec.PostalAddress}
	}
	for _, ds := range x.Datasets {
		if key := ds.Spec.SubjectKey; key != "" {
			d.SubjectKeys[ds.Spec.Schema.Name] = append(d.SubjectKeys[ds.Spec.Schema.Name], key)
		}
	}
	for _, versions := range x.Agreements {
		for _, a := range versions {
			t := &a.Spec.Terms
			out := accounting.Agreement{
				Name: a.Name, ID: t.ID, Title: t.Title, InForce: inForce(a, now), NotAfter: t.Term.NotAfter.Time, Promised: t.AnticipatedResults,
				Contacts: map[string]string{},
			}
			for _, p := range t.Parties {
				out.Contacts[p.Agency] = p.Contact
			}
			d.Agreements = append(d.Agreements, out)
		}
	}
	return d
}

func inForce(a *v1alpha1.SharingAgreement, now time.Time) bool {
	return a.Status.State == v1alpha1.StateInForce && !now.Before(a.Spec.Terms.Term.NotBefore.Time) && now.Before(a.Spec.Terms.Term.NotAfter.Time)
}

// subjectFlags say whom a command is about. The values come from a file or from standard input: a command line is in the
// history of the shell and in the list of processes.
type subjectFlags struct {
	file, keyFile string
}

func (f *subjectFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "subject", "-", "file with the person's identifying values, a line each: SCHEMA.FIELD=VALUE; - for standard input")
	cmd.Flags().StringVar(&f.keyFile, "subject-key", "", "file with the key of subject tokens (default: subject.key in the folder that the log's folder is in)")
}

func (f *subjectFlags) read(cmd *cobra.Command) ([]accounting.Identifier, error) {
	in := cmd.InOrStdin()
	if f.file != "-" {
		file, err := os.Open(f.file)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	} else if isTerminal(in) {
		fmt.Fprintln(cmd.ErrOrStderr(), "The person's identifying values, a line each: SCHEMA.FIELD=VALUE. End with Ctrl-D.")
	}
	return accounting.ReadIdentifiers(in)
}

// question puts together what the commands about one person ask.
func (f *logsFlags) question(cmd *cobra.Command, s *subjectFlags) (accounting.Question, error) {
	now := time.Now()
	q := accounting.Question{SubjectKeyFile: s.keyFile, Since: f.from(now), Now: now}
	var err error
	if q.Logs, err = f.open(cmd); err != nil {
		return q, err
	}
	if q.Directory, err = f.directory(cmd.Context(), now); err != nil {
		return q, err
	}
	q.Identifiers, err = s.read(cmd)
	return q, err
}

// rendered is an answer in the forms that commands offer.
type rendered interface {
	Text(io.Writer) error
	CSV(io.Writer) error
}

func (f *logsFlags) print(cmd *cobra.Command, r rendered) error {
	out := cmd.OutOrStdout()
	switch f.output {
	case "json":
		return printJSON(out, r)
	case "csv":
		return r.CSV(out)
	case "html":
		if page, ok := r.(interface{ HTML(io.Writer) error }); ok {
			return page.HTML(out)
		}
	}
	return r.Text(out)
}
