package stream

// Folder makes one GenerateContentResponse out of the payloads of a stream, as
// generateContent would have answered it
// (https://ai.google.dev/api/generate-content#generatecontentresponse):
//
//   - texts that follow one another are one part, and so are thoughts; a part
//     that holds anything else, such as a signature, stays a part of its own;
//   - grounding, citations and their like are merged, log probabilities follow one another;
//   - usageMetadata is the last that names any count;
//   - responseId, modelVersion and createTime are the first, all else the last.
//
// Of OpenAI-compatible payloads it makes one chat.completion, by the same rules.
//
// Payloads are what a Splice delivers: well formed, and of one answer. The zero
// value is ready to use. A Folder owns what it keeps.
type Folder struct {
	dialect   Dialect
	around    fields   // of the wrapper, without the response
	parts     []byte   // without brackets and, while open, without the last one's end
	open      openPart // the last part goes on
	count     int      // parts that have begun
	candidate fields   // without content and logprobsResult
	odds      *grown   // logprobsResult
	content   fields   // without parts
	top       fields   // without candidates
	some      bool     // a candidate has come
	spoken    bool     // one with content has
	spilled   bool     // the beginning has been given out
	chat      chatFolder
}

type openPart uint8

const (
	openNone openPart = iota
	openText
	openThought
)

// ends are what closes an open part.
var ends = [...]string{openNone: "", openText: `"}`, openThought: `","thought": true}`}

// Empty tells that nothing was taken yet.
func (f *Folder) Empty() bool {
	return !f.some && len(f.top) == 0 && len(f.around) == 0 && !f.spilled && f.chat.empty()
}

// Len returns how many bytes are kept.
func (f *Folder) Len() int {
	n := len(f.parts) + f.candidate.len() + f.content.len() + f.top.len() + f.around.len() + f.chat.len()
	if f.odds != nil {
		n += f.odds.len()
	}
	return n
}

// Reset empties the Folder and makes it ready for payloads of a dialect.
func (f *Folder) Reset(d Dialect) { *f = Folder{dialect: d, parts: f.parts[:0]} }

// Take takes the next payload.
func (f *Folder) Take(payload []byte) {
	if f.dialect == OpenAI {
		f.chat.take(payload)
		return
	}
	start := skipSpace(payload, 0)
	if f.dialect != Wrapped {
		f.takeResponse(payload[start:])
		return
	}
	walkMembers(payload, start, func(name []byte, v span) {
		if string(name) == "response" {
			f.takeResponse(v.of(payload))
			return
		}
		f.around.set(name, v.of(payload))
	})
}

func (f *Folder) takeResponse(payload []byte) {
	walkMembers(payload, 0, func(name []byte, v span) {
		value := v.of(payload)
		switch {
		case isNull(value, 0):
		case string(name) == "candidates":
			f.takeCandidates(value)
		case string(name) == "usageMetadata":
			f.takeUsage(value)
		case string(name) == "responseId", string(name) == "modelVersion", string(name) == "createTime":
			if f.top.get(string(name)) == nil {
				f.top.set(name, value)
			}
		default:
			f.top.set(name, value)
		}
	})
}

// takeUsage keeps the newest counts. An object without any, as Vertex AI sends
// before its last event, adds to them.
func (f *Folder) takeUsage(value []byte) {
	old := f.top.get("usageMetadata")
	var u Usage
	if u.parse(value, 0, &usageDetails{}) == bad || old == nil || u.known {
		f.top.set([]byte("usageMetadata"), value)
		return
	}
	f.top.set([]byte("usageMetadata"), mergeObjects(old, value))
}

// takeCandidates takes the candidate whose index is 0; there is no other in
// answers that are folded.
func (f *Folder) takeCandidates(list []byte) {
	for _, c := range items(list) {
		if c[0] == '{' && isFirst(c) {
			f.takeCandidate(c)
		}
	}
}

func isFirst(candidate []byte) (first bool) {
	first = true
	walkMembers(candidate, 0, func(name []byte, v span) {
		if string(name) == "index" {
			first = string(v.of(candidate)) == "0" || isNull(candidate, v.from)
		}
	})
	return first
}

