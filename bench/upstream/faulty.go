package upstream

import (
	"regexp"
	"strings"
	"sync"
)

// Faulty is a model that breaks each answer in the way that its name ends with,
// see Faults, and truly continues it when it is asked to, by a model turn or by
// a user turn behind one. It speaks every Surface.
//
// Each question must hold a mark like [any-name#1]: requests with the same mark
// are attempts at the same answer. With number 1 the answer is First and breaks,
// with any other it is Later and does not.
//
// Set the fields before the first request. Handle is safe for concurrent use.
type Faulty struct {
	First string // valid UTF-8
	Later string // valid UTF-8

	mu       sync.Mutex
	attempts map[string]int
}

var markOf = regexp.MustCompile(`\[[\w.-]+#(\d+)\]`)

// Handle answers r. It is a Handler.
func (f *Faulty) Handle(r *Request) Script {
	fault, ok := FaultOf(r.Model())
	if !ok {
		return Script{As(r.Surface()), ErrorBody(404, "NOT_FOUND", "models/"+r.Model()+" is not found", 0)}
	}
	if r.isInteraction() && r.Method == "GET" {
		return f.resume(r, fault)
	}
	turns, err := r.Contents()
	if err != nil {
		return refuse(r, "Invalid JSON payload received.")
	}
	asked, mark := Asked(turns)
	if mark == "" {
		return refuse(r, "no question with a mark")
	}
	if !strings.HasSuffix(mark, "#1]") {
		return append(Script{As(r.Surface())}, speak(f.Later, "STOP")...)
	}
	c, prefilled := follow(turns[asked+1:])
	switch {
	case prefilled && !strings.HasPrefix(r.Model(), "gemini-2."):
		return refuse(r, "Requests ending with a model turn are not supported.")
	case !strings.HasPrefix(f.First, c.said):
		return refuse(r, "not a prefix of the answer")
	}
	c.rest = f.First[len(c.said):]
	c.attempt = f.attempt(mark)
	return append(Script{As(r.Surface())}, fault.play(c)...)
}

// resume goes on with an interaction behind the event that r names.
func (f *Faulty) resume(r *Request, fault Fault) Script {
	id, from := r.interaction()
	from = min(max(from, 0), len(f.First))
	_, mark := resumed(id)
	if !strings.HasSuffix(mark, "#1]") {
		return refuse(r, "no interaction whose answer breaks")
	}
	c := course{said: f.First[:from], rest: f.First[from:], attempt: f.attempt(mark)}
	return append(Script{As(Interactions)}, fault.play(c)...)
}

// Asked finds the last question of a conversation: its place among the turns and
// its mark, which is empty if there is none.
func Asked(turns []Turn) (place int, mark string) {
	for i := len(turns) - 1; i >= 0; i-- {
		if marks := markOf.FindAllString(turns[i].Text, -1); turns[i].Role != "model" && marks != nil {
			return i, marks[len(marks)-1]
		}
	}
	return 0, ""
}

// follow reads the turns behind a question. prefilled tells that the last is the
// model's.
func follow(turns []Turn) (c course, prefilled bool) {
	for _, t := range turns {
		prefilled = t.Role == "model"
		switch {
		case t.Result != "":
			c = course{after: true}
		case prefilled:
			c.said += t.Text
		default:
			_, c.anchor, _ = strings.Cut(t.Text, "<<<")
			c.anchor, _, _ = strings.Cut(c.anchor, ">>>")
		}
	}
	if !strings.HasSuffix(c.said, c.anchor) {
		c.anchor = ""
	}
	return c, prefilled
}

// Forget forgets how many attempts came for the question with a mark, for
// those who ask for hours. The mark is what Asked returns.
func (f *Faulty) Forget(mark string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.attempts, mark)
}

func (f *Faulty) attempt(mark string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.attempts == nil {
		f.attempts = make(map[string]int)
	}
	n := f.attempts[mark]
	f.attempts[mark] = n + 1
	return n
}
