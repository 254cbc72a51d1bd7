package stream

// openAICalls follows the tool calls of an OpenAI-compatible answer, whose
// arguments come whole, as Google sends them, or in pieces
// (https://platform.openai.com/docs/api-reference/chat-streaming/streaming#chat_streaming-streaming-choices-delta-tool_calls).
type openAICalls struct {
	all   []openAICall
	plain []byte // of one piece
	// legacy tells that a call came as a function_call, as clients had them
	// before there were tools.
	legacy bool
}

// openAICall is one call; it is whole when its arguments are.
type openAICall struct {
	index     int64
	arguments documentEnd
}

func (cs *openAICalls) reset() {
	cs.all, cs.plain, cs.legacy = cs.all[:0], cs.plain[:0], false
}

// take takes the value of a delta's tool_calls or function_call.
func (cs *openAICalls) take(b []byte) {
	if b[0] == '{' {
		cs.legacy = true
		cs.piece(b, 0)
		return
	}
	i, some := arrayStart(b, 0)
	for some && i != bad {
		if i = cs.piece(b, i); i != bad {
			i, some = nextItem(b, i, ']')
		}
	}
}

// open tells whether a call has begun that is not whole.
func (cs *openAICalls) open() bool {
	for i := range cs.all {
		if !cs.all[i].arguments.over {
			return true
		}
	}
	return false
}

// piece takes one piece of a call and returns the offset after it, or bad.
// A piece with a name begins a call; any other goes on with the call of its
// index, or the last one.
func (cs *openAICalls) piece(b []byte, v int) int {
	var p openAIPiece
	end := p.parse(b, v)
	if end == bad {
		return bad
	}
	if p.named || len(cs.all) == 0 {
		cs.all = append(cs.all, openAICall{index: p.index})
	}
	call := &cs.all[len(cs.all)-1]
	for i := range cs.all {
		if !p.named && p.index >= 0 && cs.all[i].index == p.index {
			call = &cs.all[i]
		}
	}
	switch args := p.arguments.of(b); {
	case len(args) == 0:
	case args[0] == '"':
		cs.plain = AppendUnescaped(cs.plain[:0], args[1:len(args)-1])
		call.arguments.take(cs.plain)
	default:
		// Not a string: some gateways send the object itself.
		call.arguments.over = true
	}
	return end
}

// openAIPiece is one element of tool_calls, or a function_call.
type openAIPiece struct {
	index     int64 // -1 without one
	named     bool
	arguments span
}

func (p *openAIPiece) parse(b []byte, v int) int {
	p.index = -1
	return p.object(b, v, 0)
}

func (p *openAIPiece) object(b []byte, v, depth int) int {
	i, some := objectStart(b, v)
	for some && i != bad {
		name, v := member(b, i)
		if v == bad {
			return bad
		}
		if i = skipValue(b, v, 5); i == bad {
			return bad
		}
		switch n := plainName(name); {
		case isEmptyValue(b[v:i]) && (b[v] != '{' || string(n) != "arguments"):
		case string(n) == "index" && depth == 0:
			if n, ok := atoi(b[v:i]); ok {
				p.index = n
			}
		case string(n) == "function" && depth == 0 && b[v] == '{':
			p.object(b, v, depth+1)
		case string(n) == "name":
			p.named = true
		case string(n) == "arguments":
			p.arguments = span{v, i}
		}
		i, some = nextItem(b, i, '}')
	}
	return i
}
