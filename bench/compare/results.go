package main

import (
	"math"
	"slices"
)

// results are the samples of all rounds: by workload, contender and round. A
// measurement that failed is nil.
type results map[string]map[string][]sample

// put stores a sample.
func (r results) put(workload, contender string, round int, s sample) {
	if r[workload] == nil {
		r[workload] = map[string][]sample{}
	}
	list := r[workload][contender]
	for len(list) <= round {
		list = append(list, nil)
	}
	list[round] = s
	r[workload][contender] = list
}

// values are the figure's values, NaN for rounds that lack it.
func (r results) values(workload, contender string, f figure) []float64 {
	var all []float64
	for _, s := range r[workload][contender] {
		v, ok := s[f]
		if !ok {
			v = math.NaN()
		}
		all = append(all, v)
	}
	return all
}

// paired combines the values of two contenders round by round.
func (r results) paired(workload, a, b string, f figure, combine func(a, b float64) float64) []float64 {
	va, vb := r.values(workload, a, f), r.values(workload, b, f)
	var all []float64
	for i := range min(len(va), len(vb)) {
		all = append(all, combine(va[i], vb[i]))
	}
	return all
}

func ratio(a, b float64) float64 { return a / b }
func less(a, b float64) float64  { return a - b }

// total is the sum of the values that are there, as the only value.
func total(values []float64) []float64 {
	sum := 0.0
	for _, v := range values {
		if !math.IsNaN(v) {
			sum += v
		}
	}
	return []float64{sum}
}

// summary is a median with the least and the greatest.
type summary struct{ median, least, greatest float64 }

// summarize is false if there are no values but NaNs and infinities.
func summarize(values []float64) (summary, bool) {
	v := slices.DeleteFunc(slices.Clone(values), func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
	if len(v) == 0 {
		return summary{}, false
	}
	slices.Sort(v)
	n := len(v)
	return summary{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}, true
}
