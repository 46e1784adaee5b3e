// Package receipt is what two agencies need to hold their logs against each other: of every disclosure between them an id,
// digests and how it ended, and nothing of what was asked or answered.
//
// A disclosure is dated by its id (UUIDv7, RFC 9562), which the recipient makes and the source takes only when its own clock
// agrees within [MaxSkew]. So both logs, read over one window of such dates, are about the same disclosures.
package receipt

import (
	"strconv"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// MaxSkew is how far the date of a disclosure id may be from the source's clock: as far as the clocks of two agencies may differ.
const MaxSkew = 5 * time.Minute

// Receipt is what one side's log says of one disclosure.
type Receipt struct {
	// Disclosure id, a UUIDv7.
	Disclosure string
	Agreement  string
	Version    int64
	// Side of the log that it is from.
	Side audit.Side
	// Outcome as logged: OK, DENIED, UNAVAILABLE, TIMEOUT or PARTIAL; empty: the log has the intent and not how it ended.
	Outcome string
	// QueryDigest and ResponseDigest are sha256:<base64url>. An answer without ResponseDigest disclosed nothing, or was not received whole.
	QueryDigest, ResponseDigest string
	// Repeated: the id was used for more than one disclosure.
	Repeated bool
}

// Dated gives the date in a disclosure id; ok is false for what is no UUIDv7.
func Dated(id string) (t time.Time, ok bool) {
	if len(id) != 36 || id[14] != '7' {
		return time.Time{}, false
	}
	high, err := strconv.ParseUint(id[:8], 16, 32)
	low, err2 := strconv.ParseUint(id[9:13], 16, 16)
	if err != nil || err2 != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(high<<16 | low)).UTC(), true
}

// Window is a span of dates of disclosure ids: since inclusive, until exclusive.
type Window struct{ Since, Until time.Time }

func (w Window) holds(t time.Time) bool { return !t.Before(w.Since) && t.Before(w.Until) }
