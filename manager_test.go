package main

import (
	"testing"
	"time"
)

func TestHealedToday(t *testing.T) {
	var d today
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	for i, step := range []struct {
		after  time.Duration
		healed int64
		want   int64
	}{
		{0, 0, 0}, {time.Hour, 5, 5}, {11 * time.Hour, 7, 7},
		{12 * time.Hour, 8, 1}, {13 * time.Hour, 8, 1}, {14 * time.Hour, 20, 13},
		{72 * time.Hour, 20, 0}, {72 * time.Hour, 21, 1},
	} {
		if got := d.count(step.healed, noon.Add(step.after)); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
	// In the place of another process, which had healed 7 on that day or before.
	for _, f := range []struct {
		day  string
		want []int64
	}{{"2026-03-01", []int64{7, 9, 1}}, {"2026-02-28", []int64{0, 2, 1}}} {
		m := &manager{}
		m.goesOn(f.day, 7)
		for i, step := range []struct {
			after  time.Duration
			healed int64
		}{{0, 0}, {time.Hour, 2}, {13 * time.Hour, 3}} {
			if got := m.today.count(step.healed, noon.Add(step.after)); got != f.want[i] {
				t.Errorf("%q, step %d: %d, want %d", f.day, i, got, f.want[i])
			}
		}
	}
}
