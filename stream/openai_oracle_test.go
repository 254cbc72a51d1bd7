package stream

import (
	"bytes"
	"encoding/json"
	"strings"
)

// openAIOracle is oracle for a chat.completion.chunk.
func openAIOracle(payload []byte) (s said, err error) {
	if err := uniqueMembers(payload); err != nil {
		return s, err
	}
	var top any
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&top); err != nil {
		return s, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = errOdd // a type assertion below
		}
	}()
	o := top.(map[string]any)
	s.failure = o["error"] != nil
	s.usage = openAIOracleUsage(o["usage"])
	if o["choices"] == nil {
		return s, nil
	}
	for i, c := range o["choices"].([]any) {
		s.choice(i, c.(map[string]any))
	}
	return s, nil
}

func (s *said) choice(i int, c map[string]any) {
	if index := c["index"]; i > 0 || index != nil && index != json.Number("0") {
		s.kinds |= Several
	}
	if f, ok := c["finish_reason"].(string); ok && i == 0 && f != "" {
		s.finish = map[string]string{"stop": "STOP", "tool_calls": "STOP", "function_call": "STOP",
			"length": "MAX_TOKENS", "content_filter": "SAFETY"}[f]
		if i := strings.LastIndex(f, ": "); s.finish == "" && i >= 0 && f[i+2:] != "" {
			s.finish = f[i+2:]
		} else if s.finish == "" {
			s.finish = f
		}
	}
	if c["delta"] != nil && c["message"] != nil {
		panic(errOdd)
	}
	if c["delta"] == nil {
		c["delta"] = c["message"]
	}
	if c["delta"] == nil {
		return
	}
	delta := c["delta"].(map[string]any)
	for _, name := range []string{"reasoning_content", "reasoning", "reasoning_details", "thinking"} {
		if !holdsNothing(delta[name]) {
			s.kinds |= Thought
		}
	}
	text, _ := delta["content"].(string)
	if marked(delta["extra_content"]) && text != "" {
		s.kinds |= Thought
		_, text, _ = strings.Cut(text, "</thought>")
	}
	if text != "" {
		s.kinds |= Text
	}
	if i == 0 {
		s.text += text
	}
}

func holdsNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func marked(extra any) bool {
	o, _ := extra.(map[string]any)
	for _, v := range o {
		if of, ok := v.(map[string]any); ok && of["thought"] == true {
			return true
		}
	}
	return false
}

// openAIOracleUsage returns prompt, completion, what total has beyond them,
// and reasoning.
func openAIOracleUsage(v any) [4]int64 {
	usage := [4]int64{-1, -1, -1, -1}
	if v == nil {
		return usage
	}
	o := v.(map[string]any)
	usage[0], usage[1] = oracleCount(o["prompt_tokens"]), oracleCount(o["completion_tokens"])
	if total := oracleCount(o["total_tokens"]); usage[1] >= 0 && total > max(usage[0], 0)+usage[1] {
		usage[2] = total - max(usage[0], 0) - usage[1]
	}
	if d, ok := o["completion_tokens_details"].(map[string]any); ok {
		usage[3] = oracleCount(d["reasoning_tokens"])
	}
	return usage
}

// openAISays is what a chunk is read to say, in the oracle's terms.
func openAISays(payload []byte) (s said, ok bool) {
	c := Chunk{Dialect: OpenAI}
	raw, ok := c.Parse(payload, nil)
	if !ok {
		return s, false
	}
	return said{
		text:    string(AppendUnescaped(nil, raw)),
		finish:  string(c.Finish),
		kinds:   c.Kinds & (Text | Thought | Several),
		failure: c.Failure,
		usage:   [4]int64{c.Usage.Prompt, c.Usage.Candidates, c.Usage.Thoughts, c.Usage.Reasoning},
	}, true
}
