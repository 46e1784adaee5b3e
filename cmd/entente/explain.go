package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/jsonform"
)

func contextWithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

func newExplainCommand() *cobra.Command {
	var client clientFlags
	var query queryFlags
	var output, recipient string
	var supposed []string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "explain SCHEMA --filter FILTER --purpose CODE",
		Short: "Say what would become of a query, and which term of which agreement says so",
		Long: `Runs the checks of a query under every clause that concerns it and asks no source. It takes the flags of entente query. For each
check that fails it says which term says so, and what would have to change, in the query or in the agreement; and it prints the
shape of what the source would run, in terms of the schema: tables and columns are the source's own.

With --as-recipient the gateway of a source explains what it would answer to that agency, with the statement that it would run on its
own database. It does so for members of the groups that its operators name (--source-explain-groups of the gateway).
Values are in neither.

The exit code is 0 when every agency would be asked under some clause, and 3 when not.`,
		Example: `  entente explain person --filter 'document_number == "PH1234567"' --fields employer,bank_account --purpose entente:trafficking-investigation
  entente explain person --as-recipient state-police --claim organizationalUnits='["trafficking-unit"]' --filter … --purpose …`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := query.request(args[0])
			if err != nil {
				return err
			}
			claims, err := claimsFrom(supposed)
			if err != nil {
				return err
			}
			return explain(cmd, &client, &gatewayv1.ExplainRequest{Query: req, AsRecipient: recipient, Claims: claims}, output, false, timeout)
		},
	}
	client.register(cmd)
	query.register(cmd)
	query.complete(cmd, &client)
	outputFlag(cmd, &output, "table", "json", "yaml")
	cmd.Flags().StringVar(&recipient, "as-recipient", "", "explain as the source, to that recipient agency")
	cmd.Flags().StringArrayVar(&supposed, "claim", nil, "NAME=VALUE, a claim that the recipient's user is supposed to have; JSON or plain text; only with --as-recipient (repeatable)")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "give up after this long")
	return cmd
}

// claimsFrom reads NAME=VALUE; nil: there are none.
func claimsFrom(supposed []string) (*structpb.Struct, error) {
	if len(supposed) == 0 {
		return nil, nil
	}
	all := map[string]any{}
	for _, s := range supposed {
		name, text, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--claim %q is not NAME=VALUE", s)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		all[name] = value
	}
	return structpb.NewStruct(all)
}

// explain asks for an explanation and prints it; brief: only whom the query would ask, and for what.
func explain(cmd *cobra.Command, client *clientFlags, req *gatewayv1.ExplainRequest, output string, brief bool, timeout time.Duration) error {
	if err := checkOutput(output, "table", "json", "yaml"); err != nil {
		return err
	}
	ctx, stop := contextWithTimeout(cmd.Context(), timeout)
	defer stop()
	ctx, service, closeConn, err := client.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn()
	bar := startProgress(cmd.ErrOrStderr(), "asking")
	resp, err := service.Explain(ctx, req)
	bar.end()
	if err != nil {
		return said(err)
	}
	out := cmd.OutOrStdout()
	switch {
	case output == "json":
		err = printJSON(out, jsonform.Explanation(resp))
	case output == "yaml":
		err = printYAML(out, jsonform.Explanation(resp))
	case brief:
		err = printPlan(out, resp)
	default:
		err = printExplanation(out, resp)
	}
	if err != nil {
		return err
	}
	allowed := map[string]bool{}
	for _, c := range resp.GetClauses() {
		allowed[c.GetAgency()] = allowed[c.GetAgency()] || c.GetAllowed()
	}
	for _, ok := range allowed {
		if !ok {
			return &exitError{code: exitIncomplete}
		}
	}
	return nil
}

