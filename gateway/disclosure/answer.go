package disclosure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/digest"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/internal/shape"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/obligations"
	"github.com/entente-dev/entente/gateway/quota"
	"github.com/entente-dev/entente/gateway/receipt"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/tracing"
)

// disclosure is one request on its way through the core. One goroutine owns it.
type disclosure struct {
	core    *Core
	caller  Caller
	req     *gatewayv1.RetrieveRequest
	started time.Time
	id      string
	route   *route.Route
	plan    *enforce.Plan // nil until decided
	shape   shape.Shape   // of the plan's fields
	// subject is the token of the person that is asked about, by the field subjectKey; "": it asks about nobody.
	subject, subjectKey string
	// subjects are the tokens of the records in the batch.
	subjects []string
	query    string // digest
	intent   *audit.Receipt
	batch    batch
	// frames of records that were released, and bulk: the answer has outgrown them, and goes on by columns.
	frames int
	bulk   bool
	digest *digest.Response
	// released records; those in the batch are not.
	released int64
	// dated are the obligations, and versioned names the agreement, once they are asked for.
	dated     *gatewayv1.Obligations
	versioned string
	// reservation of a clause with quotas, until it is settled.
	reservation *quota.Reservation
	// consents that services answered.
	consents consents
	// page of an answer in pages; nil: it has none.
	page *paging
	span tracing.Span
}

func (c *Core) newDisclosure(caller Caller, req *gatewayv1.RetrieveRequest, now time.Time) *disclosure {
	return &disclosure{
		core: c, caller: caller, req: req, started: now, id: req.GetDisclosureId(),
		route: c.Table.Get(req.GetAgreement()), query: digest.Query(req), digest: digest.NewResponse(),
	}
}

// granularities by their place in the enum.
var granularities = map[gatewayv1.Granularity]string{
	gatewayv1.Granularity_GRANULARITY_UNSPECIFIED: "",
	gatewayv1.Granularity_GRANULARITY_EXISTENCE:   "Existence",
	gatewayv1.Granularity_GRANULARITY_COUNT:       "Count",
	gatewayv1.Granularity_GRANULARITY_RECORDS:     "Records",
}

// decided decides, and says how it went to whoever watches.
func (d *disclosure) decided(ctx context.Context) (*enforce.Plan, *enforce.Refusal) {
	_, span := d.core.Trace.Start(ctx, tracing.Decision)
	defer span.End()
	plan, refusal := d.decide()
	// Of what the request says, only what is known to be: the id, and the agreement of the credential.
	d.span.Disclosure(d.id)
	if refusal != nil {
		span.Check(refusal.Check)
		d.span.Clause(d.caller.Agreement, "")
	} else {
		d.span.Clause(d.caller.Agreement, plan.Clause.Name)
	}
	d.core.Metrics.Stage(metrics.SourceDecision, d.core.Now().Sub(d.started))
	return plan, refusal
}

// decide runs the checks of package enforce, and before them the one of the disclosure id, which only this protocol has.
func (d *disclosure) decide() (*enforce.Plan, *enforce.Refusal) {
	// In small letters: logs are compared in the order of ids, which is that of their dates in one spelling only.
	if id, err := uuid.Parse(d.id); err != nil || id.Version() != 7 || len(d.id) != 36 || d.id != strings.ToLower(d.id) {
		// The log needs an id in any case.
		d.id = uuid.Must(uuid.NewV7()).String()
		return nil, &enforce.Refusal{Check: "request", Invalid: true, Message: "disclosure_id is not a UUIDv7 in small letters"}
	}
	// By its date both sides find the disclosure again: an id that is dated elsewhere would hide it from a comparison of logs.
	if dated, _ := receipt.Dated(d.id); dated.Sub(d.started).Abs() > receipt.MaxSkew {
		return nil, &enforce.Refusal{Check: "request", Invalid: true, Message: fmt.Sprintf(
			"disclosure_id is dated more than %s from this gateway's clock: set both agencies' clocks", receipt.MaxSkew)}
	}
	if hasUnknown(d.req) {
		return nil, &enforce.Refusal{Check: "request", Invalid: true, Message: "the request has members that this gateway does not know: what they would restrict, it could not keep"}
	}
	granularity, ok := granularities[d.req.GetGranularity()]
	if !ok {
		granularity = d.req.GetGranularity().String() // enforce refuses it
	}
	j := d.req.GetJustification()
	var claims map[string]any
	if c := d.req.GetClaims(); c != nil {
		claims = c.AsMap()
	}
	return enforce.Decide(enforce.Input{
		Asked: enforce.Asked{
			Recipient: recipientOf(d.route, d.caller.Recipient), Agreement: d.req.GetAgreement(), Version: d.req.GetVersion(), Clause: d.req.GetClause(),
			Schema: d.req.GetSchema(), Filter: d.req.GetFilter(), Fields: d.req.GetFields(), Granularity: granularity,
			Purpose: d.req.GetPurpose(), CaseReference: j.GetCaseReference(), SubjectRole: j.GetSubjectRole(), Aim: j.GetAim(),
			Jurisdiction: j.GetJurisdiction(), Claims: claims,
			Limit: d.req.GetLimit(), Order: orderOf(d.req.GetOrder()),
		},
		Credential: &enforce.Credential{Agreement: d.caller.Agreement, Recipient: d.caller.Recipient},
		Route:      d.route,
		Now:        d.started,
		Compile:    d.core.Compile,
	})
}

