// Package disclosure is the source's side of a query: it decides, logs, reads and discloses. Every listener that answers
// peers calls Core.Retrieve; policy and log are in here and nowhere else, so that no listener can go round them.
package disclosure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/digest"
	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/internal/shape"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/page"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/tracing"
)

// DefaultTimeout bounds the reading of a source for a caller that sets no deadline.
const DefaultTimeout = 30 * time.Second

// Log is what the core needs of the audit log.
type Log interface {
	Append(ctx context.Context, r audit.Record) (*audit.Receipt, error)
	AppendDeferred(ctx context.Context, r audit.Record) (*audit.Receipt, error)
	Healthy() error
}

// Config is what a Core is made of.
type Config struct {
	Table    *route.Table
	Log      Log
	Sources  source.Source
	Subjects *Subjects
	// Quotas counts what clauses limit by the day; nil: nothing is answered under such clauses.
	Quotas Quotas
	// Compile compiles filters, usually (*filter.Cache).Compile.
	Compile func(*route.Schema, string) (*filter.Filter, error)
	// Positions are the keys of the positions in answers in pages; nil: there are no pages.
	Positions *page.Keys
	// ExplainGroups of this agency's own users who may have queries explained as the source, and see its tables and columns; nil: nobody.
	ExplainGroups []string
	// Timeout bounds the reading of a source; 0: DefaultTimeout.
	Timeout time.Duration
	// Retain is how long the payloads of log records are kept; 0: no date is set.
	Retain  time.Duration
	Metrics *metrics.Metrics
	// Trace makes spans; nil: none.
	Trace  *tracing.Tracer
	Logger *slog.Logger
	Now    func() time.Time
}

// Core answers peers. It is safe for concurrent use.
type Core struct {
	Config
	routes  digest.Routes
	budgets budgets
	running running
}

// New makes a Core that follows its table: what runs under an agreement is cut when the agreement ends.
func New(c Config) *Core {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	core := &Core{Config: c}
	c.Table.Subscribe(func(old, new *route.Route) {
		if new == nil {
			core.running.cut(old.Agreement)
		} else if new.Tombstone != nil {
			core.running.cut(new.Agreement)
		}
	})
	return core
}

// Caller is a peer gateway as its agreement credential names it.
type Caller struct {
	// Recipient agency and agreement id in the credential's SPIFFE ID.
	Recipient, Agreement string
	// NotAfter is the end of the credential: a connection may outlive it.
	NotAfter time.Time
	// Until is how long it waits for this answer; zero: as long as the context of the call says.
	Until time.Time
	// Arrow: it reads records by columns, see package columns.
	Arrow bool
}

// Reasons of outcomes that are not refusals by a check.
const (
	// ReasonAuditLog: the log cannot be written, so nothing is disclosed.
	ReasonAuditLog = "AuditLog"
	// ReasonSourceSystem: the system of records cannot be reached or does not answer as it should.
	ReasonSourceSystem = "SourceSystem"
	// ReasonDeadline: the source did not answer in time.
	ReasonDeadline = "Deadline"
	// ReasonLimit: more records match than the limit lets through.
	ReasonLimit = "Limit"
	// ReasonMaintenance: the source's agency announced that it answers no queries now.
	ReasonMaintenance = "Maintenance"
	// ReasonPage: more records match, and come with the next page.
	ReasonPage = "Page"
	// ReasonPageKey: the keys of pages cannot be had.
	ReasonPageKey = "PageKey"
	// ReasonCancelled: the caller went away.
	ReasonCancelled = "Cancelled"
)

