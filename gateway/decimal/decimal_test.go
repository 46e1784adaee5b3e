package decimal

import (
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]struct {
		canonical     string
		written, kept int
	}{
		"12.5": {"12.5", 3, 3}, "-012.50": {"-12.5", 5, 3}, "0": {"0", 1, 0}, "-0.00": {"0", 3, 0}, "100": {"100", 3, 3}, "0.001": {"0.001", 4, 3},
		strings.Repeat("0", 70) + "1": {"1", 71, 1}, "1." + strings.Repeat("0", 70): {"1", 71, 1},
	} {
		if got, written, kept, ok := Canonical(in); !ok || got != want.canonical || written != want.written || kept != want.kept {
			t.Errorf("%s: %s of %d digits, %d kept, %v; want %+v", in, got, written, kept, ok, want)
		}
	}
	for _, in := range []string{"", "-", ".", "1.", ".5", "+1", "1e3", "1.2.3", "--1", " 1", "1,5", "١", "NaN"} {
		if got, _, _, ok := Canonical(in); ok {
			t.Errorf("%q is %s", in, got)
		}
	}
}
