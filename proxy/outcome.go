package proxy

import (
	"errors"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
)

// outcomeOf says how an attempt ended that brought err; nil is a natural end.
func outcomeOf(err error) routing.Outcome {
	switch {
	case err == nil:
		return routing.Natural
	case errors.Is(err, errGone), errors.Is(err, errClientStall), errors.Is(err, errClientBody):
		return routing.ClientGone
	case errors.Is(err, errDrain):
		return routing.Drain
	case errors.Is(err, errDeadline):
		return routing.Deadline
	case errors.Is(err, errStall), errors.Is(err, errIdle):
		return routing.Stall
	case errors.Is(err, errNoResponse), errors.Is(err, errDial), errors.Is(err, errBadResponse):
		return routing.ConnectFailed
	case errors.Is(err, fasthttp.ErrNoFreeConns):
		return routing.ConnectFailed
	}
	return routing.Cut
}
