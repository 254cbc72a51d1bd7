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
}
