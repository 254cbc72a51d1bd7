package main

import (
	"math"
	"slices"
)

// trend is a line through samples, after Theil and Sen: the median of the
// slopes between all pairs, with the 95 % interval of Sen (1968) for it.
type trend struct {
	slope     float64 // a second
	low, high float64
	median    float64 // of the values
	at        float64 // value of the line at 0
}

// fit estimates the trend of y over x. It takes two values or more.
func fit(x, y []float64) trend {
	n := len(x)
	slopes := make([]float64, 0, n*(n-1)/2)
	for i := range n {
		for j := i + 1; j < n; j++ {
			if d := x[j] - x[i]; d > 0 {
				slopes = append(slopes, (y[j]-y[i])/d)
			}
		}
	}
	slices.Sort(slopes)
	t := trend{slope: middle(slopes), median: middle(sorted(y))}
	rest := make([]float64, n)
	for i := range rest {
		rest[i] = y[i] - t.slope*x[i]
	}
	t.at = middle(sorted(rest))
	// Kendall's score has this variance when there is no trend.
	spread := 1.96 * math.Sqrt(float64(n*(n-1)*(2*n+5))/18)
	m := float64(len(slopes))
	t.low = slopes[max(int((m-spread)/2), 0)]
	t.high = slopes[min(int(math.Ceil((m+spread)/2)), len(slopes)-1)]
	return t
}

func sorted(v []float64) []float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	return s
}

// middle is the median of sorted values.
func middle(s []float64) float64 {
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
