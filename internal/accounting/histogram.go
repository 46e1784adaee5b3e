package accounting

import "math"

// histogram counts durations in buckets that grow by a tenth, so that a quantile is off by 5 % at most and memory does not
// grow with what is counted.
type histogram struct {
	buckets [256]uint32
	n       int64
	max     int64
}

const histogramGrowth = 1.1

func (h *histogram) add(micros int64) {
	if micros <= 0 {
		return // the record is of a version that did not measure
	}
	i := min(int(math.Log(float64(micros))/math.Log(histogramGrowth)), len(h.buckets)-1)
	h.buckets[i]++
	h.n++
	h.max = max(h.max, micros)
}

func (h *histogram) remove(micros int64) {
	if micros <= 0 {
		return
	}
	i := min(int(math.Log(float64(micros))/math.Log(histogramGrowth)), len(h.buckets)-1)
	h.buckets[i]--
	h.n--
}

// quantile gives the middle of the bucket in which the q-th part of the durations is, in milliseconds; 0: none was measured.
func (h *histogram) quantile(q float64) float64 {
	rank := int64(math.Ceil(q * float64(h.n)))
	for i, n := range h.buckets {
		if rank -= int64(n); rank <= 0 && n > 0 {
			return min(math.Pow(histogramGrowth, float64(i)+0.5), float64(h.max)) / 1000
		}
	}
	return 0
}
