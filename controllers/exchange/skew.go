package exchange

import "time"

// Skew is how far a peer's clock is from ours.
type Skew struct {
	// Ahead of ours; negative: behind.
	Ahead time.Duration
	// Margin by which it may be otherwise, either way: half the time that the answer took.
	Margin time.Duration
}

// skewOf compares what the peer's clock said in an answer with ours, before and after.
func skewOf(sent, received, said time.Time) Skew {
	margin := max(received.Sub(sent)/2, 0)
	return Skew{Ahead: said.Sub(sent.Add(margin)), Margin: margin}
}

// Beyond says whether the clocks differ by more than they may, for certain.
func (s Skew) Beyond() bool { return s.Ahead.Abs()-s.Margin > MaxSkew }
