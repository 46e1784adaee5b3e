package route

import "time"

// Maintenance is a time in which an agency's gateways answer no queries of peers. It takes nothing from what a clause permits: what it
// refuses is unavailable, not denied.
type Maintenance struct {
	// From is when it begins; the zero time: at once.
	From time.Time `json:"from,omitzero"`
	// Until is when it ends.
	Until time.Time `json:"until"`
	// Reason in the words of the agency.
	Reason string `json:"reason"`
}

// Underway says whether now is in it.
func (m *Maintenance) Underway(now time.Time) bool {
	return m != nil && !now.Before(m.From) && now.Before(m.Until)
}

// Over says whether it has ended; none is over.
func (m *Maintenance) Over(now time.Time) bool { return m == nil || !now.Before(m.Until) }

// Notice says to a user why the agency does not answer, and until when.
func (m *Maintenance) Notice(agency string) string {
	return agency + " is in maintenance until " + m.Until.UTC().Format(time.RFC3339) + ": " + m.Reason
}
