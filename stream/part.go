package stream

// part is one element of content.parts
// (https://ai.google.dev/api/caching#Part).
type part struct {
	kinds Kinds
	text  span // the inside of the text member, when kinds holds Text
	alone bool // there is no member but text
	words bool // there is a text member, which may be empty
	other bool // there is a member that this program does not know
}

// parse reads the part at v and returns the offset after it, or bad.
func (pt *part) parse(b []byte, v int) int {
	i, some := objectStart(b, v)
	for n := 0; some && i != bad; n++ {
		pt.alone = n == 0
		name, v := member(b, i)
		if v == bad {
			return bad
		}
		if i = skipValue(b, v, 6); i == bad {
			return bad
		}
		if !isNull(b, v) {
			pt.member(plainName(name), b, v, i)
		}
		i, some = nextItem(b, i, '}')
	}
	if pt.other && !pt.words {
		// Of the members that hold content a part has one
		// (https://ai.google.dev/api/caching#Part): where that is text, what is
		// not known describes it.
		pt.kinds |= Unknown
	}
	if pt.kinds&Thought != 0 {
		// A thought is a thought, whatever else the part holds.
		pt.kinds = Thought
	}
	return i
}

func (pt *part) member(name, b []byte, v, end int) {
	switch string(name) {
	case "text":
		if pt.words = b[v] == '"'; pt.words && end-v > 2 {
			pt.kinds |= Text
			pt.text = span{v + 1, end - 1}
		}
	case "thought":
		if b[v] == 't' {
			pt.kinds |= Thought
		}
	case "functionCall":
		pt.kinds |= Call
		if isOpenCall(b[v:end]) {
			pt.kinds |= OpenCall
		}
	case "inlineData", "fileData":
		pt.kinds |= Media
	case "executableCode", "codeExecutionResult":
		pt.kinds |= Code
	case "functionResponse", "toolCall", "toolResponse":
		pt.kinds |= Tool
	case "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution":
		// These describe a part and are none.
	case "audioTranscription":
		pt.kinds |= Unknown
	default:
		pt.other = true
	}
}

// isOpenCall tells whether a functionCall says that more of it is to come.
func isOpenCall(call []byte) (open bool) {
	if call[0] != '{' {
		return false
	}
	walkMembers(call, 0, func(name []byte, v span) {
		if string(name) == "willContinue" && call[v.from] == 't' {
			open = true
		}
	})
	return open
}
