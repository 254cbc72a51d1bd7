package stream

import "bytes"

// chatMember takes a member of a chat completion request
// (https://platform.openai.com/docs/api-reference/chat/create).
func (r *Request) chatMember(name string, v span) {
	value := v.of(r.body)
	if value[0] == 'n' {
		return // null
	}
	switch name {
	case "messages":
		r.contents = v
	case "model":
		if value[0] == '"' {
			r.Model = AppendUnescaped(nil, value[1:len(value)-1])
		}
	case "stream":
		r.Stream = string(value) == "true"
	case "stream_options":
		r.streamOptions(v)
	case "max_tokens":
		r.maxTokens = v
	case "max_completion_tokens":
		r.maxCompletion = v
	case "n":
		n, ok := wholeNumber(value)
		r.Several = ok && n > 1
	case "response_format":
		r.responseFormat(v)
	case "extra_body", "google":
		// Google's own settings, at whatever depth the client's library puts them.
		r.Thoughts = r.Thoughts || bytes.Contains(value, []byte("include_thoughts")) || bytes.Contains(value, []byte("includeThoughts"))
	case "stop":
		if value[0] == '"' && len(value) > 2 {
			r.Stops = append(r.Stops[:0], AppendUnescaped(nil, value[1:len(value)-1]))
		} else {
			r.stops(v.from)
		}
	}
}

func (r *Request) streamOptions(v span) {
	if r.body[v.from] != '{' {
		return
	}
	walkMembers(r.body, v.from, func(name []byte, v span) {
		if string(name) == "include_usage" {
			r.UsageApart = r.body[v.from] == 't'
		}
	})
}

// responseFormat takes the value of response_format.
func (r *Request) responseFormat(v span) {
	if r.body[v.from] != '{' {
		return
	}
	walkMembers(r.body, v.from, func(name []byte, v span) {
		if string(name) != "type" {
			return
		}
		switch string(v.of(r.body)) {
		case `"text"`:
		case `"json_object"`, `"json_schema"`:
			r.JSON, r.Document = true, true
		default:
			r.JSON = true
		}
	})
}

// appendChatContinuation is AppendContinuation for a chat completion request:
// an assistant message and a user message at the end of messages.
func (r *Request) appendChatContinuation(dst, transcript []byte, prompt string, spent int64) ([]byte, error) {
	if r.JSON {
		free, ok := ParseRequest(OpenAI, appendWithout(nil, r.body, func(name []byte) bool { return string(name) == "response_format" }))
		if ok {
			return free.appendChatContinuation(dst, transcript, prompt, spent)
		}
	}
	var e editor
	for _, limit := range [...]span{r.maxTokens, r.maxCompletion} {
		if !limit.present() {
			continue
		}
		if n, ok := wholeNumber(limit.of(r.body)); ok && n > 0 {
			if n -= spent; n <= 0 {
				return dst, ErrBudgetSpent
			}
			e.replace(limit, r.appendLike(nil, limit, n))
		}
	}
	v := r.contents
	if r.body[v.from] != '[' {
		return dst, ErrNoContents
	}
	var messages []byte
	if _, some := arrayStart(r.body, v.from); some {
		messages = append(messages, ',')
	}
	e.replace(span{v.to - 1, v.to - 1}, appendMessages(messages, transcript, prompt))
	return e.append(dst, r.body), nil
}

func appendMessages(dst, transcript []byte, prompt string) []byte {
	dst = append(dst, `{"role":"assistant","content":"`...)
	dst = appendReescaped(dst, transcript)
	dst = append(dst, `"}`...)
	if prompt == "" {
		return dst
	}
	dst = append(dst, `,{"role":"user","content":`...)
	dst = AppendJSONString(dst, []byte(prompt))
	return append(dst, '}')
}

// AppendStreaming appends the request of a chat completion as one for a stream
// with usage at its end.
func (r *Request) AppendStreaming(dst []byte) []byte {
	body := appendWithout(nil, r.body, func(name []byte) bool {
		return string(name) == "stream" || string(name) == "stream_options"
	})
	first := skipSpace(body, 0) + 1
	members := []byte(`"stream":true,"stream_options":{"include_usage":true}`)
	if i := skipSpace(body, first); i < len(body) && body[i] != '}' {
		members = append(members, ',')
	}
	dst = append(dst, body[:first]...)
	dst = append(dst, members...)
	return append(dst, body[first:]...)
}