// hasUnknown says whether a request was made by a newer gateway, or a stranger one, than this one understands.
func hasUnknown(r *gatewayv1.RetrieveRequest) bool {
	return len(r.ProtoReflect().GetUnknown()) > 0 || len(r.GetJustification().ProtoReflect().GetUnknown()) > 0 ||
		len(r.GetClaims().ProtoReflect().GetUnknown()) > 0 || len(r.GetAfter().ProtoReflect().GetUnknown()) > 0 ||
		slices.ContainsFunc(r.GetOrder(), func(o *gatewayv1.OrderBy) bool { return len(o.ProtoReflect().GetUnknown()) > 0 })
}

// recipientOf is the party of the agreement that a credential means. The credential was issued by this agency's own
// authority for one recipient of one agreement, in which an agency's name stands for one party.
func recipientOf(r *route.Route, agency string) route.Party {
	if r != nil {
		for i := range r.Versions {
			for j := range r.Versions[i].Clauses {
				for _, p := range r.Versions[i].Clauses[j].Recipients {
					if p.Agency == agency {
						return p.Party
					}
				}
			}
		}
	}
	return route.Party{Agency: agency}
}

// answer reads what was asked for and discloses it. ctx is the caller's, reading ends earlier.
func (d *disclosure) answer(ctx, reading context.Context, send func(*gatewayv1.RetrieveResponse) error) error {
	result := d.result(gatewayv1.Outcome_OUTCOME_OK, "", "")
	if err := d.read(reading, result, send); err != nil {
		var gone *sendError
		if errors.As(err, &gone) {
			// Nobody is there to be told; the log still is.
			_, logErr := d.core.Log.Append(context.WithoutCancel(ctx), d.outcome(d.result(gatewayv1.Outcome_OUTCOME_PARTIAL, ReasonCancelled, "")))
			return errors.Join(gone.err, logErr)
		}
		d.drop()
		result = d.failed(ctx, reading, err)
	}
	return d.finish(ctx, send, result)
}

// read reads the system of records.
func (d *disclosure) read(ctx context.Context, result *gatewayv1.SourceStatus, send func(*gatewayv1.RetrieveResponse) error) error {
	ctx, span := d.core.Trace.Start(ctx, tracing.SourceQuery)
	defer span.End()
	from := d.core.Now()
	var err error
	switch d.plan.Granularity {
	case "Existence":
		err = d.exists(ctx, result)
	case "Count":
		err = d.count(ctx, result)
	default:
		if len(d.plan.Order) > 0 {
			err = d.ordered(ctx, result, send)
			break
		}
		err = d.records(ctx, result, send)
	}
	d.core.Metrics.Stage(metrics.SourceQuery, d.core.Now().Sub(from))
	span.Failed(err)
	return err
}

// wait is until the log is durable up to the receipts.
func (d *disclosure) wait(ctx context.Context, receipts ...*audit.Receipt) error {
	ctx, span := d.core.Trace.Start(ctx, tracing.LogWait)
	defer span.End()
	from := d.core.Now()
	var err error
	for _, r := range receipts {
		err = errors.Join(err, r.Wait(ctx))
	}
	d.core.Metrics.Stage(metrics.SourceLogWait, d.core.Now().Sub(from))
	span.Failed(err)
	return err
}

