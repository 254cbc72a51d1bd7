package stream

import (
	"errors"
	"strconv"
)

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
// maxOutputTokens, where there is one, lowered by spent tokens. Without a
// prompt the model turn is the last: the model goes on from its own words. An
// answer that must be JSON loses that constraint, since a model that is held
// to it begins a new document.
//
// transcript is the inside of a JSON string and not empty. The body must be
// the one that r was parsed from, unchanged.
func (r *Request) AppendContinuation(dst, transcript []byte, prompt string, spent int64) ([]byte, error) {
	if !r.contents.present() || isNull(r.body, r.contents.from) {
		return dst, ErrNoContents
	}
	if r.dialect == OpenAI {
		return r.appendChatContinuation(dst, transcript, prompt, spent)
	}
	if r.JSON {
		free, ok := ParseRequest(r.dialect, r.unconstrained())
		if ok {
			free.JSON = false
			return free.AppendContinuation(dst, transcript, prompt, spent)
		}
	}
	var e editor
	if r.maxTokens.present() {
		if n, ok := wholeNumber(r.maxTokens.of(r.body)); ok && n > 0 {
			if n -= spent; n <= 0 {
				return dst, ErrBudgetSpent
			}
			e.replace(r.maxTokens, r.appendLike(nil, r.maxTokens, n))
		}
	}
	if err := r.editContents(&e, transcript, prompt); err != nil {
		return dst, err
	}
	return e.append(dst, r.body), nil
}

// appendLike writes n as the client wrote the limit at at: the JSON mapping
// takes a string of digits too.
func (r *Request) appendLike(dst []byte, at span, n int64) []byte {
	quoted := r.body[at.from] == '"'
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
	dst = append(dst, `"}]}`...)
	if prompt == "" {
		return dst
	}
	dst = append(dst, `,{"role":"user","parts":[{"text":`...)
	dst = AppendJSONString(dst, []byte(prompt))
	return append(dst, `}]}`...)
}

// unconstrained returns the body without what holds the answer to a format.
func (r *Request) unconstrained() []byte {
	var e editor
	e.replace(r.settings, appendWithout(nil, r.settings.of(r.body), func(name []byte) bool { return formatNames[string(name)] }))
	return e.append(nil, r.body)
}

// AppendResume appends the request that asks the API to go on from its own
// checkpoint: the client's body to the byte, with token, raw with its quotes,
// as its continuationToken
// (https://ai.google.dev/gemini-api/docs/generate-content/long-decode).
func (r *Request) AppendResume(dst, token []byte) []byte {
	var e editor
	if r.token.present() {
		e.replace(r.token, token)
		return e.append(dst, r.body)
	}
	first := r.inner + 1
	member := append([]byte(`"continuationToken":`), token...)
	if i := skipSpace(r.body, first); i < len(r.body) && r.body[i] != '}' {
		member = append(member, ',')
	}
	e.replace(span{first, first}, member)
	return e.append(dst, r.body)
}
