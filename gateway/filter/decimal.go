package filter

import "strings"

// MaxDecimalDigits is the most digits of a decimal.
const MaxDecimalDigits = 64

// CanonicalDecimal gives a decimal such as -012.50 without superfluous zeros: -12.5. Zero is "0". Not ok: it is not an
// optional sign and digits, with at most one point that has digits before it, or has too many digits.
func CanonicalDecimal(s string) (string, bool) {
	rest, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(rest, ".")
	if whole == "" || point && fraction == "" || !digits(whole) || !digits(fraction) ||
		len(whole)+len(fraction) > MaxDecimalDigits {
		return "", false
	}
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if negative && whole != "0" {
		whole = "-" + whole
	}
	return whole, true
}

// CompareDecimals compares two canonical decimals exactly: -1, 0 or 1.
func CompareDecimals(a, b string) int {
	a, aNegative := strings.CutPrefix(a, "-")
	b, bNegative := strings.CutPrefix(b, "-")
	switch {
	case aNegative && !bNegative:
		return -1
	case bNegative && !aNegative:
		return 1
	case aNegative:
		a, b = b, a
	}
	aWhole, aFraction, _ := strings.Cut(a, ".")
	bWhole, bFraction, _ := strings.Cut(b, ".")
	if d := len(aWhole) - len(bWhole); d != 0 {
		return max(-1, min(1, d))
	}
	if d := strings.Compare(aWhole, bWhole); d != 0 {
		return d
	}
	// Fractions have no trailing zeros, so a longer one with the same beginning is greater.
	return strings.Compare(aFraction, bFraction)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
