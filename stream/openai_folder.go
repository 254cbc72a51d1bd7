package stream

// chatFolder is what a Folder has of OpenAI-compatible payloads: chunks, whose
// deltas it adds up, and whole completions. It makes one chat.completion of
// them (https://platform.openai.com/docs/api-reference/chat/object).
type chatFolder struct {
	content []byte // the inside of the content string, as far as it was not spilled
	texts   fields // of the message, that are added up: strings without their end
	message fields // the rest of it; the role is the first
	calls   []chatCall
	legacy  *chatCall // function_call
	lists   fields    // of the message, that grow: what each chunk adds
	audio   *grown    // of the message
	choice  fields    // without the message and logprobs
	odds    *grown    // logprobs
	top     fields    // without choices; id, created and model are the first
	some    bool      // a choice has come
	said    bool      // content has come
	spilled bool
}

// chatCall is a tool call, whose arguments may come in pieces.
type chatCall struct {
	index     int64
	members   fields // without index and function
	function  fields // without arguments
	arguments []byte // the inside of a string
}

func (f *chatFolder) empty() bool { return !f.some && len(f.top) == 0 }

func (f *chatFolder) len() int {
	n := len(f.content) + f.texts.len() + f.message.len() + f.lists.len() + f.choice.len() + f.top.len()
	for _, g := range [...]*grown{f.audio, f.odds} {
		if g != nil {
			n += g.len()
		}
	}
	for i := range f.calls {
		n += f.calls[i].members.len() + f.calls[i].function.len() + len(f.calls[i].arguments)
	}
	return n
}

func (f *chatFolder) take(payload []byte) {
	if saysNothing(payload) {
		return
	}
	walkMembers(payload, skipSpace(payload, 0), func(name []byte, v span) {
		value := v.of(payload)
		switch string(name) {
		case "choices":
			if list := items(value); len(list) > 0 && list[0][0] == '{' {
				f.takeChoice(list[0])
			}
			return
		case "id", "created", "model":
			if f.top.get(string(name)) != nil {
				return
			}
		case "object":
			value = []byte(`"chat.completion"`)
		}
		if !isNull(value, 0) {
			f.top.set(name, value)
		}
	})
}

func (f *chatFolder) takeChoice(choice []byte) {
	f.some = true
	walkMembers(choice, 0, func(name []byte, v span) {
		value := v.of(choice)
		switch {
		case isNull(value, 0):
		case (string(name) == "delta" || string(name) == "message") && value[0] == '{':
			f.takeMessage(value)
		case string(name) == "logprobs" && value[0] == '{':
			if f.odds == nil {
				f.odds = &grown{}
			}
			f.odds.take(value, func(string) bool { return false })
		default:
			f.choice.set(name, value)
		}
	})
}

func (f *chatFolder) takeMessage(message []byte) {
	walkMembers(message, 0, func(name []byte, v span) {
		value := v.of(message)
		isString := value[0] == '"'
		switch {
		case isNull(value, 0):
		case string(name) == "content" && isString:
			f.content, f.said = append(f.content, value[1:len(value)-1]...), true
			f.message.drop("content")
		case string(name) == "content" && f.said:
			// Whatever this is, there is text already.
		case (string(name) == "reasoning_content" || string(name) == "reasoning" || string(name) == "refusal") && isString:
			f.texts.grow(name, value)
		case string(name) == "tool_calls":
			for _, call := range items(value) {
				f.takeCall(call)
			}
		case string(name) == "function_call":
			if f.legacy == nil {
				f.legacy = &chatCall{}
			}
			f.legacy.takeFunction(value)
		case string(name) == "role" && f.message.get("role") != nil:
		case string(name) == "audio" && value[0] == '{':
			if f.audio == nil {
				f.audio = &grown{}
			}
			f.audio.take(value, func(name string) bool { return name == "data" || name == "transcript" })
		case value[0] == '[' && string(name) != "content":
			f.lists.grow(name, value)
		default:
			f.message.set(name, value)
		}
	})
}

// takeCall takes a piece of a call: openAICalls says which it belongs to.
func (f *chatFolder) takeCall(piece []byte) {
	var p openAIPiece
	if piece[0] != '{' || p.parse(piece, 0) == bad {
		return
	}
	if p.named || len(f.calls) == 0 {
		f.calls = append(f.calls, chatCall{index: p.index})
	}
	call := &f.calls[len(f.calls)-1]
	for i := range f.calls {
		if !p.named && p.index >= 0 && f.calls[i].index == p.index {
			call = &f.calls[i]
		}
	}
	walkMembers(piece, 0, func(name []byte, v span) {
		value := v.of(piece)
		switch {
		case isNull(value, 0), string(name) == "index":
		case string(name) == "function" && value[0] == '{':
			call.takeFunction(value)
		default:
			call.members.set(name, value)
		}
	})
}

func (c *chatCall) takeFunction(function []byte) {
	if function[0] != '{' {
		return
	}
	walkMembers(function, 0, func(name []byte, v span) {
		value := v.of(function)
		switch {
		case isNull(value, 0):
		case string(name) == "arguments" && value[0] == '"':
			c.arguments = append(c.arguments, value[1:len(value)-1]...)
		case string(name) == "name" && len(value) == 2:
		default:
			c.function.set(name, value)
		}
	})
}

// chatSpillHead is how a completion begins whose content is given out early.
const chatSpillHead = `{"choices": [{"message": {"content": "`

func (f *chatFolder) spill(dst []byte) []byte {
	if !f.said {
		return dst
	}
	if !f.spilled {
		f.spilled = true
		dst = append(dst, chatSpillHead...)
	}
	dst = append(dst, f.content...)
	f.content = f.content[:0]
	return dst
}

func (f *chatFolder) append(dst []byte) []byte {
	switch {
	case !f.some && !f.spilled:
		return f.top.appendObject(dst)
	case f.said && !f.spilled:
		dst = append(dst, chatSpillHead...)
	case !f.said:
		dst = append(dst, `{"choices": [{"message": {`...)
		if f.message.get("content") == nil {
			dst = append(dst, `"content": null`...)
		}
	}
	if f.said {
		dst = append(append(dst, f.content...), '"')
	}
	for i := range f.texts {
		dst = append(append(appendName(dst, []byte(f.texts[i].name)), f.texts[i].value...), '"')
	}
	dst = f.message.append(dst)
	for i := range f.lists {
		dst = append(append(appendName(dst, []byte(f.lists[i].name)), f.lists[i].value...), ']')
	}
	if f.audio != nil {
		dst = f.audio.append(append(appendComma(dst), `"audio": `...))
	}
	if f.legacy != nil {
		dst = f.legacy.appendFunction(append(appendComma(dst), `"function_call": `...))
	}
	if len(f.calls) > 0 {
		dst = append(appendComma(dst), `"tool_calls": [`...)
		for i := range f.calls {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = f.calls[i].members.append(append(dst, '{'))
			dst = f.calls[i].appendFunction(append(appendComma(dst), `"function": `...))
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	if f.top.get("object") == nil {
		// A cut may have taken it.
		f.top.set([]byte("object"), []byte(`"chat.completion"`))
	}
	dst = f.choice.append(append(dst, '}'))
	if f.odds != nil {
		dst = f.odds.append(append(appendComma(dst), `"logprobs": `...))
	}
	dst = f.top.append(append(dst, "}]"...))
	return append(dst, '}')
}

func (c *chatCall) appendFunction(dst []byte) []byte {
	dst = c.function.append(append(dst, '{'))
	if c.function.get("arguments") == nil {
		dst = append(append(appendComma(dst), `"arguments": "`...), c.arguments...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}
