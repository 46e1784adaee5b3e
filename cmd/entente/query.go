package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/metadata"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/jsonform"
	"github.com/entente-dev/entente/gateway/tabular"
)

// exitIncomplete is the exit code when some source refused, failed, or answered in part.
const exitIncomplete = 3

func newQueryCommand() *cobra.Command {
	var client clientFlags
	var query queryFlags
	var pages pageFlags
	var output string
	var timeout time.Duration
	var explainOnly, dryRun bool
	cmd := &cobra.Command{
		Use:   "query SCHEMA --filter FILTER --purpose CODE",
		Short: "Ask other agencies for records, through this agency's gateway",
		Long: `Asks this agency's gateway, which asks every agency that an agreement permits, and prints the records with the agency that
each comes from. How each agency ended is printed to standard error.

With --dry-run it asks no agency and prints, a line each, which ones it would ask, under which clause and for what. With --explain
it asks none either, and prints every check behind that and what would have to change: the same as entente explain. Neither is
logged as a disclosure, since nothing is disclosed; whether a source agrees, only the source decides.

The exit code is 0 when every source answered in full (or would be asked), 3 when some source refused, failed or answered in part
(or would be refused), and 1 when the query as a whole failed.`,
		Example: `  entente query person --filter 'family_name == "Doe" && birth_date == date("1980-01-01")' \
    --purpose entente:trafficking-investigation --case-reference SP-2026-0042
  entente query person --filter 'person_number == "P000042"' --granularity existence --purpose … -o json
  entente query person --filter 'family_name == "Doe"' --order-by birth_date,-last_crossing --page-size 500 --all-pages --purpose … -o ndjson
  entente query person --purpose … -o csv > persons.csv
  entente query person --filter 'person_number == "P000042"' --purpose … --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := query.request(args[0])
			if err != nil {
				return err
			}
			if err := pages.apply(req); err != nil {
				return err
			}
			if explainOnly || dryRun {
				return explain(cmd, &client, &gatewayv1.ExplainRequest{Query: req}, output, dryRun, timeout)
			}
			printer, err := newPrinter(output, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if t, ok := printer.(*tablePrinter); ok {
				t.also = len(query.deduplicate) > 0
			}
			calling, service, closeConn, err := client.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeConn()
			page := func(token string, frame func(*gatewayv1.QueryResponse) error) error {
				ctx, stop := contextWithTimeout(calling, timeout)
				defer stop()
				if token != "" {
					req.PageToken = token
				}
				if _, ok := printer.(*filePrinter); ok {
					ctx = metadata.AppendToOutgoingContext(ctx, columns.Header, columns.Encoding)
				}
				stream, err := service.Query(ctx, req)
				for err == nil {
					var f *gatewayv1.QueryResponse
					if f, err = stream.Recv(); err == nil {
						if err := frame(f); err != nil {
							return err
						}
					}
				}
				if err == io.EOF {
					return nil
				}
				return said(err)
			}
			// Records that appear on the terminal by themselves are progress enough.
			watching := cmd.ErrOrStderr()
			if output != "table" && isTerminal(cmd.OutOrStdout()) {
				watching = io.Discard
			}
			bar := startProgress(watching, "asking", progressbar.OptionShowCount(), progressbar.OptionSetItsString("records"))
			defer bar.end()
			complete := false
			show := func(frame *gatewayv1.QueryResponse) error {
				bar.add(int64(len(frame.GetRecords().GetRecords())))
				if s := frame.GetSummary(); s != nil {
					complete = s.GetComplete()
				}
				return printer.frame(frame)
			}
			if pages.all {
				err = follow(page, show)
			} else {
				err = page("", show)
			}
			bar.end()
			if err != nil {
				_ = printer.end()
				return err
			}
			if err := printer.end(); err != nil {
				return err
			}
			if !complete {
				return &exitError{code: exitIncomplete}
			}
			return nil
		},
	}
	client.register(cmd)
	query.register(cmd)
	pages.register(cmd)
	query.complete(cmd, &client)
	outputFlag(cmd, &output, "table", "json", "ndjson", "yaml", "csv", "arrow")
	cmd.Flags().BoolVar(&explainOnly, "explain", false, "ask nobody: print every check of the query, and what would have to change")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "ask nobody: print whom the query would ask, under which clause and for what")
	cmd.MarkFlagsMutuallyExclusive("explain", "dry-run")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "give up after this long, with each page")
	return cmd
}

// printer prints the frames of an answer.
type printer interface {
	frame(*gatewayv1.QueryResponse) error
	end() error
}

func newPrinter(output string, out, errs io.Writer) (printer, error) {
	switch output {
	case "table":
		return &tablePrinter{out: tabwriter.NewWriter(out, 2, 8, 2, ' ', 0), errs: errs}, nil
	case "json":
		return &documentPrinter{jsonform.Document{W: terminal(out)}}, nil
	case "ndjson":
		return &linesPrinter{jsonform.Lines{W: terminal(out)}}, nil
	case "yaml":
		return &yamlPrinter{out: terminal(out)}, nil
	case "csv":
		return &filePrinter{w: &tabular.CSV{W: terminal(out)}, ended: tablePrinter{out: tabwriter.NewWriter(io.Discard, 0, 8, 0, ' ', 0), errs: errs}}, nil
	case "arrow":
		if isTerminal(out) {
			return nil, errors.New("--output arrow is not for a terminal: redirect it to a file")
		}
		return &filePrinter{w: &tabular.Arrow{W: out}, ended: tablePrinter{out: tabwriter.NewWriter(io.Discard, 0, 8, 0, ' ', 0), errs: errs}}, nil
	}
	return nil, fmt.Errorf("--output %q: use table, json, ndjson, yaml, csv or arrow", output)
}

// filePrinter writes the records to a file as a table, and to standard error how each source ended.
type filePrinter struct {
	w     tabular.Writer
	ended tablePrinter
	whole bool
}

func (p *filePrinter) frame(f *gatewayv1.QueryResponse) error {
	p.whole = f.GetSummary() != nil
	if f.GetSource() != nil {
		return p.ended.frame(f)
	}
	return p.w.Frame(f)
}

// end leaves what broke off without an end.
func (p *filePrinter) end() error {
	if p.whole {
		if err := p.w.End(); err != nil {
			return err
		}
	}
	return p.ended.end()
}

type documentPrinter struct{ d jsonform.Document }

func (p *documentPrinter) frame(f *gatewayv1.QueryResponse) error { return p.d.Frame(f) }
func (p *documentPrinter) end() error                             { return p.d.End() }

type linesPrinter struct{ l jsonform.Lines }

func (p *linesPrinter) frame(f *gatewayv1.QueryResponse) error { return p.l.Frame(f) }
func (p *linesPrinter) end() error                             { return nil }

// tablePrinter prints a table of the records, and to standard error how each source ended.
type tablePrinter struct {
	out    *tabwriter.Writer
	errs   io.Writer
	header string
	ended  []*gatewayv1.SourceStatus
	// also: records name who else holds them.
	also    bool
	summary *gatewayv1.QuerySummary
}

func (p *tablePrinter) frame(f *gatewayv1.QueryResponse) error {
	switch {
	case f.GetRecords() != nil:
		return p.batch(f.GetRecords())
	case f.GetSource() != nil:
		p.ended = append(p.ended, f.GetSource())
	case f.GetSummary() != nil:
		p.summary = f.GetSummary()
	}
	return nil
}

func (p *tablePrinter) batch(b *gatewayv1.RecordBatch) error {
	names := []string{"AGENCY"}
	for _, f := range b.GetFields() {
		names = append(names, strings.ToUpper(sanitize(f)))
	}
	header := strings.Join(names, "\t")
	if p.also {
		header += "\tALSO HELD BY"
	}
	if header != p.header {
		// Sources may permit different fields.
		if p.header != "" {
			fmt.Fprintln(p.out)
		}
		p.header = header
		fmt.Fprintln(p.out, header)
	}
	for _, r := range b.GetRecords() {
		cells := []string{sanitize(b.GetProvenance().GetAgency())}
		for i, v := range r.GetValues() {
			var members []string
			if i < len(b.GetFields()) {
				members = b.GetMembers()[b.GetFields()[i]].GetFields()
			}
			cells = append(cells, cell(v, members))
		}
		if p.also {
			cells = append(cells, sanitize(alsoHeld(r)))
		}
		if _, err := fmt.Fprintln(p.out, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return nil
}

func (p *tablePrinter) end() error {
	if err := p.out.Flush(); err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.errs, 2, 8, 2, ' ', 0)
	for _, s := range p.ended {
		fmt.Fprintf(w, "%s\t%s\t%s\n", sanitize(s.GetAgency()), strings.TrimPrefix(s.GetOutcome().String(), "OUTCOME_"), sanitize(ending(s)))
		if told(s) {
			fmt.Fprintf(w, "\t\t%s\n", sanitize(marks(s.GetObligations())))
		}
	}
	if n := p.summary.GetDuplicates(); n > 0 {
		fmt.Fprintf(w, "%d records are shown under another one that is the same\n", n)
	}
	if token := p.summary.GetNextPageToken(); token != "" {
		fmt.Fprintf(w, "There is more: --page-token %s\n", token)
	}
	return w.Flush()
}

// ending says what a source answered, or why not.
func ending(s *gatewayv1.SourceStatus) string {
	var what string
	switch {
	case s.GetReason() != "":
		what = s.GetReason() + ": " + s.GetMessage()
	case s.GetSuppressed():
		what = "suppressed: too few match, or none"
	case s.GetCountStep() > 1 && s.Count != nil:
		what = fmt.Sprintf("%d persons or more, counted in steps of %d", s.GetCount(), s.GetCountStep())
	case s.Exists != nil && s.GetExists():
		what = "hit"
	case s.Exists != nil:
		what = "no hit"
	case s.Count != nil:
		what = strconv.FormatInt(s.GetCount(), 10) + " matching"
	default:
		what = strconv.FormatInt(s.GetRecords(), 10) + " records"
	}
	if s.GetAgreement() != "" {
		what += " [" + s.GetAgreement()
		if s.GetClause() != "" {
			what += "/" + s.GetClause()
		}
		what += "]"
	}
	return what
}

// told says whether the source told anything that binds who asked.
func told(s *gatewayv1.SourceStatus) bool {
	return s.GetObligations() != nil && (s.GetRecords() > 0 || s.Exists != nil || s.Count != nil)
}

// marks are the obligations of what was answered, in words.
func marks(o *gatewayv1.Obligations) string {
	parts := []string{"do not pass it on"}
	if o.GetRedisclosure() == "WithConsentOfSource" {
		parts[0] = "pass it on only with the source's consent"
	}
	if by := o.GetDestroyBy(); by != "" {
		parts = append(parts, "destroy it by "+by)
	}
	if day := o.GetNoActionBefore(); day != "" {
		parts = append(parts, "no action against anybody before "+day+", and then only if it was verified and the person told today")
	}
	return strings.Join(parts, "; ")
}

// cell writes a value as a cell of a table: a list as "a; b", a record as "city=Bonn zip=53111", and neither's nulls.
func cell(v *gatewayv1.Value, members []string) string {
	var parts []string
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_List:
		for _, e := range k.List.GetValues() {
			parts = append(parts, cell(e, members))
		}
		return cmp.Or(strings.Join(parts, "; "), "-")
	case *gatewayv1.Value_Nested:
		for i, e := range k.Nested.GetValues() {
			if i < len(members) && e.GetKind() != nil {
				parts = append(parts, sanitize(members[i])+"="+printable(e))
			}
		}
		return cmp.Or(strings.Join(parts, " "), "-")
	}
	return printable(v)
}

// printable is a value in one cell of a terminal's table.
func printable(v *gatewayv1.Value) string {
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_Text:
		return sanitize(k.Text)
	case *gatewayv1.Value_Integer:
		return strconv.FormatInt(k.Integer, 10)
	case *gatewayv1.Value_Boolean:
		return strconv.FormatBool(k.Boolean)
	}
	return "-"
}
