package upstream

import (
	"strconv"
	"strings"
	"time"
)

// ErrorEvent sends an error in the middle of a stream, as an event.
func ErrorEvent(code int, status, message string) Step {
	return event{kind: failureEvent, code: code, name: status, text: message}
}

// appendFailure appends the object of a failure.
func appendFailure(dst []byte, e event) []byte {
	dst = append(dst, `{"error": {"code": `...)
	dst = strconv.AppendInt(dst, int64(e.code), 10)
	dst = appendJSON(append(dst, `,"message": `...), e.text)
	dst = appendJSON(append(dst, `,"status": `...), e.name)
	return append(dst, "}}"...)
}

// ErrorRaw sends an error in the middle of a stream, as bare pretty-printed
// JSON without "data:".
func ErrorRaw(code int, status, message string) Step {
	return Send(errorJSON(code, status, message, 0))
}

// ErrorBody answers with an HTTP status and Google's error JSON. The body tells
// the client to retry after retryDelay if that is positive. The surfaces that
// answer with an array, and the OpenAI-compatible ones, wrap it into one.
func ErrorBody(code int, status, message string, retryDelay time.Duration) Step {
	body := errorJSON(code, status, message, retryDelay)
	return act(func(a *answer) error { return Status(code, nil, a.form.failure(body)).play(a) })
}

// errorJSON is an error as Google prints it.
func errorJSON(code int, status, message string, retryDelay time.Duration) string {
	b := append([]byte(nil), "{\n  \"error\": {\n    \"code\": "...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, ",\n    \"message\": "...)
	b = appendJSON(b, message)
	b = append(b, ",\n    \"status\": "...)
	b = appendJSON(b, status)
	if retryDelay > 0 {
		b = append(b, ",\n    \"details\": [\n      {\n"+
			"        \"@type\": \"type.googleapis.com/google.rpc.RetryInfo\",\n"+
			"        \"retryDelay\": "...)
		b = appendJSON(b, seconds(retryDelay))
		b = append(b, "\n      }\n    ]"...)
	}
	return string(append(b, "\n  }\n}\n"...))
}

// seconds writes d as the API does: "48s", "0.5s".
func seconds(d time.Duration) string {
	s := strconv.FormatInt(int64(d/time.Second), 10)
	if nanos := int64(d % time.Second); nanos > 0 {
		fraction := strconv.FormatInt(int64(time.Second)+nanos, 10)[1:]
		s += "." + strings.TrimRight(fraction, "0")
	}
	return s + "s"
}