// finish logs the outcome, waits until the log is durable, and only then releases what is left.
func (d *disclosure) finish(ctx context.Context, send func(*gatewayv1.RetrieveResponse) error, result *gatewayv1.SourceStatus) error {
	result.Records = d.released + int64(d.batch.records)
	if discloses(result) {
		result.Obligations = d.obligations()
	}
	receipt, err := d.core.Log.Append(context.WithoutCancel(ctx), d.outcome(result))
	if err != nil {
		return d.logFailed(send, err)
	}
	// Both: a log that failed and mended itself in between has lost the intent and kept the outcome. The outcome first: it
	// takes the intent along.
	if err := d.wait(ctx, receipt, d.intent); err != nil {
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		return d.logFailed(send, err)
	}
	runs := d.batch.runs
	for ; len(runs) > 1; runs = runs[1:] {
		var refusal *enforce.Refusal
		var gone *sendError
		switch err := d.passRun(ctx, runs[0], send); {
		case errors.As(err, &refusal):
			return d.withdraw(ctx, send, refusal)
		case errors.As(err, &gone):
			return gone.err
		}
	}
	if discloses(result) {
		if refusal := d.core.standing(d.plan, d.caller, d.req.GetAgreement()); refusal != nil {
			return d.withdraw(ctx, send, refusal)
		}
	}
	result.QuotaLeft = d.settle(result.Records)
	frame := &gatewayv1.RetrieveResponse{Result: result}
	if len(runs) > 0 {
		frame.Records = d.frame(runs[0])
	}
	d.measure(result)
	return send(frame)
}

// obligations of what is disclosed; they are made once.
func (d *disclosure) obligations() *gatewayv1.Obligations {
	if d.dated == nil {
		d.dated = obligations.Of(d.plan.Clause.Obligations, d.started)
	}
	return d.dated
}

// discloses says whether a result tells something about the data.
func discloses(r *gatewayv1.SourceStatus) bool {
	return r.GetOutcome() == gatewayv1.Outcome_OUTCOME_OK || r.GetOutcome() == gatewayv1.Outcome_OUTCOME_PARTIAL
}

// withdraw ends an answer whose outcome is logged already and whose agreement ended in that instant: a second outcome says
// what was not released after all.
func (d *disclosure) withdraw(ctx context.Context, send func(*gatewayv1.RetrieveResponse) error, refusal *enforce.Refusal) error {
	d.drop()
	result := d.result(gatewayv1.Outcome_OUTCOME_DENIED, refusal.Check, refusal.Message)
	result.Records = d.released
	receipt, err := d.core.Log.Append(context.WithoutCancel(ctx), d.outcome(result))
	if err != nil {
		return d.logFailed(send, err)
	}
	if err := d.wait(ctx, receipt); err != nil {
		return d.logFailed(send, err)
	}
	return d.end(send, result)
}

// deny logs the refusal, waits, and says so.
func (d *disclosure) deny(ctx context.Context, send func(*gatewayv1.RetrieveResponse) error, refusal *enforce.Refusal) error {
	d.core.Metrics.Denial(metrics.Source, refusal.Check)
	d.span.Check(refusal.Check)
	if !d.core.budgets.take(d.caller.Recipient) {
		d.core.Metrics.OverBudget()
		return status.Error(codes.ResourceExhausted, "too many refused requests: mend the query, then try again later")
	}
	result := d.result(gatewayv1.Outcome_OUTCOME_DENIED, refusal.Check, refusal.Message)
	record := d.outcome(result)
	record.Kind = audit.Denial
	record.ResponseDigest, record.ElapsedMicros = "", 0
	receipt, err := d.core.Log.Append(context.WithoutCancel(ctx), record)
	if err != nil {
		return d.logFailed(send, err)
	}
	if err := d.wait(ctx, receipt); err != nil {
		return d.logFailed(send, err)
	}
	return d.end(send, result)
}

// cannot ends a request that needs what the gateway cannot have now.
func (d *disclosure) cannot(ctx context.Context, send func(*gatewayv1.RetrieveResponse) error, err error, reason, message string) error {
	d.core.Logger.Error("nothing is disclosed", "reason", reason, "disclosure", d.id, "agreement", d.req.GetAgreement(), "clause", d.plan.Clause.Name, "error", err)
	return d.unavailable(ctx, send, reason, message)
}

