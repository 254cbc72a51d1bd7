package stream

import (
	"bytes"
	"math"
	"strconv"
)

// Request is what a generate request says that matters here. It aliases the
// body that it was read from.
type Request struct {
	dialect       Dialect
	body          []byte
	inner         int  // offset of the object that has contents
	contents      span // value of contents
	settings      span // value of generationConfig
	maxTokens     span // value of its maxOutputTokens
	token         span // value of continuationToken
	maxCompletion span // value of a chat completion's max_completion_tokens

	// Model is the model that the body names, where the path does not.
	Model []byte
	// Several tells that more than one candidate is asked for.
	Several bool
	// JSON tells that the answer is constrained: to be a JSON document, or one
	// of a list of values.
	JSON bool
	// Document tells that it is to be a JSON document.
	Document bool
	// Stops are the stop sequences, unescaped.
	Stops [][]byte
	// Thoughts tells that summaries of thoughts are asked for.
	Thoughts bool
	// Token tells that the request itself resumes a long decode.
	Token bool
	// Stream tells that a chat completion is to come as a stream.
	Stream bool
	// UsageApart tells that its usage is to come in a chunk of its own.
	UsageApart bool
	// Key is the inside of the top-level apiKey string, unescaped.
	Key []byte
	// HasKey tells that there is a top-level apiKey member of any type.
	HasKey bool
}

// ParseRequest reads body, which asks in the dialect d. ok is false when it is
// not one JSON object; the API then has the better error message.
func ParseRequest(d Dialect, body []byte) (r Request, ok bool) {
	r.dialect, r.body = d, body
	var marked bool
	r.inner, marked = valueStart(body)
	end := walkMembers(body, r.inner, func(name []byte, v span) {
		switch {
		case string(name) == "apiKey":
			r.HasKey = true
			if len(r.Key) == 0 && body[v.from] == '"' {
				r.Key = AppendUnescaped(nil, body[v.from+1:v.to-1])
			}
		case d == Wrapped:
			r.wrapper(string(name), v)
		case d == OpenAI:
			r.chatMember(string(name), v)
		default:
			r.member(string(name), v)
		}
	})
	return r, end != bad && skipSpace(body, end) == len(body) && !marked
}

// valueStart returns where the JSON text in body begins, and whether a byte order
// mark stands in front of it, as some editors write it: the API takes none, but a
// key behind one is a key.
func valueStart(body []byte) (i int, marked bool) {
	const mark = "\xef\xbb\xbf"
	if marked = bytes.HasPrefix(body, []byte(mark)); marked {
		i = len(mark)
	}
	return skipSpace(body, i), marked
}

// wrapper takes a member of the object around a request.
func (r *Request) wrapper(name string, v span) {
	switch {
	case name == "model" && r.body[v.from] == '"':
		r.Model = AppendUnescaped(nil, r.body[v.from+1:v.to-1])
	case name == "request" && r.body[v.from] == '{':
		r.inner = v.from
		walkMembers(r.body, v.from, func(name []byte, v span) { r.member(string(name), v) })
	}
}

// member takes a member of a GenerateContentRequest.
func (r *Request) member(name string, v span) {
	switch name {
	case "contents":
		r.contents = v
	case "generationConfig", "generation_config":
		r.config(v)
	case "continuationToken", "continuation_token":
		r.Token, r.token = !isNull(r.body, v.from), v
	}
}

func (r *Request) config(v span) {
	if r.body[v.from] != '{' {
		return
	}
	r.settings = v
	walkMembers(r.body, v.from, func(name []byte, v span) {
		if isNull(r.body, v.from) {
			return
		}
		value := v.of(r.body)
		switch string(name) {
		case "maxOutputTokens", "max_output_tokens":
			r.maxTokens = v
		case "candidateCount", "candidate_count":
			n, ok := wholeNumber(value)
			r.Several = ok && n > 1
		case "stopSequences", "stop_sequences":
			r.stops(v.from)
		case "thinkingConfig", "thinking_config":
			r.thinking(v)
		default:
			if formatNames[string(name)] {
				r.format(string(name), v)
			}
		}
	})
}

// wholeNumber reads a count of a request. Languages without integers write 2 as
// 2.0, which the JSON mapping of Protocol Buffers takes for one, and 2e0 too
// (https://protobuf.dev/programming-guides/json/).
func wholeNumber(b []byte) (n int64, ok bool) {
	if n, ok = atoi(b); ok || len(b) == 0 {
		return n, ok
	}
	b = bytes.Trim(b, `"`)
	if len(b) == 0 || b[0] < '0' || b[0] > '9' || len(bytes.Trim(b, "0123456789.eE+-")) > 0 {
		return 0, false
	}
	// Up to here each whole number has a float64 of its own.
	const most = 1 << 53
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f != math.Trunc(f) || f > most {
		return 0, false
	}
	return int64(f), true
}

func (r *Request) thinking(v span) {
	walkMembers(r.body, v.from, func(name []byte, v span) {
		switch string(name) {
		case "includeThoughts", "include_thoughts":
			r.Thoughts = r.body[v.from] == 't' || r.body[v.from] == '"'
		}
	})
}

// maxStops is how many stop sequences are kept. The API takes 5; a body can hold
// millions, each of which would take more memory than it has bytes.
const maxStops = 64

func (r *Request) stops(v int) {
	i, some := arrayStart(r.body, v)
	for some && i != bad && len(r.Stops) < maxStops {
		start := i
		if i = skipValue(r.body, i, 0); i == bad {
			return
		}
		if r.body[start] == '"' && i-start > 2 {
			r.Stops = append(r.Stops, AppendUnescaped(nil, r.body[start+1:i-1]))
		}
		i, some = nextItem(r.body, i, ']')
	}
}
