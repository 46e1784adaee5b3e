package audit

import (
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	var all strings.Builder
	for r := range rune(0x3000) {
		all.WriteRune(r)
	}
	for _, s := range []string{"", "plain", `"quoted\"`, "\x00\x1f\n\t", "\xff\xc3", "e\u2028\u2029é😀", all.String()} {
		if got, want := Length(s), len(appendString(nil, s))-2; got != want {
			t.Errorf("%.20q has length %d, and is written in %d", s, got, want)
		}
		for _, most := range []int{0, 1, 5, 7, 100} {
			got := Cut(s, most)
			if kept, _, cut := strings.Cut(got, "… ("); cut && Length(kept) > most || !cut && (got != s || Length(s) > most) {
				t.Errorf("%.20q cut to %d: %.40q", s, most, got)
			}
		}
	}
}
