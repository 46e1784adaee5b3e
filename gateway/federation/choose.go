package federation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

// choice is what becomes of one source agency: a plan under one clause, or the refusal of the clause that came furthest.
type choice struct {
	agency     string
	disclosure string
	agreement  string
	clause     string
	route      *route.Route
	plan       *enforce.Plan
	refusal    *enforce.Refusal
	// status of a refused one.
	status *gatewayv1.SourceStatus
}

// granularities by their place in the enum.
var granularities = map[gatewayv1.Granularity]string{
	gatewayv1.Granularity_GRANULARITY_UNSPECIFIED: "",
	gatewayv1.Granularity_GRANULARITY_EXISTENCE:   "Existence",
	gatewayv1.Granularity_GRANULARITY_COUNT:       "Count",
	gatewayv1.Granularity_GRANULARITY_RECORDS:     "Records",
}

var rungs = map[string]gatewayv1.Granularity{
	"Existence": gatewayv1.Granularity_GRANULARITY_EXISTENCE,
	"Count":     gatewayv1.Granularity_GRANULARITY_COUNT,
	"Records":   gatewayv1.Granularity_GRANULARITY_RECORDS,
}

// Bounds refuses what no clause needs to be looked at for: an error is an *Error.
func (c *Core) Bounds(req *gatewayv1.QueryRequest) error {
	if refusal := c.bounds(req); refusal != nil {
		return refusal
	}
	return nil
}

