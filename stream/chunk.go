package stream

// Kinds is the set of things that the parts of a payload hold.
type Kinds uint16

// The kinds of parts. Text is answer text; Thought is a summary of thinking,
// which is no part of the answer; the others are answers that text cannot
// stand in for.
const (
	Text     Kinds = 1 << iota // answer text, not empty
	Thought                    // thought: true
	Call                       // functionCall
	Media                      // inlineData, fileData
	Code                       // executableCode, codeExecutionResult
	Tool                       // toolCall, toolResponse, functionResponse
	Unknown                    // a part of a kind that this program does not know
	Token                      // candidate.continuationToken: the API's own way to go on
	Several                    // more than one candidate, or one with an index above 0
	OpenCall                   // a functionCall of which more is to come
	Logprobs                   // candidate.logprobsResult, which counts tokens of this response
)

// Answer are the kinds that make up an answer.
const Answer = Text | Call | Media | Code | Tool | Unknown

// Untextual are the kinds after which an answer cannot be continued by
// sending its text back to the model.
const Untextual = (Answer &^ Text) | Several | Logprobs

// span is a range of offsets; the zero span means absent.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }
func (s span) present() bool      { return s.to > s.from }

// Chunk is what one payload says: a GenerateContentResponse
// (https://ai.google.dev/api/generate-content#generatecontentresponse) or an
// error object. Parse fills it in one pass; the byte slices it hands out
// alias the payload.
type Chunk struct {
	// Dialect is what Parse expects; it stays from one Parse to the next.
	Dialect Dialect

	Kinds Kinds
	// Finish is candidates[0].finishReason, raw and without quotes, nil when
	// there is none.
	Finish []byte
	// Blocked tells that promptFeedback.blockReason is set.
	Blocked bool
	// Failure tells that the payload is an error object, alone or in an array.
	Failure bool
	// Usage holds the counts of usageMetadata.
	Usage Usage

	payload    []byte
	candidates span // the array
	usage      span // the object
	details    usageDetails
	responseID span  // with quotes
	version    span  // with quotes
	text       span  // the inside of the last part's text
	token      span  // candidates[0].continuationToken, with quotes
	texts      int32 // parts with text
	beside     bool  // a candidate tells of its text: from where it is, or in numbers
	behind     bool  // text stands behind the last call
	body       int   // offset of the response's first byte

	openAI openAIChunk
	parser chunkParser // of the payload, here to be off the stack
}

// Parse reads payload, whose bytes the Chunk aliases until the next Parse. It
// appends the text of candidates[0] to transcript, still escaped as in the
// payload, and returns it. ok is false for what is not one JSON object;
// transcript then comes back as it was.
func (c *Chunk) Parse(payload, transcript []byte) (text []byte, ok bool) {
	return c.parse(nil, transcript, payload)
}

// parseInto is Parse with a transcript that makes room for what it gets. What it
// returns becomes part of t by t.set only.
func (c *Chunk) parseInto(t *Transcript, payload []byte) (text []byte, ok bool) {
	if text, ok = c.parse(t, t.raw, payload); !ok {
		return t.raw, false
	}
	return text, true
}

func (c *Chunk) parse(t *Transcript, transcript, payload []byte) (text []byte, ok bool) {
	if c.Dialect == OpenAI {
		return c.parseOpenAI(t, transcript, payload)
	}
	c.begin(payload)
	p := &c.parser
	p.c, p.b, p.into, p.text = c, payload, t, transcript
	ok = p.whole()
	text = p.text
	// What was read may be somebody else's memory soon.
	p.b, p.into, p.text = nil, nil, nil
	if !ok {
		return transcript, false
	}
	return text, true
}

// whole reads the payload, and tells whether that is one JSON object.
func (p *chunkParser) whole() bool {
	payload := p.b
	i := skipSpace(payload, 0)
	if i < len(payload) && payload[i] == '[' {
		if i = p.failureArray(i); i == bad {
			return false
		}
	} else if i = p.top(i); i == bad {
		return false
	}
	return endsWell(payload, i)
}

// begin forgets the payload before this one. It is not inlined, and neither is
// endsWell, so that what they need is not on the stack below the deepest calls:
// with little more there, a stream's stack would be of twice the size.
//
//go:noinline
func (c *Chunk) begin(payload []byte) {
	dialect := c.Dialect
	*c = Chunk{}
	c.Dialect, c.payload, c.Usage = dialect, payload, noUsage
}

// endsWell tells whether nothing follows the object of payload that ends at i, and
// all escapes in it are JSON's.
//
//go:noinline
func endsWell(payload []byte, i int) bool {
	return skipSpace(payload, i) == len(payload) && validEscapes(payload)
}

// chunkParser walks the paths that matter and skips everything else. Its
// methods take the offset of a value and return the offset after it, or bad.
type chunkParser struct {
	c    *Chunk
	b    []byte
	into *Transcript // makes room in text, may be nil
	text []byte
	part part // that is read
}

// failureArray reads [{"error":…}], the form in which the API wraps an error
// of its array surface.
func (p *chunkParser) failureArray(i int) int {
	i, some := arrayStart(p.b, i)
	if i == bad || !some {
		return bad
	}
	if i = p.top(i); i == bad || !p.c.Failure {
		return bad
	}
	next, more := nextItem(p.b, i, ']')
	if more {
		return bad
	}
	return next
}

// top reads the outermost object.
func (p *chunkParser) top(i int) int {
	if p.c.Dialect == Wrapped {
		return p.wrapper(i)
	}
	return p.response(i)
}

