package proxy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// chatReading is what the least forgiving client makes of an OpenAI-compatible
// stream.
type chatReading struct {
	chunks   []string
	text     string
	thoughts string
	calls    []string // names and arguments
	roles    int
	finishes []string
	ids      []string // id, created and model of the chunks, each once
	usage    *chatUsage
	failure  string // the payload of an error
	done     bool
}

type chatUsage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// chatChunk is an event as a client sees it.
type chatChunk struct {
	Choices []struct {
		Delta struct {
			Role, Content, Reasoning string
			ExtraContent             struct{ Google struct{ Thought bool } } `json:"extra_content"`
			ToolCalls                []struct {
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		FinishReason string `json:"finish_reason"`
	}
	ID, Model string
	Created   int
	Usage     *chatUsage
	Error     json.RawMessage
}

// readChat reads a stream whose events are all "data: ", JSON on one line, LF
// LF, with [DONE] at the end, unless an error is there instead.
func readChat(stream string) (r chatReading, err error) {
	for stream != "" {
		event, rest, ok := strings.Cut(stream, "\n\n")
		p, isData := strings.CutPrefix(event, "data: ")
		switch {
		case !ok || !isData || strings.ContainsAny(event, "\r\n"):
			return r, fmt.Errorf("%.80q is no event", stream)
		case r.done || r.failure != "":
			return r, fmt.Errorf("%.80q follows the end", stream)
		case p == "[DONE]":
			r.done = true
		default:
			if err = r.take(p); err != nil {
				return r, fmt.Errorf("%w in %.200q", err, p)
			}
		}
		stream = rest
	}
	return r, nil
}

// errAfterFinish: upstreams that write a finish into every chunk are passed on
// as they are.
var errAfterFinish = errors.New("a choice follows the finish")

func (r *chatReading) take(s string) error {
	for _, c := range s {
		if c < ' ' || c == 0x85 || c == 0x2028 || c == 0x2029 {
			return fmt.Errorf("a raw %U", c)
		}
	}
	var c chatChunk
	if err := json.Unmarshal([]byte(s), &c); err != nil {
		return err
	}
	if c.Error != nil {
		r.failure = s
		return nil
	}
	r.chunks = append(r.chunks, s)
	if c.Usage != nil {
		r.usage = c.Usage
	}
	if c.ID != "" {
		r.ids = once(r.ids, fmt.Sprintf("%s %d %s", c.ID, c.Created, c.Model))
	}
	if len(c.Choices) == 0 {
		return nil
	}
	if len(r.finishes) > 0 {
		return errAfterFinish
	}
	choice := &c.Choices[0]
	if choice.Delta.Role != "" {
		r.roles++
	}
	if choice.Delta.ExtraContent.Google.Thought {
		r.thoughts += choice.Delta.Content
	} else {
		r.text += choice.Delta.Content
	}
	r.thoughts += choice.Delta.Reasoning
	for _, call := range choice.Delta.ToolCalls {
		r.calls = append(r.calls, call.Function.Name+call.Function.Arguments)
	}
	if choice.FinishReason != "" {
		r.finishes = append(r.finishes, choice.FinishReason)
	}
	return nil
}

// whole tells why a reading is not one whole answer, nil if it is.
func (r *chatReading) whole(text, finish string) error {
	switch {
	case r.text != text:
		return fmt.Errorf("text %q, want %q", excerpt(r.text, text), excerpt(text, r.text))
	case !slices.Equal(r.finishes, []string{finish}):
		return fmt.Errorf("finishes %q, want one %s", r.finishes, finish)
	case len(r.ids) != 1:
		return fmt.Errorf("ids %q", r.ids)
	case r.failure != "" || !r.done:
		return fmt.Errorf("[DONE] %t, error %q", r.done, r.failure)
	}
	return nil
}

func TestStrictChatReaderIsStrict(t *testing.T) {
	f := func(stream string, fails bool) {
		t.Helper()
		if r, err := readChat(stream); (err != nil) != fails {
			t.Errorf("%q: %+v, %v", stream, r, err)
		}
	}
	const e, end, done = `data: {"choices":[{"delta":{"content":"a"}}]}` + "\n\n", `data: {"choices":[{"finish_reason":"stop"}]}` + "\n\n", "data: [DONE]\n\n"
	f("", false)
	f(e+e+end+`data: {"choices":[]}`+"\n\n"+done, false)
	f(e+`data: {"error":{}}`+"\n\n", false)
	for _, bad := range []string{"data: {}\r\n\r\n", "data: {}\n", "data:{}\n\n", ": x\n\n", "id: 1\n" + e, "\n\n", "data: {\n\n", "data: {\n}\n\n",
		"data: {\"a\":\"\u2028\"}\n\n", done + done, done + e, end + e, end + end, `data: {"error":{}}` + "\n\n" + done} {
		f(bad, true)
		f(e+bad, true)
	}
}
