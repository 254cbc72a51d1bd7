package routing

import "time"

// Why Policy.Decide gives up on an interrupted request.
const (
	// ReasonFailures: too many interruptions in a row without progress.
	ReasonFailures = "failures"
	// ReasonAttempts: too many attempts altogether.
	ReasonAttempts = "attempts"
	// ReasonRetryAfter: the upstream asked for a longer wait than is allowed.
	ReasonRetryAfter = "retry_after"
	// ReasonBudget: the group's Budget is used up.
	ReasonBudget = "budget"
	// ReasonDeadline: the wait would outlast the request's deadline.
	ReasonDeadline = "deadline"
)

// Policy bounds the retries of one client request. It does not change once made.
type Policy struct {
	// MaxConsecutive is how many interruptions in a row, with no progress
	// between them, are retried. 5 allows 6 attempts without progress, 0
	// allows no retry.
	MaxConsecutive int
	// MaxAttempts is how many attempts one client request may cost,
	// progress or not.
	MaxAttempts int
	// RetryAfterMax is the longest wait the upstream may ask for.
	RetryAfterMax time.Duration
	// Backoff gives the waits that the upstream does not ask for.
	Backoff Backoff
}

// Ledger is the account of one client request. The zero value is ready.
type Ledger struct {
	// Attempts counts the attempts that were started. Whoever starts one
	// adds it, before the attempt.
	Attempts int
	// Failures counts the interruptions since the last progress. Decide
	// keeps it.
	Failures int
}

// Decision is what follows an attempt.
type Decision struct {
	// Retry is true if there is to be another attempt.
	Retry bool
	// Wait is the time to pass before it.
	Wait time.Duration
	// Reason says why there is none: one of the Reason constants after an
	// interruption, else the name of the outcome. It is empty if Retry is
	// true.
	Reason string
}

// Decide records how an attempt ended and decides what follows. Only
// interruptions are recorded and retried.
//
// progress says that new text of the answer was delivered in this attempt: the
// count of failures then starts over, and the next attempt comes at once. told
// is the wait the upstream asked for, if hasTold is set; it wins over
// everything else. left is the time to the request's deadline.
func (p *Policy) Decide(l *Ledger, o Outcome, progress bool, told time.Duration, hasTold bool, left time.Duration) Decision {
	if !o.Interruption() {
		return Decision{Reason: o.String()}
	}
	if progress {
		l.Failures = 0
	}
	l.Failures++
	switch {
	case l.Failures > p.MaxConsecutive:
		return Decision{Reason: ReasonFailures}
	case l.Attempts >= p.MaxAttempts:
		return Decision{Reason: ReasonAttempts}
	case hasTold && told > p.RetryAfterMax:
		return Decision{Reason: ReasonRetryAfter}
	}

	var wait time.Duration
	switch {
	case hasTold:
		wait = max(0, told)
	case !progress:
		wait = p.Backoff.Delay(l.Failures - 1)
	}
	if wait >= left {
		return Decision{Reason: ReasonDeadline}
	}
	return Decision{Retry: true, Wait: wait}
}
