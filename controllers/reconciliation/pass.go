// Package reconciliation holds this agency's logs against those of a peer: both sides of every disclosure between them. Only ids,
// digests and outcomes travel.
package reconciliation

import (
	"context"
	"strconv"
	"time"

	"github.com/entente-dev/entente/gateway/receipt"
)

// Delay is how long after its date a disclosure is expected in both logs: an answer may take its time, clocks may differ.
const Delay = 10 * time.Minute

// MaxOpen bounds the agreements that a summary names as open.
const MaxOpen = 128

// Summary is what one pass came to.
type Summary struct {
	receipt.Window
	// Counts by result, and how many disclosures were compared.
	Counts   map[receipt.Result]int64
	Compared int64
	// Agreements between the two that were used, as <id>.v<version>, with the number of disclosures that need to be looked into.
	Agreements map[string]int64
	// OpenSince is the date of the first of those; zero: there is none.
	OpenSince time.Time
}

// Run compares the logs over one window and calls each for every disclosure. ours and theirs are of this agency and of the peer;
// between are the agreements that both are parties to: what the peer says of any other is counted, and said of no agreement.
func Run(ctx context.Context, ours, theirs receipt.Lister, peer string, w receipt.Window, between map[string]bool, each func(receipt.Finding)) (*Summary, error) {
	s := &Summary{Window: w, Counts: map[receipt.Result]int64{}, Agreements: map[string]int64{}}
	for f, err := range receipt.Compare(receipt.All(ctx, ours, peer, w), receipt.All(ctx, theirs, peer, w)) {
		if err != nil {
			return nil, err
		}
		s.add(f, between)
		if each != nil {
			each(f)
		}
	}
	return s, nil
}

func (s *Summary) add(f receipt.Finding, between map[string]bool) {
	s.Compared++
	s.Counts[f.Result]++
	name, open := f.Agreement+".v"+strconv.FormatInt(f.Version, 10), int64(0)
	if f.Result.Faulty() {
		open = 1
	}
	if between[name] {
		s.Agreements[name] += open
	}
	if open == 0 {
		return
	}
	if t, ok := receipt.Dated(f.Disclosure); ok && (s.OpenSince.IsZero() || t.Before(s.OpenSince)) {
		s.OpenSince = t
	}
}

// Faulty is how many disclosures need to be looked into.
func (s *Summary) Faulty() (n int64) {
	for r, count := range s.Counts {
		if r.Faulty() {
			n += count
		}
	}
	return n
}

// FirstWindow is how far back the first pass looks; Again is how far back what was open is compared again.
const (
	FirstWindow = 24 * time.Hour
	Again       = 7 * 24 * time.Hour
)

// Next is the window of the next pass: from where the last one ended, or from the first disclosure that is open, so that what was
// missing and has come is seen.
func Next(now, lastUntil, openSince time.Time, delay time.Duration) (w receipt.Window, ok bool) {
	w.Until = now.Add(-delay).UTC().Truncate(time.Second)
	w.Since = lastUntil
	if lastUntil.IsZero() {
		w.Since = w.Until.Add(-FirstWindow)
	}
	if !openSince.IsZero() && openSince.Before(w.Since) {
		w.Since = openSince.Truncate(time.Second)
		if oldest := w.Until.Add(-Again); w.Since.Before(oldest) {
			w.Since = oldest
		}
	}
	return w, w.Since.Before(w.Until)
}
