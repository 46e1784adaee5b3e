package federation

import (
	"context"
	"strings"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/obligations"
)

// base is what every record of a query has in common but its fields.
func (q *query) base(kind audit.Kind) audit.Record {
	j := q.req.GetJustification()
	r := audit.Record{
		Query: q.id, Kind: kind, Side: audit.Recipient, Operation: audit.Consultation,
		Purpose:       audit.Cut(q.req.GetPurpose(), 256),
		Justification: audit.Justification{CaseReference: audit.Cut(j.GetCaseReference(), 256), SubjectRole: audit.Cut(j.GetSubjectRole(), 256), Aim: audit.Cut(j.GetAim(), 256), Jurisdiction: audit.Cut(j.GetJurisdiction(), 256)},
		Recipient:     q.core.self.Agency, User: q.alias, LocalUser: audit.Cut(q.user.Authority+":"+q.user.Name, 512),
		Granularity: granularities[q.req.GetGranularity()], Filter: audit.Cut(q.req.GetFilter(), 28<<10),
	}
	if q.core.Retain > 0 {
		r.RetainUntil = q.started.Add(q.core.Retain)
	}
	return r
}

// fields are those that were asked for, as a record of a refusal has them.
func (q *query) fields() []string {
	var out []string
	total := 0
	for _, f := range q.req.GetFields() {
		f = audit.Cut(f, 64)
		if total += audit.Length(f); total > 16<<10 || len(out) == 256 {
			return append(out, "…")
		}
		out = append(out, f)
	}
	return out
}

// record is what the log keeps in every record of one source.
func (a *asking) record(kind audit.Kind) audit.Record {
	if a.kept != nil {
		r := *a.kept
		r.Kind = kind
		return r
	}
	r := a.q.base(kind)
	plan := a.ch.plan
	r.Disclosure, r.Agreement, r.Version, r.Clause = a.ch.disclosure, a.ch.agreement, plan.Version.Version, a.ch.clause
	r.Source, r.Granularity, r.Fields = a.ch.agency, plan.Granularity, plan.Fields
	r.Claims = plan.ClaimsJSON()
	r.RouteDigest, r.QueryDigest = a.q.core.routes.Of(a.ch.route), a.query
	a.kept = &r
	return r
}

// outcome is the record of how one source ended.
func (a *asking) outcome(s *gatewayv1.SourceStatus) audit.Record {
	r := a.record(audit.Outcome)
	r.Outcome, r.Reason, r.Message, r.Records = strings.TrimPrefix(s.GetOutcome().String(), "OUTCOME_"), s.GetReason(), s.GetMessage(), s.GetRecords()
	r.Hit = r.Records > 0 || s.GetExists() || s.GetCount() > 0
	r.ElapsedMicros = a.q.core.Now().Sub(a.started).Microseconds()
	r.Suppressed = s.GetSuppressed()
	r.Obligations = obligations.Logged(s.GetObligations())
	// Of a whole answer only: one that broke off at the source has no digest there either.
	if disclosed(a.result.GetOutcome()) && disclosed(s.GetOutcome()) {
		r.ResponseDigest = a.digest.Sum(s)
	}
	return r
}

// logRefusals logs what this gateway refuses by itself, and waits: a refusal too is only given once it is logged.
func (q *query) logRefusals(ctx context.Context, choices []*choice) error {
	var receipts []*audit.Receipt
	for _, ch := range choices {
		if ch.refusal == nil {
			continue
		}
		q.core.Metrics.Denial(metrics.Recipient, ch.refusal.Check)
		r := q.base(audit.Denial)
		r.Disclosure, r.Agreement, r.Clause, r.Source, r.Fields = ch.disclosure, ch.agreement, ch.clause, ch.agency, q.fields()
		r.Outcome, r.Reason, r.Message = "DENIED", ch.refusal.Check, audit.Cut(withTerm(ch.refusal), 4096)
		r.RouteDigest = q.core.routes.Of(ch.route)
		receipt, err := q.core.Log.Append(ctx, r)
		if err != nil {
			return q.core.logFailed(err)
		}
		receipts = append(receipts, receipt)
	}
	for _, receipt := range receipts {
		if err := receipt.Wait(ctx); err != nil {
			return q.core.logFailed(err)
		}
	}
	return nil
}

// refuse logs a query that is refused as a whole, and gives the error.
func (q *query) refuse(ctx context.Context, e *Error) error {
	q.core.Metrics.Denial(metrics.Recipient, e.Reason)
	r := q.base(audit.Denial)
	r.Disclosure, r.Fields, r.Outcome, r.Reason, r.Message = q.id, q.fields(), "DENIED", e.Reason, audit.Cut(e.Message, 4096)
	receipt, err := q.core.Log.Append(ctx, r)
	if err != nil {
		return q.core.logFailed(err)
	}
	if err := receipt.Wait(ctx); err != nil {
		return q.core.logFailed(err)
	}
	return e
}
