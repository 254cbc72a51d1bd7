package stream

import (
	"errors"
	"strconv"
)

// Request is what a generate request says that matters here. It aliases the
// body that it was read from.
type Request struct {
	body      []byte
	contents  span // value of contents
	maxTokens span // value of generationConfig.maxOutputTokens

	// Several tells that more than one candidate is asked for.
	Several bool
	// JSON tells that the answer is constrained to be a JSON document.
	JSON bool
	// Token tells that the request itself resumes a long decode.
	Token bool
	// Key is the inside of the top-level apiKey string, unescaped.
	Key []byte
	// HasKey tells that there is a top-level apiKey member of any type.
	HasKey bool
}

// ParseRequest reads body. ok is false when it is not one JSON object; the
// API then has the better error message.
func ParseRequest(body []byte) (r Request, ok bool) {
	r.body = body
	start := skipSpace(body, 0)
	end := walkMembers(body, start, func(name []byte, v span) {
		switch string(name) {
		case "contents":
			r.contents = v
		case "generationConfig", "generation_config":
			r.config(v)
		case "continuationToken", "continuation_token":
			r.Token = r.Token || !isNull(body, v.from)
		case "apiKey":
			r.HasKey = true
			if len(r.Key) == 0 && body[v.from] == '"' {
				r.Key = AppendUnescaped(nil, body[v.from+1:v.to-1])
			}
		}
	})
	return r, end != bad && skipSpace(body, end) == len(body)
}

func (r *Request) config(v span) {
	if r.body[v.from] != '{' {
		return
	}
	walkMembers(r.body, v.from, func(name []byte, v span) {
		if isNull(r.body, v.from) {
			return
		}
		value := v.of(r.body)
		switch string(name) {
		case "maxOutputTokens", "max_output_tokens":
			r.maxTokens = v
		case "candidateCount", "candidate_count":
			n, ok := atoi(value)
			r.Several = ok && n > 1
		case "responseMimeType", "response_mime_type":
			r.JSON = r.JSON || string(value) != `"text/plain"`
		case "responseSchema", "response_schema", "responseJsonSchema", "response_json_schema":
			r.JSON = true
		}
	})
}

// Why a request cannot be continued.
var (
	// ErrNoContents: the body has no contents to append to.
	ErrNoContents = errors.New("the request has no contents that an answer could be appended to")
	// ErrBudgetSpent: what was delivered has used up maxOutputTokens. The
	// answer ends with MAX_TOKENS, as it would have.
	ErrBudgetSpent = errors.New("maxOutputTokens is used up")
)

// AppendContinuation appends the request that asks the model to go on from
// transcript: the client's body to the byte, with a model turn that holds the
// transcript and a user turn that holds prompt at the end of contents, and
// maxOutputTokens, where there is one, lowered by spent tokens.
//
// transcript is the inside of a JSON string and not empty. The body must be
// the one that r was parsed from, unchanged.
func (r *Request) AppendContinuation(dst, transcript []byte, prompt string, spent int64) ([]byte, error) {
	if !r.contents.present() || isNull(r.body, r.contents.from) {
		return dst, ErrNoContents
	}
	var e editor
	if r.maxTokens.present() {
		if n, ok := atoi(r.maxTokens.of(r.body)); ok && n > 0 {
			if n -= spent; n <= 0 {
				return dst, ErrBudgetSpent
			}
			e.replace(r.maxTokens, r.appendLike(nil, n))
		}
	}
	if err := r.editContents(&e, transcript, prompt); err != nil {
		return dst, err
	}
	return e.append(dst, r.body), nil
}

// appendLike writes n as the client wrote its maxOutputTokens: the JSON
// mapping takes a string of digits too.
func (r *Request) appendLike(dst []byte, n int64) []byte {
	quoted := r.body[r.maxTokens.from] == '"'
	if quoted {
		dst = append(dst, '"')
	}
	dst = strconv.AppendInt(dst, n, 10)
	if quoted {
		dst = append(dst, '"')
	}
	return dst
}

func (r *Request) editContents(e *editor, transcript []byte, prompt string) error {
	v := r.contents
	var turns []byte
	switch r.body[v.from] {
	case '[':
		if _, some := arrayStart(r.body, v.from); some {
			turns = append(turns, ',')
		}
		turns = appendTurns(turns, transcript, prompt)
		e.replace(span{v.to - 1, v.to - 1}, turns)
	case '{':
		// The JSON mapping of Google's front ends takes a single content for a
		// list of one.
		e.replace(span{v.from, v.from}, []byte{'['})
		turns = appendTurns(append(turns, ','), transcript, prompt)
		e.replace(span{v.to, v.to}, append(turns, ']'))
	default:
		return ErrNoContents
	}
	return nil
}

func appendTurns(dst, transcript []byte, prompt string) []byte {
	dst = append(dst, `{"role":"model","parts":[{"text":"`...)
	dst = appendReescaped(dst, transcript)
	dst = append(dst, `"}]},{"role":"user","parts":[{"text":`...)
	dst = AppendJSONString(dst, []byte(prompt))
	return append(dst, `}]}`...)
}

// AppendWithoutKey appends body without its top-level apiKey members, all
// other bytes as they came.
func AppendWithoutKey(dst, body []byte) []byte {
	at := 0    // what is before it has been appended or dropped
	last := -1 // end of the member before, once a member was kept
	i, some := objectStart(body, skipSpace(body, 0))
	for some && i != bad {
		from := i
		name, v := member(body, i)
		if v == bad {
			break
		}
		end := skipValue(body, v, 0)
		if end == bad {
			break
		}
		next, more := nextItem(body, end, '}')
		switch {
		case string(plainName(name)) != "apiKey":
			last = end
		case last >= 0:
			// The comma before it goes too.
			dst = append(dst, body[at:last]...)
			at, last = end, end
		case more:
			dst = append(dst, body[at:from]...)
			at = next
		default:
			dst = append(dst, body[at:from]...)
			at = end
		}
		i, some = next, more
	}
	return append(dst, body[at:]...)
}
