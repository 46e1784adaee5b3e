package main

import "testing"

// Memory is given back once after a load, and not during it.
func TestQuietness(t *testing.T) {
	const mb = 1 << 20
	var q quietness
	for i, look := range []struct {
		allocated uint64
		want      bool
	}{
		{12 * mb, false},  // it starts
		{13 * mb, true},   // it has started
		{14 * mb, false},  // there is nothing to give
		{16 * mb, false},  //
		{400 * mb, false}, // a load
		{900 * mb, false}, //
		{901 * mb, true},  // it is over
		{902 * mb, false}, // given already
		{905 * mb, false}, //
		{908 * mb, false}, //
		{911 * mb, true},  // little by little there is something again
	} {
		if got := q.due(look.allocated); got != look.want {
			t.Errorf("look %d, %d MiB allocated in all: %v", i, look.allocated/mb, got)
		}
	}
}
