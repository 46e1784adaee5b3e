package federation

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/internal/shape"
	"github.com/entente-dev/entente/gateway/order"
	"github.com/entente-dev/entente/gateway/route"
)

// merge makes one ordered answer of the sources' ordered answers, as they come. Each source waits, and with it the source's gateway and
// its database, until what it sent has been taken: one batch of each source is here at a time, and one more on its way. Of an answer in
// pages each source sends no more than its share of the page, which is kept here whole, so that no source waits for another.
type merge struct {
	q     *query
	lanes []*lane
	// whole: lanes are kept whole, up to maxHeld bytes in all.
	whole bool
	// stall is how long the others wait for one source's next batch; then it is given up.
	stall time.Duration
	// most records; 0: any number.
	most int64

	mu    sync.Mutex // guards the lanes' queues, and what follows
	moved *sync.Cond
	bytes int
	over  error // why nothing is taken any more

	// Of the goroutine of run.
	given      int64
	duplicates *duplicates // nil: none are looked for
	batch      *gatewayv1.RecordBatch
	of         *lane // of the batch
	like       *gatewayv1.RecordBatch
	groups     []*group // of the batch's records, when duplicates are looked for
}

// lane is one source in the merge.
type lane struct {
	ch     *choice
	fields []string // of its records
	by     []order.By
	// queue is what the source sent and nobody took yet; ended: nothing more comes. more: the source says that its next page has more.
	queue []*gatewayv1.RecordBatch
	next  int                // in queue[0]
	head  []*gatewayv1.Value // of the record that is next; of the goroutine of run, while sources add to the queue
	sent  int64              // records
	ended bool
	more  bool
	// ctx bounds the question to the source; cut gives it up.
	ctx context.Context
	cut context.CancelCauseFunc

	// Of the goroutine of run: records that were taken, the last of them, and the same as far as they were given to the user.
	taken, told     int64
	takenAt, toldAt *place
	lapsed          bool
}

// place is a record after which a page may begin.
type place struct {
	batch    *gatewayv1.RecordBatch
	values   []*gatewayv1.Value
	position []byte
}

var (
	errStalled = errors.New("the source kept the others waiting")
	errOver    = errors.New("the merge is over")
)

// newMerge makes the lanes of the choices that are asked for records; nil: the query asks for no order, and for nothing that needs one.
func (q *query) newMerge(ctx context.Context, permitted []*choice) (*merge, *Error) {
	if len(q.req.GetOrder()) == 0 && len(q.req.GetDeduplicate()) == 0 {
		return nil, nil
	}
	m := &merge{q: q, whole: q.pages != nil, most: q.req.GetPageSize(), stall: q.core.timeout(ctx) / 2}
	if len(q.req.GetDeduplicate()) > 0 {
		if q.out.arrow {
			return nil, &Error{Kind: Invalid, Reason: "request", Member: "deduplicate", Message: "a record without its duplicates names all that hold it, which columns do not: ask for JSON, or without deduplicate"}
		}
		m.duplicates = newDuplicates(q.req)
		m.whole = m.whole || !m.duplicates.ordered
	}
	m.moved = sync.NewCond(&m.mu)
	var types []string
	for _, ch := range permitted {
		if ch.plan.Granularity != "Records" {
			continue
		}
		l := &lane{ch: ch, fields: shape.Of(&ch.plan.Clause.Schema, ch.plan.Fields).Fields}
		l.by = orderOf(ch, l.fields)
		l.ctx, l.cut = context.WithCancelCause(ctx)
		for i, by := range l.by {
			class := by.Type
			if class == "code" {
				class = "string"
			}
			if len(types) <= i {
				types = append(types, class)
			} else if types[i] != class {
				return nil, &Error{Kind: Invalid, Reason: "order", Member: fmt.Sprintf("order[%d]", i), Message: fmt.Sprintf("field %q has another type at %s than at other agencies: name a version of the schema, or the agencies", q.req.GetOrder()[i].GetField(), ch.agency)}
			}
		}
		m.lanes = append(m.lanes, l)
	}
	if !m.whole && len(m.lanes) > q.core.Width {
		return nil, &Error{Kind: Invalid, Reason: "request", Member: "order", Message: fmt.Sprintf("an answer in an order reads all its sources at once: %d, at most %d; ask in pages (page_size), or name fewer agencies", len(m.lanes), q.core.Width)}
	}
	return m, nil
}

