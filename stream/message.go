package stream

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// message is what an event of the Interactions API says that matters here.
type message struct {
	event       []byte // event_id, unescaped
	interaction []byte // the interaction's id, where it is told
	created     bool   // the interaction has begun
	settled     bool   // its status will not change any more
	ends        bool   // the stream is over with this event
	failed      bool   // it is an error
	failure     Failure
	garbled     bool // its JSON is not whole: another event, or anything else, began in it
}

// readMessage reads an event whose bytes are raw. What cannot be read says
// nothing.
func readMessage(ev Event, raw []byte) (m message) {
	if isDone(ev.Data) {
		m.ends = true
		return m
	}
	var name, own, status []byte
	body := ev.Data
	var failure, inner span
	end := walkMembers(body, skipSpace(body, 0), func(member []byte, v span) {
		switch string(member) {
		case "event_type":
			name = text(body, v)
		case "event_id":
			m.event = text(body, v)
		case "interaction_id":
			m.interaction = text(body, v)
		case "status":
			own = text(body, v)
		case "interaction":
			inner = v
		case "error":
			failure = v
		}
	})
	if end == bad || skipSpace(body, end) != len(body) {
		// Words that were never meant for JSON may be what keeps a connection alive,
		// and JSON may be nested deeper than is looked at here.
		m.garbled = bytes.ContainsAny(body, "{[") && !json.Valid(body)
	}
	if inner.present() {
		walkMembers(body, inner.from, func(member []byte, v span) {
			switch string(member) {
			case "id":
				m.interaction = text(body, v)
			case "status":
				status = text(body, v)
			}
		})
	}
	if len(name) == 0 {
		// An error in the form of other APIs may have come behind the name of an
		// event that did not.
		if m.failed = failure.present() && !isNull(body, failure.from); !m.failed {
			name = fieldOf(raw, "event")
		}
	}
	if status == nil && bytes.HasPrefix(name, aboutInteraction) {
		status = own
	}
	m.settled = isSettled(string(status))
	switch string(name) {
	case "interaction.created", "interaction.start":
		m.created = true
	case "interaction.completed", "interaction.complete", "done":
		m.ends = true
	case "error":
		m.failed = true
	}
	if m.failed {
		m.ends = true
		m.failure, _ = ParseFailure(body)
		m.failure.Code = interactionCode(body, failure, m.failure.Code)
	}
	return m
}

// aboutInteraction begins the names of events whose status is the interaction's.
// A step has one of its own, and there are further steps when it is done.
var aboutInteraction = []byte("interaction.")

// text returns the string at v, unescaped; nil for any other value.
func text(b []byte, v span) []byte {
	if b[v.from] != '"' {
		return nil
	}
	return plainName(b[v.from+1 : v.to-1])
}

// isDone tells whether data is the mark at the end of a stream.
func isDone(data []byte) bool { return string(bytes.TrimSpace(data)) == "[DONE]" }

// fieldOf returns the value of the last field of this name in an event.
func fieldOf(raw []byte, name string) (value []byte) {
	for line := range bytes.FieldsFuncSeq(raw, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if v, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			value = bytes.TrimPrefix(v, []byte(" "))
		}
	}
	return value
}

// isSettled tells whether an interaction with this status is over, as far as
// its stream goes.
func isSettled(status string) bool {
	switch status {
	case "", "in_progress", "queued":
		return false
	}
	return true
}

// interactionCodes are the HTTP statuses that the words for passing conditions
// stand for. This API's errors have words where others have numbers.
var interactionCodes = map[string]int{
	"unavailable": 503, "service_unavailable": 503, "overloaded": 503,
	"internal": 500, "internal_error": 500, "internal_server_error": 500, "server_error": 500, "unknown": 500,
	"deadline_exceeded": 504, "gateway_timeout": 504, "timeout": 504, "bad_gateway": 502,
	"resource_exhausted": 429, "rate_limit_exceeded": 429, "too_many_requests": 429,
}

// interactionCode returns the HTTP status that the code of an error stands
// for: read is what ParseFailure made of it. A word that is not known is taken
// for a lasting condition.
func interactionCode(body []byte, failure span, read int) int {
	var code []byte
	if failure.present() {
		walkMembers(body, failure.from, func(member []byte, v span) {
			if string(member) == "code" {
				code = text(body, v)
			}
		})
	}
	if read == 0 {
		read = 500 // an error that says nothing of itself
	}
	if _, err := strconv.Atoi(string(code)); len(code) == 0 || err == nil {
		return read
	}
	// The code may be a URI.
	word := strings.ToLower(string(code[bytes.LastIndexAny(code, "/#:")+1:]))
	if n, ok := interactionCodes[strings.ReplaceAll(word, "-", "_")]; ok {
		return n
	}
	return 400
}

// InteractionRequest is what a request for an interaction says that matters
// here.
type InteractionRequest struct {
	Stream bool // the answer is to be a stream of events
	Stored bool // the API is to keep it, so that it can be asked for again
}

// ParseInteraction reads the body of a request. What cannot be read asks for
// no stream.
func ParseInteraction(body []byte) (r InteractionRequest) {
	r.Stored = true
	start := skipSpace(body, 0)
	end := walkMembers(body, start, func(member []byte, v span) {
		switch string(member) {
		case "stream":
			r.Stream = string(v.of(body)) == "true"
		case "store":
			r.Stored = string(v.of(body)) != "false"
		}
	})
	if end == bad || skipSpace(body, end) != len(body) {
		return InteractionRequest{}
	}
	return r
}
