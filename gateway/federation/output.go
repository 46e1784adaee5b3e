package federation

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/route"
)

func (o *output) write(frame *gatewayv1.QueryResponse) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.send(frame)
}

// batch releases records of a schema, or holds them back. It may wait for the user to read what came before: stands is asked when its turn
// has come; errEnded: it said no.
func (o *output) batch(p *piece, schema *route.Schema, stands func() bool) error {
	frame := &gatewayv1.QueryResponse{}
	if o.arrow {
		var err error
		if frame, err = p.byColumns(schema); err != nil {
			return err
		}
	} else {
		frame.Records = p.byRecords()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !stands() {
		return errEnded
	}
	if !o.hold {
		return o.send(frame)
	}
	o.heldBytes += proto.Size(frame)
	if o.heldBytes > maxHeld {
		return &Error{Kind: TooLarge, Reason: ReasonTooLarge, Message: fmt.Sprintf("the answer is larger than the %d MiB that are held back with require_all: narrow the filter, or ask without", maxHeld>>20)}
	}
	o.held = append(o.held, frame)
	return nil
}

// status says how a source ended; of an all-or-nothing query only when it is settled. With a hit or a count it is asked, as with records,
// whether that stands; the status is the one that was told.
func (o *output) status(s *gatewayv1.SourceStatus, stands func() bool) (*gatewayv1.SourceStatus, error) {
	if o.hold {
		return s, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if (s.Exists != nil || s.Count != nil || s.GetSuppressed()) && !stands() {
		s = lapsed(s)
	}
	return s, o.send(&gatewayv1.QueryResponse{Source: s})
}

// lapse takes back what an all-or-nothing query was told under agreements that have ended since, and says whether it took anything.
func (q *query) lapse(choices []*choice, statuses []*gatewayv1.SourceStatus) (anything bool) {
	for i, s := range statuses {
		if s == nil || !disclosed(s.GetOutcome()) || q.core.standing(choices[i]) {
			continue
		}
		anything = true
		statuses[i] = lapsed(s)
	}
	return anything
}

func lapsed(s *gatewayv1.SourceStatus) *gatewayv1.SourceStatus {
	return &gatewayv1.SourceStatus{
		Agency: s.GetAgency(), Agreement: s.GetAgreement(), Clause: s.GetClause(), DisclosureId: s.GetDisclosureId(), Granularity: s.GetGranularity(),
		Outcome: gatewayv1.Outcome_OUTCOME_DENIED, Reason: "agreement", Message: "the agreement ended before every source had answered", ElapsedMicros: s.GetElapsedMicros(),
	}
}

var errLapsed = &Error{Kind: Incomplete, Reason: ReasonRequireAll, Message: "an agreement ended while the answer was released, which is not whole: ask again"}

// settle ends an all-or-nothing query: everything is released, or nothing but the statuses. A caller may take its time to read: lapsed
// looks again before each piece.
func (o *output) settle(statuses []*gatewayv1.SourceStatus, failed []string, lapsed func() bool) error {
	if len(failed) == 0 {
		for _, b := range o.held {
			if lapsed() {
				return errLapsed
			}
			if err := o.write(b); err != nil {
				return err
			}
		}
	}
	o.held = nil
	for i := range statuses {
		if statuses[i] == nil {
			continue
		}
		if lapsed() && len(failed) == 0 {
			return errLapsed
		}
		if err := o.write(&gatewayv1.QueryResponse{Source: statuses[i]}); err != nil {
			return err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	e := &Error{Kind: Incomplete, Reason: ReasonRequireAll, Message: "the query asked for all or nothing, and these did not answer in full: " + strings.Join(failed, ", ")}
	for _, st := range statuses {
		if st != nil && st.GetOutcome() != gatewayv1.Outcome_OUTCOME_OK {
			e.Failed = append(e.Failed, st)
		}
	}
	return e
}