// orderOf is the order of the query by the places of its fields in the records of a source.
func orderOf(ch *choice, fields []string) []order.By {
	out := make([]order.By, len(ch.plan.Order))
	for i, o := range ch.plan.Order {
		out[i] = order.By{Index: slices.Index(fields, o.Field), Type: fieldType(ch, o.Field), Descending: o.Descending}
	}
	return out
}

func fieldType(ch *choice, name string) string {
	fields := ch.plan.Clause.Schema.Fields
	if i := slices.IndexFunc(fields, func(f route.Field) bool { return f.Name == name }); i >= 0 {
		return fields[i].Type
	}
	return ""
}

func (m *merge) laneOf(ch *choice) *lane {
	if m == nil {
		return nil
	}
	if i := slices.IndexFunc(m.lanes, func(l *lane) bool { return l.ch == ch }); i >= 0 {
		return m.lanes[i]
	}
	return nil
}

// put hands over a batch of a source, and waits until there is room for the next.
func (m *merge) put(l *lane, b *gatewayv1.RecordBatch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.whole {
		if m.bytes += proto.Size(b); m.bytes > maxHeld && m.over == nil {
			m.over = &Error{Kind: TooLarge, Reason: ReasonTooLarge, Message: m.tooLarge()}
		}
	}
	for !m.whole && len(l.queue) > 0 && m.over == nil {
		m.moved.Wait()
	}
	if m.over != nil {
		return m.over
	}
	l.queue = append(l.queue, b)
	l.sent += int64(len(b.GetRecords()))
	m.moved.Broadcast()
	return nil
}

func (m *merge) tooLarge() string {
	if m.q.pages != nil {
		return fmt.Sprintf("the page is larger than %d MiB: ask for smaller ones", maxHeld>>20)
	}
	return fmt.Sprintf("the answers are larger than the %d MiB that are kept to find duplicates: name an order that begins with the fields of deduplicate, or narrow the filter", maxHeld>>20)
}

// end says that nothing more comes of a source.
func (m *merge) end(l *lane, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.ended, l.more = true, more
	m.moved.Broadcast()
}

// stop lets go of every source that waits.
func (m *merge) stop(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over == nil {
		m.over = err
	}
	m.moved.Broadcast()
}

// await waits for a source's next record, and says whether there is one.
func (m *merge) await(l *lane) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(l.queue) == 0 && !l.ended {
		// What is ready goes to the user meanwhile.
		m.mu.Unlock()
		err := m.flush()
		m.mu.Lock()
		if err != nil {
			return false, err
		}
		if !m.whole {
			timer := time.AfterFunc(m.stall, func() { l.cut(errStalled) })
			defer timer.Stop()
		}
	}
	for len(l.queue) == 0 && !l.ended && m.over == nil {
		m.moved.Wait()
	}
	if m.over != nil {
		return false, m.over
	}
	if len(l.queue) == 0 {
		return false, nil
	}
	l.head = l.queue[0].GetRecords()[l.next].GetValues()
	return true, nil
}

// run merges until every source has ended, or the page is full.
func (m *merge) run() (err error) {
	defer func() {
		if err == nil {
			m.stop(errOver)
		} else {
			m.stop(err)
		}
	}()
	h := &lanes{}
	for _, l := range m.lanes {
		there, err := m.await(l)
		if err != nil {
			return err
		}
		if there {
			h.list = append(h.list, l)
		}
	}
	heap.Init(h)
	full := false
	for h.Len() > 0 && !full {
		l := h.list[0]
		if err := m.take(l); err != nil {
			return err
		}
		there, err := m.await(l)
		switch {
		case err != nil:
			return err
		case there:
			heap.Fix(h, 0)
		default:
			heap.Pop(h)
			// What comes on its next page may be before all that the others have.
			full = l.more
		}
		full = full || m.most > 0 && m.given == m.most
	}
	if m.duplicates != nil {
		if err := m.lastGroup(h.Len() > 0 || full); err != nil {
			return err
		}
	}
	return m.flush()
}

// take takes the next record of a source.
func (m *merge) take(l *lane) error {
	m.mu.Lock()
	b := l.queue[0]
	r := b.GetRecords()[l.next]
	if l.next++; l.next == len(b.GetRecords()) {
		l.queue, l.next = l.queue[1:], 0
		m.moved.Broadcast()
	}
	m.mu.Unlock()
	at := &place{b, r.GetValues(), r.GetPosition()}
	r.Position = nil
	if m.duplicates == nil {
		l.taken, l.takenAt = l.taken+1, at
		l.told, l.toldAt = l.taken, at
		m.given++
		return m.give(l, b, r)
	}
	for _, g := range m.duplicates.add(l, b, r) {
		if err := m.giveGroup(g); err != nil {
			return err
		}
	}
	l.taken, l.takenAt = l.taken+1, at
	return nil
}

