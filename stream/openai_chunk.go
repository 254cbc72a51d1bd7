package stream

import "bytes"

// openAIChunk is what a chunk of the OpenAI-compatible surface says beyond
// what every Chunk says.
type openAIChunk struct {
	created span // a number
	calls   span // delta.tool_calls, or delta.function_call
	role    bool // the delta names the role
	opens   bool // the delta has the tag that a thought begins with
	closes  bool // and that with which one ends
	// thinking is kept from chunk to chunk of an attempt: a thought came, and
	// the tag that ends it may.
	thinking bool
}

// parseOpenAI is parse for a chat.completion.chunk
// (https://platform.openai.com/docs/api-reference/chat-streaming), as Google
// writes it (https://ai.google.dev/gemini-api/docs/openai), or a whole
// chat.completion.
func (c *Chunk) parseOpenAI(t *Transcript, transcript, payload []byte) (text []byte, ok bool) {
	thinking := c.openAI.thinking
	*c = Chunk{}
	c.Dialect, c.payload, c.Usage, c.openAI.thinking = OpenAI, payload, noUsage, thinking
	p := openAIParser{c: c, b: payload, into: t, text: transcript}
	i := skipSpace(payload, 0)
	if i < len(payload) && payload[i] == '[' {
		native := chunkParser{c: c, b: payload}
		if i = native.failureArray(i); i == bad {
			return transcript, false
		}
	} else if i = p.top(i); i == bad {
		return transcript, false
	}
	if skipSpace(payload, i) != len(payload) || !validEscapes(payload) {
		return transcript, false
	}
	return p.text, true
}

// openAIParser is chunkParser for chunks of the OpenAI-compatible surface.
type openAIParser struct {
	c    *Chunk
	b    []byte
	into *Transcript
	text []byte
}

func (p *openAIParser) top(i int) int {
	p.c.body = i
	i, some := objectStart(p.b, i)
	for some && i != bad {
		name, v := member(p.b, i)
		if v == bad {
			return bad
		}
		if i = p.topMember(plainName(name), v); i == bad {
			return bad
		}
		i, some = nextItem(p.b, i, '}')
	}
	return i
}

func (p *openAIParser) topMember(name []byte, v int) int {
	c := p.c
	switch string(name) {
	case "choices":
		return p.choices(v)
	case "usage":
		end := c.Usage.parseOpenAI(p.b, v, &c.details)
		c.usage = span{v, end}
		return end
	}
	end := skipValue(p.b, v, 1)
	if end == bad {
		return bad
	}
	switch string(name) {
	case "id":
		if p.b[v] == '"' {
			c.responseID = span{v, end}
		}
	case "model":
		if p.b[v] == '"' {
			c.version = span{v, end}
		}
	case "created":
		if !isNull(p.b, v) {
			c.openAI.created = span{v, end}
		}
	case "error":
		c.Failure = !isNull(p.b, v)
	}
	return end
}

func (p *openAIParser) choices(v int) int {
	if isNull(p.b, v) {
		return skipValue(p.b, v, 1)
	}
	i, some := arrayStart(p.b, v)
	for n := 0; some && i != bad; n++ {
		finish, size := p.c.Finish, len(p.text)
		if i = p.choice(i); i == bad {
			return bad
		}
		if n > 0 {
			// The answer is the first choice's alone.
			p.c.Kinds |= Several
			p.c.Finish, p.text = finish, p.text[:size]
		}
		i, some = nextItem(p.b, i, ']')
	}
	p.c.candidates = span{v, i}
	return i
}

func (p *openAIParser) choice(v int) int {
	i, some := objectStart(p.b, v)
	for some && i != bad {
		name, v := member(p.b, i)
		if v == bad {
			return bad
		}
		if i = p.choiceMember(plainName(name), v); i == bad {
			return bad
		}
		i, some = nextItem(p.b, i, '}')
	}
	return i
}

func (p *openAIParser) choiceMember(name []byte, v int) int {
	if (string(name) == "delta" || string(name) == "message") && !isNull(p.b, v) {
		return p.delta(v)
	}
	end := skipValue(p.b, v, 3)
	if end == bad || isNull(p.b, v) {
		return end
	}
	switch string(name) {
	case "finish_reason":
		if p.b[v] == '"' && end-v > 2 {
			p.c.Finish = nativeFinish(plainName(p.b[v+1 : end-1]))
		}
	case "index":
		if string(p.b[v:end]) != "0" {
			p.c.Kinds |= Several
		}
	case "logprobs":
		p.c.Kinds |= Logprobs
	}
	return end
}

// delta reads what a choice adds to its message, or the message itself.
func (p *openAIParser) delta(v int) int {
	var d openAIDelta
	end := d.parse(p.b, v)
	if end == bad {
		return bad
	}
	c := p.c
	c.openAI.thinking = c.openAI.thinking || d.thought
	text := d.split(p.b, c.openAI.thinking)
	c.Kinds |= d.kinds
	c.openAI.role = c.openAI.role || d.role
	c.openAI.opens = c.openAI.opens || d.thought && opensThought(d.content.of(p.b))
	c.openAI.closes = c.openAI.closes || d.closes
	c.openAI.calls = d.calls
	c.beside = c.beside || d.offsets
	if text.present() {
		c.text = text
		c.texts++
	}
	p.text = p.into.append(p.text, text.of(p.b))
	return end
}