// wrapper reads the object around a response.
func (p *chunkParser) wrapper(i int) int {
	i, some := objectStart(p.b, i)
	for some && i != bad {
		name, v := member(p.b, i)
		if v == bad {
			return bad
		}
		if name = plainName(name); string(name) == "response" && !isNull(p.b, v) {
			i = p.response(v)
		} else {
			p.c.Failure = p.c.Failure || string(name) == "error" && !isNull(p.b, v)
			i = skipValue(p.b, v, 1)
		}
		if i == bad {
			return bad
		}
		i, some = nextItem(p.b, i, '}')
	}
	return i
}

// response reads a GenerateContentResponse, or an error in its place.
func (p *chunkParser) response(i int) int {
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

func (p *chunkParser) topMember(name []byte, v int) int {
	switch string(name) {
	case "candidates":
		return p.candidates(v)
	case "usageMetadata":
		end := p.c.Usage.parse(p.b, v, &p.c.details)
		p.c.usage = span{v, end}
		return end
	case "responseId":
		return p.quoted(v, &p.c.responseID)
	case "modelVersion":
		return p.quoted(v, &p.c.version)
	case "promptFeedback":
		return p.feedback(v)
	case "error":
		p.c.Failure = !isNull(p.b, v)
	}
	return skipValue(p.b, v, 1)
}

// quoted notes where a string is; any other value is skipped.
func (p *chunkParser) quoted(v int, s *span) int {
	end := skipValue(p.b, v, 1)
	if end != bad && p.b[v] == '"' {
		*s = span{v, end}
	}
	return end
}

func (p *chunkParser) feedback(v int) int {
	if isNull(p.b, v) {
		return skipValue(p.b, v, 1)
	}
	i, some := objectStart(p.b, v)
	for some && i != bad {
		name, v := member(p.b, i)
		if v == bad {
			return bad
		}
		if string(plainName(name)) == "blockReason" && !isNull(p.b, v) {
			p.c.Blocked = true
		}
		if i = skipValue(p.b, v, 2); i == bad {
			return bad
		}
		i, some = nextItem(p.b, i, '}')
	}
	return i
}

func (p *chunkParser) candidates(v int) int {
	if isNull(p.b, v) {
		return skipValue(p.b, v, 1)
	}
	i, some := arrayStart(p.b, v)
	for n := 0; some && i != bad; n++ {
		if n == 0 {
			i = p.candidate(i)
		} else {
			i = p.further(i)
		}
		if i == bad {
			return bad
		}
		i, some = nextItem(p.b, i, ']')
	}
	p.c.candidates = span{v, i}
	return i
}

// further reads a candidate behind the first, whose the answer is alone.
//
//go:noinline
func (p *chunkParser) further(v int) int {
	finish, n := p.c.Finish, len(p.text)
	v = p.candidate(v)
	p.c.Kinds |= Several
	p.c.Finish, p.text = finish, p.text[:n]
	return v
}

func (p *chunkParser) candidate(v int) int {
	i, some := objectStart(p.b, v)
	for some && i != bad {
		name, v := member(p.b, i)
		if v == bad {
			return bad
		}
		if i = p.candidateMember(plainName(name), v); i == bad {
			return bad
		}
		i, some = nextItem(p.b, i, '}')
	}
	return i
}

func (p *chunkParser) candidateMember(name []byte, v int) int {
	end := bad
	switch string(name) {
	case "content":
		return p.content(v)
	case "finishReason":
		if end = skipValue(p.b, v, 3); end != bad {
			p.c.Finish = finishName(p.b[v:end])
		}
		return end
	case "index":
		if end = skipValue(p.b, v, 3); end != bad && string(p.b[v:end]) != "0" && !isNull(p.b, v) {
			p.c.Kinds |= Several
		}
		return end
	case "continuationToken":
		if end = skipValue(p.b, v, 3); end != bad && p.b[v] == '"' && end-v > 2 {
			p.c.Kinds |= Token
			p.c.token = span{v, end}
		}
		return end
	case "groundingMetadata", "citationMetadata", "urlContextMetadata", "avgLogprobs", "tokenCount":
		p.c.beside = true
	case "logprobsResult":
		if !isNull(p.b, v) {
			p.c.Kinds |= Logprobs
			p.c.beside = true
		}
	}
	return skipValue(p.b, v, 3)
}

func (p *chunkParser) content(v int) int {
	if isNull(p.b, v) {
		return skipValue(p.b, v, 3)
	}
	i, some := objectStart(p.b, v)
	for some && i != bad {
		name, v := member(p.b, i)
		if v == bad {
			return bad
		}
		if string(plainName(name)) == "parts" && !isNull(p.b, v) {
			i = p.parts(v)
		} else {
			i = skipValue(p.b, v, 4)
		}
		if i == bad {
			return bad
		}
		i, some = nextItem(p.b, i, '}')
	}
	return i
}

func (p *chunkParser) parts(v int) int {
	i, some := arrayStart(p.b, v)
	for some && i != bad {
		pt := &p.part
		*pt = part{}
		if i = pt.parse(p.b, i); i == bad {
			return bad
		}
		if pt.kinds&Call != 0 {
			// The last call says whether more is to come.
			p.c.Kinds &^= OpenCall
			p.c.behind = false
		}
		p.c.Kinds |= pt.kinds
		if pt.kinds&Text != 0 {
			p.c.behind = p.c.Kinds&Call != 0
			p.text = p.into.append(p.text, pt.text.of(p.b))
			p.c.text = pt.text
			p.c.texts++
		}
		i, some = nextItem(p.b, i, ']')
	}
	return i
}
