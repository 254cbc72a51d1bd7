package routing

import (
	"regexp"
	"slices"
	"testing"
)

func TestOutcomes(t *testing.T) {
	interruptions := []Outcome{Cut, Stall, Empty, Finish, StreamError, Status, ConnectFailed, Diverged}
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]bool{"unknown": true}
	for _, o := range Outcomes() {
		name := o.String()
		if !snake.MatchString(name) || seen[name] {
			t.Errorf("outcome %d has the name %q", o, name)
		}
		seen[name] = true
		if got, want := o.Interruption(), slices.Contains(interruptions, o); got != want {
			t.Errorf("%s: Interruption() = %t, want %t", o, got, want)
		}
	}
	if len(seen) != 16 {
		t.Errorf("%d names, want 16: %v", len(seen), seen)
	}
	for _, o := range []Outcome{0, endOutcome, 255} {
		if o.String() != "unknown" || o.Interruption() {
			t.Errorf("Outcome(%d) is %q, interruption %t", uint8(o), o, o.Interruption())
		}
	}
}

func TestRetryableStatus(t *testing.T) {
	retryable := []int{408, 429, 500, 502, 503, 504}
	for code := -1; code < 1000; code++ {
		if got, want := RetryableStatus(code), slices.Contains(retryable, code); got != want {
			t.Errorf("RetryableStatus(%d) = %t, want %t", code, got, want)
		}
	}
}
