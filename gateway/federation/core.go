// Package federation is the recipient's side of a query: it finds the clauses that permit it, asks their sources at once,
// logs, and merges what they disclose into one stream with its provenance. Every listener that serves this agency's own
// users calls Core; policy and log are in here and nowhere else.
package federation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/digest"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/internal/stack"
	"github.com/entente-dev/entente/gateway/metrics"
	"github.com/entente-dev/entente/gateway/page"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/tracing"
)

const (
	// DefaultTimeout bounds the wait for one source.
	DefaultTimeout = 10 * time.Second
	// DefaultWidth is how many sources one query asks at a time.
	DefaultWidth = 64
	// DefaultMaxSources is how many sources one query asks at most.
	DefaultMaxSources = 256
	// maxHeld is how many bytes of records an all-or-nothing query holds back until every source has answered.
	maxHeld = 32 << 20
)

// Log is what the core needs of the audit log.
type Log interface {
	Append(ctx context.Context, r audit.Record) (*audit.Receipt, error)
	AppendDeferred(ctx context.Context, r audit.Record) (*audit.Receipt, error)
	Healthy() error
}

// Peers asks one source gateway, see peer.Pool.
type Peers interface {
	Retrieve(ctx context.Context, source route.Peer, agreement string, req *gatewayv1.RetrieveRequest, each func(*gatewayv1.RetrieveResponse) error) error
}

// Config is what a Core is made of.
type Config struct {
	Table      *route.Table
	Log        Log
	Peers      Peers
	Pseudonyms *Pseudonyms
	// Compile compiles filters, usually (*filter.Cache).Compile.
	Compile func(*route.Schema, string) (*filter.Filter, error)
	// Timeout bounds the wait for one source; 0: DefaultTimeout.
	Timeout time.Duration
	// Width is how many sources one query asks at a time; 0: DefaultWidth.
	Width int
	// MaxSources is how many sources one query asks at most; 0: DefaultMaxSources. A query that asks in pages may ask as many as a page
	// has records.
	MaxSources int
	// PageKeys are the keys of page tokens; nil: there are no pages.
	PageKeys *page.Keys
	// Retain is how long the payloads of log records are kept; 0: no date is set.
	Retain  time.Duration
	Metrics *metrics.Metrics
	// Trace makes spans; nil: none.
	Trace  *tracing.Tracer
	Logger *slog.Logger
	Now    func() time.Time
}

// Core answers this agency's users. It is safe for concurrent use.
type Core struct {
	Config
	self   route.Party
	index  *index
	heard  heard
	routes digest.Routes
}