// printPlan prints a line an agency: the clause under which it would be asked, and for what; or what refuses.
func printPlan(out io.Writer, resp *gatewayv1.ExplainResponse) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "AGENCY\tASKED\tUNDER\tFOR")
	// Of several clauses that refuse an agency, the first says why.
	shown := map[string]bool{}
	for _, c := range resp.GetClauses() {
		shown[c.GetAgency()] = shown[c.GetAgency()] || c.GetChosen()
	}
	for _, c := range resp.GetClauses() {
		if !c.GetChosen() && shown[c.GetAgency()] {
			continue
		}
		shown[c.GetAgency()] = true
		asked, what := "no", ""
		if c.GetChosen() {
			asked = "yes"
		}
		for _, q := range c.GetSourceQuery() {
			what = q.GetStatement()
		}
		for _, k := range c.GetChecks() {
			if !k.GetPassed() {
				what = k.GetName() + ": " + k.GetMessage()
				break
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", sanitize(c.GetAgency()), asked, sanitize(clauseName(c)), sanitize(what))
	}
	return w.Flush()
}

func clauseName(c *gatewayv1.ClauseExplanation) string {
	if c.GetAgreement() == "" {
		return "-"
	}
	return c.GetAgreement() + "/" + c.GetClause()
}

func printExplanation(out io.Writer, resp *gatewayv1.ExplainResponse) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	for i, c := range resp.GetClauses() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		verdict := "would be asked"
		switch {
		case !c.GetAllowed():
			verdict = "would be refused"
		case !c.GetChosen():
			verdict = "could be asked"
		}
		under := ""
		if c.GetAgreement() != "" {
			under = " under " + clauseName(c)
		}
		fmt.Fprintf(w, "%s: %s%s\n", sanitize(c.GetAgency()), verdict, sanitize(under))
		if m := c.GetMaintenance(); m != nil {
			from := ""
			if m.GetFrom() != nil {
				from = "from " + m.GetFrom().AsTime().Format(time.RFC3339) + " "
			}
			fmt.Fprintf(w, "  ! in maintenance %suntil %s: %s\n", from, m.GetUntil().AsTime().Format(time.RFC3339), sanitize(m.GetReason()))
		}
		for _, k := range c.GetChecks() {
			mark := "✓"
			if !k.GetPassed() {
				mark = "✗"
			}
			fmt.Fprintf(w, "  %s %s\t%s\t%s\n", mark, sanitize(k.GetName()), sanitize(k.GetTerm()), sanitize(k.GetMessage()))
			if k.GetChange() != "" {
				fmt.Fprintf(w, "  \t\t→ %s\n", sanitize(k.GetChange()))
			}
		}
		if err := w.Flush(); err != nil { // what follows is as wide as it is
			return err
		}
		for _, q := range c.GetSourceQuery() {
			where := ""
			if q.GetDataset() != "" {
				where = " on " + q.GetDataset() + " (" + q.GetSystem() + ")"
			}
			fmt.Fprintf(out, "  runs%s: %s\n", sanitize(where), sanitize(q.GetStatement()))
		}
	}
	return w.Flush()
}

func newDatasetsCommand() *cobra.Command {
	var client clientFlags
	var output, schema string
	var agencies []string
	cmd := &cobra.Command{
		Use:   "datasets",
		Short: "List what this agency may ask of whom",
		Example: `  entente datasets
  entente datasets --schema person --agencies border-service,labor-inspectorate`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "table", "json", "yaml"); err != nil {
				return err
			}
			ctx, stop := contextWithTimeout(cmd.Context(), 30*time.Second)
			defer stop()
			ctx, service, closeConn, err := client.connect(ctx)
			if err != nil {
				return err
			}
			defer closeConn()
			// In pieces: what a thousand agencies offer is more than one message.
			resp := &gatewayv1.ListDatasetsResponse{}
			for req := (&gatewayv1.ListDatasetsRequest{Schema: schema, Agencies: agencies, PageSize: 1000}); ; {
				page, err := service.ListDatasets(ctx, req)
				if err != nil {
					return said(err)
				}
				resp.Datasets = append(resp.Datasets, page.GetDatasets()...)
				if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
					break
				}
			}
			switch output {
			case "json":
				return printJSON(cmd.OutOrStdout(), jsonform.Datasets(resp))
			case "yaml":
				return printYAML(cmd.OutOrStdout(), jsonform.Datasets(resp))
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 2, 8, 2, ' ', 0)
			fmt.Fprintln(w, "AGENCY\tSCHEMA\tAGREEMENT\tCLAUSE\tGRANULARITY\tPURPOSES\tFIELDS\tNOT AFTER")
			for _, d := range resp.GetDatasets() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.GetAgency(), d.GetSchema(), d.GetAgreement(), d.GetClause(),
					jsonform.Granularity(d.GetGranularity()), strings.Join(d.GetPurposes(), ","), strings.Join(d.GetFields(), ","),
					d.GetNotAfter().AsTime().Format(time.RFC3339))
			}
			return w.Flush()
		},
	}
	client.register(cmd)
	outputFlag(cmd, &output, "table", "json", "yaml")
	cmd.Flags().StringVar(&schema, "schema", "", "only this exchange schema: person, or person.v1")
	cmd.Flags().StringSliceVar(&agencies, "agencies", nil, "only these source agencies, comma-separated")
	return cmd
}