// openAIDelta is one delta of a choice.
type openAIDelta struct {
	kinds   Kinds
	content span // the inside of the content string
	calls   span
	role    bool
	thought bool // marked as a thought
	closes  bool // a thought ends in the content, as split knows
	offsets bool
}

func (d *openAIDelta) parse(b []byte, v int) int {
	i, some := objectStart(b, v)
	for some && i != bad {
		name, v := member(b, i)
		if v == bad {
			return bad
		}
		if i = skipValue(b, v, 4); i == bad {
			return bad
		}
		if !isEmptyValue(b[v:i]) {
			d.member(plainName(name), b, v, i)
		}
		i, some = nextItem(b, i, '}')
	}
	return i
}

func (d *openAIDelta) member(name, b []byte, v, end int) {
	switch string(name) {
	case "content":
		if b[v] == '"' {
			d.content = span{v + 1, end - 1}
		} else {
			d.kinds |= Unknown
		}
	case "reasoning_content", "reasoning", "reasoning_details", "thinking":
		d.kinds |= Thought
	case "tool_calls", "function_call":
		d.kinds |= Call
		d.calls = span{v, end}
	case "role":
		d.role = true
	case "extra_content":
		d.thought = isOpenAIThought(b, v)
	case "annotations":
		d.offsets = true
	case "audio", "images":
		d.kinds |= Media
	case "name", "provider_specific_fields", "thought_signature", "signature":
		// These describe a message and are no part of it.
	default:
		if c := b[v]; c == '"' || c == '{' || c == '[' {
			d.kinds |= Unknown
		}
	}
}

// isEmptyValue tells whether a JSON value holds nothing.
func isEmptyValue(v []byte) bool {
	switch v[0] {
	case 'n':
		return true
	case '"':
		return len(v) == 2
	case '[', '{':
		return skipSpace(v, 1) == len(v)-1
	}
	return false
}

// isOpenAIThought tells whether extra_content marks its message as a thought:
// {"google": {"thought": true}}, or "vertex" in place of "google".
func isOpenAIThought(b []byte, v int) (thought bool) {
	i, some := objectStart(b, v)
	for some && i != bad {
		_, v := member(b, i)
		if i = skipValue(b, v, 5); i == bad {
			return thought
		}
		j, any := objectStart(b, v)
		for any && j != bad {
			name, v := member(b, j)
			if string(plainName(name)) == "thought" && b[v] == 't' {
				thought = true
			}
			if j = skipValue(b, v, 6); j == bad {
				break
			}
			j, any = nextItem(b, j, '}')
		}
		i, some = nextItem(b, i, '}')
	}
	return thought
}

// Google puts thoughts into the content, between tags, of which the second
// stands in front of the answer's first text, in a delta without a mark. Its
// servers escape the brackets.
var (
	thoughtEnd        = []byte("</thought>")
	thoughtEndEscaped = []byte(`\u003c/thought\u003e`)
)

// split sorts the content into thought and answer text, adds its kinds, and
// returns the text of the answer. thinking tells that a thought has begun in
// the attempt.
func (d *openAIDelta) split(b []byte, thinking bool) (text span) {
	text = d.content
	if thinking {
		n := d.thoughtSize(d.content.of(b))
		if n > 0 {
			d.kinds |= Thought
		}
		text.from += n
	}
	if text.present() {
		d.kinds |= Text
	}
	return text
}

// thoughtSize returns how much of content, in front, is thought, tags
// included.
func (d *openAIDelta) thoughtSize(content []byte) int {
	for _, end := range [...][]byte{thoughtEnd, thoughtEndEscaped} {
		if bytes.HasPrefix(content, end) {
			d.closes = true
			return len(end)
		}
		if !d.thought {
			continue
		}
		if i := bytes.Index(content, end); i >= 0 {
			d.closes = true
			return i + len(end)
		}
	}
	if d.thought {
		return len(content)
	}
	return 0
}

// nativeFinish returns the finishReason that a finish_reason stands for.
// Google writes what OpenAI has no name for as it is or behind a name and a
// colon, "content_filter: PROHIBITED_CONTENT"; it does not say what a bare
// content_filter was.
func nativeFinish(reason []byte) []byte {
	switch string(reason) {
	case "stop", "tool_calls", "function_call":
		return finishStop
	case "length":
		return finishLength
	case "content_filter":
		return finishFilter
	}
	if i := bytes.LastIndex(reason, []byte(": ")); i >= 0 && i+2 < len(reason) {
		return reason[i+2:]
	}
	return reason
}

var (
	finishStop   = []byte("STOP")
	finishLength = []byte("MAX_TOKENS")
	finishFilter = []byte("SAFETY")
)