// New makes a Core that follows its table.
func New(c Config) *Core {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Width <= 0 {
		c.Width = DefaultWidth
	}
	if c.MaxSources <= 0 {
		c.MaxSources = DefaultMaxSources
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	core := &Core{Config: c, self: c.Table.Self(), index: newIndex(c.Table.Self())}
	c.Table.Subscribe(core.index.follow)
	return core
}

// Reasons of outcomes that are not refusals by a check.
const (
	// ReasonNoAgreement: no agreement lets this agency ask.
	ReasonNoAgreement = "NoAgreement"
	// ReasonAuditLog: this gateway's log cannot be written, so nothing is asked and nothing released.
	ReasonAuditLog = "AuditLog"
	// ReasonUnreachable: the source's gateway cannot be reached, or the connection broke.
	ReasonUnreachable = "Unreachable"
	// ReasonCircuitOpen: the source's gateway did not answer the last times, and is not asked for a while.
	ReasonCircuitOpen = "CircuitOpen"
	// ReasonCredential: the source's exchange issued no agreement credential.
	ReasonCredential = "Credential"
	// ReasonDeadline: the source did not answer in time.
	ReasonDeadline = "Deadline"
	// ReasonAnswer: the source answered otherwise than it was asked, and what it sent was dropped.
	ReasonAnswer = "UnexpectedAnswer"
	// ReasonMaintenance: the source cannot be reached, and has announced that it answers no queries now.
	ReasonMaintenance = "Maintenance"
	// ReasonPage: more records match, and come with the next page.
	ReasonPage = "Page"
	// ReasonEarlierPage: the source did not answer on an earlier page, and is not asked any more.
	ReasonEarlierPage = "EarlierPage"
	// ReasonPageKey: the keys of page tokens cannot be had.
	ReasonPageKey = "PageKey"
	// ReasonCancelled: the user went away.
	ReasonCancelled = "Cancelled"
	// ReasonRequireAll: not every source answered in full.
	ReasonRequireAll = "RequireAll"
	// ReasonTooLarge: the answer is larger than an all-or-nothing query may be.
	ReasonTooLarge = "TooLarge"
)

// query is one query on its way. Only the goroutine of Query owns it; sources share send, which is locked.
type query struct {
	core    *Core
	id      string
	user    User
	alias   string // the user's pseudonym
	req     *gatewayv1.QueryRequest
	started time.Time
	out     *output
	// merge of an answer in an order, or without duplicates; pages of an answer in pages; nil otherwise.
	merge *merge
	pages *pages
}

// output is the user's stream, shared by the sources.
type output struct {
	mu   sync.Mutex
	send func(*gatewayv1.QueryResponse) error
	// arrow: the user reads records by columns.
	arrow bool
	// held: batches of an all-or-nothing query.
	hold      bool
	held      []*gatewayv1.QueryResponse
	heldBytes int
}

// Query answers one query. Errors are *Error, or what send returned, or the context's.
func (c *Core) Query(ctx context.Context, user User, req *gatewayv1.QueryRequest, send func(*gatewayv1.QueryResponse) error) error {
	return c.query(ctx, user, req, &output{send: send, hold: req.GetRequireAll()})
}

// QueryColumns is Query for a user who reads records by columns: as Arrow, see QueryResponse.
func (c *Core) QueryColumns(ctx context.Context, user User, req *gatewayv1.QueryRequest, send func(*gatewayv1.QueryResponse) error) error {
	return c.query(ctx, user, req, &output{send: send, hold: req.GetRequireAll(), arrow: true})
}

func (c *Core) query(ctx context.Context, user User, req *gatewayv1.QueryRequest, out *output) error {
	if err := c.Log.Healthy(); err != nil {
		return c.logFailed(err)
	}
	ctx, span := c.Trace.Start(ctx, tracing.Query)
	defer span.End()
	q := &query{
		core: c, id: newID(), user: user, alias: c.Pseudonyms.Of(user), req: req, started: c.Now(), out: out,
	}
	span.Query(q.id)
	refusal := c.bounds(req)
	if refusal == nil {
		refusal = q.openPage(ctx)
	}
	if refusal != nil {
		return q.refuse(ctx, refusal)
	}
	_, deciding := c.Trace.Start(ctx, tracing.Decision)
	choices, refusal := c.choose(req, q.pages.agencies(), user, q.started)
	deciding.Sources(len(choices))
	deciding.End()
	c.Metrics.Stage(metrics.RecipientDecision, c.Now().Sub(q.started))
	if refusal == nil {
		refusal = q.plan(ctx, choices)
	}
	if refusal != nil {
		return q.refuse(ctx, refusal)
	}
	if err := q.logRefusals(ctx, choices); err != nil {
		return err
	}
	statuses := make([]*gatewayv1.SourceStatus, len(choices))
	refused := 0
	for i, ch := range choices {
		if ch.plan == nil {
			statuses[i] = ch.status
			refused++
		}
	}
	if out.arrow {
		if frame, err := header(choices); err != nil {
			return err
		} else if frame != nil {
			if err := out.write(frame); err != nil {
				return err
			}
		}
	}
	if !q.out.hold || refused == 0 {
		if err := q.askAll(ctx, choices, statuses); err != nil {
			return err
		}
	}
	return q.close(ctx, choices, statuses)
}

// plan says how the sources are asked together.
func (q *query) plan(ctx context.Context, choices []*choice) *Error {
	asked := permitted(choices)
	if most := q.core.MaxSources; q.pages == nil && len(asked) > most {
		return &Error{Kind: Invalid, Reason: "request", Member: "agencies", Message: fmt.Sprintf("%d agencies may be asked, and one query asks at most %d: name them (agencies), one group after another, or ask in pages (order, page_size)", len(asked), most)}
	}
	var refusal *Error
	if q.merge, refusal = q.newMerge(ctx, asked); refusal != nil {
		return refusal
	}
	return q.pages.share(q.merge)
}

func permitted(choices []*choice) []*choice {
	return slices.DeleteFunc(slices.Clone(choices), func(c *choice) bool { return c.plan == nil })
}

// timeout leaves some of the user's time to say that a source was too late.
func (c *Core) timeout(ctx context.Context) time.Duration {
	d, ok := ctx.Deadline()
	if !ok {
		return c.Timeout
	}
	left := time.Until(d)
	return min(c.Timeout, left-min(left/10, 200*time.Millisecond))
}

// askAll asks every permitted source, at most Width at a time, and sends each status as it comes.
func (q *query) askAll(ctx context.Context, choices []*choice, statuses []*gatewayv1.SourceStatus) error {
	// A user who went away ends it all.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, s := range statuses {
		if s != nil {
			if _, err := q.out.status(s, nil); err != nil {
				return err
			}
		}
	}
	asked := permitted(choices)
	run := func(ch *choice) error {
		s, err := q.ask(ctx, ch)
		at := slices.Index(choices, ch)
		statuses[at] = s
		if l := q.merge.laneOf(ch); l != nil {
			q.merge.end(l, s.GetReason() == ReasonPage)
			return err
		}
		if err == nil {
			statuses[at], err = q.out.status(s, func() bool { return q.core.standing(ch) })
		}
		return err
	}
	if len(asked) == 1 && q.merge == nil {
		return run(asked[0])
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, q.core.Width)
	)
	failed := func(err error) {
		mu.Lock()
		if first == nil {
			first = err
		}
		mu.Unlock()
		cancel()
	}
	start := func() {
		for _, ch := range asked {
			slots <- struct{}{}
			wg.Add(1)
			stack.Go(func() {
				defer wg.Done()
				defer func() { <-slots }()
				if err := run(ch); err != nil {
					failed(err)
				}
			})
		}
	}
	if q.merge == nil {
		start()
		wg.Wait()
		return first
	}
	wg.Go(start)
	if err := q.merge.run(); err != nil {
		failed(err)
	}
	wg.Wait()
	if first != nil {
		return first
	}
	return q.merged(choices, statuses)
}