// bounds refuses what no clause needs to be looked at for.
func (c *Core) bounds(req *gatewayv1.QueryRequest) *Error {
	invalid := func(member, format string, args ...any) *Error {
		return &Error{Kind: Invalid, Reason: "request", Member: member, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case len(req.ProtoReflect().GetUnknown()) > 0 || len(req.GetJustification().ProtoReflect().GetUnknown()) > 0:
		return invalid("", "the request has members that this gateway does not know: what they would restrict, it could not keep")
	case req.GetSchema() == "":
		return invalid("schema", "schema is empty: name the exchange schema, for example person")
	case len(req.GetAgencies()) > c.MaxSources:
		return invalid("agencies", "%d agencies are asked; at most %d", len(req.GetAgencies()), c.MaxSources)
	case slices.ContainsFunc(req.GetOrder(), func(o *gatewayv1.OrderBy) bool { return len(o.ProtoReflect().GetUnknown()) > 0 }):
		return invalid("order", "order has members that this gateway does not know")
	case req.GetPageSize() < 0 || req.GetPageSize() > maxPage:
		return invalid("pageSize", "page_size must be 1 to %d, or 0 for no pages", maxPage)
	case req.GetPageSize() > 0 && len(req.GetOrder()) == 0:
		return invalid("order", "pages need an order: name the fields to order by")
	case req.GetPageSize() > 0 && len(req.GetDeduplicate()) > 0 && !newDuplicates(req).ordered:
		return invalid("deduplicate", "in pages, duplicates are found only in an order that begins with the fields of deduplicate")
	case req.GetPageSize() == 0 && req.GetPageToken() != "":
		return invalid("pageSize", "page_token needs page_size")
	}
	if _, ok := granularities[req.GetGranularity()]; !ok {
		return invalid("granularity", "granularity must be Existence, Count or Records")
	}
	for i, a := range req.GetAgencies() {
		if a == "" || len(a) > 63 {
			return invalid(fmt.Sprintf("agencies[%d]", i), "agencies[%d] is no agency's name", i)
		}
		if slices.Contains(req.GetAgencies()[:i], a) {
			return invalid(fmt.Sprintf("agencies[%d]", i), "agency %q is named twice", a)
		}
	}
	// The bounds that every clause has in common, so that they hold when there is no clause.
	_, refusal := enforce.Decide(enforce.Input{Asked: asked(req, User{}, route.Party{}, offer{})})
	if refusal != nil && refusal.Check == "request" {
		return &Error{Kind: Invalid, Reason: refusal.Check, Member: refusal.Member, Message: refusal.Message}
	}
	return nil
}

func asked(req *gatewayv1.QueryRequest, user User, self route.Party, o offer) enforce.Asked {
	j := req.GetJustification()
	return enforce.Asked{
		Recipient: self, Agreement: o.agreement, Clause: o.clause,
		Schema: req.GetSchema(), Filter: req.GetFilter(), Fields: req.GetFields(), Granularity: granularities[req.GetGranularity()],
		Purpose: req.GetPurpose(), CaseReference: j.GetCaseReference(), SubjectRole: j.GetSubjectRole(), Aim: j.GetAim(),
		Jurisdiction: j.GetJurisdiction(), Claims: user.Claims,
		Limit: req.GetLimit(), Order: orderAsked(req), Deduplicate: req.GetDeduplicate(),
	}
}

func orderAsked(req *gatewayv1.QueryRequest) []enforce.Order {
	var out []enforce.Order
	for _, o := range req.GetOrder() {
		out = append(out, enforce.Order{Field: o.GetField(), Descending: o.GetDescending()})
	}
	return out
}

func (c *Core) input(req *gatewayv1.QueryRequest, user User, o offer, now time.Time) enforce.Input {
	return enforce.Input{Asked: asked(req, user, c.self, o), Route: c.Table.Get(o.agreement), Now: now, Compile: c.Compile}
}

// offers gives the clauses to look at, by agency: of the agencies that the query names, or of all that are in force.
// Named agencies are there even if there is no clause.
func (c *Core) offers(schema string, agencies []string, now time.Time) map[string][]offer {
	found := c.index.lookup(schema, agencies)
	out := make(map[string][]offer, len(found))
	for _, a := range agencies {
		out[a] = found[a]
	}
	if len(agencies) > 0 {
		return out
	}
	for agency, list := range found {
		for _, o := range list {
			// What is suspended stays visible, so that the user learns why an agency is missing from the answer.
			if r := c.Table.Get(o.agreement); o.suspended || (r != nil && r.Current(now) != nil) {
				out[agency] = append(out[agency], o)
			}
		}
	}
	return out
}

// choose decides, for each agency in the order of their names, under which clause it is asked, or why it is not.
// further are the agencies of the pages after the first; nil: those of the query.
func (c *Core) choose(req *gatewayv1.QueryRequest, further []string, user User, now time.Time) ([]*choice, *Error) {
	agencies := further
	if further == nil {
		agencies = req.GetAgencies()
	}
	byAgency := c.offers(req.GetSchema(), agencies, now)
	if len(byAgency) == 0 {
		return nil, c.noAgreement(req)
	}
	choices := make([]*choice, 0, len(byAgency))
	permitted := false
	var malformed *choice
	for _, agency := range slices.Sorted(maps.Keys(byAgency)) {
		ch := c.chooseClause(req, user, agency, byAgency[agency], now)
		ch.disclosure = newID()
		choices = append(choices, ch)
		if ch.plan != nil {
			permitted = true
			continue
		}
		if ch.refusal.Invalid && malformed == nil {
			malformed = ch
		}
		ch.status = c.refusedStatus(ch)
	}
	if !permitted && malformed != nil {
		return nil, c.malformed(req, malformed)
	}
	return choices, nil
}

func (c *Core) noAgreement(req *gatewayv1.QueryRequest) *Error {
	return &Error{Kind: Denied, Reason: ReasonNoAgreement, Member: "schema", Message: fmt.Sprintf("no agreement in force lets %s ask for schema %q; `entente datasets` lists what may be asked", c.self.Agency, req.GetSchema())}
}

// chooseClause takes the clause that discloses most of what is asked; of equal ones the first by agreement and name.
func (c *Core) chooseClause(req *gatewayv1.QueryRequest, user User, agency string, offers []offer, now time.Time) *choice {
	best := &choice{agency: agency}
	progress := -1
	for _, o := range offers {
		in := c.input(req, user, o, now)
		plan, refusal, passed := enforce.Try(in)
		switch {
		case plan != nil:
			if best.plan == nil || better(plan, best.plan) {
				best = &choice{agency: agency, agreement: o.agreement, clause: o.clause, route: in.Route, plan: plan}
			}
		case best.plan == nil:
			if passed > progress {
				progress = passed
				best = &choice{agency: agency, agreement: o.agreement, clause: o.clause, route: in.Route, refusal: refusal}
			}
		}
	}
	if best.plan == nil && best.refusal == nil {
		best.refusal = &enforce.Refusal{Check: ReasonNoAgreement, Message: fmt.Sprintf("no agreement lets %s ask %s for schema %q; `entente datasets` lists what may be asked", c.self.Agency, agency, req.GetSchema()), Change: "the agencies conclude an agreement that permits it"}
	}
	return best
}

func better(a, b *enforce.Plan) bool {
	if ra, rb := rungs[a.Granularity], rungs[b.Granularity]; ra != rb {
		return ra > rb
	}
	return len(a.Fields) > len(b.Fields)
}

func (c *Core) refusedStatus(ch *choice) *gatewayv1.SourceStatus {
	return &gatewayv1.SourceStatus{
		Agency: ch.agency, Outcome: gatewayv1.Outcome_OUTCOME_DENIED, Reason: ch.refusal.Check, Message: withTerm(ch.refusal),
		Agreement: ch.name(), Clause: ch.clause, DisclosureId: ch.disclosure, RefusedLocally: true,
	}
}

// withTerm puts the term that refuses into the message.
func withTerm(r *enforce.Refusal) string {
	if r.Term == "" {
		return r.Message
	}
	return r.Message + " (" + r.Term + ")"
}

// name of the agreement, id.vN as far as the version is known.
func (ch *choice) name() string {
	if ch.plan != nil {
		return versioned(ch.agreement, ch.plan.Version.Version)
	}
	return ch.agreement
}

func versioned(agreement string, version int64) string {
	return agreement + ".v" + strconv.FormatInt(version, 10)
}

// malformed turns a refusal that no clause could lift into an error, with the position in the filter.
func (c *Core) malformed(req *gatewayv1.QueryRequest, ch *choice) *Error {
	e := &Error{Kind: Invalid, Reason: ch.refusal.Check, Term: ch.refusal.Term, Member: ch.refusal.Member, Message: ch.refusal.Message}
	if ch.refusal.Check != "filter" || ch.route == nil {
		return e
	}
	if v := ch.route.Current(c.Now()); v != nil {
		for i := range v.Clauses {
			if v.Clauses[i].Name != ch.clause {
				continue
			}
			var fe *filter.Error
			if _, err := c.Compile(&v.Clauses[i].Schema, req.GetFilter()); errors.As(err, &fe) {
				e.Line, e.Column, e.Message = fe.Line, fe.Column, strings.TrimSpace(fe.Message)
			}
		}
	}
	return e
}
