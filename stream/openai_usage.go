package stream

// parseOpenAI reads the usage object of an OpenAI-compatible answer at v and
// returns the offset after it, or bad. OpenAI counts thinking as a part of
// completion_tokens; Google leaves it out of them and has it in total_tokens
// only, from which it is known here.
func (u *Usage) parseOpenAI(b []byte, v int, d *usageDetails) int {
	*u = noUsage
	if isNull(b, v) {
		return skipValue(b, v, 1)
	}
	total := int64(-1)
	i, some := objectStart(b, v)
	for some && i != bad {
		name, v := member(b, i)
		if v == bad {
			return bad
		}
		if i = skipValue(b, v, 2); i == bad {
			return bad
		}
		switch string(plainName(name)) {
		case "prompt_tokens":
			u.count(&u.Prompt, b[v:i])
		case "completion_tokens":
			u.count(&u.Candidates, b[v:i])
		case "total_tokens":
			u.count(&total, b[v:i])
		case "prompt_tokens_details":
			d.prompt = span{v, i}
		case "completion_tokens_details":
			u.Reasoning = openAIReasoning(b, v)
		}
		i, some = nextItem(b, i, '}')
	}
	if hidden := total - max(u.Prompt, 0) - max(u.Candidates, 0); u.Candidates >= 0 && hidden > 0 {
		u.Thoughts = hidden
	}
	return i
}

func openAIReasoning(b []byte, v int) int64 {
	i, some := objectStart(b, v)
	for some && i != bad {
		name, v := member(b, i)
		if i = skipValue(b, v, 3); i == bad {
			break
		}
		if n, ok := atoi(b[v:i]); ok && string(plainName(name)) == "reasoning_tokens" {
			return n
		}
		i, some = nextItem(b, i, '}')
	}
	return -1
}

// appendOpenAI is appendUsage for the usage object of an OpenAI-compatible
// answer.
func (t *tally) appendOpenAI(dst []byte, c *Chunk, u Usage) []byte {
	dst = append(dst, '{')
	if c.Usage.known {
		usage := c.usage.of(c.payload)
		walkMembers(usage, 0, func(name []byte, v span) {
			switch string(name) {
			case "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details":
			default:
				dst = append(appendName(dst, name), v.of(usage)...)
			}
		})
	}
	prompt := t.prompt
	if prompt < 0 {
		prompt = max(u.Prompt, 0)
	}
	completion := t.candidates + max(u.Candidates, 0)
	dst = appendCount(dst, "prompt_tokens", prompt)
	dst = appendCount(dst, "completion_tokens", completion)
	dst = appendCount(dst, "total_tokens", prompt+completion+t.thoughts+max(u.Thoughts, 0))
	dst = appendRaw(dst, "prompt_tokens_details", t.promptDetails)
	if reasoning := t.reasoning + max(u.Reasoning, 0); reasoning > 0 || u.Reasoning >= 0 {
		dst = append(appendComma(dst), `"completion_tokens_details": {`...)
		dst = append(appendCount(dst, "reasoning_tokens", reasoning), '}')
	}
	return append(dst, '}')
}

// named tells whether the attempts have named any count.
func (t *tally) named(u Usage) bool {
	return t.prompt >= 0 || t.candidates > 0 || u.Prompt >= 0 || u.Candidates >= 0
}