// giveGroup gives a record and who else holds it; all that was taken before is told with it.
func (m *merge) giveGroup(g *group) error {
	if !m.q.core.standing(g.lane.ch) {
		return errLapsed // with it the others that hold the record would be lost
	}
	m.given++
	for _, l := range m.lanes {
		l.told, l.toldAt = l.taken, l.takenAt
	}
	if err := m.give(g.lane, g.batch, g.record); err != nil {
		return err
	}
	m.groups = append(m.groups, g)
	return nil
}

// lastGroup gives the group at the end, unless the next page may have more of it.
func (m *merge) lastGroup(more bool) error {
	if more {
		if m.given == 0 && m.duplicates.open() {
			return &Error{Kind: TooLarge, Reason: ReasonTooLarge, Member: "pageSize", Message: "more records are the same than a page holds: ask for larger pages"}
		}
		return nil
	}
	for _, g := range m.duplicates.rest() {
		if err := m.giveGroup(g); err != nil {
			return err
		}
	}
	return nil
}

// give adds a record to the batch that goes to the user.
func (m *merge) give(l *lane, b *gatewayv1.RecordBatch, r *gatewayv1.Record) error {
	if m.like != b || len(m.batch.GetRecords()) >= maxBatch {
		if err := m.flush(); err != nil {
			return err
		}
		m.like, m.of = b, l
		m.batch = &gatewayv1.RecordBatch{Provenance: b.GetProvenance(), Fields: b.GetFields(), Members: b.GetMembers()}
	}
	m.batch.Records = append(m.batch.Records, r)
	return nil
}

// maxBatch is the most records that go to the user in one frame.
const maxBatch = 256

// flush gives the batch to the user, if its agreement is still in force.
func (m *merge) flush() error {
	b, l, groups := m.batch, m.of, m.groups
	if b == nil {
		return nil
	}
	m.batch, m.like, m.groups = nil, nil, nil
	err := m.q.out.batch(&piece{batch: b}, &l.ch.plan.Clause.Schema, func() bool {
		for _, g := range groups {
			g.record.Also = g.also(m.q.core)
		}
		return !l.lapsed && m.q.core.standing(l.ch)
	})
	if errors.Is(err, errEnded) {
		l.lapsed = true
		l.told -= int64(len(b.GetRecords()))
		m.given -= int64(len(b.GetRecords()))
		if m.duplicates != nil {
			return errLapsed
		}
		return nil
	}
	if err != nil {
		return &sendError{err}
	}
	return nil
}

// lanes is a heap of the lanes that have a record, by that and then by the agencies' names.
type lanes struct{ list []*lane }

func (h *lanes) Len() int { return len(h.list) }
func (h *lanes) Less(i, j int) bool {
	a, b := h.list[i], h.list[j]
	if d := compareHeads(a, b); d != 0 {
		return d < 0
	}
	return a.ch.agency < b.ch.agency
}
func (h *lanes) Swap(i, j int) { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *lanes) Push(x any)    { h.list = append(h.list, x.(*lane)) }
func (h *lanes) Pop() any {
	l := h.list[len(h.list)-1]
	h.list = h.list[:len(h.list)-1]
	return l
}

// compareHeads compares by the order of the query; the fields may stand at other places with each source.
func compareHeads(a, b *lane) int {
	for i, by := range a.by {
		if d := order.Values(by.Type, by.Descending, a.head[by.Index], b.head[b.by[i].Index]); d != 0 {
			return d
		}
	}
	return 0
}

// merged ends an answer that was merged: what each source's status says is what the user was given of it.
func (q *query) merged(choices []*choice, statuses []*gatewayv1.SourceStatus) error {
	for i, ch := range choices {
		l := q.merge.laneOf(ch)
		s := statuses[i]
		if l == nil || s == nil {
			continue
		}
		s.Records = l.told
		switch {
		case l.lapsed && disclosed(s.GetOutcome()):
			statuses[i] = lapsed(s)
			statuses[i].Records = l.told
		case s.GetReason() == ReasonPage:
			s.Reason, s.Message = "", ""
		}
		if _, err := q.out.status(statuses[i], nil); err != nil {
			return err
		}
	}
	for _, s := range q.pages.earlier() {
		if _, err := q.out.status(s, nil); err != nil {
			return err
		}
	}
	return nil
}