// unavailable ends a request before anything is read: it is logged.
func (d *disclosure) unavailable(ctx context.Context, send func(*gatewayv1.RetrieveResponse) error, reason, message string) error {
	result := d.result(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, reason, message)
	receipt, err := d.core.Log.Append(context.WithoutCancel(ctx), d.outcome(result))
	if err != nil {
		return d.logFailed(send, err)
	}
	if err := d.wait(ctx, receipt); err != nil {
		return d.logFailed(send, err)
	}
	return d.end(send, result)
}

// logFailed ends the answer: without the log nothing more is disclosed, and the last frame says nothing of the data.
func (d *disclosure) logFailed(send func(*gatewayv1.RetrieveResponse) error, err error) error {
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) { // who asked has gone, and nothing is wrong with the log
		d.core.Logger.Error("nothing is disclosed: the log cannot be written", "disclosure", d.id, "error", err)
	}
	return d.end(send, d.result(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonAuditLog, messageAuditLog))
}

// end sends a last frame without records.
func (d *disclosure) end(send func(*gatewayv1.RetrieveResponse) error, result *gatewayv1.SourceStatus) error {
	result.Records = d.released
	d.measure(result)
	return send(&gatewayv1.RetrieveResponse{Result: result})
}

func (d *disclosure) measure(result *gatewayv1.SourceStatus) {
	took := d.core.Now().Sub(d.started)
	result.ElapsedMicros = took.Microseconds()
	d.span.Outcome(OutcomeName(result.GetOutcome()))
	d.core.Metrics.Disclosure(metrics.Source, OutcomeName(result.GetOutcome()), result.GetRecords(), took)
}

// failed says how an answer ended that could not be read to its end.
func (d *disclosure) failed(ctx, reading context.Context, err error) *gatewayv1.SourceStatus {
	var refused *enforce.Refusal
	switch {
	case errors.As(err, &refused):
	case errors.Is(context.Cause(reading), errCut):
		if refused = d.core.standing(d.plan, d.caller, d.req.GetAgreement()); refused == nil {
			// Suspended and resumed in between.
			refused = &enforce.Refusal{Check: "agreement", Message: "the agreement was interrupted: ask again"}
		}
	case reading.Err() != nil:
		refused = d.core.standing(d.plan, d.caller, d.req.GetAgreement())
	}
	if refused != nil {
		d.core.Metrics.Denial(metrics.Source, refused.Check)
		return d.result(gatewayv1.Outcome_OUTCOME_DENIED, refused.Check, refused.Message)
	}
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return d.result(gatewayv1.Outcome_OUTCOME_PARTIAL, ReasonCancelled, "the caller went away")
	}
	if reading.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return d.result(gatewayv1.Outcome_OUTCOME_TIMEOUT, ReasonDeadline, "the source did not answer in time: narrow the filter, or allow more time")
	}
	// Errors of a source hold no values.
	d.core.Logger.Warn("source failed", "disclosure", d.id, "agreement", d.req.GetAgreement(), "clause", d.plan.Clause.Name, "error", err)
	if errors.Is(err, source.ErrConsent) {
		return d.result(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonConsentService, messageConsentService)
	}
	if errors.Is(err, source.ErrTooMany) {
		return d.result(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonSourceSystem, "the source would have to read more than it may at once: narrow the filter, or ask for fewer records or without an order")
	}
	if errors.Is(err, source.ErrUnavailable) {
		return d.result(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonSourceSystem, "the source's system of records cannot be reached: try again later")
	}
	return d.result(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonSourceSystem, "the source's system of records does not fit its dataset: its operators must mend it")
}

func (d *disclosure) result(outcome gatewayv1.Outcome, reason, message string) *gatewayv1.SourceStatus {
	s := &gatewayv1.SourceStatus{
		Agency: d.core.Table.Self().Agency, Outcome: outcome, Reason: reason,
		// Some messages repeat what the request said, at whatever length.
		Message: audit.Cut(message, 1024), Agreement: audit.Cut(d.req.GetAgreement(), 64), Clause: audit.Cut(d.req.GetClause(), 64), DisclosureId: d.id,
	}
	if d.plan != nil {
		s.Agreement = d.agreement()
		s.Granularity = rungs[d.plan.Granularity]
	}
	return s
}

