package routing

import (
	"testing"
	"time"
)

const (
	testHour = time.Hour
	noTold   = time.Duration(-1)
)

// testPolicy waits 50ms, 100ms, 200ms, 400ms, 500ms, 500ms...
func testPolicy() *Policy {
	return &Policy{
		MaxConsecutive: 5,
		MaxAttempts:    30,
		RetryAfterMax:  30 * time.Second,
		Backoff:        Backoff{Base: 100 * time.Millisecond, Max: time.Second, Rand: func() float64 { return 0.5 }},
	}
}

func TestDecide(t *testing.T) {
	const ms = time.Millisecond
	retry := func(wait time.Duration) Decision { return Decision{Retry: true, Wait: wait} }
	stop := func(reason string) Decision { return Decision{Reason: reason} }
	// before is the number of failures in a row up to this attempt.
	f := func(before, attempts int, o Outcome, progress bool, told, left time.Duration, want Decision, failures int) {
		t.Helper()
		l := Ledger{Attempts: attempts, Failures: before}
		got := testPolicy().Decide(&l, o, progress, max(told, 0), told != noTold, left)
		if got != want {
			t.Errorf("Decide = %+v, want %+v", got, want)
		}
		if l.Failures != failures || l.Attempts != attempts {
			t.Errorf("ledger = %+v, want %d failures, %d attempts", l, failures, attempts)
		}
	}
	// No progress: the backoff by the number of failures.
	f(0, 1, Cut, false, noTold, testHour, retry(50*ms), 1)
	f(1, 2, Stall, false, noTold, testHour, retry(100*ms), 2)
	f(2, 3, Status, false, noTold, testHour, retry(200*ms), 3)
	f(4, 5, Finish, false, noTold, testHour, retry(500*ms), 5)
	// Too many in a row.
	f(5, 6, Cut, false, noTold, testHour, stop("failures"), 6)
	f(9, 10, Cut, false, noTold, testHour, stop("failures"), 10)
	// Progress starts the count over and the next attempt at once.
	f(0, 1, Cut, true, noTold, testHour, retry(0), 1)
	f(5, 6, Cut, true, noTold, testHour, retry(0), 1)
	f(5, 6, StreamError, true, noTold, testHour, retry(0), 1)
	// All attempts used, progress or not.
	f(0, 29, Cut, false, noTold, testHour, retry(50*ms), 1)
	f(0, 30, Cut, false, noTold, testHour, stop("attempts"), 1)
	f(0, 30, Cut, true, noTold, testHour, stop("attempts"), 1)
	f(0, 31, Cut, true, noTold, testHour, stop("attempts"), 1)
	// Told: wins over the backoff and over progress, in both directions.
	f(0, 1, Status, false, 2*time.Second, testHour, retry(2*time.Second), 1)
	f(4, 5, Status, false, 0, testHour, retry(0), 5)
	f(3, 4, StreamError, true, time.Second, testHour, retry(time.Second), 1)
	f(0, 1, Status, false, 30*time.Second, testHour, retry(30*time.Second), 1)
	f(0, 1, Status, false, 30*time.Second+1, testHour, stop("retry_after"), 1)
	f(0, 1, Status, true, maxTold, testHour, stop("retry_after"), 1)
	// Told does not win over what is used up.
	f(5, 6, Status, false, 0, testHour, stop("failures"), 6)
	f(0, 30, Status, false, 0, testHour, stop("attempts"), 1)
	// The wait must end before the deadline.
	f(0, 1, Cut, false, noTold, 51*ms, retry(50*ms), 1)
	f(0, 1, Cut, false, noTold, 50*ms, stop("deadline"), 1)
	f(0, 1, Cut, true, noTold, 1, retry(0), 1)
	f(0, 1, Cut, true, noTold, 0, stop("deadline"), 1)
	f(0, 1, Cut, true, noTold, -1, stop("deadline"), 1)
	f(0, 1, Status, false, 20*time.Second, 10*time.Second, stop("deadline"), 1)
	// Anything that is not an interruption is neither retried nor counted.
	for _, o := range append(Outcomes(), 0) {
		if !o.Interruption() {
			f(2, 3, o, true, 0, testHour, stop(o.String()), 2)
		}
	}
}

func TestDecideNegativeTold(t *testing.T) {
	got := testPolicy().Decide(&Ledger{Attempts: 1}, Status, false, -time.Second, true, testHour)
	if want := (Decision{Retry: true}); got != want {
		t.Errorf("Decide = %+v, want %+v", got, want)
	}
}

// attemptsUntilGivenUp runs interrupted attempts until the policy gives up.
func attemptsUntilGivenUp(p *Policy, progress func(attempt int) bool) (attempts int, reason string) {
	var l Ledger
	for {
		l.Attempts++
		d := p.Decide(&l, Cut, progress(l.Attempts), 0, false, testHour)
		if !d.Retry {
			return l.Attempts, d.Reason
		}
	}
}

func TestDecideBoundsAttempts(t *testing.T) {
	never := func(int) bool { return false }
	always := func(int) bool { return true }
	f := func(consecutive, attempts int, progress func(int) bool, want int, reason string) {
		t.Helper()
		p := testPolicy()
		p.MaxConsecutive, p.MaxAttempts = consecutive, attempts
		if got, why := attemptsUntilGivenUp(p, progress); got != want || why != reason {
			t.Errorf("%d attempts, given up for %q, want %d, %q", got, why, want, reason)
		}
	}
	f(5, 30, never, 6, "failures")
	f(0, 30, never, 1, "failures")
	f(0, 30, always, 1, "failures")
	f(1, 30, always, 30, "attempts")
	f(5, 30, always, 30, "attempts")
	f(5, 1, always, 1, "attempts")
	f(5, 6, never, 6, "failures")
	f(5, 3, never, 3, "attempts")
	// Progress in every fifth attempt is enough to go on to the last.
	f(5, 30, func(n int) bool { return n%5 == 0 }, 30, "attempts")
	// Progress in the first alone: it counts as the first failure.
	f(5, 30, func(n int) bool { return n == 1 }, 6, "failures")
}
