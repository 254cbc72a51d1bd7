package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/stream"
)

// statusNames are the google.rpc.Code names that go with the HTTP statuses
// that the proxy itself answers.
var statusNames = map[int]string{
	400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 405: "UNIMPLEMENTED", 408: "DEADLINE_EXCEEDED", 413: "INVALID_ARGUMENT",
	417: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 431: "INVALID_ARGUMENT", 500: "INTERNAL", 502: "UNAVAILABLE",
	503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED", 505: "UNIMPLEMENTED",
}

const jsonType = "application/json; charset=UTF-8"

// writeFailure makes the response an error body in the API's form. Messages
// are the proxy's own: none may hold a key, a URL or a header of anybody.
func writeFailure(ctx *fasthttp.RequestCtx, status int, message string) {
	resp := &ctx.Response
	resp.Reset()
	resp.SetStatusCode(status)
	resp.Header.SetContentType(jsonType)
	body := stream.AppendFailure(nil, status, statusNames[status], message)
	resp.SetBody(append(body, '\n'))
}

// upstreamFailure says what the proxy answers when an attempt brought no
// response at all.
func upstreamFailure(group string, err error) *refusal {
	status, what := 502, "closed the connection without an answer"
	var dns *net.DNSError
	switch {
	case errors.Is(err, errPanic):
		return failedHere()
	case errors.Is(err, errStall):
		status, what = 504, "did not answer in time"
	case errors.Is(err, errDeadline):
		status, what = 504, "did not complete the answer in time"
	case errors.Is(err, errDrain):
		return refuse(503, "the proxy is shutting down")
	case errors.Is(err, fasthttp.ErrNoFreeConns):
		status, what = 503, "has no free connection left"
	case errors.Is(err, errDial) && isTimeout(err):
		status, what = 504, "could not be connected in time"
	case errors.As(err, &dns):
		what = "has a host name that cannot be resolved"
	case errors.Is(err, errDial):
		what = "could not be connected"
	case errors.Is(err, errIncomplete):
		what = "did not complete the answer"
	case unreadable(err):
		what = "sent a response that cannot be read"
	}
	return refuse(status, fmt.Sprintf("the upstream of group %q %s", group, what))
}

// unreadable tells that a response came and was none that the proxy can read.
func unreadable(err error) bool {
	return errors.Is(err, errBadResponse) || errors.Is(err, errChunking) || errors.Is(err, errLargeEvent)
}

// failedHere is the answer to a request that ended in a panic.
func failedHere() *refusal { return refuse(500, "the proxy failed to serve this request") }

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// What ends a read, a write or a wait of an exchange.
var (
	errDial        = errors.New("cannot connect")
	errBadResponse = errors.New("unreadable response head")
	errLargeEvent  = errors.New("an event is larger than the proxy can hold")
	errNoResponse  = errors.New("connection closed before a response")
	errStall       = errors.New("upstream silent for too long")
	errDeadline    = errors.New("deadline of the request is over")
	errGone        = errors.New("client has left")
	errDrain       = errors.New("proxy is shutting down")
	errIdle        = errors.New("tunnel silent for too long")
	errCut         = errors.New("upstream connection broke")
	errClientStall = errors.New("client silent for too long")
	errClientBody  = errors.New("unreadable request body")
	errTooLarge    = errors.New("request body too large")
	errGivenUp     = errors.New("answer given up")
	errChaos       = errors.New("cut on purpose")
	errPanic       = errors.New("the proxy failed")
)
