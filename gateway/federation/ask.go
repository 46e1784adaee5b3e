package federation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/digest"
	"github.com/entente-dev/entente/gateway/internal/shape"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/obligations"
	"github.com/entente-dev/entente/gateway/order"
	"github.com/entente-dev/entente/gateway/peer"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/tracing"
)

// asking is one source being asked. One goroutine owns it.
type asking struct {
	q      *query
	ch     *choice
	req    *gatewayv1.RetrieveRequest
	query  string // digest
	intent *audit.Receipt
	digest *digest.Response
	shape  shape.Shape
	// pending is the last batch that came; it is released when the next one comes, or with the outcome.
	pending  *piece
	result   *gatewayv1.SourceStatus // the source's own; nil until its last frame
	released int64
	received int64
	// lane of a merge; nil: what comes is released as it comes. last are the values of the record that came last.
	lane    *lane
	last    []*gatewayv1.Value
	started time.Time
	// fields of the records, in their order.
	fields []*route.Field
	// dated are the obligations, and kept is what every record of the log has in common, once they are asked for.
	dated *gatewayv1.Obligations
	kept  *audit.Record
	// table tries each record's values for a user who reads columns; nil: there was none yet.
	table *table
}

// sendError is an error of the user's stream, as opposed to the peer's.
type sendError struct{ err error }