func (f *Folder) takeCandidate(c []byte) {
	f.some = true
	// A token of an event before the last is a checkpoint of the stream.
	f.candidate.drop("continuationToken")
	walkMembers(c, 0, func(name []byte, v span) {
		value := v.of(c)
		old := f.candidate.get(string(name))
		switch {
		case isNull(value, 0):
		case string(name) == "content":
			f.takeContent(value)
		case string(name) == "logprobsResult" && value[0] == '{':
			if f.odds == nil {
				f.odds = &grown{}
			}
			f.odds.take(value, func(string) bool { return false })
		case old == nil || value[0] != '{' || old[0] != '{':
			f.candidate.set(name, value)
		case string(name) == "groundingMetadata":
			f.candidate.set(name, mergeGrounding(old, value))
		case string(name) == "citationMetadata", string(name) == "urlContextMetadata":
			f.candidate.set(name, mergeObjects(old, value))
		default:
			f.candidate.set(name, value)
		}
	})
}

func (f *Folder) takeContent(content []byte) {
	if content[0] != '{' {
		return
	}
	f.spoken = true
	walkMembers(content, 0, func(name []byte, v span) {
		value := v.of(content)
		switch {
		case isNull(value, 0):
		case string(name) != "parts":
			f.content.set(name, value)
		default:
			for _, p := range items(value) {
				f.takePart(p)
			}
		}
	})
}

// takePart takes a part. An empty text is kept only where nothing else is.
func (f *Folder) takePart(p []byte) {
	kind, text := foldable(p)
	switch {
	case kind == openNone:
		f.begin(openNone)
		f.parts = append(f.parts, p...)
	case len(text) > 0:
		if kind != f.open {
			f.begin(kind)
			f.parts = append(f.parts, `{"text": "`...)
		}
		f.parts = append(f.parts, text...)
	}
}

// foldable returns what p can be joined to, and the inside of its text.
func foldable(p []byte) (kind openPart, text []byte) {
	kind = openText
	some := false
	if p[0] != '{' {
		return openNone, nil
	}
	walkMembers(p, 0, func(name []byte, v span) {
		value := v.of(p)
		switch {
		case string(name) == "text" && value[0] == '"':
			text, some = value[1:len(value)-1], true
		case string(name) == "thought" && value[0] == 't' && kind != openNone:
			kind = openThought
		case string(name) == "thought" && value[0] != 't':
		default:
			kind = openNone
		}
	})
	if !some {
		return openNone, nil
	}
	return kind, text
}

// begin closes the last part and begins another.
func (f *Folder) begin(kind openPart) {
	f.parts = append(f.parts, ends[f.open]...)
	if f.count > 0 {
		f.parts = append(f.parts, ',')
	}
	f.count++
	f.open = kind
}

// spillHead is how a response begins whose parts are given out early.
const spillHead = `"candidates": [{"content": {"parts": [`

// Spill appends what is known of the response and forgets it. What Spill and
// at last Append have appended is the whole response.
func (f *Folder) Spill(dst []byte) []byte {
	if f.dialect == OpenAI {
		return f.chat.spill(dst)
	}
	if f.count == 0 {
		return dst
	}
	if !f.spilled {
		f.spilled = true
		dst = append(f.appendOpen(dst), spillHead...)
	}
	dst = append(dst, f.parts...)
	f.parts = f.parts[:0]
	return dst
}

// Append appends the response, or the rest of it behind what was spilled.
func (f *Folder) Append(dst []byte) []byte {
	if f.dialect == OpenAI {
		return f.chat.append(dst)
	}
	if !f.spilled {
		dst = f.appendOpen(dst)
		switch {
		case f.spoken:
			dst = append(dst, spillHead...)
		case f.some:
			dst = append(dst, `"candidates": [{`...)
		}
	}
	if f.spoken {
		dst = append(append(dst, f.parts...), ends[f.open]...)
		if f.count == 0 {
			dst = append(dst, `{"text": ""}`...)
		}
		dst = append(dst, ']')
		dst = f.content.append(dst)
		dst = append(dst, '}')
	}
	if f.some {
		dst = f.candidate.append(dst)
		if f.odds != nil {
			dst = f.odds.append(append(appendComma(dst), `"logprobsResult": `...))
		}
		dst = append(dst, "}]"...)
	}
	dst = append(f.top.append(dst), '}')
	if f.dialect == Wrapped {
		dst = append(f.around.append(dst), '}')
	}
	return dst
}

// appendOpen appends what the response begins with.
func (f *Folder) appendOpen(dst []byte) []byte {
	if f.dialect == Wrapped {
		dst = append(dst, `{"response": `...)
	}
	return append(dst, '{')
}
