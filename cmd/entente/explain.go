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
	var output string
	cmd := &cobra.Command{
		Use:   "explain SCHEMA --filter FILTER --purpose CODE",
		Short: "Say what would become of a query, and which term of which agreement says so",
		Long: `Runs the checks of a query under every clause that concerns it and asks no source. It takes the flags of entente query.

The exit code is 0 when every agency would be asked under some clause, and 3 when not.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := query.request(args[0])
			if err != nil {
				return err
			}
			if output != "table" && output != "json" {
				return fmt.Errorf("--output %q: use table or json", output)
			}
			ctx, stop := contextWithTimeout(cmd.Context(), 30*time.Second)
			defer stop()
			ctx, service, closeConn, err := client.connect(ctx)
			if err != nil {
				return err
			}
			defer closeConn()
			resp, err := service.Explain(ctx, &gatewayv1.ExplainRequest{Query: req})
			if err != nil {
				return said(err)
			}
			if output == "json" {
				err = printJSON(cmd.OutOrStdout(), jsonform.Explanation(resp))
			} else {
				err = printExplanation(cmd.OutOrStdout(), resp)
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
		},
	}
	client.register(cmd)
	query.register(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func printExplanation(out io.Writer, resp *gatewayv1.ExplainResponse) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	for i, c := range resp.GetClauses() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		verdict := "would be asked"
		if !c.GetAllowed() {
			verdict = "would be refused"
		}
		under := ""
		if c.GetAgreement() != "" {
			under = " under " + c.GetAgreement() + "/" + c.GetClause()
		}
		fmt.Fprintf(w, "%s: %s%s\n", c.GetAgency(), verdict, under)
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
			fmt.Fprintf(w, "  %s %s\t%s\t%s\n", mark, k.GetName(), k.GetTerm(), sanitize(k.GetMessage()))
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
			if output != "table" && output != "json" {
				return fmt.Errorf("--output %q: use table or json", output)
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
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), jsonform.Datasets(resp))
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
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().StringVar(&schema, "schema", "", "only this exchange schema: person, or person.v1")
	cmd.Flags().StringSliceVar(&agencies, "agencies", nil, "only these source agencies, comma-separated")
	return cmd
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
