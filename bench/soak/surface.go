package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"gemini-resilient-proxy/bench/upstream"
)

// surface is how a question is asked in one of the API's forms, and how the
// answer is framed.
type surface struct {
	name string
	is   upstream.Surface
	path string // %s is the model
	body string // %[1]s is the model, %[2]s the question
	read func(io.Reader, func(*message)) error
}

const native = `{"contents":[{"role":"user","parts":[{"text":"%[2]s"}]}]}`

// surfaces are all that are healed.
var surfaces = []surface{
	{"SSE", upstream.SSE, "/v1beta/models/%s:streamGenerateContent?alt=sse", native, readEvents},
	{"array", upstream.Array, "/v1beta/models/%s:streamGenerateContent", native, readArray},
	{"Code Assist", upstream.CodeAssist, "/v1internal:streamGenerateContent?alt=sse%.0s",
		`{"model":"%[1]s","request":` + native + `}`, readEvents},
	{"chat", upstream.OpenAI, "/v1beta/openai/chat/completions%.0s",
		`{"model":"%[1]s","stream":true,"messages":[{"role":"user","content":"%[2]s"}]}`, readEvents},
	{"Interactions", upstream.Interactions, "/v1beta/interactions%.0s",
		`{"model":"%[1]s","stream":true,"input":"%[2]s"}`, readEvents},
	{"unary", upstream.Unary, "/v1beta/models/%s:generateContent", native, readDocument},
	{"unary chat", upstream.OpenAIUnary, "/v1beta/openai/chat/completions%.0s",
		`{"model":"%[1]s","messages":[{"role":"user","content":"%[2]s"}]}`, readDocument},
}

// streams tells whether answers come in events.
func (s *surface) streams() bool {
	return s.is != upstream.Unary && s.is != upstream.OpenAIUnary
}

// target and ask make the request.
func (s *surface) target(model string) string        { return fmt.Sprintf(s.path, model) }
func (s *surface) ask(model, question string) string { return fmt.Sprintf(s.body, model, question) }

// message is what an event, an element or a document can say, on any surface.
type message struct {
	Candidates []struct {
		Content struct {
			Parts []struct {
				Text         string
				FunctionCall *struct{ Name string }
			}
		}
		FinishReason string
	}
	Response *message // Code Assist
	Choices  []struct {
		Delta, Message chatText
		FinishReason   string `json:"finish_reason"`
	}
	Delta     struct{ Text string } // Interactions
	EventType string                `json:"event_type"`
	Error     json.RawMessage
}

type chatText struct {
	Content   string
	ToolCalls []struct{ Function struct{ Name string } } `json:"tool_calls"`
}

// unreadable is an answer that is no JSON in its framing.
type unreadable struct{ what string }

func (e unreadable) Error() string { return "unreadable: " + e.what }

// readEvents reads data lines. A line of bare JSON is an error object, as the
// API and the proxy put it behind events.
func readEvents(r io.Reader, each func(*message)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 8<<10), 4<<20)
	for lines.Scan() {
		line := lines.Text()
		data, isData := strings.CutPrefix(line, "data: ")
		switch {
		case data == "[DONE]", line == "", strings.HasPrefix(line, "event: "):
			continue
		case !isData && !strings.HasPrefix(line, "{"):
			return unreadable{clip(line)}
		}
		m := new(message)
		if err := json.Unmarshal([]byte(data), m); err != nil {
			return unreadable{clip(line)}
		}
		each(m)
	}
	return lines.Err()
}

// readArray reads a JSON array, each element as it comes.
func readArray(r io.Reader, each func(*message)) error {
	d := json.NewDecoder(r)
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		m := new(message)
		if err := d.Decode(m); err != nil {
			return err
		}
		each(m)
	}
	_, err := d.Token()
	return err
}

// readDocument reads one object.
func readDocument(r io.Reader, each func(*message)) error {
	m := new(message)
	if err := json.NewDecoder(r).Decode(m); err != nil {
		return err
	}
	each(m)
	return nil
}

func clip(s string) string { return s[:min(len(s), 120)] }
