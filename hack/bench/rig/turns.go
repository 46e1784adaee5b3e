package rig

import (
	"fmt"
	"strconv"
	"strings"
)

// Counts reads numbers from 1 to most from a flag's value, which has commas between them.
func Counts(flag, list string, most int) ([]int, error) {
	var out []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("-%s %q: %q is no number from 1 to %d", flag, list, s, most)
		}
		out = append(out, n)
	}
	return out, nil
}

// Turn is the target, of so many, whose turn is the i-th of a round: each round starts at another target, and every second one goes
// backwards.
func Turn(i, round, targets int) int {
	at := (i + round) % targets
	if round%2 == 1 {
		at = targets - 1 - at
	}
	return at
}
