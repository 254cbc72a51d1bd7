package main

import (
	"fmt"
	"slices"
)

// allowed is how many allocations an operation may have that had n: as many, and
// of fifty one more. An operation of that size, a handshake or an answer that
// is healed, has some that depend on what runs beside it.
func allowed(n float64) float64 { return n + n/50 }

// exceeds tells whether a benchmark has had more allocations in every run so far
// than the baseline allows. One that the baseline does not have exceeds nothing.
func exceeds(before, now figures) bool {
	for n, was := range before {
		if a, b := was[allocations], now[n][allocations]; len(a) > 0 && len(b) > 0 && slices.Min(b) > allowed(slices.Min(a)) {
			return true
		}
	}
	return false
}

// compare says what has become dearer: more allocations per operation than
// allowed, or a ratio above margin times the baseline's. The notes are of
// what nobody need be stopped for.
func compare(before, now figures, margin float64) (problems, notes []string) {
	for _, n := range before.names() {
		if now[n] == nil {
			problems = append(problems, fmt.Sprintf("%v is in the baseline and was not measured", n))
			continue
		}
		was, is := before[n], now[n]
		switch a, b := was[allocations], is[allocations]; {
		case len(a) == 0:
		case len(b) == 0:
			problems = append(problems, fmt.Sprintf("%v: its allocations were not counted", n))
		case slices.Min(b) > allowed(slices.Min(a)):
			problems = append(problems, fmt.Sprintf("%v: %g allocations, %g in the baseline", n, slices.Min(b), slices.Min(a)))
		case slices.Min(b) < slices.Min(a):
			notes = append(notes, fmt.Sprintf("%v: %g allocations, fewer than the %g of the baseline, which wants an update", n, slices.Min(b), slices.Min(a)))
		}
		switch a, b := was[ratio], is[ratio]; {
		case len(a) == 0:
		case len(b) == 0:
			problems = append(problems, fmt.Sprintf("%v: its time was not measured", n))
		case median(b) > margin*median(a):
			problems = append(problems, fmt.Sprintf("%v: %.3g times its reference, more than %g times the baseline's %.3g", n, median(b), margin, median(a)))
		}
	}
	for _, n := range now.names() {
		if before[n] == nil {
			notes = append(notes, fmt.Sprintf("%v is not in the baseline, which wants an update", n))
		}
	}
	return problems, notes
}
