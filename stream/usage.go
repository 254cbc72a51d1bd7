package stream

// Usage are the token counts of usageMetadata
// (https://ai.google.dev/api/generate-content#UsageMetadata). A count that
// the payload did not name is -1 after parse and 0 in a sum.
type Usage struct {
	Prompt, Candidates, Thoughts, ToolUse int64
	// Reasoning is what the OpenAI form calls reasoning_tokens: a part of
	// Candidates, not beside them.
	Reasoning int64

	known bool // some count was named
}

// usageDetails are where a payload has what it says of usage besides.
type usageDetails struct {
	prompt     span // promptTokensDetails
	cached     span // cachedContentTokenCount
	cache      span // cacheTokensDetails
	candidates span // candidatesTokensDetails
}

// noUsage is the usage of a payload that names none.
var noUsage = Usage{Prompt: -1, Candidates: -1, Thoughts: -1, ToolUse: -1, Reasoning: -1}

// Known tells whether the payload named any count. Vertex AI names none
// before its last event.
func (u *Usage) Known() bool { return u.known }

// parse reads the object at v, and where it has what d holds. It returns the
// offset after it, or bad.
func (u *Usage) parse(b []byte, v int, d *usageDetails) int {
	*u = noUsage
	if isNull(b, v) {
		return skipValue(b, v, 1)
	}
	i, some := objectStart(b, v)
	for some && i != bad {
		name, v := member(b, i)
		if v == bad {
			return bad
		}
		if i = skipValue(b, v, 2); i == bad {
			return bad
		}
		u.member(plainName(name), b, v, i, d)
		i, some = nextItem(b, i, '}')
	}
	return i
}

func (u *Usage) member(name, b []byte, v, end int, d *usageDetails) {
	switch string(name) {
	case "promptTokenCount":
		u.count(&u.Prompt, b[v:end])
	case "candidatesTokenCount":
		u.count(&u.Candidates, b[v:end])
	case "thoughtsTokenCount":
		u.count(&u.Thoughts, b[v:end])
	case "toolUsePromptTokenCount":
		u.count(&u.ToolUse, b[v:end])
	case "totalTokenCount":
		u.known = true
	case "promptTokensDetails":
		d.prompt = span{v, end}
	case "cachedContentTokenCount":
		d.cached = span{v, end}
	case "cacheTokensDetails":
		d.cache = span{v, end}
	case "candidatesTokensDetails":
		d.candidates = span{v, end}
	}
}

func (u *Usage) count(field *int64, value []byte) {
	if n, ok := atoi(value); ok {
		*field = n
		u.known = true
	}
}

// noteUsage keeps the newest counts of the attempt.
func (s *Splice) noteUsage() {
	u, a := s.chunk.Usage, &s.attempt
	if !u.known {
		return
	}
	keep := func(dst *int64, n int64) {
		if n >= 0 {
			*dst = n
		}
	}
	keep(&a.usage.Prompt, u.Prompt)
	keep(&a.usage.Candidates, u.Candidates)
	keep(&a.usage.Thoughts, u.Thoughts)
	keep(&a.usage.ToolUse, u.ToolUse)
	keep(&a.usage.Reasoning, u.Reasoning)
	if !a.spliced || a.prompts {
		s.tally.note(&s.chunk)
	}
}

// atoi reads a count, written as a number or, as JSON mappings of 64-bit
// numbers do, as a string of digits.
func atoi(b []byte) (n int64, ok bool) {
	if len(b) > 2 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// attemptTokens returns what the attempt spent of the output budget: by its
// own usage, else estimated. What it repeated, and was dropped, is not spent twice.
func (s *Splice) attemptTokens() int64 {
	u, text := s.attempt.usage, s.transcript.raw[min(s.attempt.from, s.transcript.Len()):]
	if u.Candidates < 0 {
		return estimateTokens(text)
	}
	thoughts := max(u.Thoughts, 0)
	if s.join.drop == 0 {
		return u.Candidates + thoughts
	}
	thoughts += max(u.Reasoning, 0)
	words := max(u.Candidates-max(u.Reasoning, 0), 0)
	kept := int64(len(AppendUnescaped(nil, text)))
	all := kept + int64(s.join.drop)
	return (words*kept+all-1)/all + thoughts
}

// Usage returns the tokens of the whole answer as the upstream counted them:
// those of the prompt, and those of all attempts of which something was
// delivered, thoughts included. known is false when it has counted none.
func (s *Splice) Usage() (prompt, output int64, known bool) {
	u := &s.attempt.usage
	prompt = s.tally.prompt
	if prompt < 0 {
		prompt = max(u.Prompt, 0)
	}
	output = s.tally.candidates + s.tally.thoughts + max(u.Candidates, 0) + max(u.Thoughts, 0)
	return prompt, output, prompt > 0 || output > 0
}
