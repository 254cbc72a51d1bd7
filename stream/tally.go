package stream

import "strconv"

// tally is the usage of a whole answer: what the attempts before the current
// one spent, and what the first of them said about the prompt.
type tally struct {
	candidates, thoughts int64 // spent by earlier attempts that delivered something
	reasoning            int64 // the part of candidates that was thinking, in the OpenAI form
	toolUse              int64 // what earlier attempts were given by server tools
	prompt               int64 // of the first attempt that named it, -1 before
	promptDetails        []byte
	cached               []byte
	cacheDetails         []byte
}

func (t *tally) reset() {
	*t = tally{prompt: -1, promptDetails: t.promptDetails[:0], cached: t.cached[:0], cacheDetails: t.cacheDetails[:0]}
}

// note keeps what a payload says about the prompt. The counts of a stream
// are running totals, so the newest of the first attempt that names them stands.
func (t *tally) note(c *Chunk) {
	if c.Usage.Prompt < 0 {
		return
	}
	t.prompt = c.Usage.Prompt
	t.promptDetails = append(t.promptDetails[:0], c.details.prompt.of(c.payload)...)
	t.cached = append(t.cached[:0], c.details.cached.of(c.payload)...)
	t.cacheDetails = append(t.cacheDetails[:0], c.details.cache.of(c.payload)...)
}

// add counts what an attempt spent that is over.
func (t *tally) add(u Usage) {
	t.candidates += max(u.Candidates, 0)
	t.thoughts += max(u.Thoughts, 0)
	t.reasoning += max(u.Reasoning, 0)
	t.toolUse += max(u.ToolUse, 0)
}

// appendUsage appends the usageMetadata object of the whole answer: u's
// members, with the first attempt's counts for the prompt and the sums of all
// attempts for the rest. Members that would contradict the sums are left out.
// c may hold no usage; the object then has the sums only.
func (t *tally) appendUsage(dst []byte, c *Chunk, u Usage) []byte {
	dst = append(dst, '{')
	if c.usage.present() {
		dst = t.appendOthers(dst, c.usage.of(c.payload))
	}
	prompt := t.prompt
	if prompt < 0 {
		prompt = max(u.Prompt, 0)
	}
	candidates := t.candidates + max(u.Candidates, 0)
	thoughts := t.thoughts + max(u.Thoughts, 0)
	dst = appendCount(dst, "promptTokenCount", prompt)
	dst = appendCount(dst, "candidatesTokenCount", candidates)
	if thoughts > 0 || u.Thoughts >= 0 {
		dst = appendCount(dst, "thoughtsTokenCount", thoughts)
	}
	toolUse := t.toolUse + max(u.ToolUse, 0)
	if toolUse > 0 || u.ToolUse >= 0 {
		dst = appendCount(dst, "toolUsePromptTokenCount", toolUse)
	}
	dst = appendCount(dst, "totalTokenCount", prompt+candidates+thoughts+toolUse)
	dst = appendRaw(dst, "promptTokensDetails", t.promptDetails)
	dst = appendRaw(dst, "cachedContentTokenCount", t.cached)
	dst = appendRaw(dst, "cacheTokensDetails", t.cacheDetails)
	if details := items(c.details.candidates.of(c.payload)); len(details) > 0 {
		dst = appendRaw(dst, "candidatesTokensDetails", t.withText(details))
	}
	return append(dst, '}')
}

// withText returns the counts of an attempt's modalities with the tokens of the
// attempts before, which were all text: after anything else there is no other.
func (t *tally) withText(details [][]byte) []byte {
	left, text := t.candidates, `"TEXT"`
	for i, d := range details {
		f := fieldsOf(d)
		modality := f.get("modality")
		if _, isNumber := atoi(modality); isNumber {
			text = "1" // with enum-encoding=int
		}
		if n, ok := atoi(f.get("tokenCount")); left > 0 && ok && string(modality) == text {
			f.set([]byte("tokenCount"), strconv.AppendInt(nil, n+left, 10))
			details[i], left = f.appendObject(nil), 0
		}
	}
	if left > 0 {
		last := appendCount([]byte(`{"modality": `+text), "tokenCount", left)
		details = append(details, append(last, '}'))
	}
	return appendItems(nil, details)
}

// appendOthers appends the members of the usage object that are not counted
// here, as they came.
func (t *tally) appendOthers(dst, usage []byte) []byte {
	i, some := objectStart(usage, 0)
	for some && i != bad {
		from := i
		name, v := member(usage, i)
		if i = skipValue(usage, v, 2); i == bad {
			break
		}
		switch string(plainName(name)) {
		case "promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount",
			"toolUsePromptTokenCount", "promptTokensDetails", "candidatesTokensDetails",
			"cachedContentTokenCount", "cacheTokensDetails":
		case "toolUsePromptTokensDetails":
			if t.toolUse == 0 {
				dst = append(appendComma(dst), usage[from:i]...)
			}
		default:
			dst = append(appendComma(dst), usage[from:i]...)
		}
		i, some = nextItem(usage, i, '}')
	}
	return dst
}

// appendComma appends a comma unless dst ends with an opening brace.
func appendComma(dst []byte) []byte {
	if dst[len(dst)-1] == '{' {
		return dst
	}
	return append(dst, ',')
}

func appendCount(dst []byte, name string, n int64) []byte {
	dst = appendComma(dst)
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, `": `...)
	return strconv.AppendInt(dst, n, 10)
}

func appendRaw(dst []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = appendComma(dst)
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, `": `...)
	return append(dst, value...)
}
