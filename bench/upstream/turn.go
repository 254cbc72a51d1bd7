package upstream

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Turn is one entry of the contents of a request.
type Turn struct {
	Role   string // "user", "model", or "" if the request named none
	Text   string // the texts of its parts, joined
	Call   string // the name of its last function call
	Result string // the name or the id of the last function result it brings
}

// Contents parses the body and returns its turns in order. It fails if the body
// was not kept or is not a JSON object with an array of turns.
//
// The messages of a chat/completions request are turns as well: an assistant's
// are the model's, a tool's are the user's, and those of the system are left
// out, as systemInstruction is. The contents of a v1internal request stand in
// its member request; the steps of an interaction's input are turns.
func (r *Request) Contents() ([]Turn, error) {
	var body struct {
		Contents []content
		Messages []message
		Request  struct{ Contents []content }
		Input    steps
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return nil, fmt.Errorf("parse contents: %w", err)
	}
	var turns []Turn
	for _, c := range append(body.Contents, body.Request.Contents...) {
		turns = append(turns, c.turn())
	}
	for _, m := range body.Messages {
		if m.Role != "system" && m.Role != "developer" {
			turns = append(turns, m.turn())
		}
	}
	turns = append(turns, body.Input...)
	return turns, nil
}

// content is a turn of the native API.
type content struct {
	Role  string
	Parts []struct {
		Text             string
		FunctionCall     *struct{ Name string }
		FunctionResponse *struct{ Name string }
	}
}

func (c content) turn() Turn {
	t := Turn{Role: c.Role}
	var text strings.Builder
	for _, p := range c.Parts {
		text.WriteString(p.Text)
		if p.FunctionCall != nil {
			t.Call = p.FunctionCall.Name
		}
		if p.FunctionResponse != nil {
			t.Result = p.FunctionResponse.Name
		}
	}
	t.Text = text.String()
	return t
}

// message is a turn of the OpenAI-compatible API.
type message struct {
	Role       string
	Content    messageText
	ToolCallID string                                     `json:"tool_call_id"`
	ToolCalls  []struct{ Function struct{ Name string } } `json:"tool_calls"`
}

func (m message) turn() Turn {
	t := Turn{Role: "user", Text: string(m.Content), Result: m.ToolCallID}
	if m.Role == "assistant" {
		t.Role = "model"
	}
	for _, c := range m.ToolCalls {
		t.Call = c.Function.Name
	}
	return t
}

// messageText is the content of a message: a string, or parts with texts.
type messageText string

// UnmarshalJSON reads either form.
func (t *messageText) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '[' {
		return json.Unmarshal(b, (*string)(t))
	}
	var parts []struct{ Text string }
	err := json.Unmarshal(b, &parts)
	for _, p := range parts {
		*t += messageText(p.Text)
	}
	return err
}
