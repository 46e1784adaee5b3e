package federation

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

func (o *output) write(frame *gatewayv1.QueryResponse) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.send(frame)
}

// batch releases records, or holds them back.
func (o *output) batch(b *gatewayv1.RecordBatch) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.hold {
		return o.send(&gatewayv1.QueryResponse{Records: b})
	}
	o.heldBytes += proto.Size(b)
	if o.heldBytes > maxHeld {
		return &Error{Kind: TooLarge, Reason: ReasonTooLarge, Message: fmt.Sprintf("the answer is larger than the %d MiB that are held back with require_all: narrow the filter, or ask without", maxHeld>>20)}
	}
	o.held = append(o.held, b)
	return nil
}

// status says how a source ended; of an all-or-nothing query only when it is settled.
func (o *output) status(s *gatewayv1.SourceStatus) error {
	if o.hold {
		return nil
	}
	return o.write(&gatewayv1.QueryResponse{Source: s})
}

// settle ends an all-or-nothing query: everything is released, or nothing but the statuses.
func (o *output) settle(statuses []*gatewayv1.SourceStatus, failed []string) error {
	if len(failed) == 0 {
		for _, b := range o.held {
			if err := o.write(&gatewayv1.QueryResponse{Records: b}); err != nil {
				return err
			}
		}
	}
	o.held = nil
	for _, s := range statuses {
		if s == nil {
			continue
		}
		if err := o.write(&gatewayv1.QueryResponse{Source: s}); err != nil {
			return err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &Error{Kind: Incomplete, Reason: ReasonRequireAll, Message: "the query asked for all or nothing, and these did not answer in full: " + strings.Join(failed, ", ")}
}
