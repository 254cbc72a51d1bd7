package routing

// Outcome says how an attempt ended. The zero value is no outcome at all: it is
// not an interruption and not a natural end.
type Outcome uint8

// How an attempt ends.
const (
	// Natural: the answer is complete.
	Natural Outcome = iota + 1
	// Final: the upstream said something that no retry changes: a status of
	// its own meaning, a blocked prompt, a finish reason that is passed on.
	Final
	// Cut: the stream ended, broke or became unreadable before its finish.
	Cut
	// Stall: nothing came for too long.
	Stall
	// Empty: a natural end without any answer.
	Empty
	// Finish: a finish reason that is treated as an interruption.
	Finish
	// StreamError: an error object with a retryable code in the stream.
	StreamError
	// Status: a retryable status instead of a stream.
	Status
	// ConnectFailed: no connection, or one closed before any response byte.
	ConnectFailed
	// Diverged: a continuation contradicts what was delivered.
	Diverged
	// Broken: the answer came to an end, but is not what was asked for.
	Broken
	// Refused: the upstream did not accept a continuation as a request.
	Refused
	// ClientGone: the client closed its connection.
	ClientGone
	// Drain: the proxy is shutting down and its grace is over.
	Drain
	// Deadline: the time for the whole request is over.
	Deadline

	endOutcome
)

var outcomeNames = [endOutcome]string{
	0:             "unknown",
	Natural:       "natural",
	Final:         "final",
	Cut:           "cut",
	Stall:         "stall",
	Empty:         "empty",
	Finish:        "finish",
	StreamError:   "stream_error",
	Status:        "status",
	ConnectFailed: "connect_failed",
	Diverged:      "diverged",
	Broken:        "broken",
	Refused:       "refused",
	ClientGone:    "client_gone",
	Drain:         "drain",
	Deadline:      "deadline",
}

// String returns the outcome's name for logs and metric labels, "unknown" for
// anything that is not an outcome.
func (o Outcome) String() string {
	if o >= endOutcome {
		o = 0
	}
	return outcomeNames[o]
}

// Interruption reports whether an attempt that ended so may be followed by
// another one.
func (o Outcome) Interruption() bool {
	switch o {
	case Cut, Stall, Empty, Finish, StreamError, Status, ConnectFailed, Diverged:
		return true
	default:
		return false
	}
}

// Outcomes returns all outcomes, for whoever needs a counter for each.
func Outcomes() []Outcome {
	all := make([]Outcome, 0, endOutcome-1)
	for o := Natural; o < endOutcome; o++ {
		all = append(all, o)
	}
	return all
}

// RetryableStatus reports whether an HTTP status, or the code of an error
// object, speaks of a condition that may pass.
func RetryableStatus(code int) bool {
	switch code {
	case 408, 429, 500, 502, 503, 504:
		return true
	default:
		return false
	}
}
