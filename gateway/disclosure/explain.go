package disclosure

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/internal/shape"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// ErrNotPermitted: the user is in none of the groups that may see this agency's own mapping.
var ErrNotPermitted = errors.New("you are in no group that this gateway lets explain queries as the source (--source-explain-groups)")

// Explain says what this agency, as the source, would answer to a query of a recipient: every check under every clause that lets the
// recipient ask in that schema, and the statements that would be run, without values. It reads no record and counts against no quota.
// Whoever asks sees tables and columns: groups are theirs. No clauses: none in force lets the recipient ask.
func (c *Core) Explain(groups []string, recipient string, claims map[string]any, req *gatewayv1.QueryRequest) (*gatewayv1.ExplainResponse, error) {
	if !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(c.ExplainGroups, g) }) {
		return nil, ErrNotPermitted
	}
	now := c.Now()
	out := &gatewayv1.ExplainResponse{}
	routes := map[string]*route.Route{}
	for _, r := range c.Table.All() {
		routes[r.Agreement] = r
	}
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		r := routes[name]
		v := r.Current(now)
		if v == nil {
			continue
		}
		for i := range v.Clauses {
			cl := &v.Clauses[i]
			who := recipientOf(r, recipient)
			if cl.Source.Party == c.Table.Self() && cl.HasRecipient(who) && enforce.MatchesSchema(req.GetSchema(), &cl.Schema) {
				out.Clauses = append(out.Clauses, c.explainClause(r, v, cl, who, claims, req))
			}
		}
	}
	return out, nil
}

func (c *Core) explainClause(r *route.Route, v *route.Version, cl *route.Clause, who route.Party, claims map[string]any, req *gatewayv1.QueryRequest) *gatewayv1.ClauseExplanation {
	j := req.GetJustification()
	results, plan := enforce.Explain(enforce.Input{
		Asked: enforce.Asked{
			Recipient: who, Agreement: r.Agreement, Clause: cl.Name, Schema: req.GetSchema(), Filter: req.GetFilter(), Fields: req.GetFields(),
			Granularity: granularities[req.GetGranularity()], Purpose: req.GetPurpose(), CaseReference: j.GetCaseReference(),
			SubjectRole: j.GetSubjectRole(), Aim: j.GetAim(), Jurisdiction: j.GetJurisdiction(), Claims: claims, Limit: req.GetLimit(),
			Order: orderOf(req.GetOrder()), Deduplicate: req.GetDeduplicate(),
		},
		Route: r, Now: c.Now(), Compile: c.Compile,
	})
	e := &gatewayv1.ClauseExplanation{
		Agency: c.Table.Self().Agency, Agreement: r.Agreement + ".v" + strconv.FormatInt(v.Version, 10), Clause: cl.Name, Allowed: true,
	}
	for _, k := range results {
		e.Allowed = e.Allowed && k.Passed
		e.Checks = append(e.Checks, &gatewayv1.CheckResult{Name: k.Name, Passed: k.Passed, Term: k.Term, Message: k.Message, Change: k.Change})
	}
	e.Chosen = e.Allowed // the recipient names the clause
	if plan == nil {
		return e
	}
	for _, ds := range inOrder(cl) {
		q := queryOf(r.Agreement, plan, ds, plan.Limit)
		q.Persons = cl.MinimumCount > 0
		if len(plan.Order) > 0 {
			q.Order = wholeOrder(plan, shape.Of(&cl.Schema, plan.Fields).Fields)
		}
		s, err := source.Describe(c.Sources, q, shapeOf(plan))
		if err != nil {
			// Whatever it is, the query itself would end with it.
			s = source.Statement{Text: "cannot be written: " + err.Error()}
		}
		e.SourceQuery = append(e.SourceQuery, &gatewayv1.SourceQuery{Dataset: ds.Name, System: s.System, Statement: s.Text})
	}
	return e
}

// shapeOf is which of a source's methods answers a plan; see answer.
func shapeOf(p *enforce.Plan) source.Method {
	switch {
	case p.Granularity == "Records":
		return source.MethodRecords
	case p.Granularity == "Existence" && p.Clause.MinimumCount == 0:
		return source.MethodExists
	}
	return source.MethodCount
}
