package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/jsonform"
)

// queryFlags are what a query and its explanation have in common.
type queryFlags struct {
	filter, purpose, granularity    string
	fields, agencies                []string
	caseReference, subjectRole, aim string
	jurisdiction                    string
	limit                           int64
	requireAll                      bool
	orderBy, deduplicate            []string
}

func (f *queryFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.filter, "filter", "", `CEL over the schema's fields: family_name == "Doe" && birth_date >= date("1980-01-01")`)
	fs.StringSliceVar(&f.fields, "fields", nil, "fields wanted, comma-separated; empty: all that the agreement permits")
	fs.StringVar(&f.purpose, "purpose", "", "purpose code, for example entente:trafficking-investigation")
	fs.StringVar(&f.caseReference, "case-reference", "", "reference to the case in your own case system")
	fs.StringVar(&f.subjectRole, "subject-role", "", "role of the person asked about: suspect, victim, witness, …")
	fs.StringVar(&f.aim, "aim", "", "identify, or enrich")
	fs.StringVar(&f.jurisdiction, "jurisdiction", "", "under whose law you ask, as an ISO 3166 code (US, US-CA), where an agreement wants to know")
	fs.StringSliceVar(&f.agencies, "agencies", nil, "agencies to ask, comma-separated; empty: all that an agreement permits")
	fs.StringVar(&f.granularity, "granularity", "", "existence, count or records; empty: the most that the agreement permits")
	fs.Int64Var(&f.limit, "limit", 0, "most records from each source; 0: the agreement's limit")
	fs.BoolVar(&f.requireAll, "require-all", false, "fail unless every source answers in full")
	fs.StringSliceVar(&f.orderBy, "order-by", nil, "fields to order the records of all sources by, comma-separated; -field: from the greatest to the least")
	fs.StringSliceVar(&f.deduplicate, "deduplicate", nil, "fields by which records are the same, comma-separated: of those one is shown, with all agencies that hold it")
	_ = cmd.MarkFlagRequired("purpose")
}

// complete suggests, in a shell, what the gateway lets this user ask.
func (f *queryFlags) complete(cmd *cobra.Command, client *clientFlags) {
	c := completion{client: client, query: f}
	cmd.ValidArgsFunction = c.schemas
	for flag, complete := range map[string]cobra.CompletionFunc{
		"purpose": c.purposes, "fields": c.fields, "deduplicate": c.fields, "agencies": c.agencies, "filter": c.filter,
		"granularity": cobra.FixedCompletions([]string{"existence", "count", "records"}, cobra.ShellCompDirectiveNoFileComp),
		"aim":         cobra.FixedCompletions([]string{"identify", "enrich"}, cobra.ShellCompDirectiveNoFileComp),
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete) // the flags were added above
	}
}

func (f *queryFlags) request(schema string) (*gatewayv1.QueryRequest, error) {
	req := &gatewayv1.QueryRequest{
		Schema: schema, Filter: f.filter, Fields: f.fields, Purpose: f.purpose, Agencies: f.agencies, Limit: f.limit, RequireAll: f.requireAll,
		Deduplicate:   f.deduplicate,
		Justification: &gatewayv1.Justification{CaseReference: f.caseReference, SubjectRole: f.subjectRole, Aim: f.aim, Jurisdiction: f.jurisdiction},
	}
	for _, field := range f.orderBy {
		name, descending := strings.CutPrefix(field, "-")
		req.Order = append(req.Order, &gatewayv1.OrderBy{Field: name, Descending: descending})
	}
	if f.granularity != "" {
		g, ok := jsonform.ParseGranularity(f.granularity)
		if !ok {
			return nil, fmt.Errorf("--granularity %q: use existence, count or records", f.granularity)
		}
		req.Granularity = g
	}
	return req, nil
}
