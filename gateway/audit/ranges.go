package audit

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// span is the sequence numbers from first to last.
type span struct{ first, last uint64 }

// ranges is a set of sequence numbers, in order and without overlap. As text: 1-4096,5000.
type ranges []span

// add adds a number that is greater than all in the set.
func (r ranges) add(seq uint64) ranges {
	if n := len(r); n > 0 && r[n-1].last+1 == seq {
		r[n-1].last = seq
		return r
	}
	return append(r, span{seq, seq})
}

func (r ranges) contains(seq uint64) bool {
	i, found := slices.BinarySearchFunc(r, seq, func(s span, seq uint64) int { return cmp.Compare(s.first, seq) })
	return found || i > 0 && seq <= r[i-1].last
}

func (r ranges) count() uint64 {
	n := uint64(0)
	for _, s := range r {
		n += s.last - s.first + 1
	}
	return n
}

func (r ranges) String() string {
	var b []byte
	for i, s := range r {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, s.first, 10)
		if s.last != s.first {
			b = append(b, '-')
			b = strconv.AppendUint(b, s.last, 10)
		}
	}
	return string(b)
}

func parseRanges(text string) (ranges, error) {
	var r ranges
	for part := range strings.SplitSeq(text, ",") {
		from, to, isSpan := strings.Cut(part, "-")
		first, err := strconv.ParseUint(from, 10, 64)
		last := first
		if err == nil && isSpan {
			last, err = strconv.ParseUint(to, 10, 64)
		}
		if err != nil || first == 0 || last < first || len(r) > 0 && r[len(r)-1].last >= first {
			return nil, errors.New("entries are not in the form 1-4096,5000")
		}
		r = append(r, span{first, last})
	}
	return r, nil
}

// union merges sets.
func union(sets ...ranges) ranges {
	all := slices.Concat(sets...)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && s.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	return out
}

// common counts the numbers that are in both sets.
func (r ranges) common(other ranges) uint64 {
	n := uint64(0)
	for i, j := 0, 0; i < len(r) && j < len(other); {
		if from, to := max(r[i].first, other[j].first), min(r[i].last, other[j].last); from <= to {
			n += to - from + 1
		}
		if r[i].last < other[j].last {
			i++
		} else {
			j++
		}
	}
	return n
}