// Retrieve answers one request. Whatever becomes of it, refusals included, ends in a last frame with the result; an error
// means that there is nobody to send it to, or that the caller is no caller: then it is a gRPC status.
func (c *Core) Retrieve(ctx context.Context, caller Caller, req *gatewayv1.RetrieveRequest, send func(*gatewayv1.RetrieveResponse) error) error {
	now := c.Now()
	if !now.Before(caller.NotAfter) {
		return status.Error(codes.Unauthenticated, "the agreement credential has expired: connect with a new one")
	}
	ctx, span := c.Trace.Serve(ctx, tracing.Disclosure)
	defer span.End()
	d := c.newDisclosure(caller, req, now)
	d.span = span
	if err := c.Log.Healthy(); err != nil {
		c.Logger.Error("nothing is disclosed: the log cannot be written", "error", err)
		return d.end(send, d.result(gatewayv1.Outcome_OUTCOME_UNAVAILABLE, ReasonAuditLog, messageAuditLog))
	}
	plan, refusal := d.decided(ctx)
	if refusal != nil {
		return d.deny(ctx, send, refusal)
	}
	d.plan, d.shape = plan, shape.Of(&plan.Clause.Schema, plan.Fields)
	if m := plan.Clause.Maintenance; m.Underway(now) {
		return d.unavailable(ctx, send, ReasonMaintenance, m.Notice(plan.Clause.Source.Agency))
	}

	// The end of the agreement and of the credential cuts the reading as the caller's deadline does.
	reading, stop := context.WithDeadline(ctx, c.deadline(ctx, now, plan, caller))
	defer stop()
	reading, done := c.running.start(reading, req.GetAgreement())
	defer done()
	// From here on an end of the agreement cuts the reading; one that came since the route was looked up does not.
	if refusal := c.standing(plan, caller, req.GetAgreement()); refusal != nil {
		return d.deny(ctx, send, refusal)
	}

	refusal, err := d.resume(reading)
	switch {
	case refusal != nil:
		return d.deny(ctx, send, refusal)
	case err != nil:
		return d.cannot(ctx, send, err, ReasonPageKey, messagePageKey)
	}
	refusal, err = d.reserve(reading)
	switch {
	case refusal != nil:
		return d.deny(ctx, send, refusal)
	case err != nil:
		return d.cannot(ctx, send, err, ReasonQuotaStore, messageQuotaStore)
	}
	defer func() { d.settle(d.released) }()

	d.subject, d.subjectKey = c.Subjects.asked(plan)
	// Deferred: a look-up is over in less time than a sync takes, and then its two records cost one.
	intent, err := c.Log.AppendDeferred(ctx, d.record(audit.Intent))
	if err != nil {
		return d.logFailed(send, err)
	}
	d.intent = intent
	return d.answer(ctx, reading, send)
}

const messageAuditLog = "the source's gateway cannot write its log, and discloses nothing without it; its operators must mend it"

// deadline leaves some time after the reading to say how it ended.
func (c *Core) deadline(ctx context.Context, now time.Time, plan *enforce.Plan, caller Caller) time.Time {
	end := now.Add(c.Timeout)
	waits, ok := ctx.Deadline()
	if !caller.Until.IsZero() {
		waits, ok = caller.Until, true
	}
	if ok {
		end = earlier(end, waits.Add(-min(waits.Sub(now)/10, 100*time.Millisecond)))
	}
	return earlier(earlier(end, plan.Until), caller.NotAfter)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// errCut is the cause of a context that an ended agreement cancelled.
var errCut = errors.New("the agreement has ended")

// standing says whether what was decided still stands: asked again before every frame.
func (c *Core) standing(plan *enforce.Plan, caller Caller, agreement string) *enforce.Refusal {
	now := c.Now()
	r := c.Table.Get(agreement)
	switch {
	case r == nil:
		return &enforce.Refusal{Check: "agreement", Message: fmt.Sprintf("agreement %q is no longer in force here", agreement)}
	case r.Tombstone != nil:
		return &enforce.Refusal{Check: "agreement", Term: "status.state", Message: fmt.Sprintf("agreement %q is no longer in force: %s", agreement, r.Tombstone.Reason)}
	case !now.Before(caller.NotAfter):
		return &enforce.Refusal{Check: "credential", Message: "the agreement credential has expired"}
	}
	v := r.Current(now)
	if v == nil || v.Version != plan.Version.Version || v.Digest != plan.Version.Digest {
		return &enforce.Refusal{Check: "agreement", Term: "term", Message: fmt.Sprintf("version %d of agreement %q is no longer in force", plan.Version.Version, agreement)}
	}
	// A party may have withdrawn, this caller among them; or the window of the task force through which it asks has ended.
	stands := func(c route.Clause) bool {
		if c.Name != plan.Clause.Name || c.Withheld != "" {
			return false
		}
		_, ok := c.Admits(recipientOf(r, caller.Recipient), now)
		return ok
	}
	if !slices.ContainsFunc(v.Clauses, stands) {
		return &enforce.Refusal{Check: "withdrawal", Term: "status.state", Message: fmt.Sprintf("clause %q of agreement %q is no longer in force for this recipient", plan.Clause.Name, agreement)}
	}
	return nil
}
