package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// said is what a payload says by encoding/json.
type said struct {
	text, finish     string
	kinds            Kinds // of Text, Thought and Several
	failure, blocked bool
	usage            [4]int64 // prompt, candidates, thoughts, tool use; -1 where not named
}

// errOdd tells that a payload is JSON but not of the API's shape.
var errOdd = errors.New("not of the API's shape")

// oracle reads a payload the slow way. It fails for malformed JSON, for
// objects that name a member twice and for shapes that the API never writes.
func oracle(payload []byte) (s said, err error) {
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
	if f := o["promptFeedback"]; f != nil {
		s.blocked = f.(map[string]any)["blockReason"] != nil
	}
	s.usage = oracleUsage(o["usageMetadata"])
	if o["candidates"] == nil {
		return s, nil
	}
	for i, c := range o["candidates"].([]any) {
		s.candidate(i, c.(map[string]any))
	}
	return s, nil
}

func (s *said) candidate(i int, c map[string]any) {
	if index := c["index"]; i > 0 || index != nil && index != json.Number("0") {
		s.kinds |= Several
	}
	switch f := c["finishReason"].(type) {
	case string:
		if i == 0 {
			s.finish = f
		}
	case json.Number:
		names := map[json.Number]string{"0": "", "1": "STOP", "2": "MAX_TOKENS", "3": "SAFETY", "4": "RECITATION", "5": "OTHER"}
		if name, ok := names[f]; ok && i == 0 {
			s.finish = name
		} else if i == 0 && f[0] != '-' {
			s.finish = f.String()
		}
	}
	if c["content"] == nil {
		return
	}
	parts := c["content"].(map[string]any)["parts"]
	if parts == nil {
		return
	}
	for _, p := range parts.([]any) {
		part := p.(map[string]any)
		text, _ := part["text"].(string)
		switch {
		case part["thought"] == true:
			s.kinds |= Thought
		case text != "" && i == 0:
			s.kinds |= Text
			s.text += text
		case text != "":
			s.kinds |= Text
		}
	}
}

var countRE = regexp.MustCompile(`^[0-9]{1,18}$`)

func oracleUsage(v any) [4]int64 {
	usage := [4]int64{-1, -1, -1, -1}
	if v == nil {
		return usage
	}
	o := v.(map[string]any)
	for i, name := range []string{"promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount"} {
		usage[i] = oracleCount(o[name])
	}
	return usage
}

// oracleCount is a count, -1 for what is none.
func oracleCount(v any) int64 {
	count, ok := v.(string)
	if n, isNumber := v.(json.Number); isNumber {
		count, ok = n.String(), true
	}
	if !ok || !countRE.MatchString(count) {
		return -1
	}
	n, _ := strconv.ParseInt(count, 10, 64)
	return n
}

// uniqueMembers fails when an object names a member twice, or b is not one
// JSON value of moderate depth.
func uniqueMembers(b []byte) error {
	if !json.Valid(b) {
		return errors.New("malformed")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	type level struct {
		names  map[string]bool
		isName bool
	}
	levels := []level{{}}
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		top := &levels[len(levels)-1]
		name, isString := token.(string)
		if top.isName && isString {
			if top.names[name] {
				return errOdd
			}
			top.names[name], top.isName = true, false
			continue
		}
		top.isName = top.names != nil
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{map[string]bool{}, true})
		case json.Delim('['):
			levels = append(levels, level{})
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		}
		if len(levels) > maxDepth/2 {
			return errOdd
		}
	}
}

// chunkSays is what Chunk reads of a payload, in the oracle's terms.
func chunkSays(payload []byte) (s said, ok bool) {
	var c Chunk
	raw, ok := c.Parse(payload, nil)
	if !ok {
		return s, false
	}
	return said{
		text:    strings.Clone(string(AppendUnescaped(nil, raw))),
		finish:  string(c.Finish),
		kinds:   c.Kinds & (Text | Thought | Several),
		failure: c.Failure,
		blocked: c.Blocked,
		usage:   [4]int64{c.Usage.Prompt, c.Usage.Candidates, c.Usage.Thoughts, c.Usage.ToolUse},
	}, true
}