func (e *sendError) Error() string { return e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// goneIn is the error of the user's stream in err; nil: there is none.
func goneIn(err error) *sendError {
	if err == nil {
		return nil // errors.As would allocate
	}
	var gone *sendError
	errors.As(err, &gone)
	return gone
}

// errAnswer: the source answered otherwise than it was asked.
type errAnswer struct{ what string }

func (e *errAnswer) Error() string { return e.what }

// errLog: the log could not be written.
type errLog struct{ err error }

func (e *errLog) Error() string { return e.err.Error() }

// errEnded: the agreement ended here while the source was answering.
var errEnded = errors.New("the agreement is no longer in force")

// ask asks one source and releases what it discloses. The error is one of the user's stream, or of the log; what goes wrong
// with the source is in the status.
func (q *query) ask(ctx context.Context, ch *choice) (*gatewayv1.SourceStatus, error) {
	ctx, span := q.core.Trace.Call(ctx, tracing.Ask)
	defer span.End()
	a := &asking{q: q, ch: ch, digest: digest.NewResponse(), started: q.core.Now(), lane: q.merge.laneOf(ch)}
	plan := ch.plan
	span.Clause(ch.agreement, ch.clause)
	span.Disclosure(ch.disclosure)
	a.shape = shape.Of(&plan.Clause.Schema, plan.Fields)
	a.req = &gatewayv1.RetrieveRequest{
		DisclosureId: ch.disclosure, Agreement: ch.agreement, Version: plan.Version.Version, Clause: ch.clause,
		Schema: versioned(plan.Clause.Schema.Name, plan.Clause.Schema.Version), Filter: q.req.GetFilter(), Fields: q.req.GetFields(),
		Granularity: rungs[plan.Granularity], Purpose: q.req.GetPurpose(), Justification: q.req.GetJustification(),
		Limit: q.req.GetLimit(), User: q.alias,
	}
	if len(plan.Claims) > 0 {
		var err error
		if a.req.Claims, err = structpb.NewStruct(plan.Claims); err != nil {
			return nil, fmt.Errorf("claims: %w", err) // the decision took plain values only
		}
	}
	if a.lane != nil {
		for _, o := range plan.Order {
			a.req.Order = append(a.req.Order, &gatewayv1.OrderBy{Field: o.Field, Descending: o.Descending})
		}
		a.req.After = q.pages.after(ch)
	}
	a.query = digest.Query(a.req)
	a.fields = columns.Select(&plan.Clause.Schema, plan.Fields)

	// The log syncs while the source is asked, or with the outcome; nothing is released before it has.
	intent, err := q.core.Log.AppendDeferred(ctx, a.record(audit.Intent))
	if err != nil {
		return a.logFailed(err)
	}
	a.intent = intent

	asked, stop := context.WithTimeout(ctx, q.core.timeout(ctx))
	if a.lane != nil {
		defer context.AfterFunc(a.lane.ctx, stop)()
	}
	err = q.core.Peers.Retrieve(asked, plan.Clause.Source, ch.agreement, a.req, func(f *gatewayv1.RetrieveResponse) error {
		return a.frame(asked, f)
	})
	timedOut := asked.Err() != nil
	stop()
	q.core.Metrics.Stage(metrics.RecipientAsk, q.core.Now().Sub(a.started))
	if err == nil && a.result == nil {
		err = &errAnswer{"the source's answer has no result"}
	}

	// A connection whose agreement ends is closed under the question.
	if cut := status.Code(err) == codes.Canceled && ctx.Err() == nil; (cut || err == nil && disclosed(a.result.GetOutcome())) && !a.q.core.standing(a.ch) {
		err = errEnded
	}
	s := a.status(ctx, err, timedOut)
	if gone := goneIn(err); gone != nil {
		a.pending = nil
		s.Records = a.released
		_, logErr := q.core.Log.Append(context.WithoutCancel(ctx), a.outcome(s))
		return s, errors.Join(gone.err, logErr)
	}
	if !disclosed(s.GetOutcome()) {
		a.pending = nil
	}
	s.Records = a.released + a.pending.rows()
	if disclosed(s.GetOutcome()) {
		s.Obligations = a.obligations()
	}
	receipt, logErr := q.core.Log.Append(context.WithoutCancel(ctx), a.outcome(s))
	if logErr != nil {
		return a.logFailed(logErr)
	}
	// Both: a log that failed and mended itself in between has lost the intent and kept the outcome. The outcome first: it
	// takes the intent along.
	if logErr := a.wait(ctx, receipt, a.intent); logErr != nil {
		return a.logFailed(logErr)
	}
	if disclosed(s.GetOutcome()) {
		switch err := a.end(); {
		case errors.Is(err, errEnded):
			// It ended while the log synced: what the log says was disclosed to this agency goes no further.
			s = a.status(ctx, err, false)
			s.Records = a.released
		case err != nil:
			return s, err
		}
	}
	took := q.core.Now().Sub(a.started)
	s.ElapsedMicros = took.Microseconds()
	span.Outcome(strings.TrimPrefix(s.GetOutcome().String(), "OUTCOME_"))
	q.core.Metrics.Disclosure(metrics.Recipient, strings.TrimPrefix(s.GetOutcome().String(), "OUTCOME_"), s.GetRecords(), took)
	return s, nil
}

// wait is until the log is durable up to the receipts.
func (a *asking) wait(ctx context.Context, receipts ...*audit.Receipt) error {
	ctx, span := a.q.core.Trace.Start(ctx, tracing.LogWait)
	defer span.End()
	from := a.q.core.Now()
	var err error
	for _, r := range receipts {
		err = errors.Join(err, r.Wait(ctx))
	}
	a.q.core.Metrics.Stage(metrics.RecipientLogWait, a.q.core.Now().Sub(from))
	span.Failed(err)
	return err
}

// disclosed says whether an outcome tells the user something of the source's records.
func disclosed(o gatewayv1.Outcome) bool {
	return o == gatewayv1.Outcome_OUTCOME_OK || o == gatewayv1.Outcome_OUTCOME_PARTIAL
}

// end releases what is left, if the agreement is still in force; so it must be for a hit or a count, which go with the status.
func (a *asking) end() error {
	if a.pending != nil {
		return a.release()
	}
	if !a.q.core.standing(a.ch) {
		return errEnded
	}
	return nil
}

// frame takes one frame of the source.
func (a *asking) frame(ctx context.Context, f *gatewayv1.RetrieveResponse) error {
	if a.result != nil {
		return &errAnswer{"the source sent more after its result"}
	}
	if p, err := a.piece(f); err != nil {
		return err
	} else if p.rows() > 0 {
		if a.pending != nil {
			if err := a.wait(ctx, a.intent); err != nil {
				return &errLog{err}
			}
			if err := a.release(); err != nil {
				return err
			}
		}
		p.digest(a.digest)
		a.received += p.rows()
		a.pending = p
	}
	a.result = f.GetResult()
	return nil
}

// check holds an answer against what was asked: a source that discloses more than the clause permits makes this agency a
// holder of what it must not have.
func (a *asking) check(b *gatewayv1.RecordBatch, rows int64) error {
	plan := a.ch.plan
	switch {
	case plan.Granularity != "Records":
		return &errAnswer{"the source sent records; none were asked for"}
	case !a.shape.Named(b):
		return &errAnswer{"the source sent other fields than were asked for"}
	case a.received+rows > plan.Limit, a.req.GetAfter() != nil && a.received+rows > a.req.GetAfter().GetSize():
		return &errAnswer{"the source sent more records than the clause permits"}
	case len(b.GetProvenance().GetDataset()) > 63:
		return &errAnswer{"the source sent a dataset's name that is none"}
	}
	for _, r := range b.GetRecords() {
		if !a.shape.Fits(r) {
			return &errAnswer{"the source sent a record with other values than the fields have"}
		}
		if a.q.out.arrow && !a.tabled(r) {
			return &errAnswer{"the source sent a value that is not of its field's type"}
		}
		if len(r.GetAlso()) > 0 || (len(r.GetPosition()) > 0) != (a.req.GetAfter() != nil) || len(r.GetPosition()) > maxPosition {
			return &errAnswer{"the source sent positions otherwise than it was asked for, or speaks for others"}
		}
		if a.lane == nil || len(plan.Order) == 0 {
			continue
		}
		if a.last != nil && order.Compare(a.lane.by, a.last, r.GetValues()) > 0 {
			return &errAnswer{"the source sent its records in another order than was asked for"}
		}
		a.last = r.GetValues()
	}
	if (len(b.GetPositionKey()) > 0) != (a.req.GetAfter() != nil) || len(b.GetPositionKey()) > maxPositionKey {
		return &errAnswer{"the source sent positions otherwise than it was asked for"}
	}
	return nil
}

// What a source may have a recipient keep for it, a record and an answer.
const (
	maxPosition    = 64
	maxPositionKey = 1 << 10
)

// release gives the pending batch to the user, with the provenance that this side knows to be true.
func (a *asking) release() error {
	stands := func() bool { return a.q.core.standing(a.ch) }
	if !stands() {
		return errEnded
	}
	p := a.pending
	a.pending = nil
	p.batch.Provenance = &gatewayv1.Provenance{
		Agency: a.ch.agency, Dataset: p.batch.GetProvenance().GetDataset(), Agreement: a.ch.name(), Clause: a.ch.clause, DisclosureId: a.ch.disclosure,
		Obligations: a.obligations(),
	}
	if a.lane != nil {
		if err := a.q.merge.put(a.lane, p.byRecords()); err != nil {
			return &sendError{err}
		}
	} else if err := a.q.out.batch(p, &a.ch.plan.Clause.Schema, stands); errors.Is(err, errEnded) {
		return err
	} else if err != nil {
		return &sendError{err}
	}
	a.released += p.rows()
	return nil
}

// obligations of what the source discloses, by this side's clause and clock.
func (a *asking) obligations() *gatewayv1.Obligations {
	if a.dated == nil {
		a.dated = obligations.Of(a.ch.plan.Clause.Obligations, a.started)
	}
	return a.dated
}

// standing says whether this side's agreement is still in force in the version under which the source was asked, and its clause still
// lets this agency ask.
func (c *Core) standing(ch *choice) bool {
	r := c.Table.Get(ch.agreement)
	if r == nil {
		return false
	}
	now := c.Now()
	v := r.Current(now)
	if v == nil || v.Version != ch.plan.Version.Version || v.Digest != ch.plan.Version.Digest {
		return false
	}
	self := c.self
	return slices.ContainsFunc(v.Clauses, func(c route.Clause) bool {
		_, ok := c.Admits(self, now)
		return c.Name == ch.clause && c.Withheld == "" && ok
	})
}

// status says how the source ended, from its own result or from what went wrong.
func (a *asking) status(ctx context.Context, err error, timedOut bool) *gatewayv1.SourceStatus {
	s := &gatewayv1.SourceStatus{
		Agency: a.ch.agency, Agreement: a.ch.name(), Clause: a.ch.clause, DisclosureId: a.ch.disclosure,
		Granularity: rungs[a.ch.plan.Granularity],
	}
	if err == nil {
		return a.fromSource(s)
	}
	return a.broken(ctx, s, err, timedOut)
}

// broken says how the source ended whose answer did not come whole.
func (a *asking) broken(ctx context.Context, s *gatewayv1.SourceStatus, err error, timedOut bool) *gatewayv1.SourceStatus {
	set := func(o gatewayv1.Outcome, reason, message string) *gatewayv1.SourceStatus {
		s.Outcome, s.Reason, s.Message = o, reason, message
		// Part of the answer is there already, or is about to be.
		if o != gatewayv1.Outcome_OUTCOME_DENIED && (a.released > 0 || a.pending != nil) {
			s.Outcome = gatewayv1.Outcome_OUTCOME_PARTIAL
		}
		return s
	}
	var bad *errAnswer
	var gone *sendError
	var logged *errLog
	var open *peer.OpenError
	switch {
	case errors.As(err, &bad):
		a.pending = nil
		a.q.core.Logger.Error("a source's answer was dropped", "agency", a.ch.agency, "disclosure", a.ch.disclosure, "error", bad.what)
		return set(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonAnswer, bad.what+"; the rest of its answer was dropped, tell its operators")
	case errors.Is(err, errEnded):
		a.pending = nil
		return set(gatewayv1.Outcome_OUTCOME_DENIED, "agreement", "the agreement ended while the source was answering")
	case errors.As(err, &logged):
		a.pending = nil
		return set(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonAuditLog, "this gateway cannot write its log")
	case a.ch.plan.Clause.Maintenance.Underway(a.q.core.Now()) && ctx.Err() == nil && !errors.As(err, &gone):
		return set(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonMaintenance, a.ch.plan.Clause.Maintenance.Notice(a.ch.agency))
	case errors.As(err, &gone), ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return set(gatewayv1.Outcome_OUTCOME_PARTIAL, ReasonCancelled, "the user went away")
	case timedOut || status.Code(err) == codes.DeadlineExceeded:
		return set(gatewayv1.Outcome_OUTCOME_TIMEOUT, ReasonDeadline, "the source did not answer in time: narrow the filter, or allow more time")
	case errors.As(err, &open):
		again := "that is being tried now"
		if open.Until.After(a.q.core.Now()) {
			again = "it is tried again at " + open.Until.UTC().Format("15:04:05") + " UTC"
		}
		return set(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonCircuitOpen, "the source's gateway did not answer the last times and is not asked for now: "+again)
	case errors.Is(err, peer.ErrCredential):
		a.q.core.Logger.Warn("no agreement credential", "agency", a.ch.agency, "agreement", a.ch.agreement, "error", err)
		if c := status.Code(err); c == codes.PermissionDenied || c == codes.NotFound {
			return set(gatewayv1.Outcome_OUTCOME_DENIED, ReasonCredential, "the source's exchange issues no credential for this agreement: it holds it not to be in force")
		}
		return set(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonCredential, "the source's exchange issued no agreement credential: try again later")
	}
	a.q.core.Logger.Warn("a source could not be asked", "agency", a.ch.agency, "agreement", a.ch.agreement, "error", err)
	return set(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonUnreachable, "the source's gateway cannot be reached, or the connection broke: try again later")
}

// fromSource takes over the source's own result. Only known words of bounded length get through.
func (a *asking) fromSource(s *gatewayv1.SourceStatus) *gatewayv1.SourceStatus {
	r := a.result
	s.Outcome, s.Reason, s.Message = r.GetOutcome(), cut(r.GetReason(), 64), cut(r.GetMessage(), 1024)
	if left := r.GetQuotaLeft(); left != nil && quotas(a.ch.plan.Clause) {
		s.QuotaLeft = &gatewayv1.QuotaLeft{Day: cut(left.GetDay(), 10), Queries: left.Queries, Records: left.Records}
		a.q.core.heard.listen(offer{agency: a.ch.agency, agreement: a.ch.agreement, clause: a.ch.clause}, s.QuotaLeft, a.q.core.Now())
	}
	switch r.GetOutcome() {
	case gatewayv1.Outcome_OUTCOME_OK, gatewayv1.Outcome_OUTCOME_PARTIAL:
		what := a.tooMuch(r)
		if what == "" && r.GetReason() == ReasonPage && (a.req.GetAfter() == nil || a.received == 0) {
			what = "the source speaks of a next page, and none can be"
		}
		if what != "" {
			a.q.core.Logger.Error("a source's answer was dropped", "agency", a.ch.agency, "disclosure", a.ch.disclosure, "error", what)
			s.Outcome, s.Reason, s.Message = gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonAnswer, what+"; its answer was dropped, tell its operators"
			return s
		}
		switch a.ch.plan.Granularity {
		case "Existence":
			s.Exists = r.Exists
		case "Count":
			s.Count = r.Count
		}
		s.Suppressed, s.CountStep = r.GetSuppressed(), r.GetCountStep()
	case gatewayv1.Outcome_OUTCOME_DENIED:
		a.q.core.Metrics.Denial(metrics.Recipient, "source")
	case gatewayv1.Outcome_OUTCOME_UNAVAILABLE, gatewayv1.Outcome_OUTCOME_TIMEOUT:
		if a.released > 0 {
			s.Outcome = gatewayv1.Outcome_OUTCOME_PARTIAL
		}
	default:
		s.Outcome, s.Reason, s.Message = gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonAnswer, "the source ended with an outcome that this gateway does not know"
	}
	return s
}

// tooMuch says what a source tells beyond the clause's minimum count; "" for nothing.
func (a *asking) tooMuch(r *gatewayv1.SourceStatus) string {
	minimum := a.ch.plan.Clause.MinimumCount
	switch {
	case minimum == 0 && (r.GetSuppressed() || r.GetCountStep() != 0):
		return "the source suppresses counts, which the clause does not say"
	case minimum == 0:
		return ""
	case r.GetSuppressed() && (r.Exists != nil || r.Count != nil), !r.GetSuppressed() && r.Exists == nil && r.Count == nil:
		return "the source sent a count that is suppressed and told at once"
	case r.Exists != nil && !r.GetExists(), r.Count != nil && (r.GetCountStep() != minimum || r.GetCount() < minimum || r.GetCount()%minimum != 0):
		return "the source told a count that the clause suppresses"
	}
	return ""
}

func quotas(c *route.Clause) bool { return c.QueriesPerDay > 0 || c.RecordsPerDay > 0 }

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// logFailed ends one source when this side's log cannot be written: what it sent is not released.
func (a *asking) logFailed(err error) (*gatewayv1.SourceStatus, error) {
	a.pending = nil
	return nil, a.q.core.logFailed(fmt.Errorf("disclosure %s: %w", a.ch.disclosure, err))
}
