// Package decimal writes exact decimals in one way: so that equal ones are equal as text.
package decimal

import "strings"

// MaxDigits is the most digits of a decimal, wherever one is bounded.
const MaxDigits = 64

// Canonical gives a decimal such as -012.50 without superfluous zeros: -12.5. Zero is "0". written is the number of its digits as it stands,
// kept that of those that are left, of which a zero before the point is none: what a user writes is bounded by the first, so that no text
// is long for nothing, and what is computed by the second, since its zeros are not of its own making. Not ok: it is not an optional sign and digits,
// with at most one point that has digits on either side.
func Canonical(s string) (canonical string, written, kept int, ok bool) {
	rest, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(rest, ".")
	if whole == "" || point && fraction == "" || !digits(whole) || !digits(fraction) {
		return "", 0, 0, false
	}
	written = len(whole) + len(fraction)
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	kept = len(whole) + len(fraction)
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if negative && whole != "0" {
		whole = "-" + whole
	}
	return whole, written, kept, true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