var rungs = map[string]gatewayv1.Granularity{
	"Existence": gatewayv1.Granularity_GRANULARITY_EXISTENCE,
	"Count":     gatewayv1.Granularity_GRANULARITY_COUNT,
	"Records":   gatewayv1.Granularity_GRANULARITY_RECORDS,
}

// agreement is id.vN; it is made once.
func (d *disclosure) agreement() string {
	if d.versioned == "" {
		d.versioned = d.req.GetAgreement() + ".v" + strconv.FormatInt(d.plan.Version.Version, 10)
	}
	return d.versioned
}

// OutcomeName is the outcome as logs and metrics write it: OK, DENIED, …
func OutcomeName(o gatewayv1.Outcome) string {
	if o == gatewayv1.Outcome_OUTCOME_OK {
		return "OK" // the reflection of protobuf takes longer
	}
	return strings.TrimPrefix(o.String(), "OUTCOME_")
}

// record is what the log keeps in every record of this disclosure.
func (d *disclosure) record(kind audit.Kind) audit.Record {
	j := d.req.GetJustification()
	r := audit.Record{
		Disclosure: d.id, Kind: kind, Side: audit.Source, Operation: audit.Consultation,
		Agreement: d.req.GetAgreement(), Version: d.req.GetVersion(), Clause: d.req.GetClause(), Purpose: d.req.GetPurpose(),
		Justification: audit.Justification{CaseReference: j.GetCaseReference(), SubjectRole: j.GetSubjectRole(), Aim: j.GetAim(), Jurisdiction: j.GetJurisdiction()},
		Source:        d.core.Table.Self().Agency, Recipient: d.caller.Recipient, User: d.req.GetUser(),
		Granularity: granularities[d.req.GetGranularity()], Fields: d.req.GetFields(), Filter: d.req.GetFilter(),
		SubjectToken: d.subject, RouteDigest: d.core.routes.Of(d.route), QueryDigest: d.query,
	}
	if d.plan != nil {
		r.Version, r.Granularity, r.Fields = d.plan.Version.Version, d.plan.Granularity, d.plan.Fields
		r.Dataset, r.Claims = datasets(d.plan.Clause), d.plan.ClaimsJSON()
		r.RecipientAddress = d.plan.Clause.Addresses[d.caller.Recipient]
	}
	if d.core.Retain > 0 {
		r.RetainUntil = d.started.Add(d.core.Retain)
	}
	return bounded(r)
}

// bounded cuts what an authenticated but hostile peer may have made too large for a record: the log must hold the refusal.
func bounded(r audit.Record) audit.Record {
	for _, s := range []*string{&r.Agreement, &r.Clause, &r.Purpose, &r.User, &r.Justification.CaseReference, &r.Justification.SubjectRole, &r.Justification.Aim, &r.Justification.Jurisdiction} {
		*s = audit.Cut(*s, 256)
	}
	r.Filter = audit.Cut(r.Filter, 28<<10)
	if len(r.Fields) > 256 {
		r.Fields = r.Fields[:256]
	}
	total := 0
	for i, f := range r.Fields {
		n := audit.Length(f)
		if total += n; n > 128 || total > 16<<10 {
			r.Fields = append(append([]string(nil), r.Fields[:i]...), "…")
			break
		}
	}
	return r
}

// outcome is the record of how it ended.
func (d *disclosure) outcome(result *gatewayv1.SourceStatus) audit.Record {
	r := d.record(audit.Outcome)
	r.Outcome, r.Reason, r.Message = OutcomeName(result.GetOutcome()), result.GetReason(), result.GetMessage()
	r.Records = d.released + int64(d.batch.records)
	r.Hit = r.Records > 0 || result.GetExists() || result.GetCount() > 0
	r.SubjectTokens = d.subjects
	r.ElapsedMicros = d.core.Now().Sub(d.started).Microseconds()
	r.Suppressed = result.GetSuppressed()
	r.ConsentCheck = d.consents.logged()
	r.Obligations = obligations.Logged(result.GetObligations())
	if discloses(result) {
		r.ResponseDigest = d.digest.Sum(result)
	}
	return r
}

// releaseRecord is the record of a frame that is not the last.
func (d *disclosure) releaseRecord() audit.Record {
	r := d.record(audit.Release)
	r.Records, r.SubjectTokens, r.Hit = int64(d.batch.records), d.subjects, true
	r.ConsentCheck = d.consents.logged()
	return r
}
