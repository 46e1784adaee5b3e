package federation

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/route"
)

// Explain runs every check of the query under every clause that concerns it, and asks nobody.
func (c *Core) Explain(_ context.Context, user User, req *gatewayv1.QueryRequest) (*gatewayv1.ExplainResponse, error) {
	if req == nil {
		req = &gatewayv1.QueryRequest{}
	}
	if refusal := c.bounds(req); refusal != nil {
		return nil, refusal
	}
	now := c.Now()
	out := &gatewayv1.ExplainResponse{}
	byAgency := c.offers(req.GetSchema(), req.GetAgencies(), now)
	for _, agency := range slices.Sorted(maps.Keys(byAgency)) {
		offers := byAgency[agency]
		if len(offers) == 0 {
			ch := c.chooseClause(req, user, agency, nil, now)
			out.Clauses = append(out.Clauses, &gatewayv1.ClauseExplanation{
				Agency: agency,
				Checks: []*gatewayv1.CheckResult{{Name: ch.refusal.Check, Message: ch.refusal.Message, Change: ch.refusal.Change}},
			})
		}
		ch := c.chooseClause(req, user, agency, offers, now)
		for _, o := range offers {
			e := c.explainClause(req, o, c.input(req, user, o, now))
			e.Chosen = e.Allowed && ch.agreement == o.agreement && ch.clause == o.clause
			out.Clauses = append(out.Clauses, e)
		}
	}
	if len(out.Clauses) == 0 {
		return nil, c.noAgreement(req)
	}
	return out, nil
}

func (c *Core) explainClause(req *gatewayv1.QueryRequest, o offer, in enforce.Input) *gatewayv1.ClauseExplanation {
	e := &gatewayv1.ClauseExplanation{Agency: o.agency, Agreement: o.agreement, Clause: o.clause, Allowed: true}
	if in.Route != nil {
		if v := in.Route.Current(in.Now); v != nil {
			e.Agreement = versioned(o.agreement, v.Version)
			if cl := clauseOf(in.Route, o.clause, in.Now); cl != nil && !cl.Maintenance.Over(in.Now) {
				e.Maintenance = maintenance(cl.Maintenance)
			}
		}
	}
	last := c.heard.of(o, in.Now)
	in.Left = last.known()
	results, plan := enforce.Explain(in)
	if plan != nil {
		e.SourceQuery = []*gatewayv1.SourceQuery{{Statement: inSchemaTerms(plan)}}
	}
	for _, r := range results {
		if cl := clauseOf(in.Route, o.clause, in.Now); r.Name == "quota" && r.Passed && cl != nil {
			r.Message = quotaInWords(cl, last)
		}
		e.Allowed = e.Allowed && r.Passed
		e.Checks = append(e.Checks, &gatewayv1.CheckResult{Name: r.Name, Passed: r.Passed, Term: r.Term, Message: r.Message, Change: r.Change})
	}
	return e
}

func maintenance(m *route.Maintenance) *gatewayv1.Maintenance {
	out := &gatewayv1.Maintenance{Until: timestamppb.New(m.Until), Reason: m.Reason}
	if !m.From.IsZero() {
		out.From = timestamppb.New(m.From)
	}
	return out
}

// clauseOf finds a clause of the version in force; nil: there is none.
func clauseOf(r *route.Route, name string, now time.Time) *route.Clause {
	if r == nil {
		return nil
	}
	v := r.Current(now)
	if v == nil {
		return nil
	}
	for i := range v.Clauses {
		if v.Clauses[i].Name == name {
			return &v.Clauses[i]
		}
	}
	return nil
}

// maxListed is the most entries of one answer that asks for fewer than all.
const maxListed = 10_000

// ListDatasets lists what this agency may ask of whom now.
func (c *Core) ListDatasets(_ context.Context, _ User, req *gatewayv1.ListDatasetsRequest) (*gatewayv1.ListDatasetsResponse, error) {
	invalid := func(member, message string) error {
		return &Error{Kind: Invalid, Reason: "request", Member: member, Message: message}
	}
	after, ok := offerAfter(req.GetPageToken())
	switch {
	case len(req.ProtoReflect().GetUnknown()) > 0:
		return nil, invalid("", "the request has members that this gateway does not know")
	case req.GetPageSize() < 0 || req.GetPageSize() > maxListed:
		return nil, invalid("pageSize", fmt.Sprintf("page_size must be 1 to %d, or 0 for all", maxListed))
	case !ok:
		return nil, invalid("pageToken", "page_token is none of this list: begin without")
	}
	now := c.Now()
	out := &gatewayv1.ListDatasetsResponse{}
	for at, o := range c.index.list(req.GetSchema(), req.GetAgencies(), after) {
		r := c.Table.Get(o.agreement)
		if r == nil {
			continue
		}
		v := r.Current(now)
		if v == nil {
			continue
		}
		i := slices.IndexFunc(v.Clauses, func(cl route.Clause) bool { return cl.Name == o.clause })
		if i < 0 || v.Clauses[i].Withheld != "" {
			continue
		}
		cl := &v.Clauses[i]
		until, ok := cl.Admits(c.self, now)
		if !ok || req.GetSchema() != "" && !enforce.MatchesSchema(req.GetSchema(), &cl.Schema) {
			continue
		}
		if n := len(out.Datasets); n > 0 && n == int(req.GetPageSize()) {
			out.NextPageToken = after.text()
			break
		}
		after = at
		if until.IsZero() || v.NotAfter.Before(until) {
			until = v.NotAfter
		}
		d := &gatewayv1.OfferedDataset{
			Agency: cl.Source.Agency, Schema: versioned(cl.Schema.Name, cl.Schema.Version), Agreement: versioned(o.agreement, v.Version),
			Clause: cl.Name, Purposes: cl.Purposes, Granularity: rungs[cl.Granularity], Fields: cl.Fields,
			FilterFields: cl.FilterFields, NotAfter: timestamppb.New(until), FieldTypes: map[string]string{},
		}
		for _, f := range cl.Schema.Fields {
			if slices.Contains(cl.Fields, f.Name) || slices.Contains(cl.FilterFields, f.Name) {
				d.FieldTypes[f.Name] = f.Type
			}
		}
		for _, set := range cl.RequireSelectors {
			d.RequireSelectors = append(d.RequireSelectors, &gatewayv1.FieldSet{Fields: set})
		}
		out.Datasets = append(out.Datasets, d)
	}
	return out, nil
}

// listed is an entry's place in the list.
type listed struct{ schema, agency, agreement, clause string }

func (l listed) text() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join([]string{l.schema, l.agency, l.agreement, l.clause}, "\x00")))
}

// offerAfter reads a page token, which tells nothing that the list does not.
func offerAfter(token string) (listed, bool) {
	if token == "" {
		return listed{}, true
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	parts := strings.Split(string(b), "\x00")
	if err != nil || len(parts) != 4 || len(token) > 1024 {
		return listed{}, false
	}
	return listed{parts[0], parts[1], parts[2], parts[3]}, true
}
