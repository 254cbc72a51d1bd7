package upstream

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// created is the time of every chat completion, in seconds.
const created = 1_750_000_000

// openaiForm is the form of OpenAI: chunks that end with one line feed more, and
// "[DONE]" behind the last. Thoughts have no place in it.
type openaiForm struct {
	begun    bool // the role was sent
	finished bool // a reason was sent, so that [DONE] is due
}

func (f *openaiForm) event(a *answer, e event) error {
	if e.kind == thoughtEvent || e.kind == usageEvent {
		return nil
	}
	a.event = f.append(a.event[:0], a, e)
	return a.body(a.event)
}

func (f *openaiForm) torn(a *answer, e event) error {
	a.event = tear(f.append(a.event[:0], a, e), e.text)
	return a.body(a.event)
}

func (f *openaiForm) end(a *answer, whole bool) error {
	if !whole || !f.finished {
		return nil
	}
	return a.body([]byte("data: [DONE]\n\n"))
}

func (f *openaiForm) failure(body string) string { return "[" + body + "]" }

func (f *openaiForm) append(dst []byte, a *answer, e event) []byte {
	if e.kind == failureEvent {
		return append(appendFailure(append(dst, "data: "...), e), "\n\n"...)
	}
	dst = append(dst, `data: {"choices":[{"delta":{`...)
	body := len(dst)
	switch {
	case e.kind == callEvent:
		dst = appendToolCall(append(dst, ','), &a.reply, e)
	case e.kind == textEvent && e.text != "":
		a.reply.runes += utf8.RuneCountInString(e.text)
		dst = appendJSON(append(dst, `,"content":`...), e.text)
	}
	if !f.begun || len(dst) > body {
		f.begun = true
		dst = append(dst, `,"role":"assistant"`...)
	}
	dst = append(dst[:body], strings.TrimPrefix(string(dst[body:]), ",")...)
	dst = append(dst, '}')
	if reason := openaiReason(e); reason != "" {
		f.finished = true
		dst = append(dst, `,"finish_reason":"`+reason+`"`...)
	}
	dst = append(dst, `,"index":0}],`...)
	return append(a.reply.appendCompletion(dst, "chat.completion.chunk"), "}\n\n"...)
}

// appendToolCall appends a function call, which comes whole and, in a stream,
// without an index.
func appendToolCall(dst []byte, r *reply, e event) []byte {
	r.calls++
	dst = append(dst, `"tool_calls":[{"function":{"arguments":`...)
	dst = appendJSON(dst, e.args)
	dst = appendJSON(append(dst, `,"name":`...), e.name)
	return append(dst, `},"id":"function-call-`+strconv.Itoa(r.calls)+`","type":"function"}]`...)
}

// appendCompletion appends the members that all chunks of an answer share, and
// its usage so far.
func (r *reply) appendCompletion(dst []byte, object string) []byte {
	dst = append(dst, `"created":`...)
	dst = strconv.AppendInt(dst, created, 10)
	dst = appendJSON(append(dst, `,"id":`...), r.id)
	dst = append(dst, `,"model":"`+ModelVersion+`","object":"`+object+`","usage":{"completion_tokens":`...)
	dst = strconv.AppendInt(dst, int64(tokens(r.runes)), 10)
	dst = append(dst, `,"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, int64(r.prompt), 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, int64(r.prompt+tokens(r.runes)+tokens(r.thoughts)), 10)
	return append(dst, '}')
}

// openaiReason is the finish_reason of e. What the native API has more words
// for is a filter here.
func openaiReason(e event) string {
	switch {
	case e.reason == "":
		return ""
	case e.reason == "STOP" && e.kind != blockEvent:
		return "stop"
	case e.reason == "MAX_TOKENS":
		return "length"
	}
	return "content_filter"
}
