package exchange

import (
	"context"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	exchangev1 "github.com/entente-dev/entente/api/exchange/v1"
	"github.com/entente-dev/entente/api/v1alpha1"
)

const (
	// MaxMaintenance is how far ahead the end of a maintenance may lie that a peer announces.
	MaxMaintenance = 90 * 24 * time.Hour
	// MaxMaintenanceReason bounds its reason, in characters.
	MaxMaintenanceReason = 200
)

// maintenance is what this agency announces, unless it is over.
func (s *Server) maintenance(ctx context.Context) (*exchangev1.Maintenance, error) {
	m, err := s.Inbox.Agreements.Maintenance(ctx)
	if err != nil || m == nil || !s.Now().Before(m.Until.Time) {
		return nil, err
	}
	out := &exchangev1.Maintenance{Until: timestamppb.New(m.Until.Time), Reason: m.Reason}
	if m.From != nil {
		out.From = timestamppb.New(m.From.Time)
	}
	return out, nil
}

// announced is what a peer announces, if it can be one: what our users are told is bounded, and is no terminal's control sequence. A
// notice that cannot be shown is dropped; it permits nothing.
func announced(m *exchangev1.Maintenance, now time.Time) *v1alpha1.Maintenance {
	if m == nil || m.GetUntil() == nil || !m.GetUntil().IsValid() || m.GetFrom() != nil && !m.GetFrom().IsValid() {
		return nil
	}
	reason := m.GetReason()
	if n := utf8.RuneCountInString(reason); n == 0 || n > MaxMaintenanceReason || !utf8.ValidString(reason) {
		return nil
	}
	for _, r := range reason {
		if unicode.Is(unicode.C, r) {
			return nil
		}
	}
	out := &v1alpha1.Maintenance{Until: metav1.NewTime(m.GetUntil().AsTime().Truncate(time.Second)), Reason: reason}
	if !now.Before(out.Until.Time) || out.Until.Sub(now) > MaxMaintenance {
		return nil
	}
	if m.GetFrom() != nil {
		from := metav1.NewTime(m.GetFrom().AsTime().Truncate(time.Second))
		if !from.Before(&out.Until) {
			return nil
		}
		out.From = &from
	}
	return out
}
