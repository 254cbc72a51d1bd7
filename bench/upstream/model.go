package upstream

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Model is a model with one fixed answer, which truly continues: a request that
// ends with a model turn and a user turn gets what follows the text of that
// model turn, and 400 if the answer does not begin with that text. It speaks
// every Surface.
//
// Set the fields before the first request. Handle is safe for concurrent use.
type Model struct {
	// Answer is the whole answer, valid UTF-8.
	Answer string
	// Piece is the number of runes an event holds, DefaultPiece if zero.
	Piece int
	// Fault, if not nil, returns steps that are put in front of the answer, such
	// as a LimitBody. attempt counts from 0 for each conversation: the requests
	// with the same X-Test-Id or, without one, the same first user turn.
	Fault func(attempt int, r *Request) []Step
	// Finish is the finishReason, "STOP" if empty.
	Finish string
	// Thoughts, if not empty, is sent as one thought before the text of every
	// attempt.
	Thoughts string
	// Wait is the pause between events.
	Wait time.Duration
	// Repeat is the number of runes before the seam that a continuation says
	// once more, as a model does which is told to begin with its last words.
	Repeat int
	// Prefixed, if not nil, tells a continuation from a conversation that has
	// model turns of its own: it returns the text to continue. The default
	// takes it from the last but one of the turns if that is the model's and
	// the last is not.
	Prefixed func(turns []Turn) (text string, ok bool)

	mu       sync.Mutex
	attempts map[string]int
}

// Handle answers r. It is a Handler.
func (m *Model) Handle(r *Request) Script {
	turns, err := r.Contents()
	if err != nil {
		return refuse(r, "Invalid JSON payload received.")
	}
	attempt := m.attempt(conversation(r, turns))
	prefixed := m.Prefixed
	if prefixed == nil {
		prefixed = lastWords
	}
	said, ok := prefixed(turns)
	if !ok {
		said = ""
	}
	switch {
	case !ok && len(turns) > 0 && turns[len(turns)-1].Role == "model":
		return refuse(r, "Requests ending with a model turn are not supported.")
	case ok && said == "":
		return refuse(r, "empty model turn")
	case !strings.HasPrefix(m.Answer, said):
		return refuse(r, "not a prefix of the answer")
	}
	script := Script{As(r.Surface())}
	if m.Fault != nil {
		script = append(script, m.Fault(attempt, r)...)
	}
	if ok {
		script = append(script, Prompt(PromptTokens+tokens(utf8.RuneCountInString(said))))
	}
	if m.Thoughts != "" {
		script = append(script, Thought(m.Thoughts), act(func(a *answer) error { return a.gap(m.Wait) }))
	}
	reason := m.Finish
	if reason == "" {
		reason = "STOP"
	}
	rest := m.Answer[backRunes(m.Answer, len(said), m.Repeat):]
	return append(script, Say(rest, m.Piece, m.Wait, reason))
}

// Attempts is the number of requests that came for a conversation, whose key is
// the X-Test-Id or the first user turn.
func (m *Model) Attempts(key string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attempts[key]
}

func (m *Model) attempt(key string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.attempts == nil {
		m.attempts = make(map[string]int)
	}
	n := m.attempts[key]
	m.attempts[key] = n + 1
	return n
}

// conversation is the key under which attempts are counted.
func conversation(r *Request, turns []Turn) string {
	if id := r.Header.Get("X-Test-Id"); id != "" {
		return id
	}
	for _, t := range turns {
		if t.Role != "model" {
			return t.Text
		}
	}
	return ""
}

// lastWords is the default of Model.Prefixed.
func lastWords(turns []Turn) (text string, ok bool) {
	n := len(turns)
	if n < 2 || turns[n-2].Role != "model" || turns[n-1].Role == "model" {
		return "", false
	}
	return turns[n-2].Text, true
}

// backRunes is the offset of the n-th rune before offset i of s, or 0.
func backRunes(s string, i, n int) int {
	for ; n > 0 && i > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(s[:i])
		i -= size
	}
	return i
}

func refuse(r *Request, message string) Script {
	return Script{As(r.Surface()), ErrorBody(400, "INVALID_ARGUMENT", message, 0)}
}
