package register

// hidden says whether a count is too small to be shown. Nought is shown: it is about nobody.
func hidden(n, k int64) bool { return n > 0 && n < k }

// totalShown says whether the total of the months may be shown next to them: when every hidden month could still be anything
// from 1 to k-1. Months are never hidden for the total's sake, since they were shown before it.
func totalShown(months []int64, k int64) bool {
	var n, sum int64
	for _, m := range months {
		if hidden(m, k) {
			n++
			sum += m
		}
	}
	// One month at its least leaves the others at most (n-1)(k-1), and one at its most leaves them at least n-1.
	return n == 0 || sum <= (n-1)*(k-1)+1 && sum >= n-1+k-1
}
