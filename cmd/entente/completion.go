package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// completionTimeout bounds the wait of somebody who pressed tab.
const completionTimeout = 2 * time.Second

// completion suggests from what the gateway offers this user. When it cannot be asked, nothing is suggested and nothing said.
type completion struct {
	client *clientFlags
	query  *queryFlags
}

// offered are the clauses that concern what was typed so far: the schema, and the agencies.
func (c *completion) offered(cmd *cobra.Command, args []string) []*gatewayv1.OfferedDataset {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := context.WithTimeout(ctx, completionTimeout)
	defer stop()
	ctx, service, closeConn, err := c.client.connect(ctx)
	if err != nil {
		return nil
	}
	defer closeConn()
	// As much as somebody would read.
	req := &gatewayv1.ListDatasetsRequest{Agencies: c.query.agencies, PageSize: 1000}
	if len(args) > 0 {
		req.Schema = args[0]
	}
	resp, err := service.ListDatasets(ctx, req)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(resp.GetDatasets(), func(d *gatewayv1.OfferedDataset) bool {
		if len(args) > 0 && d.GetSchema() != args[0] && unversioned(d.GetSchema()) != args[0] {
			return true
		}
		return len(c.query.agencies) > 0 && !slices.Contains(c.query.agencies, d.GetAgency())
	})
}

// unversioned is the name of name.vN.
func unversioned(schema string) string {
	if i := strings.LastIndex(schema, ".v"); i > 0 {
		return schema[:i]
	}
	return schema
}

func (c *completion) schemas(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found := map[string]string{}
	for _, d := range c.offered(cmd, args) {
		describe(found, unversioned(d.GetSchema()), d.GetAgency())
		describe(found, d.GetSchema(), d.GetAgency())
	}
	return suggestions(found, ""), cobra.ShellCompDirectiveNoFileComp
}

func (c *completion) purposes(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	found := map[string]string{}
	for _, d := range c.offered(cmd, args) {
		for _, p := range d.GetPurposes() {
			describe(found, p, d.GetAgreement()+"/"+d.GetClause())
		}
	}
	return suggestions(found, ""), cobra.ShellCompDirectiveNoFileComp
}

func (c *completion) agencies(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	c.query.agencies = nil // those named before do not leave only themselves
	found := map[string]string{}
	for _, d := range c.offered(cmd, args) {
		describe(found, d.GetAgency(), d.GetAgreement()+"/"+d.GetClause())
	}
	return suggestions(found, typed), cobra.ShellCompDirectiveNoFileComp
}

func (c *completion) fields(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	found := map[string]string{}
	for _, d := range c.offered(cmd, args) {
		for _, f := range d.GetFields() {
			describe(found, f, d.GetFieldTypes()[f])
		}
	}
	return suggestions(found, typed), cobra.ShellCompDirectiveNoFileComp
}

// filter suggests the field that a filter may begin with, or the next one after a space or a parenthesis.
func (c *completion) filter(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndexAny(typed, " (!")+1]
	if strings.Count(before, `"`)%2 == 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp // inside a text
	}
	found := map[string]string{}
	for _, d := range c.offered(cmd, args) {
		for _, f := range d.GetFilterFields() {
			describe(found, before+f, d.GetFieldTypes()[f])
		}
	}
	return suggestions(found, ""), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// describe adds to what is said of a suggestion, each thing once.
func describe(found map[string]string, word, what string) {
	switch said, ok := found[word]; {
	case !ok || said == "":
		found[word] = what
	case what != "" && !slices.Contains(strings.Split(said, ", "), what):
		found[word] = said + ", " + what
	}
}

// suggestions are the words with what is said of them. Of a list of words that is separated by commas, only the last is suggested.
func suggestions(found map[string]string, typed string) []string {
	before := typed[:strings.LastIndex(typed, ",")+1]
	already := strings.Split(before, ",")
	var out []string
	for _, word := range slices.Sorted(maps.Keys(found)) {
		if slices.Contains(already, word) {
			continue
		}
		out = append(out, cobra.CompletionWithDesc(before+sanitize(word), sanitize(found[word])))
	}
	return out
}
