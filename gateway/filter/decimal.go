package filter

import (
	"strings"

	"github.com/entente-dev/entente/gateway/decimal"
)

// MaxDecimalDigits is the most digits of a decimal.
const MaxDecimalDigits = decimal.MaxDigits

// CanonicalDecimal gives a decimal such as -012.50 without superfluous zeros: -12.5. Zero is "0". Not ok: it is not an
// optional sign and digits, with at most one point that has digits before it, or has too many digits, superfluous zeros among them.
func CanonicalDecimal(s string) (string, bool) {
	if c, written, _, ok := decimal.Canonical(s); ok && written <= MaxDecimalDigits {
		return c, true
	}
	return "", false
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