// close ends the answer with its summary; an all-or-nothing query releases its records here, or fails.
func (q *query) close(ctx context.Context, choices []*choice, statuses []*gatewayv1.SourceStatus) error {
	if q.out.hold {
		q.lapse(choices, statuses)
	}
	summary := &gatewayv1.QuerySummary{QueryId: q.id, Complete: true}
	var failed []string
	for _, s := range append(slices.Clone(statuses), q.pages.earlier()...) {
		if s == nil {
			continue // an all-or-nothing query that asked nobody
		}
		summary.Sources++
		summary.Records += s.GetRecords()
		if s.GetOutcome() == gatewayv1.Outcome_OUTCOME_OK {
			summary.Ok++
		} else {
			summary.Complete = false
			failed = append(failed, s.GetAgency())
		}
	}
	if q.out.hold {
		if err := q.out.settle(statuses, failed, func() bool { return q.lapse(choices, statuses) }); err != nil {
			return err
		}
	}
	if q.merge != nil && q.merge.duplicates != nil {
		summary.Duplicates = summary.Records - q.merge.given
		summary.Records = q.merge.given
	}
	if q.pages != nil {
		var err error
		if summary.NextPageToken, err = q.nextPage(ctx, choices, statuses); err != nil {
			return err
		}
	}
	summary.ElapsedMicros = q.core.Now().Sub(q.started).Microseconds()
	return q.out.write(&gatewayv1.QueryResponse{Summary: summary})
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// logFailed is the answer when this gateway's own log cannot be written.
func (c *Core) logFailed(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	c.Logger.Error("nothing is asked or released: the log cannot be written", "error", err)
	return &Error{Kind: Unavailable, Reason: ReasonAuditLog, Message: "the gateway cannot write its log, and answers nothing without it; its operators must mend it"}
}
